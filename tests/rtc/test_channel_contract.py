"""What every channel does, whatever carries it; a new adapter joins the list at the end of the first part."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest

from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.rtc.agora import AgoraChannel, AgoraEngine
from realtime_agent.rtc.channel import (
    AudioFrame,
    Channel,
    ChannelEvent,
    ChannelLost,
    Flushed,
    Message,
    Played,
    UserJoined,
    UserLeft,
)
from realtime_agent.rtc.memory import MemoryChannel, MemoryRoom
from realtime_agent.rtc.web import WebChannel
from tests.agora.network import LoopbackNetwork
from tests.web_user import WirePage

AGENT = 7
_TIMEOUT_S = 30


class User:
    """The other side, as a test drives it. What the agent took back is not heard."""

    def __init__(self) -> None:
        self._audio = bytearray()
        self._messages: deque[Mapping[str, Any]] = deque()

    async def say(self, pcm: bytes) -> None:
        raise NotImplementedError

    async def wave(self, body: Mapping[str, Any]) -> None:
        raise NotImplementedError

    async def report_played(self, position: int) -> None:
        raise NotImplementedError

    async def leave(self) -> None:
        raise NotImplementedError

    async def vanish(self) -> None:
        """Be gone without a word."""
        raise NotImplementedError

    async def next(self) -> bytes | Flushed | Mapping[str, Any]:
        """The next thing that comes from the agent."""
        raise NotImplementedError

    async def hear_until(self, end: bytes) -> bytes:
        """The agent's audio up to `end`."""
        async with asyncio.timeout(_TIMEOUT_S):
            while end not in self._audio:
                await self._receive()
        heard, _, rest = bytes(self._audio).partition(end)
        self._audio = bytearray(rest)
        return heard + end

    async def read(self) -> Mapping[str, Any]:
        """The agent's next message."""
        async with asyncio.timeout(_TIMEOUT_S):
            while not self._messages:
                await self._receive()
        return self._messages.popleft()

    async def _receive(self) -> None:
        match await self.next():
            case bytes(pcm):
                self._audio += pcm
            case Flushed():
                self._audio.clear()
            case body:
                self._messages.append(body)


class Room(Protocol):
    """One adapter's agent and the users who come to it."""

    agent: Channel

    async def user(self, uid: int) -> User: ...

    async def lose_agent(self) -> None:
        """Break the agent's own connection."""


class MemoryUser(User):
    def __init__(self, room: MemoryRoom, channel: MemoryChannel) -> None:
        super().__init__()
        self._room = room
        self._channel = channel
        self._events = channel.inbox.events()

    async def say(self, pcm: bytes) -> None:
        self._channel.push(pcm)

    async def wave(self, body: Mapping[str, Any]) -> None:
        self._channel.send(body)

    async def report_played(self, position: int) -> None:
        self._channel.report_played(position)

    async def next(self) -> bytes | Flushed | Mapping[str, Any]:
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

    async def vanish(self) -> None:
        self._room.lose(self._channel.uid, "gone")


class MemoryAdapter:
    def __init__(self, stack: AsyncExitStack, request: pytest.FixtureRequest) -> None:
        self._room = MemoryRoom()
        self.agent: Channel = self._room.channel(AGENT)

    async def user(self, uid: int) -> User:
        channel = self._room.channel(uid)
        channel.hear(AGENT)
        await channel.join()
        return MemoryUser(self._room, channel)

    async def lose_agent(self) -> None:
        self._room.lose(AGENT, "gone")


class WebUser(User):
    def __init__(self, page: WirePage) -> None:
        super().__init__()
        self._page = page

    async def say(self, pcm: bytes) -> None:
        await self._page.send(pcm)

    async def wave(self, body: Mapping[str, Any]) -> None:
        await self._page.send(dict(body))

    async def report_played(self, position: int) -> None:
        await self._page.send({"type": "played", "position": position})

    async def next(self) -> bytes | Flushed | Mapping[str, Any]:
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

    async def vanish(self) -> None:
        self._page.hang_up()


class WebAdapter:
    """Its agent has no connection that could be lost: users come to it."""

    def __init__(self, stack: AsyncExitStack, request: pytest.FixtureRequest) -> None:
        self._stack = stack
        self.agent: Channel = WebChannel("room", AGENT)

    async def user(self, uid: int) -> User:
        assert isinstance(self.agent, WebChannel)
        page = await WirePage.join(self.agent, uid)
        self._stack.callback(page.hang_up)
        return WebUser(page)

    async def lose_agent(self) -> None:
        raise NotImplementedError


