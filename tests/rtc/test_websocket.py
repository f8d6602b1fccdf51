"""The websocket against the client of `websockets` sans-I/O, over a real socket pair."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from realtime_agent.rtc import websocket as module
from realtime_agent.rtc.websocket import WebSocket

_TIMEOUT_S = 30


class Owner:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.messages: list[str | bytes] = []
        self.ends = 0

    def message_received(self, websocket: WebSocket, message: str | bytes) -> None:
        self.messages.append(message)

    def closed(self, websocket: WebSocket) -> None:
        self.ends += 1


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(_TIMEOUT_S):
        while not met():
            await asyncio.sleep(0.001)


class Client:
    """The far end, frame by frame."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.protocol = ClientProtocol(parse_uri("ws://test/"), state=State.OPEN, max_size=None)
        self.frames: list[Frame] = []

    async def send(self, frame: Frame) -> None:
        self.protocol.send_frame(frame)
        await self.flush()

    async def flush(self) -> None:
        for data in self.protocol.data_to_send():
            if data:
                await asyncio.get_running_loop().sock_sendall(self.end, data)
            else:
                self.end.shutdown(socket.SHUT_WR)

    async def receive(self) -> Frame | None:
        """The next frame; `None` at the end of the stream. Answers nothing by itself."""
        async with asyncio.timeout(_TIMEOUT_S):
            while not self.frames:
                data = await asyncio.get_running_loop().sock_recv(self.end, 65536)
                if not data:
                    return None
                self.protocol.receive_data(data)
                self.frames += [event for event in self.protocol.events_received() if isinstance(event, Frame)]
        return self.frames.pop(0)

    @property
    def closed_with(self) -> tuple[int, str]:
        close = self.protocol.close_rcvd
        assert close is not None
        return close.code, close.reason


@asynccontextmanager
async def pair(max_waiting: int = 128 * 1024) -> AsyncIterator[tuple[WebSocket, Client, Owner]]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    owner = Owner()
    loop = asyncio.get_running_loop()
    _, websocket = await loop.connect_accepted_socket(lambda: WebSocket(owner, max_waiting=max_waiting), ours)
    try:
        yield websocket, Client(theirs), owner
    finally:
        websocket.abort()
        await until(lambda: owner.ends == 1)
        theirs.close()


async def test_messages_go_both_ways() -> None:
    async with pair() as (websocket, client, owner):
        assert websocket.send("grüße")
        assert websocket.send(b"\x01\x02")
        text, binary = await client.receive(), await client.receive()
        assert text is not None
        assert binary is not None
        assert (text.opcode, bytes(text.data)) == (Opcode.TEXT, "grüße".encode())
        assert (binary.opcode, bytes(binary.data)) == (Opcode.BINARY, b"\x01\x02")
        await client.send(Frame(Opcode.TEXT, "grüße".encode()))
        await client.send(Frame(Opcode.BINARY, b"\x03"))
        await until(lambda: len(owner.messages) == 2)
        assert owner.messages == ["grüße", b"\x03"]


async def test_fragments_become_one_message_with_pings_between_them() -> None:
    async with pair() as (_, client, owner):
        await client.send(Frame(Opcode.TEXT, b"gr\xc3", fin=False))
        await client.send(Frame(Opcode.CONT, b"", fin=False))
        await client.send(Frame(Opcode.PING, b"hello"))
        await client.send(Frame(Opcode.CONT, b"\xbc", fin=False))
        await client.send(Frame(Opcode.CONT, b"n", fin=True))
        await client.send(Frame(Opcode.BINARY, b"whole"))
        await client.send(Frame(Opcode.BINARY, b"", fin=False))
        await client.send(Frame(Opcode.CONT, b"end", fin=True))
        await until(lambda: len(owner.messages) == 3)
        assert owner.messages == ["grün", b"whole", b"end"]
        pong = await client.receive()
        assert pong is not None
        assert (pong.opcode, bytes(pong.data)) == (Opcode.PONG, b"hello")


async def test_messages_that_come_byte_by_byte_are_whole() -> None:
    async with pair() as (_, client, owner):
        client.protocol.send_frame(Frame(Opcode.BINARY, bytes(range(200))))
        loop = asyncio.get_running_loop()
        for byte in b"".join(client.protocol.data_to_send()):
            await loop.sock_sendall(client.end, bytes([byte]))
            await asyncio.sleep(0)
        await until(lambda: bool(owner.messages))
        assert owner.messages == [bytes(range(200))]


async def test_a_close_of_the_far_end_is_answered_and_told_once() -> None:
    async with pair() as (websocket, client, owner):
        client.protocol.send_close(1000, "bye")
        await client.flush()
        while await client.receive() is not None:
            pass
        assert client.closed_with == (1000, "bye")
        client.end.close()
        await until(lambda: owner.ends == 1)
        assert not websocket.send(b"too late")
        websocket.close(1000)


