"""An agent that is paused and resumed, by voice and by command, and what it reports of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from realtime_agent.control.commands import Command, CommandResult, command_adapter
from realtime_agent.control.events import (
    AgentTranscript,
    CommandDone,
    ConnectionChanged,
    ErrorReported,
    Interrupted,
    Load,
    SpeechChanged,
    StateChanged,
    ToolCalled,
    ToolReturned,
    TurnMeasured,
)
from realtime_agent.control.life import State
from realtime_agent.errors import ModelRefused
from realtime_agent.realtime.session import (
    CallTools,
    EndPart,
    FunctionCall,
    Interrupt,
    Lost,
    Overheard,
    Play,
    Report,
    Restored,
    Rotated,
    Transcript,
    UserSpeech,
)
from realtime_agent.realtime.types import ErrorDetail
from realtime_agent.tools import tool
from tests.scene import LONG, Scene, in_virtual_time, listening, messages_of, scene


def command(name: str, **fields: object) -> Command:
    return command_adapter.validate_python({"channel_name": "room", "command": name, **fields})


def said(text: str, item_id: str = "u1", *, typed: bool = False) -> Transcript:
    return Transcript("user", item_id, text, final=True, typed=typed)


def pauses(here: Scene) -> Sequence[tuple[str, str | None]]:
    return [(event.state, event.by) for event in here.of(StateChanged)][3:]


# By voice.


@in_virtual_time
async def test_a_phrase_pauses_and_the_model_learns_by_which_item() -> None:
    async with scene() as here:
        user = await here.user_joins()
        async with listening(user) as heard:
            here.session.does(said("Hey agent, stop."))
            await here.until(lambda: here.agent.state is State.PAUSED)
            await here.until(lambda: messages_of(heard, "state"))
            assert messages_of(heard, "state")[-1]["state"] == "paused"
        assert here.session.of("pause") == ["u1"]
        assert pauses(here) == [(State.PAUSED, "voice")]
        assert here.ended is None


@in_virtual_time
async def test_another_phrase_resumes() -> None:
    async with scene() as here:
        await here.user_joins()
        here.session.does(said("Hey agent, stop."), Overheard("Nice weather."), Overheard("Hey agent, start."))
        await here.until(lambda: here.session.of("resume"))
        assert here.session.of("resume") == [False]
        assert pauses(here) == [(State.PAUSED, "voice"), (State.ACTIVE, "voice")]


@pytest.mark.parametrize("words", ["Hey, don't stop me now", "start", "He starts.", "Hey agent, start."])
def test_what_is_no_phrase_to_pause_has_no_effect(words: str) -> None:
    @in_virtual_time
    async def check() -> None:
        async with scene() as here:
            await here.user_joins()
            here.session.does(said(words))
            await asyncio.sleep(1)
            assert (here.session.of("pause"), here.session.of("resume"), pauses(here)) == ([], [], [])

    check()


@pytest.mark.parametrize("words", ["Hey agent, stop.", "start", "He starts.", "Start, agent."])
def test_what_is_no_phrase_to_resume_has_no_effect(words: str) -> None:
    @in_virtual_time
    async def check() -> None:
        async with scene() as here:
            await here.user_joins()
            here.session.does(said("Hey, stop."), Overheard(words))
            await asyncio.sleep(1)
            assert pauses(here) == [(State.PAUSED, "voice")]

    check()


@in_virtual_time
async def test_what_is_typed_or_said_by_the_agent_or_not_whole_is_no_phrase() -> None:
    async with scene() as here:
        await here.user_joins()
        here.session.does(
            said("Hey, stop.", typed=True),
            Transcript("assistant", "a1", "Hey, stop.", final=True),
            Transcript("user", "u1", "Hey, stop."),
        )
        await asyncio.sleep(1)
        assert here.session.of("pause") == []


@in_virtual_time
async def test_words_that_come_late_from_a_pause_do_nothing_after_it() -> None:
    async with scene() as here:
        await here.user_joins()
        here.session.does(Overheard("Hey, start."), Overheard("Hey, stop."))
        await asyncio.sleep(1)
        assert pauses(here) == []


# By command.


@in_virtual_time
async def test_commands_and_phrases_are_about_the_same_state() -> None:
    async with scene() as here:
        await here.user_joins()
        await here.until(lambda: State.ACTIVE in here.states)
        assert await here.agent.control(command("pause")) == CommandResult(state=State.PAUSED)
        here.session.does(Overheard("Hey, start."))
        await here.until(lambda: here.agent.state is State.ACTIVE)
        here.session.does(said("Hey, stop."))
        await here.until(lambda: here.agent.state is State.PAUSED)
        assert await here.agent.control(command("pause")) == CommandResult(state=State.PAUSED)
        assert await here.agent.control(command("resume")) == CommandResult(state=State.ACTIVE)
        assert await here.agent.control(command("resume")) == CommandResult(state=State.ACTIVE)
        assert here.session.of("pause") == [None, "u1"]
        assert here.session.of("resume") == [False, True]
        assert pauses(here) == [
            (State.PAUSED, "command"), (State.ACTIVE, "voice"), (State.PAUSED, "voice"), (State.ACTIVE, "command"),
        ]  # fmt: skip


@in_virtual_time
async def test_an_agent_that_waits_for_its_user_can_be_paused() -> None:
    async with scene() as here:
        assert await here.agent.control(command("pause")) == CommandResult(state=State.PAUSED)
        await here.user_joins()
        await asyncio.sleep(1)
        assert here.agent.state is State.PAUSED
        assert await here.agent.control(command("resume")) == CommandResult(state=State.ACTIVE)


# What it reports.


@in_virtual_time
async def test_what_a_pause_cuts_is_reported_as_such() -> None:
    async with scene() as here:
        await here.user_joins()
        here.session.does(LONG)
        await asyncio.sleep(1)
        here.agent.pause()
        here.session.does(Interrupt())
        await here.until(lambda: here.of(Interrupted))
        assert here.of(Interrupted) == [Interrupted(by="pause")]
        assert here.of(SpeechChanged) == [
            SpeechChanged(role="assistant", speaking=True),
            SpeechChanged(role="assistant", speaking=False),
        ]
        ((part,),) = here.session.of("interrupted")
        assert part[:2] == ("i1", 0)
        assert 0 < part[2] <= 1000


@in_virtual_time
async def test_an_interruption_says_who_cut_and_after_how_long() -> None:
    async with scene() as here:
        await here.user_joins()
        here.session.does(LONG)
        await asyncio.sleep(1)
        here.session.does(Interrupt(since_ms=120), Interrupt(since_ms=90))
        await asyncio.sleep(1)
        assert here.of(Interrupted) == [Interrupted(by="user", after_ms=120)]


@in_virtual_time
async def test_interrupt_by_command_says_whether_there_was_anything_to_cut() -> None:
    async with scene() as here:
        await here.user_joins()
        assert await here.agent.control(command("interrupt")) == CommandResult(interrupted=False)
        here.session.does(LONG)
        await asyncio.sleep(1)
        assert await here.agent.control(command("interrupt")) == CommandResult(interrupted=True)
        await here.until(lambda: here.of(Interrupted))
        assert here.of(Interrupted) == [Interrupted(by="command")]


@in_virtual_time
async def test_a_turn_is_measured_from_the_user_s_last_word_to_the_first_frame() -> None:
    async with scene() as here:
        await here.user_joins()
        here.session.does(UserSpeech(True))
        await asyncio.sleep(2)
        here.session.does(UserSpeech(False, silence_ms=500))
        await asyncio.sleep(0.2)
        here.session.does(LONG)
        await asyncio.sleep(1)
        (turn,) = here.of(TurnMeasured)
        assert turn.silence_ms == 500
        assert turn.first_audio_ms == pytest.approx(700, abs=30)
        assert turn.first_audio_ms <= turn.first_frame_ms <= turn.first_audio_ms + 30


@in_virtual_time
async def test_a_turn_that_a_pause_left_unanswered_is_not_measured() -> None:
    async with scene() as here:
        await here.user_joins()
        here.session.does(UserSpeech(True), UserSpeech(False))
        await asyncio.sleep(0.1)
        here.agent.pause()
        await asyncio.sleep(60)
        here.agent.resume()
        here.session.does(LONG)
        await asyncio.sleep(1)
        assert here.of(TurnMeasured) == []


@in_virtual_time
async def test_what_is_said_or_committed_in_a_pause_is_no_turn() -> None:
    async with scene() as here:
        await here.user_joins()
        here.agent.pause()
        here.session.does(UserSpeech(True), UserSpeech(False))
        await here.agent.control(command("commit_audio_buffer"))
        await asyncio.sleep(1)
        here.agent.resume()
        here.session.does(LONG)
        await asyncio.sleep(1)
        assert here.of(TurnMeasured) == []


@in_virtual_time
async def test_what_was_taken_back_is_no_turn() -> None:
    async with scene() as here:
        await here.user_joins()
        here.session.does(UserSpeech(True), UserSpeech(False, is_forgotten=True))
        await asyncio.sleep(1)
        here.session.does(LONG)
        await asyncio.sleep(1)
        assert here.of(TurnMeasured) == []


@in_virtual_time
async def test_a_command_that_ends_by_an_error_of_the_agent_s_own_is_told_too() -> None:
    async with scene() as here:
        await here.user_joins()
        here.session.refusal = RuntimeError("a bug")
        with pytest.raises(RuntimeError):
            await here.agent.control(command("say", input_text="Hi"))
        assert [event.error for event in here.of(CommandDone)] == ["an error in the agent; see its log"]


@in_virtual_time
async def test_an_interruption_says_whether_it_cut_what_had_not_begun_to_be_heard() -> None:
    async with scene() as here:
        await here.user_joins()
        await asyncio.sleep(0.1)
        here.agent._voice.hold(True)
        here.session.does(LONG)
        await asyncio.sleep(1)
        assert await here.agent.control(command("interrupt")) == CommandResult(interrupted=True)
        await here.until(lambda: here.of(Interrupted))
        assert await here.agent.control(command("interrupt")) == CommandResult(interrupted=False)


@in_virtual_time
async def test_what_nobody_asked_for_is_no_answer() -> None:
    async with scene() as here:
        await here.user_joins()
        here.session.does(Play("i1", 0, b"\1\0" * 2400), EndPart("i1", 0), UserSpeech(True), UserSpeech(False))
        here.session.does(UserSpeech(True))
        await asyncio.sleep(1)
        here.session.does(LONG)
        await asyncio.sleep(1)
        assert here.of(TurnMeasured) == []


@in_virtual_time
async def test_transcripts_tell_their_place_in_the_conversation() -> None:
    async with scene() as here:
        here.session.does(
            Transcript("user", "u1", ""),
            Transcript("assistant", "a1", "Hel"),
            Transcript("user", "u1", "Hi!", final=True),
            Transcript("assistant", "a1", "Hello.", final=True),
            Transcript("assistant", "a1", "Hel", final=True, interrupted=True),
        )
        await here.until(lambda: len(here.of(AgentTranscript)) == 5)
        told = [(event.item_id, event.place, event.delta, event.text) for event in here.of(AgentTranscript)]
        assert told == [
            ("u1", 1, "", None), ("a1", 2, "Hel", None), ("u1", 1, None, "Hi!"), ("a1", 2, None, "Hello."),
            ("a1", 2, None, "Hel"),
        ]  # fmt: skip
        assert [event.interrupted for event in here.of(AgentTranscript)] == [None] * 4 + [True]


@in_virtual_time
async def test_speech_is_told_when_it_changes_only() -> None:
    async with scene() as here:
        await here.user_joins()
        here.session.does(*(UserSpeech(speaking) for speaking in (False, True, True, False, False)))
        await asyncio.sleep(1)
        assert [event.speaking for event in here.of(SpeechChanged)] == [True, False]


@in_virtual_time
async def test_functions_are_told_with_what_they_got_and_gave() -> None:
    @tool
    async def look_up(word: str) -> str:
        """Look up."""
        await asyncio.sleep(0.25)
        return f"{word} is wet"

    async with scene(look_up) as here:
        here.session.does(CallTools((FunctionCall("c1", "look_up", '{"word": "rain"}'),)))
        await here.until(lambda: here.session.of("give_outputs"))
        assert here.of(ToolCalled) == [ToolCalled(call_id="c1", name="look_up", arguments='{"word": "rain"}')]
        (returned,) = here.of(ToolReturned)
        assert returned.output == "rain is wet"
        assert returned.took_ms == pytest.approx(250, abs=20)


@in_virtual_time
async def test_commands_are_told_and_those_that_fail_with_why() -> None:
    async with scene() as here:
        await here.agent.control(command("send_system_text", input_text="It rains."))
        here.session.refusal = ModelRefused("no")
        with pytest.raises(ModelRefused):
            await here.agent.control(command("commit_audio_buffer"))
        assert here.of(CommandDone) == [
            CommandDone(command="send_system_text"),
            CommandDone(command="commit_audio_buffer", error="no"),
        ]


@in_virtual_time
async def test_connections_are_told() -> None:
    async with scene() as here:
        here.session.does(Lost("gone"), Restored(1.23456), Rotated())
        await here.until(lambda: len(here.of(ConnectionChanged)) == 3)
        assert here.of(ConnectionChanged) == [
            ConnectionChanged(to="model", status="lost", cause="gone"),
            ConnectionChanged(to="model", status="restored", after_s=1.235),
            ConnectionChanged(to="model", status="renewed"),
        ]


@in_virtual_time
async def test_of_a_thousand_errors_alike_five_are_told() -> None:
    async with scene() as here:
        here.session.does(*[Report(ErrorDetail(type="x", message="no", code="slow"))] * 1000)
        here.session.does(Report(ErrorDetail(type="other", message="no")))
        await here.until(lambda: here.of(ErrorReported) and here.of(ErrorReported)[-1].code == "other")
        assert [event.code for event in here.of(ErrorReported)] == ["slow"] * 5 + ["other"]


@in_virtual_time
async def test_how_it_keeps_up_is_told_every_five_seconds() -> None:
    async with scene() as here:
        await here.user_joins()
        here.session.unsent_ms, here.session.dropped_ms = 40, 7
        here.session.does(LONG)
        await asyncio.sleep(11)
        loads = here.of(Load)
        assert len(loads) == 2
        assert (loads[0].uplink_ms, loads[0].dropped_uplink_ms) == (40, 7)
        assert loads[0].downlink_ms > loads[1].downlink_ms > 0


@in_virtual_time
async def test_what_was_lost_in_the_last_seconds_is_told_at_the_end() -> None:
    async with scene() as here:
        await here.user_joins()
        await asyncio.sleep(4)
        here.session.dropped_ms = 2000
        here.agent.stop()
        await here.until(lambda: here.ended is not None)
        assert [load.dropped_uplink_ms for load in here.of(Load)] == [2000]
        assert here.reported[-1] is here.ended