class AgoraUser(User):
    """Agora carries no positions, and takes back only what it has not sent; the rest is as elsewhere."""

    def __init__(self, network: LoopbackNetwork, uid: int, channel: AgoraChannel) -> None:
        super().__init__()
        self._network = network
        self._uid = uid
        self._channel = channel
        self._events = channel.inbox.events()

    async def say(self, pcm: bytes) -> None:
        self._channel.push(pcm)
        # What is said while its sender leaves is not sent.
        await self._network.until(self._uid, lambda now: now["queued"] == "0", "the last of the audio to be sent")

    async def wave(self, body: Mapping[str, Any]) -> None:
        self._channel.send(body)

    async def next(self) -> bytes | Flushed | Mapping[str, Any]:
        while True:
            match await anext(self._events):
                case AudioFrame(uid, pcm) if uid == AGENT:
                    return pcm
                case Message(uid, body) if uid == AGENT:
                    return body

    async def leave(self) -> None:
        await self._channel.leave()

    async def vanish(self) -> None:
        self._network.tell(self._uid, "vanish")


class AgoraAdapter:
    def __init__(self, stack: AsyncExitStack, request: pytest.FixtureRequest) -> None:
        self._stack = stack
        self._network: LoopbackNetwork = request.getfixturevalue("network")
        self._engine = AgoraEngine("a" * 32, request.getfixturevalue("tmp_path"))
        self.agent = self._channel(AGENT)

    def _channel(self, uid: int) -> AgoraChannel:
        async def token() -> str:
            return ""

        channel = AgoraChannel(self._engine, "a room", uid, token, timeout_s=_TIMEOUT_S)
        self._stack.push_async_callback(channel.leave)
        return channel

    async def user(self, uid: int) -> User:
        channel = self._channel(uid)
        channel.hear(AGENT)
        await channel.join()
        if self.agent._heard in (None, uid):
            await self._network.met(uid, AGENT)
        else:
            await self._network.until(uid, lambda now: f"{AGENT}," in now["heard"], "the user to hear the agent")
        return AgoraUser(self._network, uid, channel)

    async def lose_agent(self) -> None:
        self._network.tell(AGENT, "failed", 14)


ADAPTERS = [MemoryAdapter, WebAdapter, AgoraAdapter]
REPORTING = [MemoryAdapter, WebAdapter]
"""Those whose far end tells what it has played, and is told where to go on."""
CONNECTED = [MemoryAdapter, AgoraAdapter]
"""Those whose agent has a connection that can be lost."""


@pytest.fixture(params=ADAPTERS)
async def room(request: pytest.FixtureRequest) -> AsyncIterator[Room]:
    async with AsyncExitStack() as stack:
        room = request.param(stack, request)
        await room.agent.join()
        yield room
        async with asyncio.timeout(_TIMEOUT_S):
            await room.agent.leave()


