"""The agent between a memory channel and a model that does what the test says."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from realtime_agent.agent import Agent
from realtime_agent.audio.playout import Playout
from realtime_agent.control import commands
from realtime_agent.control.events import AgentEvent, Ended, StateChanged, UsageChanged
from realtime_agent.control.life import EndReason, State
from realtime_agent.control.usage import TotalUsage
from realtime_agent.errors import ModelRefused, SessionError
from realtime_agent.realtime.session import (
    CallTools,
    EndPart,
    FunctionCall,
    FunctionOutput,
    Interrupt,
    Play,
    Report,
    Session,
    SessionEvent,
    Spent,
    Transcribed,
    Transcript,
    UserSpeech,
)
from realtime_agent.realtime.types import ErrorDetail, ResponseConfig, SessionConfig, TranscriptionUsage, Usage
from realtime_agent.rtc.channel import AudioFrame, ChannelEvent, Flushed, Message
from realtime_agent.rtc.memory import MemoryChannel, MemoryRoom
from realtime_agent.tools import Tool, Toolbox, tool
from tests.specs import agent_spec

AGENT, USER, OTHER = 1, 7, 8
FRAME = 960
LONG = Play("i1", 0, b"\1\0" * 480_000)
"""Some 20 s, of which no more than the beginning is heard."""


class FakeSession:
    """A model: what it was asked to do, and what it does."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.heard = bytearray()
        self.opened = 0
        self.closed = False
        self.is_responding = False
        self.refusal: Exception | None = None
        self.hang = False
        self._events: asyncio.Queue[SessionEvent | Exception] = asyncio.Queue()

    async def open(self) -> None:
        self.opened += 1
        if self.hang:
            await asyncio.Event().wait()
        if self.refusal is not None:
            raise self.refusal

    async def run(self, handle: Callable[[SessionEvent], None]) -> None:
        while True:
            event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            handle(event)

    async def close(self) -> None:
        self.closed = True

    def append(self, pcm: bytes) -> None:
        self.heard += pcm

    def clear(self) -> None:
        self.asked.append(("clear", None))

    def user_joined(self) -> None:
        self.asked.append(("user_joined", None))

    def user_left(self) -> None:
        self.asked.append(("user_left", None))

    def interrupted(self, heard: Iterable[tuple[str, int, int]]) -> None:
        self.asked.append(("interrupted", [tuple(part) for part in heard]))

    def give_outputs(self, outputs: Sequence[FunctionOutput]) -> None:
        self.asked.append(("give_outputs", list(outputs)))

    def greet(self, config: ResponseConfig) -> None:
        self.asked.append(("greet", config.to_dict()))

    async def update(self, config: SessionConfig) -> None:
        self._take("update", config.to_dict())

    async def tell(self, text: str) -> None:
        self._take("tell", text)

    async def say(self, text: str) -> None:
        self._take("say", text)

    async def create_response(self, config: ResponseConfig) -> None:
        self._take("create_response", config.to_dict())

    async def commit(self) -> None:
        self._take("commit", None)

    def does(self, *events: SessionEvent) -> None:
        """Let the model do these, one after the other."""
        for event in events:
            self._events.put_nowait(event)

    def fail(self, error: Exception) -> None:
        """Break the session."""
        self._events.put_nowait(error)

    def of(self, what: str) -> list[Any]:
        """What it was asked of one kind."""
        return [asked for kind, asked in self.asked if kind == what]

    def _take(self, what: str, asked: object) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append((what, asked))


