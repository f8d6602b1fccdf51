"""What waits to be sent to one client."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from websockets.exceptions import ConnectionClosed

__all__ = ["Outbox"]

_ROOM = 64
"""Messages; as audio about six seconds, and a few milliseconds of work to fill."""

_MAX_CHARS = 8 * 2**20
"""What may wait in all; a client may ask for the same long item again and again."""


class Outbox:
    """Keeps messages in order. Putting one in never waits; whoever makes many waits for `room` in between.

    So memory is bounded, and a client that does not read stops its own session and nobody else's.
    """

    def __init__(self) -> None:
        self._messages: deque[str] = deque()
        self._chars = 0
        self._filled = asyncio.Event()
        self._sent = asyncio.Event()
        self._closed = False

    def put(self, message: str) -> None:
        """Add a message; it is dropped if the connection is closed."""
        if not self._closed:
            self._messages.append(message)
            self._chars += len(message)
            self._filled.set()

    async def room(self, limit: int = _ROOM) -> None:
        """Wait while `limit` messages wait, or 8 MiB, unless the connection is closed; its keepalive bounds this."""
        while len(self._messages) >= limit or self._chars >= _MAX_CHARS:
            self._sent.clear()
            await self._sent.wait()

    async def send_all(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Send what comes until the connection is closed."""
        try:
            while True:
                await self._filled.wait()
                while self._messages:
                    message = self._messages.popleft()
                    await send(message)
                    self._chars -= len(message)
                    self._sent.set()
                self._filled.clear()
        except ConnectionClosed:
            pass
        finally:
            self._closed = True
            self._messages.clear()
            self._chars = 0
            self._sent.set()
