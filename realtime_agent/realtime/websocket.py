"""The client's side of a websocket whose opening handshake is done.

Messages go straight from the socket to their owner, without a queue or a task in between, and with no more Python than
the frames need. What comes is read into one buffer that stays: a new one for each read, which `asyncio.Protocol` takes,
costs as much as all that is done here.
"""

from __future__ import annotations

import asyncio
import os
import struct
from typing import Protocol

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform for which it is not compiled
    from websockets.utils import apply_mask

__all__ = ["WebSocket", "WebSocketOwner"]

_MAX_MESSAGE = 16 * 2**20
"""Bytes: above the 15 MiB that the Realtime API allows for one event."""

_BUFFER = 64 * 2**10
"""Bytes of the buffer for what comes, unless a message is bigger."""

_MAX_UNANSWERED = 2**20
"""Bytes that may wait to be sent while pings are answered; who asks and does not read gets no more."""

_MASKS = 1024
"""Bytes of masks that the system is asked for at a time."""

_CLOSE_TIMEOUT_S = 1.0

_PING_S = 5.0
_PONG_TIMEOUT_S = 9.0
"""With the ping and the close timeout: a dead network is known within 15 s."""

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_FIN, _RESERVED, _OPCODE = 0x80, 0x70, 0x0F
_MASKED = 0x80
_WHOLE_TEXT, _WHOLE_BINARY = _FIN | _TEXT, _FIN | _BINARY

_MAX_CONTROL = 125
"""Bytes of a control frame's payload, as the protocol has it."""

_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})
"""Those that may be sent."""

_NO_CODE = 1005
"""What a goodbye without a code counts as."""

_MEDIUM = struct.Struct("!BBH")
_LARGE = struct.Struct("!BBQ")


class WebSocketOwner(Protocol):
    """Who is told what happens on a `WebSocket`."""

    def message_received(self, message: bytes, *, is_text: bool) -> None:
        """A whole message came; of a text it is not known yet whether it is UTF-8."""
        ...

    def ended(self) -> None:
        """No more will come, and nothing more is sent; told once."""
        ...