def frame(level: int) -> bytes:
    return level.to_bytes(2, "little") * (20 * BYTES_PER_MS // 2)


def events_of(channel: Channel) -> AsyncIterator[ChannelEvent]:
    """What happens in a channel, for a reader who takes their time."""
    assert isinstance(channel, MemoryChannel | WebChannel | AgoraChannel)
    return channel.inbox.events()


async def bring(room: Room, *wanted: ChannelEvent) -> None:
    """See that these events come next, and no others; audio may come in smaller frames."""
    came: list[ChannelEvent] = []
    reader = events_of(room.agent)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            while came != list(wanted) and len(came) <= len(wanted):
                event = await anext(reader)
                last = came[-1] if came else None
                if isinstance(event, AudioFrame) and isinstance(last, AudioFrame) and last.uid == event.uid:
                    came[-1] = AudioFrame(last.uid, last.pcm + event.pcm)
                else:
                    came.append(event)
    except TimeoutError:
        pass
    assert came == list(wanted)


async def test_a_user_comes_speaks_and_leaves_in_this_order(room: Room) -> None:
    user = await room.user(5)
    await user.say(frame(1))
    await user.say(frame(2))
    await user.leave()
    await bring(room, UserJoined(5), AudioFrame(5, frame(1) + frame(2)), UserLeft(5))


async def test_the_user_hears_frames_as_they_were_pushed(room: Room) -> None:
    user = await room.user(5)
    for level in (1, 2, 3):
        room.agent.push(frame(level))
    assert await user.hear_until(frame(3)) == frame(1) + frame(2) + frame(3)
    assert room.agent.frame_ms == 20


async def test_what_was_not_heard_before_a_flush_is_not_heard_after_it(room: Room) -> None:
    user = await room.user(5)
    for _ in range(50):
        room.agent.push(frame(1))
    room.agent.flush(50 * 480)
    room.agent.push(frame(2))
    heard = await user.hear_until(frame(2))
    # What is under way may be heard still.
    assert len(heard) < 10 * len(frame(1))


@pytest.mark.parametrize("room", REPORTING, indirect=True)
async def test_a_flush_comes_between_the_frames_around_it(room: Room) -> None:
    user = await room.user(5)
    room.agent.push(frame(1))
    room.agent.flush(480)
    room.agent.push(frame(2))
    assert [await user.next() for _ in range(3)] == [frame(1), Flushed(480), frame(2)]


async def test_two_users_hear_the_agent_and_are_told_apart(room: Room) -> None:
    first, second = await room.user(5), await room.user(6)
    room.agent.push(frame(1))
    assert [await first.hear_until(frame(1)), await second.hear_until(frame(1))] == [frame(1), frame(1)]
    await bring(room, UserJoined(5), UserJoined(6))
    await first.say(frame(5))
    await bring(room, AudioFrame(5, frame(5)))
    await second.say(frame(6))
    await bring(room, AudioFrame(6, frame(6)))


async def test_only_the_audio_of_the_user_asked_for_comes(room: Room) -> None:
    room.agent.hear(6)
    first, second = await room.user(5), await room.user(6)
    await bring(room, UserJoined(5), UserJoined(6))
    await first.say(frame(5))
    await first.wave({"type": "after"})
    await bring(room, Message(5, {"type": "after"}))
    await second.say(frame(6))
    await bring(room, AudioFrame(6, frame(6)))
    room.agent.hear(None)
    await first.say(frame(5))
    await bring(room, AudioFrame(5, frame(5)))
    room.agent.hear(6)
    await first.say(frame(5))
    await first.wave({"type": "after"})
    await bring(room, Message(5, {"type": "after"}))


async def test_a_user_who_left_may_return(room: Room) -> None:
    user = await room.user(5)
    await user.leave()
    await bring(room, UserJoined(5), UserLeft(5))
    again = await room.user(5)
    await again.say(frame(1))
    await bring(room, UserJoined(5), AudioFrame(5, frame(1)))
    room.agent.push(frame(2))
    assert await again.hear_until(frame(2)) == frame(2)


async def test_a_user_whose_connection_breaks_has_left_and_may_return(room: Room) -> None:
    user = await room.user(5)
    await user.vanish()
    await bring(room, UserJoined(5), UserLeft(5))
    again = await room.user(5)
    await again.say(frame(1))
    await bring(room, UserJoined(5), AudioFrame(5, frame(1)))


async def test_messages_go_both_ways(room: Room) -> None:
    user = await room.user(5)
    await user.wave({"type": "wave", "text": "grüße"})
    await bring(room, UserJoined(5), Message(5, {"type": "wave", "text": "grüße"}))
    room.agent.send({"type": "state", "state": "active", "reason": None})
    assert await user.read() == {"type": "state", "state": "active", "reason": None}


async def test_transcripts_come_as_they_were_sent(room: Room) -> None:
    user = await room.user(5)
    said: list[dict[str, Any]] = [
        {"type": "transcript", "role": "user", "item_id": "u", "delta": "How "},
        {"type": "transcript", "role": "assistant", "item_id": "a", "delta": "I am"},
        {"type": "transcript", "role": "user", "item_id": "u", "text": "How are you? " * 100, "final": True},
        {"type": "transcript", "role": "assistant", "item_id": "b", "text": "Fine", "final": True, "interrupted": True},
    ]
    for body in said:
        room.agent.send(body)
        assert await user.read() == body


@pytest.mark.parametrize("room", REPORTING, indirect=True)
async def test_played_positions_come_as_events(room: Room) -> None:
    user = await room.user(5)
    await user.report_played(960)
    await bring(room, UserJoined(5), Played(5, 960))


@pytest.mark.parametrize("room", CONNECTED, indirect=True)
async def test_a_channel_that_is_lost_says_so_and_ends(room: Room) -> None:
    await room.user(5)
    await bring(room, UserJoined(5))
    await room.lose_agent()
    async with asyncio.timeout(_TIMEOUT_S):
        events = [event async for event in events_of(room.agent)]
    assert [type(event) for event in events] == [ChannelLost]
    room.agent.push(frame(1))


async def test_the_events_end_when_the_agent_leaves(room: Room) -> None:
    await room.agent.leave()
    async with asyncio.timeout(_TIMEOUT_S):
        assert [event async for event in events_of(room.agent)] == []
    await room.agent.leave()
    room.agent.push(frame(1))
    room.agent.flush(0)
    room.agent.send({"type": "late"})
