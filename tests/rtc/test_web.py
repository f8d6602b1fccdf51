from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from realtime_agent.rtc import web
from realtime_agent.rtc.channel import AudioFrame, ChannelEvent, Message, Played, UserJoined, UserLeft
from realtime_agent.rtc.web import WebChannel
from realtime_agent.rtc.wire import CLOSE_ENDED, CLOSE_FULL, CLOSE_LEFT, CLOSE_REPLACED
from tests.web_user import WirePage, loopback

AGENT = 7
FRAME = bytes(range(240)) * 4


@pytest.fixture
async def channel() -> AsyncIterator[WebChannel]:
    channel = WebChannel("room", AGENT)
    await channel.join()
    yield channel
    for user in list(channel._users.values()):
        user.websocket.abort()
    async with asyncio.timeout(30):
        await channel.leave()


async def next_events(channel: WebChannel, count: int) -> list[ChannelEvent]:
    events = channel.inbox.events()
    async with asyncio.timeout(30):
        return [await anext(events) for _ in range(count)]


async def test_the_first_message_says_where_the_user_is(channel: WebChannel) -> None:
    channel.push(FRAME)
    channel.send({"type": "state", "state": "active", "reason": None})
    page = await WirePage.join(channel, 5)
    assert await page.receive() == {
        "type": "joined", "channel_name": "room", "uid": 5, "agent_uid": AGENT,
        "position": 480, "heard": True, "state": "active",
    }  # fmt: skip
    channel.push(FRAME)
    assert await page.receive() == FRAME
    page.hang_up()


async def test_who_is_not_heard_is_told_so(channel: WebChannel) -> None:
    channel.hear(5)
    page = await WirePage.join(channel, 6)
    assert (await page.receive_of("joined"))["heard"] is False
    page.hang_up()


async def test_a_flush_tells_where_the_next_frame_begins(channel: WebChannel) -> None:
    page = await WirePage.join(channel, 5)
    channel.push(FRAME)
    channel.flush(480)
    await page.receive_of("flush")
    late = await WirePage.join(channel, 6)
    assert (await late.receive_of("joined"))["position"] == 480
    page.hang_up()
    late.hang_up()


async def test_played_positions_and_other_messages_come_as_events(channel: WebChannel) -> None:
    page = await WirePage.join(channel, 5)
    await page.send({"type": "played", "position": 480})
    await page.send({"type": "wave", "how": "high"})
    assert await next_events(channel, 3) == [
        UserJoined(5),
        Played(5, 480),
        Message(5, {"type": "wave", "how": "high"}),
    ]
    page.hang_up()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", "null", '"x"', "[" * 20_000, '{"type": "played", "position": ' + "9" * 5000 + "}", "\0"],
)
async def test_text_that_is_no_object_is_ignored(channel: WebChannel, text: str) -> None:
    page = await WirePage.join(channel, 5)
    await page.send(text)
    await page.send(FRAME)
    assert await next_events(channel, 2) == [UserJoined(5), AudioFrame(5, FRAME)]
    page.hang_up()


@pytest.mark.parametrize("position", [-1, 1.5, "480", None, True, False, [1]])
async def test_a_position_that_is_none_is_no_played(channel: WebChannel, position: object) -> None:
    page = await WirePage.join(channel, 5)
    await page.send({"type": "played", "position": position})
    _, event = await next_events(channel, 2)
    assert isinstance(event, Message)
    page.hang_up()


@pytest.mark.parametrize("size", [0, 1, 961, 4802, 60_000])
async def test_audio_of_a_wrong_size_is_ignored(channel: WebChannel, size: int) -> None:
    page = await WirePage.join(channel, 5)
    await page.send(bytes(size))
    await page.send(bytes(4800))
    assert (await next_events(channel, 2))[1] == AudioFrame(5, bytes(4800))
    page.hang_up()


async def test_leave_closes_with_1000(channel: WebChannel) -> None:
    page = await WirePage.join(channel, 5)
    await page.send({"type": "leave"})
    assert (await page.receive_close())[0] == CLOSE_LEFT == 1000
    page.hang_up()
    assert await next_events(channel, 2) == [UserJoined(5), UserLeft(5)]


async def test_the_same_uid_again_replaces_the_first_with_4001(channel: WebChannel) -> None:
    first = await WirePage.join(channel, 5)
    second = await WirePage.join(channel, 5)
    assert (await first.receive_close())[0] == CLOSE_REPLACED == 4001
    first.hang_up()
    await second.send(FRAME)
    assert await next_events(channel, 3) == [UserJoined(5), UserJoined(5), AudioFrame(5, FRAME)]
    channel.send({"type": "state", "state": "active"})
    assert (await second.receive_of("state"))["state"] == "active"
    second.hang_up()
    assert await next_events(channel, 1) == [UserLeft(5)]


