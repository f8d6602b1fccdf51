"""The machine that a bench ran on, and whether it was quiet enough to judge by."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

__all__ = ["Quiet", "Watch", "describe"]

_PACKAGES = ("realtime-agent", "picows", "pybase64", "orjson", "pydantic", "websockets", "aiohttp")
_MAX_STOLEN = 0.02
_MAX_OTHERS = 0.10


def describe() -> dict[str, str]:
    """What ran where, and when."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cpu": f"{os.cpu_count()} x {_cpu_model()}",
        "system": f"{platform.system()} {platform.release().split('-')[0]}, {platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }


@dataclass(frozen=True)
class Quiet:
    """How much of the machine was used meanwhile by others, as shares of all its cores.

    Attributes:
        stolen: By other machines on the same hardware.
        others: By processes that were not of the bench.
    """

    stolen: float
    others: float

    @property
    def is_quiet(self) -> bool:
        """Whether what was measured can be judged by."""
        return self.stolen <= _MAX_STOLEN and self.others <= _MAX_OTHERS


class Watch:
    """Watches from when it is made."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._before = _jiffies()
        self._ours = _tree_cpu_s()

    def look(self) -> Quiet:
        """How it was until now."""
        cores = os.cpu_count() or 1
        whole_s = (time.monotonic() - self._began) * cores
        now = _jiffies()
        busy, stolen = (
            (after - before) / os.sysconf("SC_CLK_TCK") for before, after in zip(self._before, now, strict=True)
        )
        ours = _tree_cpu_s() - self._ours
        return Quiet(stolen / whole_s, max(0.0, busy - ours) / whole_s)


def _jiffies() -> tuple[int, int]:
    """What all cores were busy with, and what was stolen from them."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text("ascii").split()[1:9])
    del irq, softirq  # told to whom they interrupt
    return user + nice + system, steal


def _tree_cpu_s() -> float:
    """CPU of this process and of all that it started, alive or ended."""
    return sum(os.times()[:4]) + sum(_alive_cpu_s(_descendants(os.getpid())))


def _alive_cpu_s(pids: Iterable[int]) -> Iterable[float]:
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        yield sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _descendants(pid: int) -> set[int]:
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text("utf-8").rpartition(")")[2].split()[1])
            except OSError:
                continue
    found: set[int] = set()
    fresh = {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
