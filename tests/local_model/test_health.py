"""Whether the embedded model answers, asked of it and of others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from realtime_agent.config import Settings
from realtime_agent.local_model.health import is_healthy
from realtime_agent.local_model.server import serve
from tests.local_model.fakes import Voices
from tests.ports import dead_port

TIMEOUT_S = 20


@asynccontextmanager
async def stranger(answer: bytes | None) -> AsyncIterator[int]:
    """The port of a server that says this to the one who asks, or nothing ever."""

    answered = asyncio.Event()

    async def answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # whoever has read enough leaves the rest unread
            if answer is None:
                await reader.read()
            else:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
            writer.close()
            await writer.wait_closed()
        answered.set()

    async with await asyncio.start_server(answer_one, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.wait_for(answered.wait(), TIMEOUT_S)


@pytest.mark.parametrize("max_connections", [256, 0])
async def test_a_model_is_healthy_even_when_all_its_sessions_are_taken(max_connections: int) -> None:
    async with serve(Settings(), parts=Voices().parts(), max_connections=max_connections) as model:
        assert await is_healthy(model.host, model.port, timeout=TIMEOUT_S)


async def test_where_nobody_listens_nobody_is_healthy() -> None:
    with dead_port() as port:
        assert not await is_healthy("127.0.0.1", port, timeout=TIMEOUT_S)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"", b"x" * 2**17])
async def test_another_answer_is_not_healthy(answer: bytes) -> None:
    async with stranger(answer) as port:
        assert not await is_healthy("127.0.0.1", port, timeout=TIMEOUT_S)


async def test_who_does_not_answer_in_time_is_not_healthy() -> None:
    async with stranger(None) as port:
        assert not await is_healthy("127.0.0.1", port, timeout=0.05)
