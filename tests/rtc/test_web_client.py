from __future__ import annotations

import asyncio

import pytest

from realtime_agent.errors import ChannelError, TokenInvalid
from realtime_agent.rtc.channel import AudioFrame, ChannelEvent, ChannelLost, Flushed, Message
from realtime_agent.rtc.server_client import ServerClient
from realtime_agent.rtc.web_client import WebUser
from tests.ports import dead_port
from tests.stub_agent import AGENT_UID, FRAME, StubAgent, StubServer, tone


async def silent(agent: StubAgent) -> None:
    """An agent that says nothing."""


async def user_of(server: StubServer, uid: int = 0, *, timeout_s: float = 30) -> WebUser:
    return WebUser(await ServerClient(server.url).ask_token("room", uid), timeout_s=timeout_s)


async def gather(user: WebUser) -> list[ChannelEvent]:
    async with asyncio.timeout(30):
        return [event async for event in user.events()]


async def refusal(user: WebUser) -> str:
    with pytest.raises(ChannelError) as caught:
        await user.join()
    await user.leave()
    text = str(caught.value)
    assert "\n" not in text
    assert "token=" not in text
    return text


async def test_a_user_joins_with_the_uid_that_the_server_chose() -> None:
    async with StubServer.running(silent) as server:
        user = await user_of(server, 0)
        await user.join()
        assert server.asked == [{"channel_name": "room", "uid": 0}]
        assert (user.uid, user.joined["agent_uid"], user.joined["heard"]) == (4321, AGENT_UID, True)
        await user.leave()


async def test_events_come_in_order_and_end_after_leave() -> None:
    async def script(agent: StubAgent) -> None:
        await agent.say(tone(40))
        await agent.tell(type="flush", position=960)
        await agent.tell(type="listening", uid=6)
        await agent.final("assistant", "a1", "hello")
        await agent.tell(type="state", state="paused", reason=None)

    async with StubServer.running(script) as server:
        user = await user_of(server, 5)
        await user.join()
        events: list[ChannelEvent] = []
        async with asyncio.timeout(30):
            async for event in user.events():
                events.append(event)
                if isinstance(event, Message) and event.body["type"] == "state":
                    await user.leave()
    frame = tone(40)
    joined, *rest = events
    assert isinstance(joined, Message)
    assert joined.body["type"] == "joined"
    assert rest == [
        AudioFrame(AGENT_UID, frame[:FRAME]),
        AudioFrame(AGENT_UID, frame[FRAME:]),
        Flushed(960),
        Message(AGENT_UID, {"type": "listening", "uid": 6}),
        Message(
            AGENT_UID, {"type": "transcript", "role": "assistant", "item_id": "a1", "text": "hello", "final": True}
        ),
        Message(AGENT_UID, {"type": "state", "state": "paused", "reason": None}),
    ]


async def test_leaving_from_another_task_ends_the_events_without_a_loss() -> None:
    async with StubServer.running(silent) as server:
        user = await user_of(server, 5)
        await user.join()
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(gather(user))
            await asyncio.sleep(0)
            await user.leave()
        assert [type(event) for event in reading.result()] == [Message]
        await user.leave()


async def test_pushed_frames_and_reports_reach_the_agent() -> None:
    async with StubServer.running(silent) as server:
        user = await user_of(server, 5)
        await user.join()
        user.push(tone(20))
        user.report_played(480)
        user.send({"type": "wave"})
        await server.agent.until(lambda: len(server.agent.messages) == 2 and len(server.agent.heard) == FRAME)
        assert server.agent.messages == [{"type": "played", "position": 480}, {"type": "wave"}]
        assert bytes(server.agent.heard) == tone(20)
        await user.leave()


async def test_the_last_report_is_sent_before_the_goodbye() -> None:
    async with StubServer.running(silent) as server:
        user = await user_of(server, 5)
        await user.join()
        user.report_played(960)
        await user.leave()
        await server.agent.until(lambda: bool(server.agent.of_type("leave")))
        assert server.agent.messages == [{"type": "played", "position": 960}, {"type": "leave"}]


