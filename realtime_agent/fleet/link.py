"""The wire between the server and one worker: a command queue down, an event queue up, and connections handed over.

Both queues share a socket pair and carry JSON lines, read by each side's event loop; no thread polls. When either
process dies, however it dies, the other reads the end of the stream.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from realtime_agent.errors import QueueFull

__all__ = ["Link", "receive_connection", "send_connection"]

_MAX_WAITING = 256 * 1024
"""Bytes that may wait for the other side; a side that is further behind is stuck."""

_MAX_LINE = 1024 * 1024


class Link:
    """One side of the two queues."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Link:
        """Take over one end of a stream socket pair."""
        reader, writer = await asyncio.open_connection(sock=end, limit=_MAX_LINE)
        return cls(reader, writer)

    def send(self, message: Mapping[str, Any]) -> None:
        """Put a message into the other side's queue; never blocks. To a side that is gone it is lost.

        Raises:
            QueueFull: the other side does not keep up.
        """
        if self._writer.transport.get_write_buffer_size() > _MAX_WAITING:
            raise QueueFull("the agent does not keep up with its commands")
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Every message from the other side, until it is gone."""
        with suppress(ConnectionError):
            while line := await self._reader.readline():
                yield json.loads(line)

    async def drain(self) -> None:
        """Wait until what was sent is on its way."""
        with suppress(ConnectionError):
            await self._writer.drain()

    def close(self) -> None:
        """Close our end."""
        self._writer.close()


def send_connection(pipe: socket.socket, connection: socket.socket, uid: int) -> None:
    """Hand an open connection to the process at the other end of a datagram socket pair.

    Raises:
        OSError: that process is gone, or has several connections waiting already.
    """
    socket.send_fds(pipe, [str(uid).encode()], [connection.fileno()], socket.MSG_DONTWAIT)


def receive_connection(pipe: socket.socket) -> tuple[socket.socket, int] | None:
    """Take a connection that was handed over, and its user's uid; `None` when the other side is gone."""
    data, descriptors, _, _ = socket.recv_fds(pipe, 64, 1)
    if not descriptors:
        return None
    return socket.socket(fileno=descriptors[0]), int(data)