async def test_a_message_before_the_close_in_the_same_packet_is_delivered() -> None:
    async with pair() as (_, client, owner):
        client.protocol.send_text(b"last words")
        client.protocol.send_close(1000)
        await asyncio.get_running_loop().sock_sendall(client.end, b"".join(client.protocol.data_to_send()))
        await until(lambda: bool(owner.messages))
        assert owner.messages == ["last words"]


async def test_our_close_carries_code_and_reason_and_waits_for_the_answer() -> None:
    async with pair() as (websocket, client, owner):
        websocket.close(4002, "idle")
        close = await client.receive()
        assert close is not None
        assert client.closed_with == (4002, "idle")
        assert owner.ends == 0
        assert not websocket.send(b"too late")
        await client.flush()
        assert await client.receive() is None
        client.end.close()
        await until(lambda: owner.ends == 1)


async def test_a_far_end_that_does_not_answer_the_close_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CLOSE_TIMEOUT_S", 0.01)
    async with pair() as (websocket, _, owner):
        websocket.close()
        await until(lambda: owner.ends == 1)


async def test_a_far_end_that_hangs_up_without_reading_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CLOSE_TIMEOUT_S", 0.01)
    async with pair() as (websocket, client, owner):
        while websocket.send(bytes(8192)):
            pass
        client.end.shutdown(socket.SHUT_WR)
        await until(lambda: owner.ends == 1)


async def test_a_broken_connection_is_told_once() -> None:
    async with pair() as (websocket, client, owner):
        client.end.close()
        await until(lambda: owner.ends == 1)
        assert not websocket.send(b"x")
        websocket.close()
        websocket.abort()


@pytest.mark.parametrize(
    "fragments", [[(Opcode.BINARY, 70_000, True)], [(Opcode.BINARY, 40_000, False), (Opcode.CONT, 40_000, True)]]
)
async def test_a_message_that_is_too_big_ends_with_1009(fragments: list[tuple[Opcode, int, bool]]) -> None:
    async with pair() as (_, client, owner):
        for opcode, size, fin in fragments:
            await client.send(Frame(opcode, bytes(size), fin=fin))
        while await client.receive() is not None:
            pass
        assert client.closed_with[0] == 1009
        assert owner.messages == []
        client.end.close()
        await until(lambda: owner.ends == 1)


async def test_text_that_is_not_utf_8_ends_with_1007() -> None:
    async with pair() as (_, client, owner):
        await client.send(Frame(Opcode.TEXT, b"\xff\xfe"))
        while await client.receive() is not None:
            pass
        assert client.closed_with[0] == 1007
        assert owner.messages == []


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\x00" * 8,  # reserved bits and opcode
        b"\x82\x01x",  # a client must mask
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_bytes_that_are_no_websocket_end_with_1002(data: bytes) -> None:
    async with pair() as (_, client, owner):
        await asyncio.get_running_loop().sock_sendall(client.end, data)
        while await client.receive() is not None:
            pass
        assert client.closed_with[0] == 1002
        assert owner.messages == []


async def test_a_slow_reader_misses_messages_and_memory_stays_bounded() -> None:
    async with pair(max_waiting=10_000) as (websocket, client, _):
        sent = 0
        while websocket.send(sent.to_bytes(4) + bytes(956)):
            sent += 1
        for _ in range(1000):
            assert not websocket.send(bytes(960))
        assert websocket._transport is not None
        assert websocket._transport.get_write_buffer_size() < 12_000
        for number in range(sent):
            frame = await client.receive()
            assert frame is not None
            assert int.from_bytes(bytes(frame.data[:4])) == number
        assert websocket.send(b"again")
        again = await client.receive()
        assert again is not None
        assert bytes(again.data) == b"again"


async def test_words_reach_a_slow_reader_where_audio_has_no_room_left() -> None:
    async with pair(max_waiting=10_000) as (websocket, client, _):
        sent = 0
        while websocket.send(bytes(960)):
            sent += 1
        assert websocket.send("what was said")
        while websocket.send("x" * 1000):
            pass
        assert websocket._transport is not None
        assert websocket._transport.get_write_buffer_size() < 22_000
        for _ in range(sent):
            await client.receive()
        words = await client.receive()
        assert words is not None
        assert bytes(words.data) == b"what was said"


async def test_who_pings_and_never_reads_is_cut_off() -> None:
    async with pair(max_waiting=10_000) as (_, client, owner):
        with suppress(ConnectionError):
            async with asyncio.timeout(_TIMEOUT_S):
                while owner.ends == 0:
                    await client.send(Frame(Opcode.PING, bytes(125)))
        await until(lambda: owner.ends == 1)


async def test_it_knows_when_it_last_received_something() -> None:
    async with pair() as (websocket, client, owner):
        before = websocket.last_received
        await asyncio.sleep(0.002)
        await client.send(Frame(Opcode.BINARY, b"x"))
        await until(lambda: bool(owner.messages))
        assert websocket.last_received > before
