"""What every channel does, whatever carries it; a new adapter joins the list at the end of the first part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest

from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.rtc.channel import (
    AudioFrame,
    Channel,
    ChannelEvent,
    Flushed,
    Message,
    Played,
    UserJoined,
    UserLeft,
)
from realtime_agent.rtc.memory import MemoryChannel, MemoryRoom
from realtime_agent.rtc.web import WebChannel
from tests.web_user import WirePage

AGENT = 7
_TIMEOUT_S = 30


class User(Protocol):
    """The other side, as a test drives it."""

    async def say(self, pcm: bytes) -> None: ...
    async def wave(self, body: Mapping[str, Any]) -> None: ...
    async def report_played(self, position: int) -> None: ...
    async def hear(self) -> bytes | Flushed | Mapping[str, Any]: ...
    async def leave(self) -> None: ...


class Room(Protocol):
    """One adapter's agent and the users who come to it."""

    agent: Channel

    async def user(self, uid: int) -> User: ...


class MemoryUser:
    def __init__(self, channel: MemoryChannel) -> None:
        self._channel = channel
        self._events = channel.events()

    async def say(self, pcm: bytes) -> None:
        self._channel.push(pcm)

    async def wave(self, body: Mapping[str, Any]) -> None:
        self._channel.send(body)

    async def report_played(self, position: int) -> None:
        self._channel.report_played(position)

    async def hear(self) -> bytes | Flushed | Mapping[str, Any]:
        async with asyncio.timeout(_TIMEOUT_S):
            while True:
                match await anext(self._events):
                    case AudioFrame(uid, pcm) if uid == AGENT:
                        return pcm
                    case Flushed() as flushed:
                        return flushed
                    case Message(uid, body) if uid == AGENT:
                        return body

    async def leave(self) -> None:
        await self._channel.leave()


class MemoryAdapter:
    def __init__(self, stack: AsyncExitStack) -> None:
        self._room = MemoryRoom()
        self.agent: Channel = self._room.channel(AGENT)

    async def user(self, uid: int) -> User:
        channel = self._room.channel(uid)
        channel.hear(AGENT)
        await channel.join()
        return MemoryUser(channel)


class WebUser:
    def __init__(self, page: WirePage) -> None:
        self._page = page

    async def say(self, pcm: bytes) -> None:
        await self._page.send(pcm)

    async def wave(self, body: Mapping[str, Any]) -> None:
        await self._page.send(dict(body))

    async def report_played(self, position: int) -> None:
        await self._page.send({"type": "played", "position": position})

    async def hear(self) -> bytes | Flushed | Mapping[str, Any]:
        while True:
            match await self._page.receive():
                case bytes(pcm):
                    return pcm
                case {"type": "flush", "position": position}:
                    return Flushed(position)
                case {"type": "joined"}:
                    continue
                case dict(body):
                    return body
                case other:
                    raise AssertionError(f"the connection ended: {other}")

    async def leave(self) -> None:
        await self._page.send({"type": "leave"})
        await self._page.receive_close()
        self._page.hang_up()


class WebAdapter:
    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.agent: Channel = WebChannel("room", AGENT)

    async def user(self, uid: int) -> User:
        assert isinstance(self.agent, WebChannel)
        page = await WirePage.join(self.agent, uid)
        self._stack.callback(page.hang_up)
        return WebUser(page)


@pytest.fixture(params=[MemoryAdapter, WebAdapter])
async def room(request: pytest.FixtureRequest) -> AsyncIterator[Room]:
    async with AsyncExitStack() as stack:
        room = request.param(stack)
        await room.agent.join()
        yield room
    async with asyncio.timeout(_TIMEOUT_S):
        await room.agent.leave()


def frame(level: int) -> bytes:
    return level.to_bytes(2, "little") * (20 * BYTES_PER_MS // 2)


async def events(room: Room, count: int) -> list[ChannelEvent]:
    reader = room.agent.events()
    async with asyncio.timeout(_TIMEOUT_S):
        return [await anext(reader) for _ in range(count)]


async def test_a_user_comes_speaks_and_leaves_in_this_order(room: Room) -> None:
    user = await room.user(5)
    await user.say(frame(1))
    await user.say(frame(2))
    await user.leave()
    assert await events(room, 4) == [UserJoined(5), AudioFrame(5, frame(1)), AudioFrame(5, frame(2)), UserLeft(5)]


async def test_the_user_hears_frames_as_they_were_pushed(room: Room) -> None:
    user = await room.user(5)
    for level in (1, 2, 3):
        room.agent.push(frame(level))
    assert [await user.hear() for _ in range(3)] == [frame(1), frame(2), frame(3)]
    assert room.agent.frame_ms == 20


async def test_a_flush_comes_between_the_frames_around_it(room: Room) -> None:
    user = await room.user(5)
    room.agent.push(frame(1))
    room.agent.flush(480)
    room.agent.push(frame(2))
    assert [await user.hear() for _ in range(3)] == [frame(1), Flushed(480), frame(2)]


async def test_two_users_hear_the_agent_and_are_told_apart(room: Room) -> None:
    first, second = await room.user(5), await room.user(6)
    room.agent.push(frame(1))
    assert [await first.hear(), await second.hear()] == [frame(1), frame(1)]
    assert await events(room, 2) == [UserJoined(5), UserJoined(6)]
    await first.say(frame(5))
    assert await events(room, 1) == [AudioFrame(5, frame(5))]
    await second.say(frame(6))
    assert await events(room, 1) == [AudioFrame(6, frame(6))]


async def test_only_the_audio_of_the_user_asked_for_comes(room: Room) -> None:
    room.agent.hear(6)
    first, second = await room.user(5), await room.user(6)
    assert await events(room, 2) == [UserJoined(5), UserJoined(6)]
    await first.say(frame(5))
    await first.wave({"type": "after"})
    assert await events(room, 1) == [Message(5, {"type": "after"})]
    await second.say(frame(6))
    assert await events(room, 1) == [AudioFrame(6, frame(6))]
    room.agent.hear(None)
    await first.say(frame(5))
    assert await events(room, 1) == [AudioFrame(5, frame(5))]


async def test_a_user_who_left_may_return(room: Room) -> None:
    user = await room.user(5)
    await user.leave()
    assert await events(room, 2) == [UserJoined(5), UserLeft(5)]
    again = await room.user(5)
    await again.say(frame(1))
    assert await events(room, 2) == [UserJoined(5), AudioFrame(5, frame(1))]
    room.agent.push(frame(2))
    assert await again.hear() == frame(2)


async def test_messages_go_both_ways(room: Room) -> None:
    user = await room.user(5)
    await user.wave({"type": "wave", "text": "grüße"})
    assert await events(room, 2) == [UserJoined(5), Message(5, {"type": "wave", "text": "grüße"})]
    room.agent.send({"type": "state", "state": "active", "reason": None})
    assert await user.hear() == {"type": "state", "state": "active", "reason": None}


async def test_played_positions_come_as_events(room: Room) -> None:
    user = await room.user(5)
    await user.report_played(960)
    assert await events(room, 2) == [UserJoined(5), Played(5, 960)]


async def test_the_events_end_when_the_agent_leaves(room: Room) -> None:
    await room.agent.leave()
    async with asyncio.timeout(_TIMEOUT_S):
        assert [event async for event in room.agent.events()] == []
    await room.agent.leave()
    room.agent.push(frame(1))
    room.agent.flush(0)
    room.agent.send({"type": "late"})
