"""The agent between a memory channel and a model that does what the test says."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from realtime_agent.agent import Agent
from realtime_agent.audio.playout import Playout
from realtime_agent.control import commands
from realtime_agent.control.events import AgentEvent, Ended, StateChanged, UsageChanged
from realtime_agent.control.life import EndReason, State
from realtime_agent.control.usage import TotalUsage
from realtime_agent.errors import SessionError
from realtime_agent.realtime import events as ev
from realtime_agent.rtc.channel import AudioFrame, ChannelEvent, Flushed, Message
from realtime_agent.rtc.memory import MemoryChannel, MemoryRoom
from tests.specs import agent_spec

AGENT, USER, OTHER = 1, 7, 8
FRAME = 960


class FakeSession:
    """A model: what it was sent, and what it says."""

    def __init__(self) -> None:
        self.sent: list[ev.ClientEvent] = []
        self.heard = bytearray()
        self.opened = 0
        self.closed = False
        self.refusal: Exception | None = None
        self.hang = False
        self._events: asyncio.Queue[ev.ServerEvent | Exception] = asyncio.Queue()

    async def open(self) -> None:
        self.opened += 1
        if self.hang:
            await asyncio.Event().wait()
        if self.refusal is not None:
            raise self.refusal

    async def close(self) -> None:
        self.closed = True

    async def append(self, pcm: bytes) -> None:
        self.heard += pcm

    async def send(self, event: ev.ClientEvent) -> None:
        self.sent.append(event)

    async def events(self) -> AsyncIterator[ev.ServerEvent]:
        while True:
            event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            yield event

    def say(self, kind: str, **fields: Any) -> None:
        """Let the model emit one event."""
        event = ev.parse_server_event(json.dumps({"type": kind, **fields}))
        assert not isinstance(event, ev.UnknownEvent)
        self._events.put_nowait(event)

    def fail(self, error: Exception) -> None:
        """Break the session."""
        self._events.put_nowait(error)

    def begin_reply(self, response: str) -> None:
        """Begin a response."""
        self.say("response.created", response={"id": response})

    def speak(self, pcm: bytes, *, response: str, item: str) -> None:
        """Send some of a reply's audio."""
        delta = base64.b64encode(pcm).decode()
        self.say("response.output_audio.delta", response_id=response, item_id=item, delta=delta)

    def end_reply(self, response: str, item: str, status: str = "completed") -> None:
        """End a response."""
        self.say("response.output_audio.done", response_id=response, item_id=item)
        usage = {"total_tokens": 5, "input_tokens": 2, "output_tokens": 3}
        self.say("response.done", response={"id": response, "status": status, "usage": usage})

    def of_type(self, kind: type[Any]) -> list[Any]:
        """What it was sent of one type."""
        return [event for event in self.sent if isinstance(event, kind)]


