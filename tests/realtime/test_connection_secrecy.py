"""The key goes nowhere but to the server that it is meant for: TLS, redirects and proxies."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from realtime_agent.errors import SessionError, SessionLost
from realtime_agent.realtime import events as ev
from realtime_agent.realtime.connection import Connection
from realtime_agent.testing import Refuse, ScriptedServer

HEADERS = {"Authorization": "Bearer sk-very-secret", "api-key": "sk-very-secret"}
TIMEOUT_S = 20.0


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(_nothing_of_this_machine: None, ca: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CA, as a deployment adds its own."""
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))


ProcessRequest = Callable[[ServerConnection, Request], Response | None]


def note(requests: list[Request]) -> ProcessRequest:
    """Accept everybody, and keep what they asked."""
    return lambda _, request: requests.append(request)


def redirect(to: str, status: int = 307) -> ProcessRequest:
    """Send everybody elsewhere."""

    def answer(connection: ServerConnection, _: Request) -> Response:
        response = connection.respond(HTTPStatus(status), "over there")
        response.headers["Location"] = to
        return response

    return answer


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def deaf(connection: ServerConnection) -> None:
    connection.transport.pause_reading()
    await connection.wait_closed()


@asynccontextmanager
async def server(
    process_request: ProcessRequest,
    context: ssl.SSLContext | None = None,
    handle: Callable[[ServerConnection], Awaitable[None]] = echo,
) -> AsyncIterator[int]:
    """A websocket server; its port."""
    async with serve(
        handle, "127.0.0.1", 0, ssl=context, process_request=process_request, ping_interval=None, close_timeout=1
    ) as running:
        yield next(iter(running.sockets)).getsockname()[1]


def certified(ca: trustme.CA, name: str) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate for this name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    return context


@asynccontextmanager
async def proxy(target: int, answer: str = "200 OK") -> AsyncIterator[tuple[str, list[bytes]]]:
    """An HTTP proxy whose every tunnel ends at this port of this machine; its URL, and what it was asked."""
    asked: list[bytes] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())
        if answer.startswith("200"):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
            await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer), return_exceptions=True)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as running:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}", asked


async def talk(connection: Connection) -> None:
    """See that it carries events both ways."""
    connection.send_json('{"type": "input_audio_buffer.cleared"}')
    async with asyncio.timeout(TIMEOUT_S):
        assert isinstance(await connection.receive(), ev.InputAudioBufferCleared)


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def test_a_certificate_of_an_unknown_authority_is_refused(ca: trustme.CA) -> None:
    requests: list[Request] = []
    async with server(note(requests), certified(ca, "localhost")) as port:
        with pytest.raises(SessionError, match="certificate is not trusted") as caught:
            await Connection.open(f"wss://localhost:{port}/v1", HEADERS, timeout=TIMEOUT_S)
    assert not isinstance(caught.value, SessionLost)
    assert requests == []


@pytest.mark.usefixtures("trusted")
async def test_one_s_own_authority_can_be_named(ca: trustme.CA) -> None:
    requests: list[Request] = []
    async with server(note(requests), certified(ca, "localhost")) as port:
        connection = await Connection.open(f"wss://localhost:{port}/v1", HEADERS, timeout=TIMEOUT_S)
        await talk(connection)
        await connection.close()
        await connection.close()
        connection.send_json("{}")
        assert not connection.is_behind
    assert [request.headers["Authorization"] for request in requests] == [HEADERS["Authorization"]]


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_for_another_host_is_refused(ca: trustme.CA) -> None:
    requests: list[Request] = []
    async with server(note(requests), certified(ca, "voice.example")) as port:
        with pytest.raises(SessionError, match=r"certificate is not trusted: .*localhost"):
            await Connection.open(f"wss://localhost:{port}/v1", HEADERS, timeout=TIMEOUT_S)
    assert requests == []


@pytest.mark.usefixtures("trusted")
async def test_a_server_that_does_not_read_is_seen_and_cut_over_tls_too(ca: trustme.CA) -> None:
    async with server(note([]), certified(ca, "localhost"), deaf) as port:
        connection = await Connection.open(f"wss://localhost:{port}/v1", HEADERS, timeout=TIMEOUT_S)
        was_behind = False
        for _ in range(40):
            connection.send_json(f'"{"x" * 2**20}"')
            was_behind |= connection.is_behind
        assert was_behind
        with pytest.raises(SessionLost, match="does not read"):
            await asyncio.wait_for(connection.receive(), TIMEOUT_S)
        await connection.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    requests: list[Request] = []
    async with (
        server(note(requests)) as elsewhere,
        server(redirect(f"ws://127.0.0.1:{elsewhere}/v1", status)) as port,
    ):
        with pytest.raises(SessionError, match=f"HTTP {status}: it leads elsewhere") as caught:
            await Connection.open(f"ws://127.0.0.1:{port}/v1", HEADERS, timeout=TIMEOUT_S)
    assert not isinstance(caught.value, SessionLost)
    assert requests == []


