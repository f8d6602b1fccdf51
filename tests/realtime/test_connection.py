"""One websocket, over a real loopback connection to a server that does what the test says."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest

from realtime_agent.errors import SessionError, SessionTimeout
from realtime_agent.realtime import events as ev
from realtime_agent.realtime.connection import Connection
from tests.ports import dead_port
from tests.scripted import ScriptedServer

KEY = "sk-very-secret"
HEADERS = {"Authorization": f"Bearer {KEY}"}
TIMEOUT_S = 20.0


@asynccontextmanager
async def connected(
    script: ScriptedServer, headers: Mapping[str, str] = HEADERS
) -> AsyncIterator[tuple[Connection, ScriptedServer]]:
    connection = await Connection.open(f"{script.url}/realtime?model=m", headers, timeout=TIMEOUT_S)
    try:
        yield connection, script
    finally:
        await connection.close()


async def receive(connection: Connection) -> ev.ServerEvent:
    async with asyncio.timeout(TIMEOUT_S):
        return await connection.receive()


async def test_it_connects_with_the_key_in_a_header_only(
    script: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with connected(script) as (connection, _):
        assert isinstance(await receive(connection), ev.SessionCreated)
        assert script.headers["Authorization"] == f"Bearer {KEY}"
        assert script.path == "/v1/realtime?model=m"
        assert "Sec-WebSocket-Extensions" not in script.headers
    assert KEY not in caplog.text


async def test_events_go_both_ways(script: ScriptedServer) -> None:
    async with connected(script) as (connection, _):
        await connection.send(ev.ResponseCancel(response_id="r1"))
        assert await script.expect("response.cancel") == {"type": "response.cancel", "response_id": "r1"}
        await script.send("input_audio_buffer.cleared")
        await script.send("input_audio_buffer.committed", item_id="u1")
        seen = []
        async with asyncio.timeout(TIMEOUT_S):
            async for event in connection.events():
                seen.append(event.type)
                if len(seen) == 3:
                    break
        assert seen == ["session.created", "input_audio_buffer.cleared", "input_audio_buffer.committed"]


async def test_what_is_no_event_is_ignored_and_not_quoted_in_the_log(
    script: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(script) as (connection, _):
        await receive(connection)
        for garbage in ("private words", b"\xff\xfe", "[]", "{}", ""):
            await script.send_raw(garbage)
        await script.send_raw(b'{"type": "input_audio_buffer.cleared"}')
        assert isinstance(await receive(connection), ev.InputAudioBufferCleared)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 5
    assert "private words" not in caplog.text


async def test_an_event_that_is_new_is_passed_on(script: ScriptedServer) -> None:
    async with connected(script) as (connection, _):
        await receive(connection)
        await script.send("response.hologram.delta", voxels=[1])
        assert isinstance(await receive(connection), ev.UnknownEvent)


async def test_an_event_may_be_megabytes(script: ScriptedServer) -> None:
    async with connected(script) as (connection, _):
        await receive(connection)
        await script.delta(bytes(3 * 2**20))
        event = await receive(connection)
        assert isinstance(event, ev.OutputAudioDelta)
        assert len(event.pcm()) == 3 * 2**20


async def test_the_server_s_goodbye_is_told_in_words(script: ScriptedServer) -> None:
    async with connected(script) as (connection, _):
        await receive(connection)
        await script.close(1001, "Your session hit the maximum duration of 60 minutes.")
        with pytest.raises(SessionError, match=r"closed the connection with 1001: Your session hit the maximum"):
            await receive(connection)
        with pytest.raises(SessionError, match="1001"):
            await connection.send(ev.ResponseCancel())


async def test_a_goodbye_without_a_reason_tells_its_code(script: ScriptedServer) -> None:
    async with connected(script) as (connection, _):
        await receive(connection)
        await script.close(4000)
        with pytest.raises(SessionError, match=r"closed the connection with 4000$"):
            await receive(connection)


async def test_a_connection_that_breaks_is_told(script: ScriptedServer) -> None:
    async with connected(script) as (connection, _):
        await receive(connection)
        script.abort()
        with pytest.raises(SessionError, match="was lost"):
            await receive(connection)


async def test_it_can_be_closed_twice_and_is_closed_then(script: ScriptedServer) -> None:
    async with connected(script) as (connection, _):
        await connection.close()
        await connection.close()
        with pytest.raises(SessionError):
            await connection.send_json("{}")


@pytest.mark.parametrize("status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND])
async def test_a_refused_upgrade_is_told_by_its_status(script: ScriptedServer, status: HTTPStatus) -> None:
    script.refuse_connection = status
    with pytest.raises(SessionError, match=f"HTTP {status.value}") as caught:
        await Connection.open(script.url, HEADERS, timeout=TIMEOUT_S)
    assert not isinstance(caught.value, SessionTimeout)
    assert KEY not in str(caught.value)


async def test_nothing_that_listens_is_told() -> None:
    with dead_port() as port, pytest.raises(SessionError, match="can't be reached") as caught:
        await Connection.open(f"ws://127.0.0.1:{port}/v1", HEADERS, timeout=TIMEOUT_S)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1/v1", "ws://", "ws://127.0.0.1:99999/v1", "ws://[broken/v1"])
async def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(SessionError, match="can't be reached"):
        await Connection.open(url, HEADERS, timeout=TIMEOUT_S)


async def test_a_proxy_of_a_kind_that_needs_another_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1")
    with pytest.raises(SessionError, match="can't be reached"):
        await Connection.open("wss://voice.example/v1", HEADERS, timeout=TIMEOUT_S)


async def test_a_server_that_never_answers_the_upgrade_times_out() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # but does not accept
        port = listener.getsockname()[1]
        with pytest.raises(SessionTimeout, match=r"within 0\.05 s"):
            await Connection.open(f"ws://127.0.0.1:{port}/v1", HEADERS, timeout=0.05)


async def test_a_server_that_is_no_web_server_is_told() -> None:
    async def talk_nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ready\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(talk_nonsense, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(SessionError, match="can't be reached"):
            await Connection.open(f"ws://127.0.0.1:{port}/v1", HEADERS, timeout=TIMEOUT_S)


async def test_a_proxy_is_not_asked_for_this_machine(script: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with connected(script, {}) as (connection, _):
        assert isinstance(await receive(connection), ev.SessionCreated)
