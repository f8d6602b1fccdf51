"""What is learned of a server, and what it learns of us."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
import trustme
from websockets.asyncio.server import serve

from realtime_agent.doctor.probe import Answer, Unanswered, get, open_websocket
from realtime_agent.testing import ScriptedServer
from tests.doctor.servers import answer, listening
from tests.ports import dead_port

TIMEOUT_S = 30.0
SHORT_S = 0.2

ASKERS = {"ws": open_websocket, "http": get, "wss": open_websocket, "https": get}
PLAIN = ("ws", "http")


def certified(ca: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    return context


async def ask(scheme: str, port: int, path: str = "/v1", timeout: float = TIMEOUT_S) -> Answer | Unanswered:
    return await ASKERS[scheme](f"{scheme}://localhost:{port}{path}", timeout=timeout)


async def failed(scheme: str, port: int, timeout: float = TIMEOUT_S) -> Unanswered:
    result = await ask(scheme, port, timeout=timeout)
    assert isinstance(result, Unanswered), result
    return result


async def test_a_realtime_server_opens_a_websocket(script: ScriptedServer) -> None:
    assert await open_websocket(f"{script.url}/realtime?model=m", timeout=TIMEOUT_S) == Answer(101)
    assert "Authorization" not in script.headers


async def test_a_web_server_gives_its_answer() -> None:
    async with listening(answer("200 OK", "hello")) as server:
        assert await ask("http", server.port) == Answer(200, b"hello")


@pytest.mark.parametrize("scheme", PLAIN)
@pytest.mark.parametrize("status", ["401 Unauthorized", "404 Not Found", "503 Busy"])
async def test_a_refusal_is_an_answer(scheme: str, status: str) -> None:
    async with listening(answer(status, "no")) as server:
        result = await ask(scheme, server.port)
    assert isinstance(result, Answer)
    assert result.status == int(status[:3])


@pytest.mark.parametrize("scheme", PLAIN)
async def test_a_redirect_is_not_followed(scheme: str) -> None:
    async with listening(answer("200 OK")) as elsewhere:
        there = f"Location: {scheme}://localhost:{elsewhere.port}/"
        async with listening(answer("307 Temporary Redirect", "", there)) as server:
            result = await ask(scheme, server.port)
        assert isinstance(result, Answer)
        assert (result.status, bytes(elsewhere.received)) == (307, b"")


@pytest.mark.parametrize("scheme", ASKERS)
async def test_where_nothing_listens_it_is_told(scheme: str) -> None:
    with dead_port() as port:
        result = await ASKERS[scheme](f"{scheme}://127.0.0.1:{port}/v1", timeout=TIMEOUT_S)
    assert result == Unanswered(f"nothing listens at 127.0.0.1:{port}", "start that server, or correct the address")


@pytest.mark.parametrize("scheme", PLAIN)
async def test_a_name_that_nobody_has_is_told(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    result = await ASKERS[scheme](f"{scheme}://nobody.invalid/v1", timeout=TIMEOUT_S)
    assert isinstance(result, Unanswered)
    assert result.text == "there is no address for the name nobody.invalid: Name or service not known"


@pytest.mark.parametrize("scheme", ASKERS)
async def test_a_server_that_accepts_and_says_nothing_is_told_apart(scheme: str) -> None:
    async with listening(None) as server:
        result = await failed(scheme, server.port, timeout=SHORT_S)
    assert result.text == f"localhost:{server.port} accepts connections, but did not answer within 0.2 s"


@pytest.mark.parametrize("scheme", PLAIN)
async def test_an_address_from_which_nothing_comes_is_told(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", silent)
    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", silent)
    result = await ASKERS[scheme](f"{scheme}://127.0.0.1:9/v1", timeout=SHORT_S)
    assert result == Unanswered("127.0.0.1:9 did not answer within 0.2 s", "is a firewall or a proxy in between?")


@pytest.mark.parametrize("scheme", ["wss", "https"])
async def test_a_certificate_of_an_unknown_authority_is_told(ca: trustme.CA, scheme: str) -> None:
    async with listening(answer("200 OK"), context=certified(ca, "localhost")) as server:
        result = await failed(scheme, server.port)
    assert result.text.startswith(f"the certificate of localhost:{server.port} is not trusted: ")
    assert "SSL_CERT_FILE" in result.remedy
    assert server.received == b""


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("scheme", ["wss", "https"])
async def test_a_certificate_for_another_host_is_told(ca: trustme.CA, scheme: str) -> None:
    async with listening(answer("200 OK"), context=certified(ca, "voice.example")) as server:
        result = await failed(scheme, server.port)
    assert "is not trusted: " in result.text
    assert server.received == b""


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("scheme", ["wss", "https"])
async def test_one_s_own_authority_can_be_named(ca: trustme.CA, scheme: str) -> None:
    async with listening(answer("401 Unauthorized"), context=certified(ca, "localhost")) as server:
        result = await ask(scheme, server.port)
    assert isinstance(result, Answer)
    assert result.status == 401


@pytest.mark.parametrize("scheme", ["wss", "https"])
async def test_tls_to_a_server_that_has_none_is_told(scheme: str) -> None:
    async with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n", at_once=True) as server:
        result = await failed(scheme, server.port)
    assert result.text.startswith(f"localhost:{server.port} does not speak TLS with us (")
    assert result.remedy == f"is it the right port, and {scheme}:// rather than {scheme[:-1]}://?"


@pytest.mark.parametrize("scheme", PLAIN)
async def test_a_server_that_is_of_another_kind_is_told(scheme: str) -> None:
    async with listening(b"SSH-2.0-x\r\n") as server:
        result = await failed(scheme, server.port)
    assert result.text.startswith(f"localhost:{server.port} takes connections, but does not answer as a")


@pytest.mark.parametrize("scheme", PLAIN)
async def test_a_server_that_hangs_up_is_told(scheme: str) -> None:
    async with listening(b"") as server:
        result = await failed(scheme, server.port)
    assert result.remedy.startswith("is it the right port")


@pytest.mark.parametrize("scheme", ["http", "wss", "https"])
async def test_a_server_that_cuts_the_connection_is_told(scheme: str) -> None:
    async with listening(None, cuts=True) as server:
        result = await failed(scheme, server.port)
    assert result.text == f"localhost:{server.port} hung up"


@pytest.mark.parametrize("scheme", PLAIN)
@pytest.mark.parametrize("host", ["voice..test", "x" * 64 + ".test"])
async def test_a_name_that_no_host_can_have_is_told(scheme: str, host: str) -> None:
    result = await ASKERS[scheme](f"{scheme}://{host}/v1", timeout=TIMEOUT_S)
    assert result == Unanswered(f"{host} is no name of a host", "correct the name")


@pytest.mark.parametrize("scheme", PLAIN)
async def test_nothing_secret_of_an_address_is_sent_or_told(scheme: str) -> None:
    async with listening(answer("400 Bad Request")) as server:
        address = f"{scheme}://user:s3cret-pass@localhost:{server.port}/v1?model=m&api-key=s3cret-key&api-version=2"
        assert isinstance(await ASKERS[scheme](address, timeout=TIMEOUT_S), Answer)
    assert server.received.startswith(b"GET /v1?model=m&api-version=2 HTTP/1.1\r\n")
    sent = bytes(server.received).lower()
    assert b"s3cret" not in sent
    assert b"authorization" not in sent
    assert b"cookie" not in sent
    with dead_port() as port:
        failure = await ASKERS[scheme](f"{scheme}://user:s3cret@127.0.0.1:{port}/v1?key=s3cret", timeout=TIMEOUT_S)
    assert "s3cret" not in str(failure)


async def test_a_body_without_end_is_not_read_to_its_end() -> None:
    async with listening(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 3_000_000) as server:
        result = await ask("http", server.port)
    assert isinstance(result, Answer)
    assert result.body == b"x" * 2**20


@pytest.mark.parametrize("says", [answer("407 Who Are You"), b"", b"SSH-2.0-x\r\n\r\n"])
async def test_a_proxy_that_does_not_lead_there_is_told_without_its_password(
    says: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(says) as proxy:
        monkeypatch.setenv("https_proxy", f"http://user:s3cret@127.0.0.1:{proxy.port}")
        result = await open_websocket("wss://voice.example/v1", timeout=TIMEOUT_S)
    assert isinstance(result, Unanswered)
    assert "proxy" in result.text
    assert "s3cret" not in str(result)


async def test_a_proxy_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with dead_port() as port:
        monkeypatch.setenv("https_proxy", f"http://user:s3cret@127.0.0.1:{port}")
        result = await open_websocket("wss://voice.example/v1", timeout=TIMEOUT_S)
    assert isinstance(result, Unanswered)
    assert result.text.startswith("the proxy that the environment names does not lead there: nothing takes connections")
    assert "s3cret" not in str(result)


async def test_a_websocket_server_without_tls_is_told() -> None:
    async with serve(lambda _: asyncio.sleep(0), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        result = await open_websocket(f"wss://127.0.0.1:{port}", timeout=TIMEOUT_S)
    assert result == Unanswered(f"127.0.0.1:{port} hung up", "is it the right port, and wss:// rather than ws://?")


@pytest.mark.parametrize("proxy", ["gopher://u:s3cret@127.0.0.1:1", "socks5://u:s3cret@127.0.0.1:1"])
async def test_a_proxy_that_can_t_be_used_is_told_without_its_password(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    result = await open_websocket("wss://voice.example/v1", timeout=TIMEOUT_S)
    assert isinstance(result, Unanswered)
    assert "proxy" in result.text
    assert "s3cret" not in str(result)
