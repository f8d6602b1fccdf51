"""What the doctor's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trustme


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no authorities of whoever runs the tests."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy") or name.startswith("SSL_CERT_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(nothing_of_this_machine: None, ca: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CA, as a deployment adds its own."""
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
