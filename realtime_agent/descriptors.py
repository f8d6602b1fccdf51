"""How many files and sockets a process may have open."""

from __future__ import annotations

import resource
from contextlib import suppress

__all__ = ["allow_many_descriptors", "most_descriptors"]

_ENOUGH = 65_536


def most_descriptors() -> int:
    """How many `allow_many_descriptors` gets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft, _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH))


def allow_many_descriptors() -> None:
    """Each agent and each connection takes some, and the usual limit of 1,024 is for programs that use select()."""
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most_descriptors(), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
