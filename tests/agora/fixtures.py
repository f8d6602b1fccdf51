"""Fixtures of whoever tests over Agora's packages; tests/conftest.py shares them with all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from realtime_agent.rtc.agora import sdk
from tests.agora.network import LoopbackNetwork, loopback_network
from tests.agora.site import build_site, has_compiler

__all__ = ["agora_site", "network", "without_agora"]


@pytest.fixture
def agora_site(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Agora's packages over the loopback library, installed as far as this test can tell."""
    if not has_compiler():
        pytest.skip("the loopback library needs a C compiler (cc)")
    site = build_site()
    monkeypatch.syspath_prepend(site)
    return site


@pytest.fixture
def without_agora(monkeypatch: pytest.MonkeyPatch) -> None:
    """Agora's packages are not installed, as far as this test can tell."""

    def version(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(sdk, "version", version)


@pytest.fixture
def network(agora_site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackNetwork]:
    """A network of Agora's in small, on this machine."""
    for name in [name for name in os.environ if name.startswith("AGORA_LOOPBACK_")]:
        monkeypatch.delenv(name)
    with loopback_network() as network:
        yield network
