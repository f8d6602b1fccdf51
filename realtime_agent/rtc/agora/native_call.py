"""Calls that may block inside Agora's library."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from realtime_agent.errors import ChannelError
from realtime_agent.threads import in_thread

__all__ = ["native_call"]

T = TypeVar("T")


async def native_call(call: Callable[[], T], timeout_s: float, what: str) -> T:
    """Let the library do something, in a thread.

    Raises:
        ChannelError: it took too long to do `what`; it goes on all the same.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await in_thread(call, what)
    except TimeoutError:
        raise ChannelError(f"it took longer than {timeout_s:g} s to {what}") from None