async def test_the_oldest_frames_are_dropped_when_the_network_stalls() -> None:
    async with StubServer.running(silent) as server:
        user = await user_of(server, 5)
        await user.join()
        frames = [n.to_bytes(2, "little") * (FRAME // 2) for n in range(60)]
        for frame in frames:
            user.push(frame)
        await server.agent.until(lambda: len(server.agent.heard) >= 50 * FRAME)
        await user.leave()
        assert user.dropped_frames == 10
        assert bytes(server.agent.heard) == b"".join(frames[10:])


async def test_unknown_and_broken_messages_are_ignored() -> None:
    async def script(agent: StubAgent) -> None:
        for text in (
            '{"type": "news"}', '{"type": ["state"]}', "{", "[1]", "[" * 20_000, '{"type": "flush", "position": "far"}',
            '{"type": "flush", "position": false}', '{"type": "flush"}',
        ):  # fmt: skip
            await agent.send_raw(text)
        await agent.close(4002, "stopped")

    async with StubServer.running(script) as server:
        user = await user_of(server, 5)
        await user.join()
        events = await gather(user)
        await user.leave()
    assert events[1:] == [ChannelLost("the agent ended: stopped")]


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (4001, "another connection joined with the same uid"),
        (4003, "the channel has too many participants"),
        (1011, "the connection to the server was lost"),
    ],
)
async def test_an_unexpected_close_is_a_loss_with_its_cause(code: int, cause: str) -> None:
    async def script(agent: StubAgent) -> None:
        await agent.close(code, "")

    async with StubServer.running(script) as server:
        user = await user_of(server, 5)
        await user.join()
        assert (await gather(user))[-1] == ChannelLost(cause)
        await user.leave()


async def test_a_channel_without_an_agent_says_how_to_start_one() -> None:
    async with StubServer.running(silent) as server:
        server.upgrade_status = 404
        assert await refusal(await user_of(server)) == (
            "no agent runs in channel 'room': start one with POST /start_agent; "
            "GET /agents/room tells how the last one ended, if there was one"
        )


async def test_a_refused_token_has_its_own_error() -> None:
    async with StubServer.running(silent) as server:
        server.upgrade_status = 401
        with pytest.raises(TokenInvalid, match="refused its token for channel 'room'"):
            await (await user_of(server)).join()


@pytest.mark.parametrize(("status", "words"), [(503, "channel 'room' is full"), (500, "HTTP status 500")])
async def test_other_refusals_are_named(status: int, words: str) -> None:
    async with StubServer.running(silent) as server:
        server.upgrade_status = status
        assert words in await refusal(await user_of(server))


async def test_a_channel_that_cannot_be_opened_does_not_show_the_token() -> None:
    async with StubServer.running(silent) as server:
        with dead_port() as port:
            url = f"ws://127.0.0.1:{port}/rtc/room?token=secret"
            server.token_answer = (200, {"rtc": "web", "uid": 1, "url": url})
            assert await refusal(await user_of(server)) == "the channel 'room' could not be opened"


async def test_a_server_that_hangs_is_given_up() -> None:
    async with StubServer.running(silent) as server:
        server.welcome = None
        assert "gave no sign in time" in await refusal(await user_of(server, timeout_s=2))


async def test_a_close_in_place_of_the_welcome_is_a_refusal() -> None:
    async def script(agent: StubAgent) -> None:
        await agent.close(4003, "")

    async with StubServer.running(script) as server:
        server.welcome = None
        assert await refusal(await user_of(server)) == "the channel has too many participants"


async def test_a_wrong_welcome_is_a_refusal() -> None:
    async def script(agent: StubAgent) -> None:
        await agent.tell(type="state", state="active")

    async with StubServer.running(script) as server:
        server.welcome = None
        assert "something else than a welcome" in await refusal(await user_of(server))


async def test_events_need_a_join_and_a_user_joins_once() -> None:
    async with StubServer.running(silent) as server:
        user = await user_of(server)
        with pytest.raises(ChannelError, match="join the channel before"):
            await gather(user)
        await user.join()
        with pytest.raises(ChannelError, match="joined already"):
            await user.join()
        await user.leave()
