"""Work that is done in callbacks, as one coroutine: whoever awaits it owns it, and gets what a callback raises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec

__all__ = ["Driven"]

P = ParamSpec("P")


class Driven:
    """A stretch of such work, from `run` to `end`."""

    def __init__(self) -> None:
        self._ended: asyncio.Future[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it goes on."""
        return self._ended is not None and not self._ended.done()

    async def run(self) -> None:
        """Last until `end`, or until cancelled.

        Raises:
            Exception: what was raised in `do`.
        """
        self._ended = asyncio.get_running_loop().create_future()
        try:
            await self._ended
        finally:
            self._ended = None

    def end(self) -> None:
        """Let `run` return; harmless when repeated, or when it does not run."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def do(self, work: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Do some of it."""
        try:
            work(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - all of them are for whoever awaits `run`
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Let `run` raise this; for work that is done so often that `do` would count."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)