class Scene:
    """An agent that runs, its room, its model, and the user's side of the channel."""

    def __init__(self, *tools: Tool[..., Any], clock: Callable[[], float] = time.monotonic, **changes: Any) -> None:
        self.reported: list[AgentEvent] = []
        self.room = MemoryRoom()
        self.session = FakeSession()
        # It does all that an agent needs of one.
        session: Session = self.session
        self.channel = self.room.channel(AGENT)
        self.agent = Agent(
            agent_spec(uid=AGENT, **changes),
            self.channel,
            session,
            Playout(frame_ms=20, lead_ms=60),
            Toolbox(tools),
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
    def usage(self) -> list[TotalUsage]:
        return [event.usage for event in self.reported if isinstance(event, UsageChanged)]

    @property
    def ended(self) -> Ended | None:
        return next((event for event in self.reported if isinstance(event, Ended)), None)


@asynccontextmanager
async def scene(*tools: Tool[..., Any], **changes: Any) -> AsyncIterator[Scene]:
    """A scene whose agent waits for its user; the agent is stopped at the end."""
    here = Scene(*tools, **changes)
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
    pcm = bytes(range(256)) * 46  # 245 ms, no whole number of frames in all or in any delta
    async with scene() as here:
        user = await here.user_joins()
        async with listening(user) as events:
            here.session.does(*(Play("i1", 0, pcm[start : start + 2500]) for start in range(0, len(pcm), 2500)))
            here.session.does(EndPart("i1", 0))
            await here.until(lambda: len(audio_of(events)) >= len(pcm))
        heard = audio_of(events)
        assert heard[: len(pcm)] == pcm
        assert not any(heard[len(pcm) :])
        assert len(heard) % FRAME == 0


async def test_speaking_over_a_reply_cuts_it_and_tells_the_model_what_was_heard() -> None:
    async with scene() as here:
        user = await here.user_joins()
        async with listening(user) as events:
            # Longer than any machine is busy: what is over can't be cut.
            here.session.does(LONG)
            await here.until(lambda: len(audio_of(events)) >= 5 * FRAME)
            user.report_played(3 * FRAME // 2)
            here.session.does(Interrupt())
            await here.until(lambda: here.session.of("interrupted"))
            await here.until(lambda: any(isinstance(event, Flushed) for event in events))
            played_before = len(audio_of(events))
            here.session.does(Play("i2", 0, b"\2\0" * 4_800), EndPart("i2", 0))
            await here.until(lambda: len(audio_of(events)) >= played_before + 4_800 * 2)
        (((item_id, content_index, heard_ms),),) = here.session.of("interrupted")
        assert (item_id, content_index) == ("i1", 0)
        assert 60 <= heard_ms <= played_before // 48
        assert audio_of(events)[played_before:] == b"\2\0" * 4_800
        flushed = next(event for event in events if isinstance(event, Flushed))
        assert flushed.position * 2 == played_before


async def test_an_interruption_of_silence_is_told_too_and_cuts_nothing() -> None:
    async with scene() as here:
        await here.user_joins()
        here.session.does(Interrupt())
        await here.until(lambda: here.session.of("interrupted"))
        assert here.session.of("interrupted") == [[]]


async def test_a_user_who_leaves_in_the_middle_can_come_back_to_the_same_conversation() -> None:
    async with scene(user_left_grace_s=60) as here:
        user = await here.user_joins()
        here.session.does(LONG)
        async with listening(user) as events:
            await here.until(lambda: audio_of(events))
        await user.leave()
        await here.until(lambda: here.states[-1] is State.WAITING and here.session.of("clear"))
        # What is being said is not wanted any more before the model is told how much of it was heard.
        assert [what for what, _ in here.session.asked] == ["user_joined", "user_left", "interrupted", "clear"]
        assert here.session.of("interrupted")[0][0][0] == "i1"
        again = await here.user_joins()
        await here.until(lambda: here.states[-1] is State.ACTIVE)
        assert here.session.asked[-1] == ("user_joined", None)
        again.push(b"\3" * FRAME)
        await here.until(lambda: here.session.heard)
        assert here.session.opened == 1


async def test_somebody_else_s_leaving_is_nothing_to_the_model() -> None:
    async with scene() as here:
        user, other = await here.user_joins(USER), await here.user_joins(OTHER)
        await other.leave()
        user.push(b"\2" * FRAME)
        await here.until(lambda: here.session.heard)
        assert here.session.asked == [("user_joined", None)]


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


async def test_a_voice_that_stops_coming_in_the_middle_of_a_turn_is_heard_as_silence() -> None:
    async with scene() as here:
        user = await here.user_joins()
        await here.until(lambda: here.states[-1] is State.ACTIVE)
        user.push(b"\2" * FRAME)
        await here.until(lambda: here.session.heard)
        here.session.does(UserSpeech(True))
        await here.until(lambda: len(here.session.heard) > FRAME)
        assert here.session.heard.count(0) == len(here.session.heard) - FRAME


async def test_a_reply_that_is_on_its_way_is_not_silence() -> None:
    async with scene(idle_timeout_s=0.3) as here:
        here.session.is_responding = True
        await here.user_joins()
        await asyncio.sleep(1)
        assert here.ended is None
        here.session.is_responding = False
        await here.until(lambda: here.ended)
    assert here.ended == Ended(reason=EndReason.IDLE)


async def test_a_greeting_that_nobody_heard_is_spoken_to_the_user_who_comes_back() -> None:
    async with scene(greeting="Welcome!", user_left_grace_s=60) as here:
        user = await here.user_joins()
        await here.until(lambda: here.session.of("greet"))
        await user.leave()
        await here.until(lambda: here.session.of("clear"))
        again = await here.user_joins()
        async with listening(again) as events:
            await here.until(lambda: len(here.session.of("greet")) == 2)
            here.session.does(Play("i2", 0, b"\2\0" * 480), EndPart("i2", 0))
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
            # What comes after shows that it is known.
            here.session.does(UserSpeech(True), Transcript("user", "u0", "Hello?", final=True))
            await here.until(lambda: messages_of(events, "transcript"))
        time_passes = True
        await asyncio.sleep(1)
        assert here.ended is None
        here.session.does(UserSpeech(False))
        await here.until(lambda: here.ended)
    assert here.ended == Ended(reason=EndReason.IDLE)


async def test_it_greets_its_user_once() -> None:
    async with scene(greeting="Welcome!", user_left_grace_s=60) as here:
        user = await here.user_joins()
        async with listening(user) as events:
            await here.until(lambda: here.session.of("greet"))
            here.session.does(Play("i1", 0, b"\1\0" * 480), EndPart("i1", 0))
            await here.until(lambda: audio_of(events))
        await user.leave()
        await here.until(lambda: here.states[-1] is State.WAITING)
        await here.user_joins()
        await here.until(lambda: here.states[-1] is State.ACTIVE)
        (greeting,) = here.session.of("greet")
        assert '"Welcome!"' in greeting["instructions"]


async def test_both_sides_words_come_to_the_user() -> None:
    async with scene() as here:
        user = await here.user_joins()
        async with listening(user) as events:
            here.session.does(
                Transcript("user", "u1", "Hello?", final=True),
                Transcript("assistant", "i1", "Hi"),
                Transcript("assistant", "i1", "Hi.", final=True),
                Transcript("assistant", "i2", "Good", final=True, interrupted=True),
            )
            await here.until(lambda: len(messages_of(events, "transcript")) == 4)
        assistant = {"type": "transcript", "role": "assistant"}
        assert messages_of(events, "transcript") == [
            {"type": "transcript", "role": "user", "item_id": "u1", "text": "Hello?", "final": True},
            {**assistant, "item_id": "i1", "delta": "Hi"},
            {**assistant, "item_id": "i1", "text": "Hi.", "final": True},
            {**assistant, "item_id": "i2", "text": "Good", "final": True, "interrupted": True},
        ]


async def test_what_responses_and_transcriptions_cost_is_added_up_and_reported() -> None:
    async with scene() as here:
        here.session.does(Spent(Usage(total_tokens=5, input_tokens=2, output_tokens=3)))
        here.session.does(Transcribed(TranscriptionUsage(type="duration", seconds=1.5)))
        here.session.does(Spent(Usage(total_tokens=9, input_tokens=4, output_tokens=5)))
        await here.until(lambda: len(here.usage) == 3)
        responses = {"responses": 1, "input_tokens": 2, "output_tokens": 3, "total_tokens": 5}
        transcriptions = {"transcriptions": 1, "transcription_seconds": 1.5}
        assert here.usage == [
            TotalUsage.model_validate(responses),
            TotalUsage.model_validate(responses | transcriptions),
            TotalUsage(
                responses=2, input_tokens=6, output_tokens=8, total_tokens=14, transcriptions=1,
                transcription_seconds=1.5,
            ),
        ]  # fmt: skip


async def test_an_error_of_the_model_is_logged_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with scene() as here:
        here.session.does(Report(ErrorDetail(type="server_error", message="out of cards", code="no_cards")))
        here.session.does(Spent(Usage()))
        await here.until(lambda: here.usage)
    assert here.ended == Ended(reason=EndReason.STOPPED)
    assert "no_cards: out of cards" in caplog.text


# Functions.


async def test_functions_are_called_side_by_side_and_answered_together_in_order() -> None:
    second_began, first_ended = asyncio.Event(), asyncio.Event()

    @tool
    async def first() -> str:
        await second_began.wait()
        return "one"

    @tool
    async def second() -> str:
        second_began.set()
        await first_ended.wait()
        return "two"

    async with scene(first, second) as here:
        here.session.does(CallTools((FunctionCall("c1", "first", "{}"), FunctionCall("c2", "second", "{}"))))
        await here.until(second_began.is_set)
        # Nothing is answered while one of them works.
        assert here.session.of("give_outputs") == []
        first_ended.set()
        await here.until(lambda: here.session.of("give_outputs"))
        assert here.session.of("give_outputs") == [[FunctionOutput("c1", "one"), FunctionOutput("c2", "two")]]


async def test_what_happens_meanwhile_does_not_wait_for_a_function() -> None:
    ended = asyncio.Event()

    @tool
    async def slow() -> str:
        await ended.wait()
        return "done"

    async with scene(slow) as here:
        user = await here.user_joins()
        async with listening(user) as events:
            here.session.does(CallTools((FunctionCall("c1", "slow", "{}"),)), LONG)
            await here.until(lambda: audio_of(events))
        assert here.session.of("give_outputs") == []
        ended.set()
        await here.until(lambda: here.session.of("give_outputs"))


async def test_a_function_that_crashes_is_told_to_the_model_and_ends_nothing() -> None:
    @tool
    def broken() -> str:
        raise ZeroDivisionError("a secret of its author's")

    @tool
    def whole(text: str) -> str:
        return text

    async with scene(broken, whole) as here:
        calls = [("c1", "broken", "{}"), ("c2", "whole", '{"text": "two"}'), ("c3", "missing", "{}")]
        here.session.does(CallTools(tuple(FunctionCall(*call) for call in calls)))
        await here.until(lambda: here.session.of("give_outputs"))
        ((crash, well, unknown),) = here.session.of("give_outputs")
        assert crash.call_id == "c1"
        assert "ZeroDivisionError" in json.loads(crash.output)["error"]
        assert "secret" not in crash.output
        assert well == FunctionOutput("c2", "two")
        assert "missing" in json.loads(unknown.output)["error"]
    assert here.ended == Ended(reason=EndReason.STOPPED)


async def test_an_agent_that_is_stopped_does_not_wait_for_its_functions() -> None:
    began, stopped = asyncio.Event(), asyncio.Event()

    @tool
    async def endless() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with scene(endless) as here:
        here.session.does(CallTools((FunctionCall("c1", "endless", "{}"),)))
        await here.until(began.is_set)
    assert here.ended == Ended(reason=EndReason.STOPPED)
    assert stopped.is_set()
    assert here.session.of("give_outputs") == []


# Commands.


COMMANDS: list[tuple[dict[str, Any], tuple[str, object]]] = [
    (
        {"command": "update_instruction", "new_instruction": "Sing."},
        ("update", {"type": "realtime", "instructions": "Sing."}),
    ),
    (
        {"command": "update_turn_detection", "new_turn_detection": False},
        ("update", {"type": "realtime", "audio": {"input": {"turn_detection": None}}}),
    ),
    (
        {"command": "update_turn_detection", "new_turn_detection": {"type": "semantic_vad", "create_response": False}},
        # In full, so that nothing of an earlier setting stays in force.
        (
            "update",
            {
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
        ),
    ),
    ({"command": "send_system_text", "input_text": "It rains."}, ("tell", "It rains.")),
    ({"command": "send_user_text", "input_text": "Hi."}, ("say", "Hi.")),
    (
        {"command": "create_response", "new_instruction": "Say goodbye."},
        ("create_response", {"instructions": "Say goodbye."}),
    ),
    ({"command": "commit_audio_buffer"}, ("commit", None)),
]  # fmt: skip

each_command = pytest.mark.parametrize(
    ("command", "expected"), COMMANDS, ids=[command["command"] for command, _ in COMMANDS]
)


def command_of(fields: dict[str, Any]) -> commands.Command:
    return commands.command_adapter.validate_python({"channel_name": "room", **fields})


@each_command
async def test_each_command_asks_the_session_for_the_right_thing(
    command: dict[str, Any], expected: tuple[str, object]
) -> None:
    async with scene() as here:
        await here.agent.control(command_of(command))
        assert here.session.asked == [expected]


@each_command
async def test_each_command_raises_what_the_session_raises(
    command: dict[str, Any], expected: tuple[str, object]
) -> None:
    async with scene() as here:
        here.session.refusal = ModelRefused("no such thing", "invalid_value")
        with pytest.raises(ModelRefused, match="no such thing") as refused:
            await here.agent.control(command_of(command))
        assert refused.value is here.session.refusal
        assert here.session.of(expected[0]) == []
    assert here.ended == Ended(reason=EndReason.STOPPED)


async def test_turn_detection_can_be_turned_on_again_as_it_is_by_default() -> None:
    async with scene() as here:
        await here.agent.control(command_of({"command": "update_turn_detection", "new_turn_detection": True}))
        (config,) = here.session.of("update")
        assert config["audio"]["input"]["turn_detection"] == commands.DEFAULT_TURN_DETECTION.in_full().to_dict()


async def test_a_command_that_comes_while_the_agent_connects_waits_until_its_settings_are_taken() -> None:
    here = Scene()
    here.session.hang = True
    running = asyncio.create_task(here.agent.run())
    await here.until(lambda: here.session.opened)
    command = commands.SendSystemText(channel_name="room", command="send_system_text", input_text="It rains.")
    asking = asyncio.create_task(here.agent.control(command))
    done, _ = await asyncio.wait([asking], timeout=0.05)
    assert not done
    assert not here.session.asked
    asking.cancel()
    here.agent.stop()
    await running


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
