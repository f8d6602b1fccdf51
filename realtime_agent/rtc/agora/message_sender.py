"""Sends messages over a data stream when they are due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from realtime_agent.rtc.agora.data_stream import DataStream

__all__ = ["MessageSender"]


class MessageSender:
    """Paces messages in the running loop.

    Args:
        send: Sends one part.

    Attributes:
        stream: What waits, and what was dropped.
    """

    def __init__(self, send: Callable[[str], None]) -> None:
        self.stream = DataStream()
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._is_open = False
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    def add(self, body: Mapping[str, Any]) -> None:
        """Take a message; it waits until `open`."""
        self.stream.add(body)
        self._is_empty.clear()
        if self._is_open and self._timer is None:
            self._send_due()

    def open(self) -> None:
        """Begin to send, or go on after `close`."""
        if not self._is_open:
            self._is_open = True
            self._send_due()

    async def drain(self, timeout_s: float) -> bool:
        """Wait until everything is sent, but not for longer than `timeout_s`; gives whether it is."""
        if self._is_open:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._is_empty.wait()
        return self._is_empty.is_set()

    def close(self) -> None:
        """Send nothing for now; what waits is kept."""
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send_due(self) -> None:
        self._timer = None
        part = self.stream.take(self._loop.time())
        if part is not None:
            self._send(part)
        due = self.stream.next_due()
        if due is None:
            self._is_empty.set()
        else:
            self._timer = self._loop.call_at(due, self._send_due)
