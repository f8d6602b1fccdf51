"""How late an event loop is: what blocks it, or too much work, makes everybody in it wait so long."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["LoopLag"]

_BEAT_S = 0.5

_STEPS = 5
"""Of a beat. What blocks the loop for no longer than one, 100 ms, may not be seen; shorter ones would cost too much."""

_LATELY = 120
"""Beats, which are a minute: several scrapes see how late the loop was, whoever else asks."""


class LoopLag:
    """Measures the loop that it runs in."""

    def __init__(self) -> None:
        self._longest_s = 0.0
        self._beats: deque[float] = deque(maxlen=_LATELY)

    async def beat(self) -> None:
        """Sleep for half a second in short steps, and note how much longer any of them was."""
        now = asyncio.get_running_loop().time
        self._beats.append(0.0)
        for _ in range(_STEPS):
            due = now() + _BEAT_S / _STEPS
            await asyncio.sleep(_BEAT_S / _STEPS)
            late_s = now() - due
            self._longest_s = max(self._longest_s, late_s)
            self._beats[-1] = max(self._beats[-1], late_s)

    def take(self) -> float:
        """The longest that the loop was late since this was last asked, in seconds."""
        longest_s, self._longest_s = self._longest_s, 0.0
        return longest_s

    def lately(self) -> float:
        """The longest that the loop was late in the last minute, in seconds."""
        return max(self._beats, default=0.0)
