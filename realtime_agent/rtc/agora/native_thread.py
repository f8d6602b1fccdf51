"""Calls that may block inside a native library, kept away from the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from realtime_agent.errors import ChannelError

__all__ = ["in_thread"]

T = TypeVar("T")


async def in_thread(call: Callable[[], T], timeout_s: float, what: str) -> T:
    """Do something in a thread of its own, for which the process does not wait when it ends.

    Raises:
        ChannelError: it took too long to do `what`; it goes on all the same.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(how: Callable[[], None]) -> None:
        if not done.done():
            how()

    def tell(how: Callable[[], None]) -> None:
        # Where the loop is closed, nobody waits any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, how)

    def run() -> None:
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            failure = error
            tell(lambda: done.set_exception(failure))
        else:
            tell(lambda: done.set_result(result))

    threading.Thread(target=run, name=what, daemon=True).start()
    try:
        async with asyncio.timeout(timeout_s):
            return await done
    except TimeoutError:
        raise ChannelError(f"it took longer than {timeout_s:g} s to {what}") from None
