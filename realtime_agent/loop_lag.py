"""How late an event loop is: what blocks it, or too much work, makes everybody in it wait so long."""

from __future__ import annotations

import asyncio

__all__ = ["LoopLag"]

_BEAT_S = 0.5


class LoopLag:
    """Measures the loop that it runs in."""

    def __init__(self) -> None:
        self._longest_s = 0.0

    async def beat(self) -> None:
        """Sleep for half a second, and note how much longer that was."""
        now = asyncio.get_running_loop().time
        due = now() + _BEAT_S
        await asyncio.sleep(_BEAT_S)
        self._longest_s = max(self._longest_s, now() - due)

    def take(self) -> float:
        """The longest that the loop was late since this was last asked, in seconds."""
        longest_s, self._longest_s = self._longest_s, 0.0
        return longest_s