@pytest.mark.usefixtures("trusted")
async def test_a_redirect_is_not_followed_out_of_tls(ca: trustme.CA) -> None:
    requests: list[Request] = []
    async with (
        server(note(requests)) as elsewhere,
        server(redirect(f"ws://127.0.0.1:{elsewhere}/v1"), certified(ca, "localhost")) as port,
    ):
        with pytest.raises(SessionError, match="307"):
            await Connection.open(f"wss://localhost:{port}/v1", HEADERS, timeout=TIMEOUT_S)
    assert requests == []


@pytest.mark.usefixtures("trusted")
async def test_a_proxy_is_used_but_sees_nothing(ca: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[Request] = []
    async with server(note(requests), certified(ca, "voice.example")) as port, proxy(port) as (url, asked):
        monkeypatch.setenv("https_proxy", url)
        connection = await Connection.open("wss://voice.example/v1", HEADERS, timeout=TIMEOUT_S)
        await talk(connection)
        await connection.close()
    assert [request.headers["Host"] for request in requests] == ["voice.example"]
    assert asked[0].startswith(b"CONNECT voice.example:443 ")
    assert b"secret" not in asked[0]


@pytest.mark.usefixtures("trusted")
async def test_a_proxy_that_leads_elsewhere_is_found_out(ca: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[Request] = []
    async with server(note(requests), certified(ca, "elsewhere.example")) as port, proxy(port) as (url, _):
        monkeypatch.setenv("https_proxy", url)
        with pytest.raises(SessionError, match="certificate is not trusted"):
            await Connection.open("wss://voice.example/v1", HEADERS, timeout=TIMEOUT_S)
    assert requests == []


@pytest.mark.parametrize(("answer", "is_final"), [("407 Who Are You", True), ("503 Busy", False)])
async def test_a_proxy_s_refusal_is_told_as_such(answer: str, is_final: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxy(0, answer) as (url, _):
        monkeypatch.setenv("https_proxy", url)
        with pytest.raises(SessionError, match=f"the proxy refused the connection: HTTP {answer[:3]}") as caught:
            await Connection.open("wss://voice.example/v1", HEADERS, timeout=TIMEOUT_S)
        assert isinstance(caught.value, SessionLost) is not is_final


async def test_a_proxy_s_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "ftp://somebody:s3cret@proxy.example:8080")
    with pytest.raises(SessionError, match="the proxy's address is wrong") as caught:
        await Connection.open("wss://voice.example/v1/realtime", {}, timeout=30)
    assert "s3cret" not in str(caught.value)


async def test_a_proxy_that_hangs_up_may_be_there_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        with pytest.raises(SessionLost, match="can't be reached"):
            await Connection.open("wss://voice.example/v1", HEADERS, timeout=TIMEOUT_S)


async def test_a_server_that_speaks_no_tls_is_told_so() -> None:
    async with serve(lambda _: asyncio.sleep(0), "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(
            SessionLost, match=r"can't be reached: it hung up; is it .* the right one of ws:// and wss://\?"
        ):
            await Connection.open(f"wss://127.0.0.1:{port}/v1", HEADERS, timeout=TIMEOUT_S)


# What the server says of a key.


SECRETS = {
    "a header": ("", {"Authorization": "Bearer sk-very-secret"}),
    "a header of another kind": ("", {"Authorization": "Token sk-very-secret"}),
    "the address": ("?model=m&api-key=sk-very-secret", {}),
}


@pytest.mark.parametrize(("query", "headers"), SECRETS.values(), ids=SECRETS)
async def test_a_server_that_repeats_the_key_is_not_repeated(
    script: ScriptedServer, query: str, headers: dict[str, str]
) -> None:
    url = f"{script.url}/realtime{query or '?model=m'}"
    connection = await Connection.open(url, headers, timeout=TIMEOUT_S)
    await script.connected()
    assert isinstance(await connection.receive(), ev.SessionCreated)
    await script.error("invalid_api_key", "Incorrect API key provided: sk-very-secret for m.")
    told = await connection.receive()
    assert isinstance(told, ev.ErrorEvent)
    assert told.error.message == "Incorrect API key provided: *** for m."
    await script.close(3000, "Incorrect API key provided: sk-very-secret.")
    with pytest.raises(SessionError, match=r"3000: Incorrect API key provided: \*\*\*\.$"):
        await connection.receive()
    await connection.close()


async def test_an_address_with_a_key_that_is_refused_is_not_repeated(script: ScriptedServer) -> None:
    script.fail(Refuse(HTTPStatus.UNAUTHORIZED, "Incorrect API key provided: sk-very-secret."))
    with pytest.raises(SessionError, match=r"Incorrect API key provided: \*\*\*\.$"):
        await Connection.open(f"{script.url}/realtime?key=sk-very-secret", {}, timeout=TIMEOUT_S)


async def test_whatever_an_error_says_it_is_one_line_that_is_not_too_long(script: ScriptedServer) -> None:
    connection = await Connection.open(f"{script.url}/realtime?model=m", {}, timeout=TIMEOUT_S)
    await script.connected()
    await connection.receive()
    await script.error("invalid_value", "one\nINFO two\x1b[31m" + "x" * 10**6)
    told = await connection.receive()
    assert isinstance(told, ev.ErrorEvent)
    assert told.error.message.startswith("one INFO two[31mxx")
    assert len(told.error.message) == 500
    await connection.close()