class Scene:
    """An agent that runs, its room, its model, and the user's side of the channel."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, **changes: Any) -> None:
        self.reported: list[AgentEvent] = []
        self.room = MemoryRoom()
        self.session = FakeSession()
        self.channel = self.room.channel(AGENT)
        self.agent = Agent(
            agent_spec(uid=AGENT, **changes),
            self.channel,
            self.session,
            Playout(frame_ms=20, lead_ms=60),
            notify=self.reported.append,
            clock=clock,
        )

    async def until(self, condition: Callable[[], object]) -> None:
        """Let the agent run until this is so."""
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.005)

    async def user_joins(self, uid: int = USER) -> MemoryChannel:
        """Let a participant into the room."""
        user = self.room.channel(uid)
        await user.join()
        return user

    @property
    def states(self) -> list[State]:
        return [event.state for event in self.reported if isinstance(event, StateChanged)]

    @property
    def ended(self) -> Ended | None:
        return next((event for event in self.reported if isinstance(event, Ended)), None)


@asynccontextmanager
async def scene(**changes: Any) -> AsyncIterator[Scene]:
    """A scene whose agent waits for its user; the agent is stopped at the end."""
    here = Scene(**changes)
    running = asyncio.create_task(here.agent.run())
    await here.until(lambda: State.WAITING in here.states or here.ended)
    try:
        yield here
    finally:
        here.agent.stop()
        async with asyncio.timeout(20):
            await running


@asynccontextmanager
async def listening(user: MemoryChannel) -> AsyncIterator[list[ChannelEvent]]:
    """What comes to a user meanwhile."""
    events: list[ChannelEvent] = []

    async def listen() -> None:
        async for event in user.events():
            events.append(event)

    task = asyncio.create_task(listen())
    try:
        yield events
    finally:
        task.cancel()


def audio_of(events: list[ChannelEvent]) -> bytes:
    return b"".join(event.pcm for event in events if isinstance(event, AudioFrame))


def messages_of(events: list[ChannelEvent], kind: str) -> list[dict[str, Any]]:
    return [dict(event.body) for event in events if isinstance(event, Message) and event.body["type"] == kind]


async def test_it_waits_for_its_user_and_is_active_with_them() -> None:
    async with scene() as here:
        assert here.states == [State.CONNECTING, State.WAITING]
        await here.user_joins()
        await here.until(lambda: here.states[-1] is State.ACTIVE)
    assert here.ended == Ended(reason=EndReason.STOPPED)
    assert here.session.closed


async def test_the_model_hears_the_first_who_comes_and_nobody_else() -> None:
    async with scene() as here:
        user, other = await here.user_joins(USER), await here.user_joins(OTHER)
        await here.until(lambda: here.states[-1] is State.ACTIVE)
        other.push(b"\1" * FRAME)
        user.push(b"\2" * FRAME)
        await here.until(lambda: here.session.heard)
        assert here.session.heard == b"\2" * FRAME


async def test_the_model_hears_the_user_that_was_asked_for() -> None:
    async with scene(user_uid=OTHER) as here:
        user = await here.user_joins(USER)
        user.push(b"\2" * FRAME)
        other = await here.user_joins(OTHER)
        await here.until(lambda: here.states[-1] is State.ACTIVE)
        other.push(b"\1" * FRAME)
        await here.until(lambda: here.session.heard)
        assert here.session.heard == b"\1" * FRAME


async def test_the_user_hears_every_sample_of_a_reply_in_order() -> None:
    pcm = bytes(range(256)) * 45  # 240 ms, no whole number of frames in any delta
    async with scene() as here:
        user = await here.user_joins()
        async with listening(user) as events:
            here.session.begin_reply("r1")
            for start in range(0, len(pcm), 2500):
                here.session.speak(pcm[start : start + 2500], response="r1", item="i1")
            here.session.end_reply("r1", "i1")
            await here.until(lambda: len(audio_of(events)) >= len(pcm))
        heard = audio_of(events)
        assert heard[: len(pcm)] == pcm
        assert not any(heard[len(pcm) :])
        assert len(heard) % FRAME == 0


async def test_speaking_over_a_reply_cuts_it_and_tells_the_model_what_was_heard() -> None:
    async with scene() as here:
        user = await here.user_joins()
        async with listening(user) as events:
            here.session.begin_reply("r1")
            # Longer than any machine is busy: what is over can't be cut.
            here.session.speak(b"\1\0" * 480_000, response="r1", item="i1")
            await here.until(lambda: len(audio_of(events)) >= 5 * FRAME)
            user.report_played(3 * FRAME // 2)
            here.session.say("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u2")
            # Still on the wire when the server noticed:
            here.session.speak(b"\1\0" * 24_000, response="r1", item="i1")
            await here.until(lambda: here.session.of_type(ev.ItemTruncate))
            await here.until(lambda: any(isinstance(event, Flushed) for event in events))
            played_before = len(audio_of(events))
            here.session.say("response.done", response={"id": "r1", "status": "cancelled"})
            here.session.begin_reply("r2")
            here.session.speak(b"\2\0" * 4_800, response="r2", item="i2")
            here.session.end_reply("r2", "i2")
            await here.until(lambda: len(audio_of(events)) >= played_before + 4_800 * 2)
        truncate = here.session.of_type(ev.ItemTruncate)[0]
        assert truncate.item_id == "i1"
        assert 60 <= truncate.audio_end_ms <= played_before // 48
        assert audio_of(events)[played_before:] == b"\2\0" * 4_800
        flushed = next(event for event in events if isinstance(event, Flushed))
        assert flushed.position * 2 == played_before


async def test_a_user_who_leaves_in_the_middle_can_come_back_to_the_same_conversation() -> None:
    async with scene(user_left_grace_s=60) as here:
        user = await here.user_joins()
        here.session.begin_reply("r1")
        here.session.speak(b"\1\0" * 480_000, response="r1", item="i1")
        async with listening(user) as events:
            await here.until(lambda: audio_of(events))
        await user.leave()
        await here.until(lambda: here.states[-1] is State.WAITING and here.session.of_type(ev.InputAudioBufferClear))
        assert here.session.of_type(ev.ResponseCancel)
        assert here.session.of_type(ev.ItemTruncate)
        again = await here.user_joins()
        await here.until(lambda: here.states[-1] is State.ACTIVE)
        again.push(b"\3" * FRAME)
        await here.until(lambda: here.session.heard)
        assert here.session.opened == 1


async def test_a_user_who_stays_away_ends_it() -> None:
    async with scene(user_left_grace_s=0.05) as here:
        user = await here.user_joins()
        await here.until(lambda: here.states[-1] is State.ACTIVE)
        await user.leave()
        await here.until(lambda: here.ended)
    assert here.ended == Ended(reason=EndReason.USER_LEFT)


@pytest.mark.parametrize(
    ("limit", "reason"),
    [("user_wait_timeout_s", EndReason.USER_NEVER_CAME), ("max_duration_s", EndReason.MAX_DURATION)],
)
async def test_a_timer_ends_it(limit: str, reason: EndReason) -> None:
    async with scene(**{limit: 0.05}) as here:
        await here.until(lambda: here.ended)
    assert here.ended == Ended(reason=reason)


async def test_silence_ends_it() -> None:
    async with scene(idle_timeout_s=0.05) as here:
        await here.user_joins()
        await here.until(lambda: here.ended)
    assert here.ended == Ended(reason=EndReason.IDLE)


async def test_a_greeting_that_nobody_heard_is_spoken_to_the_user_who_comes_back() -> None:
    async with scene(greeting="Welcome!", user_left_grace_s=60) as here:
        user = await here.user_joins()
        await here.until(lambda: here.session.of_type(ev.ResponseCreate))
        await user.leave()
        await here.until(lambda: here.session.of_type(ev.InputAudioBufferClear))
        here.session.begin_reply("r1")
        here.session.speak(b"\1\0" * 4_800, response="r1", item="i1")
        await here.until(lambda: here.session.of_type(ev.ResponseCancel))
        here.session.end_reply("r1", "i1", status="cancelled")
        again = await here.user_joins()
        async with listening(again) as events:
            await here.until(lambda: len(here.session.of_type(ev.ResponseCreate)) == 2)
            here.session.begin_reply("r2")
            here.session.speak(b"\2\0" * 480, response="r2", item="i2")
            here.session.end_reply("r2", "i2")
            await here.until(lambda: audio_of(events))
        assert audio_of(events) == b"\2\0" * 480


async def test_when_the_user_has_gone_the_next_who_is_there_is_heard() -> None:
    async with scene(user_left_grace_s=60) as here:
        user = await here.user_joins(USER)
        other = await here.user_joins(OTHER)
        async with listening(other) as events:
            await user.leave()
            await here.until(lambda: {"type": "listening", "uid": OTHER} in messages_of(events, "listening"))
            other.push(b"\1" * FRAME)
            await here.until(lambda: here.session.heard)
        assert here.states[-1] is State.ACTIVE


async def test_a_long_sentence_is_not_silence() -> None:
    start, time_passes = time.monotonic(), False

    def clock() -> float:
        return time.monotonic() if time_passes else start

    async with scene(clock=clock, idle_timeout_s=0.3) as here:
        user = await here.user_joins()
        async with listening(user) as events:
            here.session.say("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1")
            # What comes after shows that it is known.
            completed = "conversation.item.input_audio_transcription.completed"
            here.session.say(completed, item_id="u0", transcript="Hello?")
            await here.until(lambda: messages_of(events, "transcript"))
        time_passes = True
        await asyncio.sleep(1)
        assert here.ended is None
        here.session.say("input_audio_buffer.speech_stopped", audio_end_ms=500, item_id="u1")
        await here.until(lambda: here.ended)
    assert here.ended == Ended(reason=EndReason.IDLE)


async def test_it_greets_its_user_once() -> None:
    async with scene(greeting="Welcome!", user_left_grace_s=60) as here:
        user = await here.user_joins()
        async with listening(user) as events:
            await here.until(lambda: here.session.of_type(ev.ResponseCreate))
            here.session.begin_reply("r1")
            here.session.speak(b"\1\0" * 480, response="r1", item="i1")
            here.session.end_reply("r1", "i1")
            await here.until(lambda: audio_of(events))
        await user.leave()
        await here.until(lambda: here.states[-1] is State.WAITING)
        await here.user_joins()
        await here.until(lambda: here.states[-1] is State.ACTIVE)
        (greeting,) = here.session.of_type(ev.ResponseCreate)
        assert '"Welcome!"' in greeting.response.instructions


async def test_both_sides_words_come_to_the_user_and_usage_is_counted() -> None:
    async with scene() as here:
        user = await here.user_joins()
        async with listening(user) as events:
            here.session.begin_reply("r1")
            here.session.say(
                "conversation.item.input_audio_transcription.completed", item_id="u1", transcript=" Hello? "
            )
            where = {"response_id": "r1", "item_id": "i1"}
            here.session.say("response.output_audio_transcript.delta", delta="Hi", **where)
            here.session.say("response.output_audio_transcript.done", transcript="Hi.", **where)
            here.session.end_reply("r1", "i1")
            await here.until(lambda: len(messages_of(events, "transcript")) == 3)
            await here.until(lambda: isinstance(here.reported[-1], UsageChanged))
        assert messages_of(events, "transcript") == [
            {"type": "transcript", "role": "user", "item_id": "u1", "text": "Hello?", "final": True},
            {"type": "transcript", "role": "assistant", "item_id": "i1", "delta": "Hi"},
            {"type": "transcript", "role": "assistant", "item_id": "i1", "text": "Hi.", "final": True},
        ]
        assert here.reported[-1] == UsageChanged(
            usage=TotalUsage(responses=1, input_tokens=2, output_tokens=3, total_tokens=5)
        )


COMMANDS: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
    (
        {"command": "update_instruction", "new_instruction": "Sing."},
        [{"type": "session.update", "session": {"type": "realtime", "instructions": "Sing."}}],
    ),
    (
        {"command": "update_turn_detection", "new_turn_detection": False},
        [{"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}}],
    ),
    (
        {
            "command": "update_turn_detection",
            "new_turn_detection": {"type": "semantic_vad", "create_response": False},
        },
        # In full, so that nothing of an earlier setting stays in force.
        [
            {
                "type": "session.update",
                "session": {
                    "type": "realtime",
                    "audio": {
                        "input": {
                            "turn_detection": {
                                "type": "semantic_vad", "eagerness": "auto", "create_response": False,
                                "interrupt_response": True,
                            }
                        }
                    },
                },
            }
        ],
    ),
    (
        {"command": "send_system_text", "input_text": "It rains."},
        [
            {
                "type": "conversation.item.create",
                "item": {
                    "type": "message", "role": "system", "content": [{"type": "input_text", "text": "It rains."}]
                },
            }
        ],
    ),
    (
        {"command": "send_user_text", "input_text": "Hi."},
        [
            {
                "type": "conversation.item.create",
                "item": {
                    "type": "message", "id": "text_1", "role": "user",
                    "content": [{"type": "input_text", "text": "Hi."}],
                },
            },
            {"type": "response.create", "event_id": "response_1"},
        ],
    ),
    (
        {"command": "create_response", "new_instruction": "Say goodbye."},
        [{"type": "response.create", "event_id": "response_1", "response": {"instructions": "Say goodbye."}}],
    ),
    ({"command": "commit_audio_buffer"}, [{"type": "input_audio_buffer.commit"}]),
]  # fmt: skip


@pytest.mark.parametrize(("command", "expected"), COMMANDS, ids=[command["command"] for command, _ in COMMANDS])
async def test_each_command_is_the_right_events(command: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    async with scene() as here:
        await here.user_joins()
        await here.until(lambda: here.states[-1] is State.ACTIVE)
        await here.agent.control(commands.command_adapter.validate_python({"channel_name": "room", **command}))
        assert [event.to_dict() for event in here.session.sent] == expected


async def test_a_command_that_comes_while_the_agent_connects_waits_until_its_settings_are_taken() -> None:
    here = Scene()
    here.session.hang = True
    running = asyncio.create_task(here.agent.run())
    await here.until(lambda: here.session.opened)
    command = commands.SendSystemText(channel_name="room", command="send_system_text", input_text="It rains.")
    asking = asyncio.create_task(here.agent.control(command))
    done, _ = await asyncio.wait([asking], timeout=0.05)
    assert not done
    assert not here.session.sent
    asking.cancel()
    here.agent.stop()
    await running


async def test_without_turn_detection_a_voice_does_not_interrupt() -> None:
    async with scene() as here:
        await here.user_joins()
        command = {"channel_name": "room", "command": "update_turn_detection", "new_turn_detection": False}
        await here.agent.control(commands.command_adapter.validate_python(command))
        here.session.begin_reply("r1")
        here.session.speak(b"\1\0" * 2_400, response="r1", item="i1")
        here.session.say("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u2")
        here.session.end_reply("r1", "i1")
        await here.until(lambda: isinstance(here.reported[-1], UsageChanged))
        assert not here.session.of_type(ev.ItemTruncate)


async def test_a_response_that_is_asked_for_while_nobody_is_there_waits_for_the_user() -> None:
    async with scene() as here:
        command = {"channel_name": "room", "command": "create_response", "new_instruction": "Hello."}
        await here.agent.control(commands.command_adapter.validate_python(command))
        assert not here.session.sent
        await here.user_joins()
        await here.until(lambda: here.session.of_type(ev.ResponseCreate))


async def test_a_response_waits_for_the_one_that_runs() -> None:
    async with scene() as here:
        await here.user_joins()
        await here.until(lambda: here.states[-1] is State.ACTIVE)
        here.session.begin_reply("r1")
        await asyncio.sleep(0)
        command = {"channel_name": "room", "command": "create_response", "new_instruction": "Next."}
        await here.until(lambda: here.session._events.empty())
        await here.agent.control(commands.command_adapter.validate_python(command))
        assert not here.session.of_type(ev.ResponseCreate)
        here.session.end_reply("r1", "i1")
        await here.until(lambda: here.session.of_type(ev.ResponseCreate))


async def test_a_model_that_refuses_is_the_cause_and_the_channel_is_left() -> None:
    here = Scene()
    here.session.refusal = SessionError("no such model")
    ended = await here.agent.run()
    assert ended == Ended(reason=EndReason.MODEL_FAILED, cause="no such model")
    assert State.WAITING not in here.states
    await here.room.channel(AGENT).join()  # raises if the agent were still in the room


async def test_a_channel_that_refuses_is_the_cause_and_the_session_is_closed() -> None:
    here = Scene()
    await here.room.channel(AGENT).join()
    ended = await here.agent.run()
    assert ended.reason is EndReason.RTC_FAILED
    assert here.session.closed


async def test_a_lost_channel_and_a_lost_session_end_it_with_the_cause() -> None:
    async with scene() as here:
        here.room.lose(AGENT, "the network is gone")
        await here.until(lambda: here.ended)
    assert here.ended == Ended(reason=EndReason.RTC_FAILED, cause="the network is gone")
    async with scene() as here:
        here.session.fail(SessionError("closed with 1001"))
        await here.until(lambda: here.ended)
    assert here.ended == Ended(reason=EndReason.MODEL_FAILED, cause="closed with 1001")


async def test_it_can_be_stopped_while_it_connects() -> None:
    here = Scene()
    here.session.hang = True
    running = asyncio.create_task(here.agent.run())
    await here.until(lambda: here.session.opened)
    here.agent.stop()
    async with asyncio.timeout(20):
        assert await running == Ended(reason=EndReason.STOPPED)


async def test_a_bug_is_reported_as_a_crash_after_a_clean_leave() -> None:
    here = Scene()
    here.session.refusal = ZeroDivisionError("a bug")
    with pytest.raises(ExceptionGroup):
        await here.agent.run()
    assert here.ended is not None
    assert here.ended.reason is EndReason.CRASHED
    assert here.session.closed


async def test_an_end_that_fails_to_close_does_not_hide_the_end() -> None:
    async def broken() -> None:
        raise OSError("the network is gone")

    here = Scene()
    here.session.refusal = SessionError("no such model")
    here.channel.leave = broken  # type: ignore[method-assign]  # a channel whose leaving fails
    assert (await here.agent.run()).reason is EndReason.MODEL_FAILED
    assert here.ended is not None
    assert here.session.closed


async def test_users_are_told_why_it_ended() -> None:
    async with scene() as here:
        user = await here.user_joins()
        async with listening(user) as events:
            await here.until(lambda: here.states[-1] is State.ACTIVE)
            here.agent.stop()
            await here.until(lambda: messages_of(events, "state")[-1]["state"] == "ended")
        assert messages_of(events, "state")[-1] == {"type": "state", "state": "ended", "reason": "stopped"}
