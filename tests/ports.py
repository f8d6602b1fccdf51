"""Ports that tests can rely on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["dead_port"]


@contextmanager
def dead_port() -> Iterator[int]:
    """A port on which nobody answers, and which nobody else can take meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
