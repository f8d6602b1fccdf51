"""The wire between the server and one worker: a command queue down, an event queue up, and connections handed over.

Both queues share a socket pair and carry JSON, each message after its length, read by each side's event loop; no
thread polls. When either process dies, however it dies, the other reads the end of the stream.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from realtime_agent.errors import QueueFull

__all__ = ["Link", "receive_connection", "send_connection"]

_MAX_WAITING = 256 * 1024
"""Bytes that may wait for the other side; a side that is further behind is stuck."""

_LENGTH_BYTES = 4

_UID_BYTES = 4

_MAX_DATAGRAM = 4096

_CLOSE_TIMEOUT_S = 2.0


class Link:
    """One side of the two queues."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Link:
        """Take over one end of a stream socket pair."""
        reader, writer = await asyncio.open_connection(sock=end)
        return cls(reader, writer)

    def send(self, message: Mapping[str, Any], *, can_be_spared: bool = False, is_vital: bool = False) -> None:
        """Put a message into the other side's queue; never blocks. To a side that is gone it is lost.

        Half the queue is for what can't be spared, and what is vital comes on top: there must never be much of it.

        Raises:
            QueueFull: the other side does not keep up.
        """
        limit = 2 * _MAX_WAITING if is_vital else _MAX_WAITING // 2 if can_be_spared else _MAX_WAITING
        if self._writer.transport.get_write_buffer_size() > limit:
            raise QueueFull("the agent does not keep up with its commands")
        if not self._writer.is_closing():
            data = json.dumps(message, separators=(",", ":")).encode()
            self._writer.write(len(data).to_bytes(_LENGTH_BYTES) + data)

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Every message from the other side, until it is gone."""
        while (message := await self.receive()) is not None:
            yield message

    async def receive(self) -> dict[str, Any] | None:
        """The next message from the other side; `None` once it is gone."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            length = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES))
            message: dict[str, Any] = json.loads(await self._reader.readexactly(length))
            return message
        return None

    async def close(self) -> None:
        """Close our end, once what was sent is on its way."""
        self._writer.close()
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._writer.wait_closed()


def send_connection(pipe: socket.socket, connection: socket.socket, uid: int, answer: bytes) -> None:
    """Hand an open connection to the process at the other end of a datagram socket pair.

    Args:
        pipe: Our end of the pair, which must not block.
        connection: Stays open here too.
        uid: Whose it is.
        answer: What that process must send first.

    Raises:
        OSError: that process is gone, or has several connections waiting already.
    """
    socket.send_fds(pipe, [uid.to_bytes(_UID_BYTES) + answer], [connection.fileno()])


def receive_connection(pipe: socket.socket) -> tuple[socket.socket, int, bytes]:
    """Take a connection that was handed over: itself, its user's uid, and what must be sent first.

    Raises:
        OSError: none waits, or this process has no descriptor left for it.
    """
    data, descriptors, _, _ = socket.recv_fds(pipe, _MAX_DATAGRAM, 1)
    if not descriptors:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return socket.socket(fileno=descriptors[0]), int.from_bytes(data[:_UID_BYTES]), data[_UID_BYTES:]
