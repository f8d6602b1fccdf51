"""A user of the embedded channel over a real loopback connection, message by message."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from realtime_agent.rtc.web import WebChannel

__all__ = ["WirePage", "loopback"]

_TIMEOUT_S = 30


async def loopback() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs


class WirePage:
    """What a page is on the wire; the handshake's answer is a line that it takes off first."""

    ANSWER = b"welcome\n"

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self._protocol = ClientProtocol(parse_uri("ws://test/"), state=State.OPEN, max_size=None)
        self._frames: list[Frame] = []

    @classmethod
    async def join(cls, channel: WebChannel, uid: int) -> WirePage:
        """Be handed over to a channel."""
        ours, theirs = await loopback()
        await channel.adopt(theirs, uid, cls.ANSWER)
        return await cls._answered(ours)

    @classmethod
    async def let_in(cls, hand_over: Callable[[socket.socket, int, bytes], None], uid: int) -> WirePage:
        """Be handed over to wherever an agent runs; returns when the agent has said that the user is in."""
        ours, theirs = await loopback()
        with theirs:
            hand_over(theirs, uid, cls.ANSWER)
        page = await cls._answered(ours)
        assert (await page.receive_of("joined"))["uid"] == uid
        return page

    @classmethod
    async def _answered(cls, end: socket.socket) -> WirePage:
        async with asyncio.timeout(_TIMEOUT_S):
            assert await asyncio.get_running_loop().sock_recv(end, len(cls.ANSWER)) == cls.ANSWER
        return cls(end)

    async def send(self, message: bytes | str | dict[str, Any]) -> None:
        """Send audio, text as it is, or an object as JSON."""
        if isinstance(message, bytes):
            self._protocol.send_binary(message)
        else:
            self._protocol.send_text((message if isinstance(message, str) else json.dumps(message)).encode())
        for data in self._protocol.data_to_send():
            await asyncio.get_running_loop().sock_sendall(self.end, data)

    async def receive(self) -> bytes | dict[str, Any] | tuple[int, str] | None:
        """Audio, an object, the code and reason of a close, or `None` at the end of the stream."""
        async with asyncio.timeout(_TIMEOUT_S):
            while not self._frames:
                data = await asyncio.get_running_loop().sock_recv(self.end, 65536)
                if not data:
                    return None
                self._protocol.receive_data(data)
                self._frames += [event for event in self._protocol.events_received() if isinstance(event, Frame)]
        frame = self._frames.pop(0)
        if frame.opcode is Opcode.BINARY:
            return bytes(frame.data)
        if frame.opcode is Opcode.TEXT:
            body: dict[str, Any] = json.loads(bytes(frame.data))
            return body
        close = self._protocol.close_rcvd
        assert close is not None
        for data in self._protocol.data_to_send():
            if data:
                await asyncio.get_running_loop().sock_sendall(self.end, data)
        return close.code, close.reason

    async def receive_of(self, kind: str) -> dict[str, Any]:
        """The next message of a type; drops what comes before."""
        while True:
            message = await self.receive()
            assert not isinstance(message, tuple), message
            assert message is not None, "the connection ended"
            if isinstance(message, dict) and message["type"] == kind:
                return message

    async def receive_close(self) -> tuple[int, str]:
        """How the connection was closed; drops what comes before."""
        while not isinstance(message := await self.receive(), tuple):
            assert message is not None, "the connection ended without a close"
        return message

    def hang_up(self) -> None:
        """Vanish without a word."""
        self.end.close()
