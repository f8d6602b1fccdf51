"""The server's side of a websocket over a socket whose opening handshake is done already.

A thin shell around the sans-I/O protocol of `websockets`: messages go straight from the socket to a callback and
straight to the socket, without a queue or a task in between, since a voice is fifty messages a second each way.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

__all__ = ["WebSocket", "WebSocketOwner"]

_MAX_MESSAGE = 64 * 1024
"""Bytes: far above a frame of audio or a control message."""

_CLOSE_TIMEOUT_S = 1.0


class WebSocketOwner(Protocol):
    """Who is told what happens on a `WebSocket`."""

    def message_received(self, websocket: WebSocket, message: str | bytes) -> None:
        """A whole message came."""
        ...

    def closed(self, websocket: WebSocket) -> None:
        """The connection is gone; told once."""
        ...


class WebSocket(asyncio.Protocol):
    """One open websocket.

    Args:
        owner: Gets the messages and the end.
        max_waiting: Bytes of binary messages that may wait for a slow reader; `send` refuses more. Text has as much
            room again, so that no audio crowds out what must not be missed.
    """

    def __init__(self, owner: WebSocketOwner, *, max_waiting: int = 128 * 1024) -> None:
        self._owner = owner
        self._max_waiting = max_waiting
        self._protocol = ServerProtocol(state=State.OPEN, max_size=_MAX_MESSAGE)
        self._fragments: list[bytes] = []
        self._fragments_opcode = Opcode.BINARY
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._give_up: asyncio.TimerHandle | None = None
        self.last_received = self._loop.time()

    @property
    def is_behind(self) -> bool:
        """Whether so much waits for the far end that audio is refused."""
        return self._transport is not None and self._transport.get_write_buffer_size() > self._max_waiting

    def send(self, message: str | bytes) -> bool:
        """Send a message now. `False` if it was dropped, because the far end is closed or too slow."""
        transport = self._transport
        if transport is None or self._protocol.state is not State.OPEN:
            return False
        room = 2 * self._max_waiting if isinstance(message, str) else self._max_waiting
        if transport.get_write_buffer_size() > room:
            return False
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        self._write()
        return True

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye; the connection is cut if the far end does not answer within a second."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
            self._write()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ours."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self.last_received = self._loop.time()
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._frame_received(event)
        self._write()
        # `send` keeps to its bound, answers to pings don't: who asks and never reads is cut off.
        if self._transport is not None and self._transport.get_write_buffer_size() > 3 * self._max_waiting:
            self.abort()

    def eof_received(self) -> None:
        """The far end will send no more; the transport closes itself once what waits is sent."""
        self._protocol.receive_eof()
        self._write()
        self._cut_off_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        if self._give_up is not None:
            self._give_up.cancel()
        self._transport = None
        self._owner.closed(self)

    def _frame_received(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.CONT:
            self._fragments_opcode = frame.opcode
        if not frame.fin:
            # Empty fragments have no end, and add nothing.
            if frame.data:
                self._fragments.append(bytes(frame.data))
            return
        data = bytes(frame.data)
        if self._fragments:
            data = b"".join([*self._fragments, data])
            self._fragments.clear()
        if self._fragments_opcode is Opcode.BINARY:
            self._owner.message_received(self, data)
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self._protocol.fail(1007, "text is not UTF-8")
            return
        self._owner.message_received(self, text)

    def _write(self) -> None:
        transport = self._transport
        for data in self._protocol.data_to_send():
            if transport is not None and not transport.is_closing():
                if data:
                    transport.write(data)
                else:
                    # Closing here, with bytes unread, would reset the connection and lose our last words.
                    transport.write_eof()
        if self._protocol.close_expected():
            self._cut_off_soon()

    def _cut_off_soon(self) -> None:
        if self._transport is not None and self._give_up is None:
            self._give_up = self._loop.call_later(_CLOSE_TIMEOUT_S, self.abort)
