"""Fixtures of whoever tests over Agora's packages; tests/conftest.py shares them with all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agora.network import LoopbackNetwork, loopback_network
from tests.agora.site import build_site, has_compiler

__all__ = ["agora_site", "network"]


@pytest.fixture(scope="session")
def agora_site() -> Iterator[Path]:
    """Agora's packages over the loopback library, to be imported here."""
    if not has_compiler():
        pytest.skip("the loopback library needs a C compiler (cc)")
    site = build_site()
    sys.path.insert(0, str(site))
    yield site
    sys.path.remove(str(site))


@pytest.fixture
def network(agora_site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackNetwork]:
    """A network of Agora's in small, on this machine."""
    for name in [name for name in os.environ if name.startswith("AGORA_LOOPBACK_")]:
        monkeypatch.delenv(name)
    with loopback_network() as network:
        yield network
