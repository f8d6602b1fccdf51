"""The client's side of a websocket, byte by byte, against a server that sends whatever the test writes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from websockets.frames import Frame, Opcode

from realtime_agent.errors import SessionError, SessionLost
from realtime_agent.realtime import events as ev
from realtime_agent.realtime import websocket as module
from realtime_agent.realtime.connection import Connection

TIMEOUT_S = 20.0
CLEARED = b'{"type": "input_audio_buffer.cleared"}'
FIN = 0x80


def frame(payload: bytes = CLEARED, first: int = FIN | Opcode.TEXT, *, mask: bool = False) -> bytes:
    """A frame as a server sends it; its first byte may be anything."""
    return bytes([first]) + Frame(Opcode.TEXT, payload).serialize(mask=mask)[1:]


def goodbye(code: int, reason: bytes = b"") -> bytes:
    return frame(code.to_bytes(2, "big") + reason, FIN | Opcode.CLOSE)


@dataclass
class Wire:
    """A connection, and the far end of its socket."""

    connection: Connection
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    events: list[ev.ServerEvent] = field(default_factory=list)

    async def says(self, *pieces: bytes) -> None:
        """Let these come, each by itself."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0.01)

    async def hears(self) -> tuple[Opcode, bytes]:
        """The next frame that was sent to it, but for the keepalive's pings."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                first, length = await self.reader.readexactly(2)
                assert length & 0x80, "what a client sends is masked"
                size = length & 0x7F
                if size > 125:
                    long = await self.reader.readexactly(2 if size == 126 else 8)
                    size = int.from_bytes(long, "big")
                mask = await self.reader.readexactly(4)
                payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(await self.reader.readexactly(size)))
                if first & 0x0F != Opcode.PING:
                    return Opcode(first & 0x0F), payload

    async def receive(self) -> ev.ServerEvent:
        async with asyncio.timeout(TIMEOUT_S):
            return await self.connection.receive()

    async def ends(self) -> SessionError:
        """How the connection ends."""
        with pytest.raises(SessionError) as caught:
            async with asyncio.timeout(TIMEOUT_S):
                await self.connection.run(self.events.append)
        return caught.value


@asynccontextmanager
async def wire(behind: bytes = b"") -> AsyncIterator[Wire]:
    """An open connection; `behind` comes in one piece with the server's answer."""
    accepted: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Future()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        key = request.partition(b"Sec-WebSocket-Key: ")[2].split(b"\r\n")[0]
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        head = b"HTTP/1.1 101 Hello\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
        writer.write(head + b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n" + behind)
        accepted.set_result((reader, writer))

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = await Connection.open(f"ws://127.0.0.1:{port}/v1", {}, timeout=TIMEOUT_S)
        reader, writer = await accepted
        try:
            yield Wire(connection, reader, writer)
        finally:
            writer.transport.abort()
            await connection.close()


async def test_what_comes_with_the_answer_is_not_lost() -> None:
    behind = frame() * 3 + frame()[:5]
    async with wire(behind) as it:
        assert [(await it.receive()).type for _ in range(3)] == ["input_audio_buffer.cleared"] * 3
        await it.says(frame()[5:])
        assert isinstance(await it.receive(), ev.InputAudioBufferCleared)


async def test_frames_may_come_in_any_pieces() -> None:
    data = (frame() + frame(b'{"type": "x", "y": "' + b"z" * 300 + b'"}') + frame(CLEARED, FIN | Opcode.BINARY)) * 2
    async with wire() as it:
        await it.says(*(data[at : at + 7] for at in range(0, len(data), 7)))
        kinds = [(await it.receive()).type for _ in range(6)]
        assert kinds == ["input_audio_buffer.cleared", "x", "input_audio_buffer.cleared"] * 2


async def test_a_message_may_come_in_fragments_with_pings_in_between() -> None:
    async with wire() as it:
        await it.says(
            frame(CLEARED[:5], Opcode.TEXT)
            + frame(b"", Opcode.CONT)
            + frame(b"are you there", FIN | Opcode.PING)
            + frame(CLEARED[5:20], Opcode.CONT),
            frame(CLEARED[20:], FIN | Opcode.CONT),
        )
        assert isinstance(await it.receive(), ev.InputAudioBufferCleared)
        assert await it.hears() == (Opcode.PONG, b"are you there")


async def test_megabytes_need_no_more_room_than_they_have_and_give_it_back() -> None:
    async with wire() as it:
        message = b'{"type": "x", "y": "' + b"z" * (10 * 2**20) + b'"}'
        it.writer.write(frame() + frame(message) + frame())
        assert [len(str((await it.receive()).model_dump())) > 2**20 for _ in range(3)] == [False, True, False]
        await it.says(frame())
        await it.receive()
        assert len(it.connection._websocket._buffer) == module._BUFFER


BROKEN = {
    "a masked frame": (frame(mask=True), 1002, "a masked frame"),
    "a compressed frame": (frame(CLEARED, 0xC1), 1002, "reserved bit"),
    "an unknown kind": (frame(CLEARED, FIN | 3), 1002, "unknown kind 3"),
    "an unknown control frame": (frame(b"", FIN | 11), 1002, "unknown kind 11"),
    "a continuation of nothing": (frame(CLEARED, FIN | Opcode.CONT), 1002, "out of order"),
    "a message within another": (frame(CLEARED[:5], Opcode.TEXT) + frame(), 1002, "out of order"),
    "a ping in fragments": (frame(b"", Opcode.PING), 1002, "control frame"),
    "a ping that is too long": (frame(bytes(126), FIN | Opcode.PING), 1002, "control frame"),
    "a goodbye of one byte": (frame(b"\3", FIN | Opcode.CLOSE), 1002, "code that is none"),
    "a goodbye with a code that is none": (goodbye(1005), 1002, "code that is none"),
    "a goodbye that is no Unicode": (goodbye(1000, b"\xff"), 1007, "not UTF-8"),
    "a text that is no Unicode": (frame(b'{"type": "\xff"}'), 1007, "not UTF-8"),
    "a message that is too big": (bytes([0x81, 127]) + struct.pack("!Q", 16 * 2**20 + 1), 1009, "more than 16777216"),
    "fragments that are too big": (
        (frame(bytes(2**20), Opcode.BINARY) + frame(bytes(2**20), Opcode.CONT) * 15 + frame(b"x", Opcode.CONT)),
        1009,
        "more than 16777216",
    ),
}


@pytest.mark.parametrize(("data", "code", "words"), BROKEN.values(), ids=BROKEN)
async def test_what_breaks_the_protocol_ends_it_and_is_told(data: bytes, code: int, words: str) -> None:
    async with wire() as it:
        it.writer.write(data + frame() * 2)
        error = await it.ends()
        assert isinstance(error, SessionLost)
        assert words in str(error)
        kind, payload = await it.hears()
        assert (kind, int.from_bytes(payload[:2], "big")) == (Opcode.CLOSE, code)
        assert it.events == []
        assert not it.connection.is_open


async def test_the_server_s_goodbye_is_answered_and_what_comes_behind_it_is_not_heard() -> None:
    async with wire() as it:
        await it.says(frame() + goodbye(1001, b"going home") + frame())
        assert "with 1001: going home" in str(await it.ends())
        assert [event.type for event in it.events] == ["input_audio_buffer.cleared"]
        assert await it.hears() == (Opcode.CLOSE, (1001).to_bytes(2, "big"))


async def test_a_goodbye_without_a_word() -> None:
    async with wire() as it:
        await it.says(frame(b"", FIN | Opcode.CLOSE))
        assert "with 1005" in str(await it.ends())
        assert await it.hears() == (Opcode.CLOSE, b"")


async def test_a_server_that_says_goodbye_and_stays_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CLOSE_TIMEOUT_S", 0.01)
    async with wire() as it:
        await it.says(goodbye(1000))
        await it.hears()
        assert await asyncio.wait_for(it.reader.read(), TIMEOUT_S) == b""


@pytest.mark.parametrize("within", ["a frame", "a message", "nothing"])
async def test_a_server_that_stops_in_the_middle_is_lost(within: str) -> None:
    data = {"a frame": frame()[:9], "a message": frame(b"{", Opcode.TEXT), "nothing": b""}[within]
    async with wire() as it:
        await it.says(data)
        it.writer.write_eof()
        assert str(await it.ends()) == "the connection to the model was lost"


async def test_our_goodbye_waits_for_the_server_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CLOSE_TIMEOUT_S", TIMEOUT_S)
    async with wire() as it:
        closing = asyncio.create_task(it.connection.close())
        assert await it.hears() == (Opcode.CLOSE, (1000).to_bytes(2, "big"))
        await it.says(frame() + goodbye(1000))
        assert not closing.done()
        it.writer.close()
        await asyncio.wait_for(closing, TIMEOUT_S)
        with pytest.raises(SessionLost, match="is closed"):
            await it.receive()


async def test_a_ping_is_answered_by_its_own_pong_or_a_later_one() -> None:
    async with wire() as it:
        await it.reader.readexactly(10)  # the keepalive's
        pings = [asyncio.create_task(it.connection.ping()) for _ in range(3)]
        payloads = []
        for _ in pings:
            sent = await it.reader.readexactly(10)
            payloads.append(bytes(a ^ b for a, b in zip(sent[2:6], sent[6:], strict=True)))
        await it.says(frame(b"nonsense", FIN | Opcode.PONG), frame(payloads[1], FIN | Opcode.PONG))
        assert [ping.done() for ping in pings] == [True, True, False]
        await it.says(goodbye(1000))
        with pytest.raises(SessionLost, match="1000"):
            await pings[2]
        with pytest.raises(SessionLost, match="1000"):
            await it.connection.ping()


async def test_a_server_that_answers_pings_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PING_S", 0.01)
    async with wire() as it:
        for _ in range(3):
            sent = await asyncio.wait_for(it.reader.readexactly(10), TIMEOUT_S)
            payload = bytes(a ^ b for a, b in zip(sent[2:6], sent[6:], strict=True))
            await it.says(frame(payload, FIN | Opcode.PONG))
        assert it.connection.is_open


async def test_who_asks_and_never_reads_does_not_fill_the_memory() -> None:
    async with wire() as it:
        it.writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        it.connection.send_json("x" * (8 * 2**20))
        before = it.connection._websocket.unsent
        assert before > module._MAX_UNANSWERED
        await it.says(frame(bytes(100), FIN | Opcode.PING) * 100)
        assert it.connection._websocket.unsent == before


async def test_what_nobody_takes_waits_in_the_network() -> None:
    async with wire() as it:
        for number in range(3000):
            it.writer.write(frame(b'{"type": "t%d", "x": "%b"}' % (number, b"y" * 3000)))
        await asyncio.sleep(0.1)
        assert len(it.connection._waiting) < 100
        it.writer.write(goodbye(1000))
        await it.ends()
        assert [event.type for event in it.events] == [f"t{number}" for number in range(3000)]
