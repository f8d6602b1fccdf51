"""How a scripted server behaves on all its connections: what the test chose, and what went wrong meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from realtime_agent.testing.ids import Ids

__all__ = ["Habits"]


class Habits:
    """What all connections of a server share.

    Attributes:
        timeout_s: How long a test waits for what it expects.
        ids: Where ids come from, so that no two connections make the same.
        delay_s: How long the server waits before each event that it sends.
        silent_on: The types of events that are not answered.
        failures: What handlers raised.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.ids = Ids()
        self.delay_s = 0.0
        self.silent_on: set[str] = set()
        self.failures: list[Exception] = []
        self._changed = asyncio.Condition()

    async def changed(self) -> None:
        """Let everyone who waits look again."""
        async with self._changed:
            self._changed.notify_all()

    async def wait(self, is_so: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until this is so; False if it took too long.

        Raises:
            Exception: a handler raised it.
        """

        def is_over() -> bool:
            self.check()
            return is_so()

        try:
            async with asyncio.timeout(self.timeout_s if timeout is None else timeout), self._changed:
                await self._changed.wait_for(is_over)
        except TimeoutError:
            return False
        return True

    def check(self) -> None:
        """Raise what a handler raised, once."""
        if self.failures:
            raise self.failures.pop(0)
