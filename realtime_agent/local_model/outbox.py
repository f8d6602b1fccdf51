"""What waits to be sent to one client."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from websockets.exceptions import ConnectionClosed

__all__ = ["Outbox"]

_ROOM = 64
"""Messages; as audio about six seconds, and a few milliseconds of work to fill."""


class Outbox:
    """Keeps messages in order. Putting one in never waits; whoever makes many waits for `room` in between.

    So memory is bounded, and a client that does not read stops its own session and nobody else's.
    """

    def __init__(self) -> None:
        self._messages: deque[str] = deque()
        self._filled = asyncio.Event()
        self._sent = asyncio.Event()
        self._closed = False

    def put(self, message: str) -> None:
        """Add a message; it is dropped if the connection is closed."""
        if not self._closed:
            self._messages.append(message)
            self._filled.set()

    async def room(self, limit: int = _ROOM) -> None:
        """Wait while `limit` messages or more wait, unless the connection is closed. Its keepalive bounds this wait."""
        while len(self._messages) >= limit:
            self._sent.clear()
            await self._sent.wait()

    async def send_all(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Send what comes until the connection is closed."""
        try:
            while True:
                await self._filled.wait()
                while self._messages:
                    await send(self._messages.popleft())
                    self._sent.set()
                self._filled.clear()
        except ConnectionClosed:
            pass
        finally:
            self._closed = True
            self._messages.clear()
            self._sent.set()