class WebSocket(asyncio.BufferedProtocol):
    """One open websocket.

    Args:
        owner: Gets the messages and the end.
        transport: Where the handshake was done.

    Attributes:
        goodbye: The code and the words that the server closed it with, if it did.
        failure: Why it was given up on this side, if it was.
    """

    def __init__(self, owner: WebSocketOwner, transport: asyncio.Transport) -> None:
        self.goodbye: tuple[int, str] | None = None
        self.failure = ""
        self._owner = owner
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._buffer = memoryview(bytearray(_BUFFER))
        # How much of it is the beginning of a frame that is not whole yet.
        self._filled = 0
        # How long that frame is, where its length is known.
        self._needed = 0
        # The beginning of a message of which more is to come, and whether it is text.
        self._fragments: bytearray | None = None
        self._fragments_are_text = False
        self._masks, self._masked = b"", _MASKS
        self._is_over = False
        self._is_lost: asyncio.Future[None] = self._loop.create_future()
        # Those that wait for a pong, by what is in it; the oldest first.
        self._pings: dict[bytes, asyncio.Future[bool]] = {}
        self._pulse = b""
        self._timer: asyncio.TimerHandle | None = None
        self._give_up: asyncio.TimerHandle | None = None

    def begin(self, received: bytes) -> None:
        """Take the transport over; `received` is what came behind the handshake."""
        self._transport.set_protocol(self)
        self._beat()
        while received:
            room = self.get_buffer(-1)
            taken = min(len(room), len(received))
            room[:taken] = received[:taken]
            self.buffer_updated(taken)
            received = received[taken:]
        if self._transport.is_closing():
            self.connection_lost(None)
        else:
            self._transport.resume_reading()

    @property
    def is_open(self) -> bool:
        """Whether nobody has hung up yet, as far as is known."""
        return not self._is_over and not self._transport.is_closing()

    @property
    def unsent(self) -> int:
        """How many bytes wait to be sent."""
        return self._transport.get_write_buffer_size()

    def send(self, message: bytes) -> None:
        """Send a text, after those before it; nothing once it is over."""
        if not self._is_over and not self._transport.is_closing():
            self._send(_TEXT, message)

    async def ping(self) -> bool:
        """Wait until the other side has had all that was sent before; gives whether it has."""
        if not self.is_open:
            return False
        payload = self._send_ping()
        pong: asyncio.Future[bool] = self._loop.create_future()
        self._pings[payload] = pong
        try:
            return await pong
        finally:
            self._pings.pop(payload, None)

    def pause_reading(self) -> None:
        """Let what comes wait in the network."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take it in again."""
        self._transport.resume_reading()

    def fail(self, code: int, reason: str) -> None:
        """Give it up, and tell the other side why."""
        if not self._is_over:
            self.failure = reason
            self._say_goodbye(code.to_bytes(2, "big") + reason.encode()[: _MAX_CONTROL - 2])

    def abort(self) -> None:
        """Cut it."""
        self._transport.abort()

    async def close(self) -> None:
        """Send what waits and hang up, which takes a second at most; harmless when repeated."""
        if not self._is_over:
            self._say_goodbye((1000).to_bytes(2, "big"))
        try:
            if not self._is_lost.done():
                await asyncio.wait([self._is_lost], timeout=_CLOSE_TIMEOUT_S)
        finally:
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to put what comes."""
        return self._buffer[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes came."""
        self._filled += nbytes
        at = 0
        while not self._is_over and (frame := self._frame_at(at)) is not None:
            first, start, at = frame
            self._frame_received(first, bytes(self._buffer[start:at]))
        if self._is_over:
            at = self._filled
        self._keep(at)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        if self._give_up is not None:
            self._give_up.cancel()
        if not self._is_lost.done():
            self._is_lost.set_result(None)
        self._end()

    def _frame_at(self, at: int) -> tuple[int, int, int] | None:
        """The frame that begins there, if it is whole: its first byte, and where its payload begins and ends."""
        buffer, end = self._buffer, self._filled
        self._needed = 0
        if end - at < 2:
            return None
        first, length, start = buffer[at], buffer[at + 1], at + 2
        if first & _RESERVED or length & _MASKED:
            self.fail(1002, "a frame with a reserved bit" if first & _RESERVED else "a masked frame")
            return None
        if length > _MAX_CONTROL:
            start = at + (4 if length == 126 else 10)
            if end < start:
                return None
            length = int.from_bytes(buffer[at + 2 : start], "big")
        if length > _MAX_MESSAGE - (len(self._fragments) if self._fragments else 0):
            self.fail(1009, f"a message of more than {_MAX_MESSAGE} bytes")
            return None
        if end - start < length:
            self._needed = start + length - at
            return None
        return first, start, start + length

    def _keep(self, at: int) -> None:
        """Move what came from there on to the front of a buffer that has room for the frame that it begins."""
        buffer, rest = self._buffer, self._filled - at
        if self._needed > len(buffer) or len(buffer) > _BUFFER >= self._needed:
            self._buffer = memoryview(bytearray(max(self._needed, _BUFFER)))
            self._buffer[:rest] = buffer[at : self._filled]
        elif rest and at:
            buffer[:rest] = buffer[at : self._filled]
        self._filled = rest

    def _frame_received(self, first: int, payload: bytes) -> None:
        if first in (_WHOLE_TEXT, _WHOLE_BINARY) and self._fragments is None:
            self._owner.message_received(payload, is_text=first == _WHOLE_TEXT)
            return
        opcode, is_last = first & _OPCODE, bool(first & _FIN)
        if opcode in (_CONTINUATION, _TEXT, _BINARY):
            self._fragment_received(opcode, payload, is_last=is_last)
        elif opcode not in (_CLOSE, _PING, _PONG):
            self.fail(1002, f"a frame of the unknown kind {opcode}")
        elif not is_last or len(payload) > _MAX_CONTROL:
            self.fail(1002, "a control frame that is too long, or in pieces")
        elif opcode == _CLOSE:
            self._goodbye_received(payload)
        elif opcode == _PONG:
            self._pong_received(payload)
        elif self.unsent <= _MAX_UNANSWERED:
            self._send(_PONG, payload)

    def _fragment_received(self, opcode: int, payload: bytes, *, is_last: bool) -> None:
        if (opcode == _CONTINUATION) is (self._fragments is None):
            self.fail(1002, "a piece of a message that is out of order")
            return
        if self._fragments is None:
            self._fragments, self._fragments_are_text = bytearray(), opcode == _TEXT
        self._fragments += payload
        if is_last:
            message, self._fragments = bytes(self._fragments), None
            self._owner.message_received(message, is_text=self._fragments_are_text)

    def _goodbye_received(self, payload: bytes) -> None:
        code = int.from_bytes(payload[:2], "big") if payload else _NO_CODE
        try:
            reason = payload[2:].decode()
        except UnicodeDecodeError:
            self.fail(1007, "a goodbye that is not UTF-8")
            return
        if payload and code not in _CLOSE_CODES:
            self.fail(1002, "a goodbye with a code that is none")
            return
        self.goodbye = (code, reason)
        self._say_goodbye(payload[:2])

    def _say_goodbye(self, payload: bytes) -> None:
        """Send no more, take in no more, and wait a while for the other side to hang up."""
        if not self._transport.is_closing():
            self._send(_CLOSE, payload)
            # To close it here, with bytes unread, would reset the connection and lose these last words.
            self._transport.resume_reading()
            self._give_up = self._loop.call_later(_CLOSE_TIMEOUT_S, self._transport.abort)
        self._end()

    def _end(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        for pong in self._pings.values():
            if not pong.done():
                pong.set_result(False)
        self._owner.ended()

    def _beat(self) -> None:
        """See whether the other side is still there."""
        if self.is_open:
            self._pulse = self._send_ping()
            self._timer = self._loop.call_later(_PONG_TIMEOUT_S, self.fail, 1011, "keepalive ping timeout")

    def _send_ping(self) -> bytes:
        payload = os.urandom(4)
        self._send(_PING, payload)
        return payload

    def _pong_received(self, payload: bytes) -> None:
        """Whoever waits for it, or for one before it, has waited enough."""
        if payload == self._pulse and self._timer is not None:
            self._pulse = b""
            self._timer.cancel()
            self._timer = self._loop.call_later(_PING_S, self._beat)
        if payload in self._pings:
            for waiting in tuple(self._pings):
                pong = self._pings.pop(waiting)
                if not pong.done():
                    pong.set_result(True)
                if waiting == payload:
                    break

    def _send(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        if size <= _MAX_CONTROL:
            header = bytes((_FIN | opcode, _MASKED | size))
        elif size < 2**16:
            header = _MEDIUM.pack(_FIN | opcode, _MASKED | 126, size)
        else:
            header = _LARGE.pack(_FIN | opcode, _MASKED | 127, size)
        if self._masked == _MASKS:
            self._masks, self._masked = os.urandom(_MASKS), 0
        mask = self._masks[self._masked : self._masked + 4]
        self._masked += 4
        self._transport.write(header + mask + apply_mask(payload, mask))
