"""The agent between a memory channel and a model that does what the test says."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from realtime_agent.control import commands
from realtime_agent.control.events import Ended
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
    Spent,
    Transcribed,
    Transcript,
)
from realtime_agent.realtime.types import ErrorDetail, TranscriptionUsage, Usage
from realtime_agent.rtc.channel import Flushed
from realtime_agent.tools import tool
from tests.scene import AGENT, FRAME, LONG, OTHER, USER, Scene, audio_of, listening, messages_of, scene


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


async def test_a_greeting_that_nobody_heard_is_spoken_to_the_user_who_comes_back() -> None:
    async with scene(greeting="Welcome!", user_left_grace_s=60) as here:
        user = await here.user_joins()
        await here.until(lambda: here.session.of("remark"))
        await user.leave()
        await here.until(lambda: here.session.of("clear"))
        again = await here.user_joins()
        async with listening(again) as events:
            await here.until(lambda: len(here.session.of("remark")) == 2)
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


async def test_it_greets_its_user_once() -> None:
    async with scene(greeting="Welcome!", user_left_grace_s=60) as here:
        user = await here.user_joins()
        async with listening(user) as events:
            await here.until(lambda: here.session.of("remark"))
            here.session.does(Play("i1", 0, b"\1\0" * 480), EndPart("i1", 0))
            await here.until(lambda: audio_of(events))
        await user.leave()
        await here.until(lambda: here.states[-1] is State.WAITING)
        await here.user_joins()
        await here.until(lambda: here.states[-1] is State.ACTIVE)
        (greeting,) = here.session.of("remark")
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
    assert "no_cards" in caplog.text


async def test_a_storm_of_errors_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with scene() as here:
        here.session.does(*[Report(ErrorDetail(type="server_error", message="no"))] * 1000)
        here.session.does(Report(ErrorDetail(type="other", message="also no")), Spent(Usage()))
        await here.until(lambda: here.usage)
    assert caplog.text.count("server_error") == 5
    assert caplog.text.count("reported other") == 1


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
            await here.until(lambda: [body["state"] for body in messages_of(events, "state")][-1:] == ["ended"])
        assert messages_of(events, "state")[-1] == {"type": "state", "state": "ended", "reason": "stopped"}
