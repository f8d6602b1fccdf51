"""One websocket, over a real loopback connection to a server that does what the test says."""

from __future__ import annotations

import asyncio
import base64
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from realtime_agent.errors import SessionError, SessionLost, SessionTimeout
from realtime_agent.realtime import events as ev
from realtime_agent.realtime import websocket as module
from realtime_agent.realtime.connection import Connection
from realtime_agent.testing import Refuse, ScriptedServer, Speech
from tests.ports import dead_port

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


@asynccontextmanager
async def connected_to_the_deaf() -> AsyncIterator[Connection]:
    """A connection to a server that accepts and then reads nothing, not even pings."""
    is_deaf, over = asyncio.Event(), asyncio.Event()

    async def handle(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        is_deaf.set()
        await over.wait()
        connection.transport.abort()

    async with serve(handle, "127.0.0.1", 0, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        connection = await Connection.open(f"ws://127.0.0.1:{port}/v1", HEADERS, timeout=TIMEOUT_S)
        try:
            await asyncio.wait_for(is_deaf.wait(), TIMEOUT_S)
            yield connection
        finally:
            over.set()
            await connection.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is, what a test waits for is not a timeout."""
    monkeypatch.setattr(module, "_PING_S", 1000.0)
    monkeypatch.setattr(module, "_CLOSE_TIMEOUT_S", TIMEOUT_S)


def fill(connection: Connection) -> None:
    """Send more than the network takes."""
    for _ in range(15):
        if connection.is_behind:
            return
        connection.send_json(f'"{"x" * 2**20}"')
    raise AssertionError("the network took it all")


def ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "realtime_agent.realtime.connection"]


async def send_audio(script: ScriptedServer, pcm: bytes) -> None:
    where = {"response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0}
    await script.send("response.output_audio.delta", delta=base64.b64encode(pcm).decode(), **where)


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
        script.silent_on("response.cancel")
        connection.send(ev.ResponseCancel(response_id="r1"))
        assert await script.expect("response.cancel") == {"type": "response.cancel", "response_id": "r1"}
        await script.send("input_audio_buffer.cleared")
        await script.send("input_audio_buffer.committed", item_id="u1")
        seen = [(await receive(connection)).type for _ in range(3)]
        assert seen == ["session.created", "input_audio_buffer.cleared", "input_audio_buffer.committed"]


async def test_what_several_tasks_send_keeps_its_order(script: ScriptedServer) -> None:
    sent: list[str] = []

    async def talk(connection: Connection, name: str) -> None:
        for number in range(20):
            sent.append(f"{name}{number}")
            connection.send(ev.ResponseCancel(response_id=sent[-1]))
            await asyncio.sleep(0)

    script.silent_on("response.cancel")
    async with connected(script) as (connection, _):
        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(talk(connection, name))
        await script.expect("response.cancel", 60)
    assert [event["response_id"] for event in script.received] == sent


@pytest.mark.usefixtures("patient")
async def test_what_waits_is_sent_before_it_closes() -> None:
    sizes: list[int] = []
    is_closing = asyncio.Event()

    async def handle(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await is_closing.wait()
        connection.transport.resume_reading()
        async for message in connection:
            sizes.append(len(message))

    async with serve(handle, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        connection = await Connection.open(f"ws://127.0.0.1:{port}/v1", HEADERS, timeout=TIMEOUT_S)
        sent: list[int] = []
        while not connection.is_behind:
            sent.append(500_000 + len(sent))
            connection.send_json("x" * sent[-1])
        sent.append(1)
        connection.send_json("x")
        async with asyncio.TaskGroup() as group:
            group.create_task(connection.close())
            is_closing.set()
    assert sizes == sent


@pytest.mark.parametrize("how", ["closed by us", "closed by the server", "broken"])
async def test_to_send_after_the_end_is_silent(
    script: ScriptedServer, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(script) as (connection, _):
        await receive(connection)
        match how:
            case "closed by us":
                await connection.close()
            case "closed by the server":
                await script.close(1000)
            case _:
                script.cut()
        for _ in range(20):
            connection.send(ev.ResponseCancel())
        with pytest.raises(SessionLost):
            await receive(connection)
        connection.send(ev.ResponseCancel())
        assert not connection.is_behind
    assert script.received == []
    assert caplog.text == ""


async def test_a_text_that_is_no_unicode_is_sent_all_the_same(script: ScriptedServer) -> None:
    async with connected(script) as (connection, _):
        connection.send_json('{"type": "x", "text": "\ud800"}')
        assert await script.expect("x") == {"type": "x", "text": "?"}


@pytest.mark.usefixtures("patient")
async def test_a_server_that_does_not_read_is_seen_and_cut_in_the_end(caplog: pytest.LogCaptureFixture) -> None:
    async with connected_to_the_deaf() as connection:
        assert not connection.is_behind
        fill(connection)
        for _ in range(17):
            connection.send_json(f'"{"x" * 2**20}"')
        with pytest.raises(SessionLost, match="does not read"):
            await receive(connection)
        await connection.close()
    assert caplog.text == ""


async def test_one_message_may_be_as_big_as_the_protocol_s_biggest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CLOSE_TIMEOUT_S", 0.01)
    async with connected_to_the_deaf() as connection:
        connection.send_json(f'"{"x" * (15 * 2**20)}"')
        await connection.close()
        with pytest.raises(SessionLost, match="is closed"):
            await receive(connection)


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_it_closes_though_the_server_does_not_read(is_cancelled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PING_S", 1000.0)
    monkeypatch.setattr(module, "_CLOSE_TIMEOUT_S", 1000.0 if is_cancelled else 0.01)
    async with connected_to_the_deaf() as connection:
        fill(connection)
        if is_cancelled:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.close(), 0.01)
        else:
            await asyncio.wait_for(connection.close(), TIMEOUT_S)
        with pytest.raises(SessionLost):
            await receive(connection)


@pytest.mark.parametrize("is_full", [False, True])
async def test_a_dead_network_is_found_out(is_full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert module._PING_S + module._PONG_TIMEOUT_S + module._CLOSE_TIMEOUT_S <= 15
    for name in ("_PING_S", "_PONG_TIMEOUT_S", "_CLOSE_TIMEOUT_S"):
        monkeypatch.setattr(module, name, 0.05)
    async with connected_to_the_deaf() as connection:
        if is_full:
            fill(connection)
        with pytest.raises(SessionLost, match="was lost: keepalive ping timeout"):
            await receive(connection)
        await connection.close()


async def test_it_leaves_no_task(script: ScriptedServer) -> None:
    async with connected(script) as (connection, _):
        await connection.close()
        await connection.close()
    script.cut()
    async with asyncio.timeout(TIMEOUT_S):
        while asyncio.all_tasks() != {asyncio.current_task()}:
            # The server's own end with the connection.
            await asyncio.sleep(0.01)


async def test_what_is_no_event_is_ignored_and_not_quoted_in_the_log(
    script: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with connected(script) as (connection, _):
        await receive(connection)
        for garbage in ("private words", b"\xff\xfe", "[]", "{}", ""):
            await script.send_raw(garbage)
        await script.send_raw(b'{"type": "input_audio_buffer.cleared"}')
        assert isinstance(await receive(connection), ev.InputAudioBufferCleared)
        assert connection.malformed == 5
        caplog.clear()
        await connection.close()
        assert [record.getMessage() for record in ours(caplog)] == [
            "the model sent 0 events of 0 types that are not known, and 5 messages that are no event"
        ]
    assert "private words" not in caplog.text


async def test_a_flood_of_nonsense_does_not_flood_the_log(
    script: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with connected(script) as (connection, _):
        await receive(connection)
        for number in range(200):
            await script.send_raw("{")
            await script.send(f"response.hologram{number % 70}\n" + "x" * 300)
        for _ in range(200):
            assert isinstance(await receive(connection), ev.UnknownEvent)
        assert connection.unknown.total() == 200
        assert len(connection.unknown) == 51
        assert max(map(len, connection.unknown)) == 100
    records = ours(caplog)
    assert [record.levelname for record in records].count("WARNING") == 1
    # One for each type, for those that are counted together, and for all at the end.
    assert [record.levelname for record in records].count("INFO") == 52
    assert records[-1].getMessage() == (
        "the model sent 200 events of 51 types that are not known, and 200 messages that are no event"
    )
    assert not any("\n" in record.getMessage() for record in records)


async def test_an_event_that_is_new_is_passed_on(script: ScriptedServer) -> None:
    async with connected(script) as (connection, _):
        await receive(connection)
        await script.send("response.hologram.delta", voxels=[1])
        assert isinstance(await receive(connection), ev.UnknownEvent)
        assert connection.unknown == {"response.hologram.delta": 1}


async def test_an_event_may_be_megabytes(script: ScriptedServer) -> None:
    async with connected(script) as (connection, _):
        await receive(connection)
        await script.send_all(script.reply(Speech("", bytes(3 * 2**20), piece_ms=10**6))[4:5])
        event = await receive(connection)
        assert isinstance(event, ev.OutputAudioDelta)
        assert len(event.pcm()) == 3 * 2**20


async def test_the_server_s_goodbye_is_told_in_words(script: ScriptedServer) -> None:
    async with connected(script) as (connection, _):
        await receive(connection)
        await script.close(1001, "Your session hit the maximum duration of 60 minutes.")
        for _ in range(2):
            with pytest.raises(SessionLost, match=r"closed the connection with 1001: Your session hit the maximum"):
                await receive(connection)


@pytest.mark.parametrize(
    ("code", "is_final"), [(1000, False), (1011, False), (1012, False), (1008, True), (3000, True), (4000, True)]
)
async def test_a_goodbye_tells_whether_another_connection_may_do(
    script: ScriptedServer, code: int, is_final: bool
) -> None:
    async with connected(script) as (connection, _):
        await receive(connection)
        await script.close(code)
        with pytest.raises(SessionError, match=f"closed the connection with {code}$") as caught:
            await receive(connection)
        assert isinstance(caught.value, SessionLost) is not is_final


async def test_a_connection_that_breaks_is_told(script: ScriptedServer) -> None:
    async with connected(script) as (connection, _):
        await receive(connection)
        script.cut()
        with pytest.raises(SessionLost, match="was lost"):
            await receive(connection)


async def test_a_message_that_is_too_big_costs_the_connection_only(
    script: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_MESSAGE", 1000)
    async with connected(script) as (connection, _):
        await receive(connection)
        await send_audio(script, bytes(2000))
        with pytest.raises(SessionLost):
            await receive(connection)


@pytest.mark.parametrize("status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND])
async def test_a_refused_upgrade_is_told_by_its_status(script: ScriptedServer, status: HTTPStatus) -> None:
    script.fail(Refuse(status))
    with pytest.raises(SessionError, match=f"refused the connection: HTTP {status.value}: go away$") as caught:
        await Connection.open(script.url, HEADERS, timeout=TIMEOUT_S)
    assert not isinstance(caught.value, SessionLost)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("status", [HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE])
async def test_an_upgrade_that_is_refused_for_now_may_do_later(script: ScriptedServer, status: HTTPStatus) -> None:
    script.fail(Refuse(status))
    with pytest.raises(SessionLost, match=f"HTTP {status.value}"):
        await Connection.open(script.url, HEADERS, timeout=TIMEOUT_S)


async def test_a_key_that_the_server_repeats_is_not_told() -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(HTTPStatus.UNAUTHORIZED, f"wrong: {request.headers['Authorization']}")

    async with serve(ServerConnection.wait_closed, "127.0.0.1", 0, process_request=refuse) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(SessionError, match=r"HTTP 401: wrong: \*\*\*$"):
            await Connection.open(f"ws://127.0.0.1:{port}/v1", HEADERS, timeout=TIMEOUT_S)


async def test_a_header_that_is_none_is_told_without_its_value(script: ScriptedServer) -> None:
    with pytest.raises(SessionError, match="Authorization") as caught:
        await Connection.open(script.url, {"Authorization": f"Bearer {KEY}\r\nX: y"}, timeout=TIMEOUT_S)
    assert KEY not in str(caught.value)
    assert script.connections == []


async def test_nothing_that_listens_is_told() -> None:
    with dead_port() as port, pytest.raises(SessionLost, match="can't be reached") as caught:
        await Connection.open(f"ws://127.0.0.1:{port}/v1", HEADERS, timeout=TIMEOUT_S)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/v1?key=s3cret", "ws://", "ws://127.0.0.1:99999/v1", "ws://[broken/v1"]
)
async def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(SessionError, match="can't be reached") as caught:
        await Connection.open(url, HEADERS, timeout=TIMEOUT_S)
    assert not isinstance(caught.value, SessionLost)
    assert "s3cret" not in str(caught.value)


async def test_a_name_that_nobody_knows_may_be_known_later() -> None:
    with pytest.raises(SessionLost, match=r"can't be reached at model\.invalid: "):
        await Connection.open("ws://model.invalid/v1", {}, timeout=TIMEOUT_S)


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
        with pytest.raises(SessionLost, match="can't be reached"):
            await Connection.open(f"ws://127.0.0.1:{port}/v1", HEADERS, timeout=TIMEOUT_S)


async def test_a_proxy_is_not_asked_for_this_machine(script: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with connected(script, {}) as (connection, _):
        assert isinstance(await receive(connection), ev.SessionCreated)


# Events as they come.


async def test_what_waits_is_handled_first_and_the_rest_when_it_comes(script: ScriptedServer) -> None:
    seen: list[str] = []
    in_order = asyncio.Event()

    def handle(event: ev.ServerEvent) -> None:
        assert asyncio.current_task() is None, "nobody had to be woken"
        take(event)

    def take(event: ev.ServerEvent) -> None:
        seen.append(event.type)
        if event.type == "t19":
            in_order.set()

    async with connected(script) as (connection, _):
        for number in range(10):
            await script.send(f"t{number}")
        await connection.ping()
        waiting = asyncio.create_task(connection.run(take))
        await asyncio.sleep(0)
        assert seen == ["session.created", *(f"t{number}" for number in range(10))]
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        running = asyncio.create_task(connection.run(handle))
        for number in range(10, 20):
            await script.send(f"t{number}")
        await asyncio.wait_for(in_order.wait(), TIMEOUT_S)
        assert seen[11:] == [f"t{number}" for number in range(10, 20)]
        await script.close(1001)
        with pytest.raises(SessionLost, match="1001"):
            await asyncio.wait_for(running, TIMEOUT_S)


@pytest.mark.parametrize("is_waiting", [False, True])
async def test_what_the_handler_raises_ends_the_run_and_it_gets_no_more(
    script: ScriptedServer, is_waiting: bool
) -> None:
    seen: list[str] = []

    def handle(event: ev.ServerEvent) -> None:
        seen.append(event.type)
        if event.type == "t1":
            raise ZeroDivisionError

    async with connected(script) as (connection, _):
        if not is_waiting:
            await receive(connection)
        running = asyncio.create_task(connection.run(handle)) if not is_waiting else None
        await asyncio.sleep(0)
        await script.send_all([{"type": f"t{number}"} for number in range(4)])
        await connection.ping()
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(running or connection.run(handle), TIMEOUT_S)
        assert seen[-2:] == ["t0", "t1"]
        # The connection is good still; the next one to take them goes on.
        assert [(await receive(connection)).type for _ in range(2)] == ["t2", "t3"]


async def test_to_close_it_ends_the_run_at_once(script: ScriptedServer) -> None:
    async with connected(script) as (connection, _):
        running = asyncio.create_task(connection.run(lambda _: None))
        await asyncio.sleep(0)
        closing = asyncio.create_task(connection.close())
        with pytest.raises(SessionLost, match="is closed"):
            await asyncio.wait_for(running, TIMEOUT_S)
        await closing


async def test_audio_is_sent_as_the_protocol_has_it(script: ScriptedServer) -> None:
    script.silent_on("input_audio_buffer.append")
    async with connected(script) as (connection, _):
        for pcm in (b"", bytes(range(256)) * 4, bytes(200_000)):
            connection.send_audio(pcm)
            sent = await script.expect("input_audio_buffer.append")
            assert sent == {"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()}


# How a connection is refused.


@asynccontextmanager
async def answering(*pieces: bytes) -> AsyncIterator[str]:
    """The address of a server that answers a request with these bytes, each by itself, and hangs up."""
    is_over = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.02)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        is_over.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        await asyncio.wait_for(is_over.wait(), TIMEOUT_S)


ANSWERS = {
    "whose words come later": (
        (b"HTTP/1.1 401 No\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\n", b"a wrong ", b"key"),
        r"HTTP 401: a wrong$",
    ),
    "whose words come in chunks": (
        (
            b"HTTP/1.1 403 No\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
            b'15\r\n{"error": {"message":\r\n',
            b'0a\r\n "paused"}\r\n',
            b"01\r\n}\r\n0\r\n\r\n",
        ),
        r"HTTP 403: paused$",
    ),
    "with a status of somebody's own": ((b"HTTP/1.1 520 Odd\r\nContent-Length: 0\r\n\r\n",), r"HTTP 520$"),
    "that ends in the middle": ((b"HTTP/1.1 101 Switching Protocols\r\nUpgr",), r"can't be reached"),
    "that is none": ((b"",), r"can't be reached"),
}


@pytest.mark.parametrize(("pieces", "words"), ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_to_the_upgrade_is_told(pieces: tuple[bytes, ...], words: str) -> None:
    async with answering(*pieces) as url:
        with pytest.raises(SessionError, match=words):
            await Connection.open(url, HEADERS, timeout=TIMEOUT_S)
