"""How late an event loop is: what blocks it, or too much work, makes everybody in it wait so long."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections import deque
from collections.abc import Callable

__all__ = ["LoopLag", "WatchedLoop", "running_lag"]

_LEAST_S = 0.001
"""What is shorter nobody would notice, and it is not noted."""

_STEP_S = 1.0
_LATELY = 60
"""Steps, which are a minute: several scrapes see how late the loop was, whoever else asks."""


class LoopLag:
    """How late one event loop was.

    Args:
        clock: Seconds of a monotonic clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._longest_s = 0.0
        # Of each step that had any, when it began and the longest.
        self._steps: deque[tuple[float, float]] = deque(maxlen=_LATELY)

    def note(self, late_s: float) -> None:
        """The loop was so late just now."""
        self._longest_s = max(self._longest_s, late_s)
        now = self._clock()
        began, longest_s = self._steps[-1] if self._steps else (float("-inf"), 0.0)
        if now - began < _STEP_S:
            self._steps[-1] = began, max(longest_s, late_s)
        else:
            self._steps.append((now, late_s))

    def take(self) -> float:
        """The longest that the loop was late since this was last asked, in seconds."""
        longest_s, self._longest_s = self._longest_s, 0.0
        return longest_s

    def lately(self) -> float:
        """The longest that the loop was late in the last minute, in seconds."""
        since = self._clock() - _LATELY * _STEP_S
        return max((longest_s for began, longest_s in self._steps if began >= since), default=0.0)


class _WatchedSelector(selectors.DefaultSelector):
    """Waits for a loop, and sees without a timer of its own when it is late.

    It is where the loop comes by whenever it has nothing to do. How long it did not is how long everybody waited, and
    so is by how much longer it slept than it was asked to.
    """

    def __init__(self, lag: LoopLag) -> None:
        super().__init__()
        self._lag = lag
        # When the loop is to come by again, or it is late.
        self._due = float("inf")

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        asked = time.monotonic()
        if asked > self._due:
            self._lag.note(asked - self._due + _LEAST_S)
        events = super().select(timeout)
        woken = time.monotonic()
        if timeout and not events and woken > asked + timeout + _LEAST_S:
            self._lag.note(woken - asked - timeout)
        self._due = woken + _LEAST_S
        return events


class WatchedLoop(asyncio.SelectorEventLoop):
    """An event loop that sees how late it is."""

    def __init__(self) -> None:
        self.lag = LoopLag()
        super().__init__(_WatchedSelector(self.lag))


def running_lag() -> LoopLag:
    """How late the running loop is; nobody knows of one that is not watched."""
    loop = asyncio.get_running_loop()
    return loop.lag if isinstance(loop, WatchedLoop) else LoopLag()
