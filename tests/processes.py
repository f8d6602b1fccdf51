"""Processes as tests look at them from outside."""

from __future__ import annotations

import asyncio
from pathlib import Path

__all__ = ["alive", "command_line", "descendants", "descriptors", "parent", "until_dead"]


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be collected does not."""
    state = _stat(pid)
    return state is not None and state[0] not in "ZX"


def parent(pid: int) -> int:
    """The process that has started a process that runs."""
    state = _stat(pid)
    assert state is not None
    return int(state[1])


def descendants(pid: int) -> set[int]:
    """All processes that a process has started, and those that they have."""
    parents = {int(path.name): int(state[1]) for path in _processes() if (state := _stat(int(path.name)))}
    found: set[int] = set()
    wave = {pid}
    while wave := {child for child, parent in parents.items() if parent in wave}:
        found |= wave
    return found


def descriptors() -> int:
    """How many descriptors this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def command_line(pid: int) -> str:
    """What a process was started with."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


async def until_dead(*pids: int) -> None:
    """Wait until none of them runs."""
    async with asyncio.timeout(60):
        while any(alive(pid) for pid in pids):
            await asyncio.sleep(0.02)


def _processes() -> list[Path]:
    return [path for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _stat(pid: int) -> list[str] | None:
    """State, parent and so on; the name before them may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
