"""What the programs' logs hold, and what they must not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest
from aiohttp import web
from websockets.asyncio.client import connect

from realtime_agent.config import Settings
from realtime_agent.local_model.server import serve
from realtime_agent.logs import configure_logging
from realtime_agent.server.run import bind, serving
from tests.local_model.fakes import Voices

_LOGGERS = ("", "aiohttp.server", "websockets", "faster_whisper")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    # pytest's own handlers are put aside: `force` closes what it finds.
    handlers, root.handlers = root.handlers, []
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    yield
    root.handlers = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


async def test_a_request_that_cannot_be_read_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("DEBUG")
    listener = bind("127.0.0.1", 0)
    async with serving(web.Application(), listener):
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET /rtc/room?token=secret HTTP/1.1 and more\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(30):
            answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.0 400 ")
    errors = capsys.readouterr().err
    assert "secret" not in errors
    assert "Traceback" not in errors


async def test_a_clients_key_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("DEBUG")
    async with (
        serve(Settings(), parts=Voices().parts()) as model,
        connect(f"{model.url}/realtime", additional_headers={"Authorization": "Bearer sk-secret"}) as connection,
    ):
        await connection.recv()
    assert "sk-secret" not in capsys.readouterr().err
