"""The user's side over the loopback library, with a server in miniature."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from realtime_agent.errors import ChannelError
from realtime_agent.rtc.agora import AgoraEngine
from realtime_agent.rtc.agora.user import AgoraUser
from realtime_agent.rtc.channel import AudioFrame, ChannelLost, Message
from realtime_agent.rtc.server_client import ServerClient
from tests.agora.network import LoopbackNetwork
from tests.agora.stays import APP_ID, TIMEOUT_S, channel_of, next_of, staying

pytestmark = pytest.mark.usefixtures("network")


class Server:
    """Gives tokens, and tells of one agent."""

    def __init__(self) -> None:
        self.agent: dict[str, Any] | None = {"uid": 7, "user_uid": None, "state": "waiting"}
        self.tokens = 0
        self.shown = 0
        self.knows_after: float = math.inf
        self.answers = asyncio.Event()
        self.answers.set()
        self.client = ServerClient("")

    async def user(self, engine: AgoraEngine) -> AgoraUser:
        return AgoraUser(self.client, engine, await self.client.ask_token("room", 5), timeout_s=TIMEOUT_S)

    async def token(self, request: web.Request) -> web.Response:
        self.tokens += 1
        body = await request.json()
        return web.json_response(body | {"rtc": "agora", "app_id": APP_ID, "token": f"token{self.tokens}"})

    async def show(self, _request: web.Request) -> web.Response:
        self.shown += 1
        await self.answers.wait()
        if self.shown > self.knows_after:
            self.agent = {"state": "ended", "reason": "idle"}
        return web.json_response(self.agent or {"error": "Agent not found"}, status=200 if self.agent else 404)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_post("/token", server.token)
    app.router.add_get("/agents/room", server.show)
    async with TestServer(app) as http:
        server.client = ServerClient(str(http.make_url("")))
        yield server


@pytest.fixture
async def engine(tmp_path: Path) -> AgoraEngine:
    """Both sides are in one process here, so they share its service."""
    return AgoraEngine(APP_ID, tmp_path)


@asynccontextmanager
async def joined(user: AgoraUser) -> AsyncIterator[None]:
    await user.join()
    try:
        yield
    finally:
        await user.leave()


async def heard(network: LoopbackNetwork, uid: int) -> None:
    await network.until(uid, lambda now: "7," in now["heard"], "the user to hear the agent")


async def test_the_agent_is_heard_and_read_and_nobody_else(
    engine: AgoraEngine, server: Server, network: LoopbackNetwork
) -> None:
    agent, other, user = channel_of(engine), channel_of(engine, 9), await server.user(engine)
    async with staying(agent, other), joined(user):
        await heard(network, 5)
        assert (user.uid, user.is_heard) == (5, True)
        other.push(b"\2\0" * 480)
        other.send({"type": "state", "state": "ended"})
        await network.until(9, lambda now: now["queued"] == "0" and now["sent_messages"] != "0", "the other's words")
        agent.push(b"\1\0" * 480)
        events = user.events()
        assert await next_of(events, AudioFrame) == AudioFrame(7, b"\1\0" * 240)
        assert await next_of(events, AudioFrame) == AudioFrame(7, b"\1\0" * 240)
        said = {"type": "transcript", "role": "assistant", "item_id": "i", "text": "Hello", "final": True}
        await other.leave()
        agent.send(said)
        assert await next_of(events, Message) == Message(7, said)


async def test_the_agent_hears_the_user(engine: AgoraEngine, server: Server, network: LoopbackNetwork) -> None:
    agent, user = channel_of(engine), await server.user(engine)
    async with staying(agent), joined(user):
        await network.met(5, 7)
        user.push(b"\1\0" * 480)
        user.report_played(480)
        events = agent.inbox.events()
        await anext(events)
        assert await next_of(events, AudioFrame) == AudioFrame(5, b"\1\0" * 240)


async def test_the_end_of_the_agent_ends_the_channel(
    engine: AgoraEngine, server: Server, network: LoopbackNetwork
) -> None:
    agent, user = channel_of(engine), await server.user(engine)
    last_words = {"type": "state", "state": "ended", "reason": "idle"}
    await agent.join()
    async with joined(user):
        await heard(network, 5)
        agent.send(last_words)
        await agent.leave()
        async with asyncio.timeout(TIMEOUT_S):
            events = [event async for event in user.events()]
        assert events == [Message(7, last_words), ChannelLost("the agent ended: idle")]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"state": "ended", "reason": "rtc_failed", "cause": "no way"}, "the agent ended: rtc_failed: no way"),
        ({"state": "ended", "reason": "stopped", "cause": None}, "the agent ended: stopped"),
        ({"state": "waiting", "reason": None, "cause": None}, "the agent left"),
        (None, "the agent left"),
    ],
)
async def test_why_an_agent_left_without_a_word_is_asked_of_the_server(
    engine: AgoraEngine,
    server: Server,
    told: dict[str, Any] | None,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("realtime_agent.rtc.agora.user._ASK_EVERY_S", 0)
    agent, user = channel_of(engine), await server.user(engine)
    await agent.join()
    async with joined(user):
        server.agent = told
        await agent.leave()
        async with asyncio.timeout(TIMEOUT_S):
            assert [event async for event in user.events()] == [ChannelLost(words)]


async def test_whoever_leaves_waits_for_no_answer(
    engine: AgoraEngine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_agent.rtc.agora.user._ASK_EVERY_S", 0)
    monkeypatch.setattr("realtime_agent.rtc.agora.user._ASK_FOR_S", 10 * TIMEOUT_S)
    agent, user = channel_of(engine), await server.user(engine)
    await agent.join()
    async with joined(user):
        await agent.leave()
        reading = asyncio.create_task(next_of(user.events(), ChannelLost))
        async with asyncio.timeout(TIMEOUT_S):
            while server.shown < 3:
                await asyncio.sleep(0.01)
            await user.leave()
            assert await reading == ChannelLost("the agent left")


async def test_a_server_that_does_not_answer_is_not_waited_for(
    engine: AgoraEngine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_agent.rtc.agora.user._ASK_FOR_S", 0.2)
    agent, user = channel_of(engine), await server.user(engine)
    await agent.join()
    async with joined(user):
        server.answers.clear()
        await agent.leave()
        async with asyncio.timeout(TIMEOUT_S):
            assert await anext(user.events()) == ChannelLost("the agent left")
        server.answers.set()


async def test_the_server_may_learn_later_than_the_user_that_the_agent_left(
    engine: AgoraEngine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_agent.rtc.agora.user._ASK_EVERY_S", 0)
    agent, user = channel_of(engine), await server.user(engine)
    await agent.join()
    async with joined(user):
        server.knows_after = server.shown + 3
        await agent.leave()
        async with asyncio.timeout(TIMEOUT_S):
            assert [event async for event in user.events()] == [ChannelLost("the agent ended: idle")]


async def test_an_agent_that_is_not_seen_is_told_of(engine: AgoraEngine, server: Server) -> None:
    user = AgoraUser(server.client, engine, await server.client.ask_token("room", 5), timeout_s=0.5)
    async with staying(channel_of(engine, 9)):
        with pytest.raises(ChannelError) as caught:
            await user.join()
        await user.leave()
    assert str(caught.value) == (
        "the agent of channel 'room' was not seen there within 0.5 s, but its server calls it waiting: "
        "is its network another than ours?"
    )


async def test_a_channel_that_is_lost_before_the_agent_is_seen_is_told_of(
    engine: AgoraEngine, server: Server, network: LoopbackNetwork
) -> None:
    user = await server.user(engine)
    joining = asyncio.create_task(user.join())
    async with asyncio.timeout(TIMEOUT_S):
        while user._channel._open is None:
            await asyncio.sleep(0.01)
    network.tell(5, "failed 9")
    with pytest.raises(ChannelError, match="token"):
        await joining
    await user.leave()


async def test_leaving_ends_the_events_without_a_loss(engine: AgoraEngine, server: Server) -> None:
    agent, user = channel_of(engine), await server.user(engine)
    async with staying(agent):
        await user.join()
        await user.leave()
        await user.leave()
        assert [event async for event in user.events()] == []


@pytest.mark.parametrize(("user_uid", "is_heard"), [(None, True), (5, True), (6, False)])
async def test_whether_the_agent_listens_is_known(
    engine: AgoraEngine, server: Server, user_uid: int | None, is_heard: bool
) -> None:
    server.agent = {"uid": 7, "user_uid": user_uid, "state": "waiting"}
    user = await server.user(engine)
    async with staying(channel_of(engine)), joined(user):
        assert user.is_heard is is_heard


async def test_a_channel_without_an_agent_is_not_joined(
    engine: AgoraEngine, server: Server, network: LoopbackNetwork
) -> None:
    server.agent = None
    user = await server.user(engine)
    with pytest.raises(ChannelError, match="no agent runs in channel 'room'"):
        await user.join()
    await user.leave()
    assert network.participants() == {}


async def test_the_server_is_asked_for_another_token_when_one_expires(
    engine: AgoraEngine, server: Server, network: LoopbackNetwork
) -> None:
    user = await server.user(engine)
    async with staying(channel_of(engine)), joined(user):
        assert network.ask(5)["token"] == "token1"
        network.tell(5, "token_will_expire")
        await network.until(5, lambda now: now["token"] == "token2", "the second token")
        assert server.tokens == 2