async def test_a_replaced_connection_speaks_no_more(channel: WebChannel) -> None:
    first = await WirePage.join(channel, 5)
    second = await WirePage.join(channel, 5)
    await first.send(b"old!")
    await first.send({"type": "leave"})
    await first.receive_close()
    await second.send(b"new!")
    assert (await next_events(channel, 3))[2] == AudioFrame(5, b"new!")
    first.hang_up()
    second.hang_up()


async def test_the_seventeenth_participant_is_refused_with_4003(channel: WebChannel) -> None:
    pages = [await WirePage.join(channel, uid) for uid in range(1, 17)]
    late = await WirePage.join(channel, 17)
    assert (await late.receive_close())[0] == CLOSE_FULL == 4003
    again = await WirePage.join(channel, 16)
    assert (await again.receive_of("joined"))["uid"] == 16
    assert await next_events(channel, 17) == [UserJoined(uid) for uid in [*range(1, 17), 16]]
    for page in [*pages, late, again]:
        page.hang_up()


async def test_the_end_of_the_agent_closes_with_4002_and_the_reason(channel: WebChannel) -> None:
    pages = [await WirePage.join(channel, uid) for uid in (5, 6)]
    channel.send({"type": "state", "state": "ended", "reason": "idle"})
    leaving = asyncio.create_task(channel.leave())
    for page in pages:
        assert await page.receive_of("state") == {"type": "state", "state": "ended", "reason": "idle"}
        assert await page.receive_close() == (CLOSE_ENDED, "idle") == (4002, "idle")
        page.hang_up()
    async with asyncio.timeout(30):
        await leaving


async def test_who_comes_while_the_agent_leaves_is_sent_away(channel: WebChannel) -> None:
    channel.send({"type": "state", "state": "ended", "reason": "stopped"})
    await channel.leave()
    page = await WirePage.join(channel, 5)
    assert await page.receive() == (4002, "stopped")
    assert [event async for event in channel.inbox.events()] == []
    page.hang_up()


async def test_leaving_does_not_wait_for_a_page_that_never_answers(
    channel: WebChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_agent.rtc.websocket._CLOSE_TIMEOUT_S", 0.01)
    page = await WirePage.join(channel, 5)
    async with asyncio.timeout(30):
        await channel.leave()
    page.hang_up()


async def test_a_silent_user_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_SILENT_S", 0.03)
    channel = WebChannel("room", AGENT)
    await channel.join()
    page = await WirePage.join(channel, 5)
    assert await next_events(channel, 2) == [UserJoined(5), UserLeft(5)]
    await channel.leave()
    page.hang_up()


async def test_a_user_who_hung_up_before_it_was_let_in_does_no_harm(channel: WebChannel) -> None:
    ours, theirs = await loopback()
    # Closing with a linger of 0 resets the connection.
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ours.close()
    await channel.adopt(theirs, 5, WirePage.ANSWER)
    page = await WirePage.join(channel, 6)
    await page.send(FRAME)
    events: list[ChannelEvent] = []
    while AudioFrame(6, FRAME) not in events:
        events += await next_events(channel, 1)
    assert UserJoined(6) in events
    page.hang_up()


async def test_a_page_that_missed_frames_is_told_where_the_next_one_begins(channel: WebChannel) -> None:
    page = await WirePage.join(channel, 5)
    sent = 0
    while not channel._users[5].missed:
        channel.push(sent.to_bytes(4) + bytes(956))
        sent += 1
    for _ in range(100):
        channel.push(bytes(960))
    position, resumed = 0, False
    while not resumed:
        message = await page.receive()
        if isinstance(message, bytes):
            assert int.from_bytes(message[:4]) * 480 == position
            position += 480
            if position == (sent - 1) * 480:
                # All that was on the way has come: there is room again.
                channel.push(b"back" + bytes(956))
        elif isinstance(message, dict) and message["type"] == "flush":
            assert message["position"] == (sent + 100) * 480
            assert await page.receive() == b"back" + bytes(956)
            resumed = True
    page.hang_up()


async def test_messages_are_compact_json_as_it_is_written(channel: WebChannel) -> None:
    page = await WirePage.join(channel, 5)
    await page.receive_of("joined")
    body = {"type": "transcript", "role": "user", "item_id": "i", "delta": "grüße \N{WAVING HAND SIGN}"}
    channel.send(body)
    assert await page.receive() == json.loads(json.dumps(body))
    page.hang_up()
