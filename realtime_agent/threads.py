"""Calls that may block, kept away from the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

__all__ = ["in_thread"]

T = TypeVar("T")


async def in_thread(call: Callable[[], T], name: str) -> T:
    """Run something in a daemon thread of its own: what hangs uses up no pool and holds up no exit.

    Whoever stops waiting does not stop the call.
    """
    running = _Call(call)
    threading.Thread(target=running.run, name=name, daemon=True).start()
    return await running.ended


class _Call(Generic[T]):
    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self.ended: asyncio.Future[T] = self._loop.create_future()

    def run(self) -> None:
        try:
            result = self._context.run(self._call)
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
            failure = error
            self._settle(lambda: self.ended.set_exception(failure))
        else:
            self._settle(lambda: self.ended.set_result(result))

    def _settle(self, how: Callable[[], None]) -> None:
        def settle() -> None:
            if not self.ended.done():
                how()

        with suppress(RuntimeError):  # the loop has closed in the meantime
            self._loop.call_soon_threadsafe(settle)
