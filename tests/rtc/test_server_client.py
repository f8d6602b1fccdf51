from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer

from realtime_agent.errors import ChannelError
from realtime_agent.rtc.server_client import ServerClient, UserToken
from tests.ports import dead_port
from tests.stub_agent import StubAgent, StubServer


async def silent(agent: StubAgent) -> None:
    """An agent that says nothing."""


async def refusal(url: str) -> str:
    with pytest.raises(ChannelError) as caught:
        await ServerClient(url).ask_token("room", 5)
    text = str(caught.value)
    assert "\n" not in text
    return text


@asynccontextmanager
async def answering(status: int, body: object) -> AsyncIterator[tuple[str, list[str]]]:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")), asked


async def test_a_token_of_the_embedded_channel_names_its_websocket() -> None:
    async with StubServer.running(silent) as server:
        token = await ServerClient(server.url).ask_token("room", 0)
        assert server.asked == [{"channel_name": "room", "uid": 0}]
    assert (token.rtc, token.channel_name, token.uid) == ("web", "room", 4321)
    assert token.url.startswith("ws://127.0.0.1:")


async def test_a_token_is_not_shown_by_accident() -> None:
    assert "secret" not in repr(UserToken("agora", "room", 5, token="secret", url="ws://h/?token=secret"))


async def test_a_token_for_agora_names_the_project() -> None:
    body = {"rtc": "agora", "channel_name": "room", "uid": 5, "app_id": "a" * 32, "token": "", "expires_at": None}
    async with answering(200, body) as (url, _):
        token = await ServerClient(url).ask_token("room", 5)
    assert token == UserToken("agora", "room", 5, app_id="a" * 32)


async def test_a_server_that_is_not_there_is_named() -> None:
    with dead_port() as port:
        url = f"http://127.0.0.1:{port}"
        assert await refusal(url) == f"no server answers at {url}: is `realtime-agent server` running there?"


async def test_an_address_that_is_none_is_a_channel_error() -> None:
    assert "no server answers at nowhere" in await refusal("nowhere")


async def test_a_server_without_tls_is_told() -> None:
    async with answering(200, {}) as (url, _):
        url = url.replace("http:", "https:")
        assert await refusal(url) == f"the server at {url.rstrip('/')} does not speak TLS with us: is it http://?"


async def test_a_server_whose_certificate_is_not_trusted_is_told() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = TestServer(web.Application(), scheme="https")
    await server.start_server(ssl=context)
    async with server:
        url = str(server.make_url("")).rstrip("/")
        assert await refusal(url) == f"the certificate of {url} is not trusted; SSL_CERT_FILE names other authorities"


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (400, {"error": "bad request", "details": [{"field": "uid", "message": "too large"}]}, "uid: too large"),
        (503, {"error": "busy", "details": "later"}, "the server gave no token: busy (later)"),
        (500, {}, "the server gave no token: no reason given"),
        (200, [1], "is not a realtime-agent server"),
        (200, {"rtc": "agora", "token": "t", "uid": 1}, "that nothing can be joined with"),
        (200, {"rtc": "agora", "token": None, "app_id": "a", "uid": 1}, "that nothing can be joined with"),
        (200, {"rtc": "other", "url": "ws://127.0.0.1:1", "uid": 1}, "that nothing can be joined with"),
        (200, {"rtc": "web", "url": "ws://127.0.0.1:1", "uid": True}, "that nothing can be joined with"),
    ],
)
async def test_an_answer_without_a_token_is_explained(status: int, answer: object, words: str) -> None:
    async with answering(status, answer) as (url, _):
        assert words in await refusal(url)


async def test_the_agent_of_a_channel_is_found() -> None:
    async with answering(200, {"uid": 7, "state": "waiting"}) as (url, asked):
        assert await ServerClient(url).find_agent("a room?") == {"uid": 7, "state": "waiting"}
        assert asked == ["/agents/a%20room%3F"]


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (404, {"error": "Agent not found"}, "no agent runs in channel 'room': start one with POST /start_agent"),
        (200, {"uid": 7, "state": "ended"}, "GET /agents/room tells how the last one ended"),
        (403, {"error": "Forbidden", "details": "no"}, "tells nothing of channel 'room': Forbidden (no)"),
    ],
)
async def test_a_channel_without_an_agent_says_how_to_start_one(status: int, answer: object, words: str) -> None:
    async with answering(status, answer) as (url, _):
        with pytest.raises(ChannelError) as caught:
            await ServerClient(url).find_agent("room")
    assert words in str(caught.value)
