"""A conversation that is paused: nothing is said, and nothing that is heard becomes part of it."""

from __future__ import annotations

from typing import Any

import pytest

from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.session import (
    CallTools,
    FunctionCall,
    FunctionOutput,
    Overheard,
    Play,
    Report,
    Transcribed,
    Transcript,
)
from realtime_agent.realtime.types import (
    AudioInput,
    ErrorDetail,
    ResponseConfig,
    SemanticVad,
    ServerVad,
    SessionAudio,
    SessionConfig,
    TranscriptionUsage,
    TurnDetection,
)
from tests.realtime.conversation.talk import (
    CALL,
    COLLISION,
    added,
    all_words,
    answers,
    ask,
    asked,
    audio,
    cancelled,
    committed,
    created,
    delta,
    done,
    drive,
    error,
    event_id,
    kinds,
    new_conversation,
    output,
    outputs,
    request_of,
    sent,
    spoke,
    spoken_reply,
    started,
    stopped,
    told,
    turn,
    words,
)

TAKEN = ev.SessionUpdated(session={})


@pytest.fixture
def conversation() -> Conversation:
    return new_conversation()


def detection_of(actions: list[Any]) -> dict[str, Any] | None:
    """The turn detection that the model is told to use."""
    (update,) = sent(actions, ev.SessionUpdate)
    detection: dict[str, Any] | None = update.to_dict()["session"]["audio"]["input"]["turn_detection"]
    return detection


def forgotten(actions: list[Any]) -> list[str]:
    return [delete.item_id for delete in sent(actions, ev.ItemDelete)]


def resume(conversation: Conversation) -> list[Any]:
    """Let it resume by command, and the model know."""
    return [*conversation.resume(anew=True), *conversation.handle(ev.InputAudioBufferCleared())]


def detecting(detection: TurnDetection | None) -> SessionConfig:
    return SessionConfig(audio=SessionAudio(input=AudioInput(turn_detection=detection)))


# What is being said.


def test_a_reply_is_cut_at_once(conversation: Conversation) -> None:
    drive(conversation, [*turn("u1", "Tell me."), *spoken_reply("r1", "i1", "It was a dark night")])
    assert kinds(conversation.pause()) == ["response.cancel", "Interrupt", "session.update"]
    (truncate,) = sent(conversation.interrupted([("i1", 0, 1000)]), ev.ItemTruncate)
    assert truncate.audio_end_ms == 1000
    assert not any(isinstance(action, Play) for action in conversation.handle(delta("r1")))
    assert asked(conversation.handle(cancelled("r1"))) == []
    assert asked(conversation.resume(anew=True)) == []
    assert [entry.words for entry in conversation.history] == ["Tell me.", "It was"]


def test_a_pause_while_nothing_is_said_cancels_nothing(conversation: Conversation) -> None:
    assert kinds(conversation.pause()) == ["Interrupt", "session.update"]


def test_pausing_or_resuming_again_does_nothing(conversation: Conversation) -> None:
    assert conversation.resume(anew=True) == []
    conversation.pause()
    assert conversation.pause() == []
    conversation.resume(anew=True)
    assert conversation.resume(anew=True) == []


def test_the_model_finds_turns_and_answers_none(conversation: Conversation) -> None:
    paused = detection_of(conversation.pause())
    assert paused == ServerVad(create_response=False, interrupt_response=False).model_dump()
    conversation.handle(TAKEN)
    resumed = detection_of(conversation.resume(anew=True))
    assert resumed == ServerVad().model_dump()


def test_a_model_that_asks_by_itself_after_a_silence_does_not_while_paused() -> None:
    conversation = new_conversation(ServerVad(idle_timeout_ms=6000))
    paused, resumed = detection_of(conversation.pause()), detection_of(conversation.resume(anew=True))
    assert paused is not None
    assert resumed is not None
    assert (paused["idle_timeout_ms"], resumed["idle_timeout_ms"]) == (None, 6000)


def test_turns_may_be_found_by_their_words_too() -> None:
    conversation = new_conversation(SemanticVad(eagerness="low"))
    assert detection_of(conversation.pause()) == {
        "type": "semantic_vad", "eagerness": "low", "create_response": False, "interrupt_response": False,
    }  # fmt: skip


def test_push_to_talk_stays_what_it_is() -> None:
    conversation = new_conversation(None)
    assert kinds(conversation.pause()) == ["Interrupt"]
    assert kinds(conversation.resume(anew=True)) == ["input_audio_buffer.clear"]


def test_a_response_that_the_model_begins_all_the_same_is_cancelled_and_forgotten(conversation: Conversation) -> None:
    conversation.pause()
    drive(conversation, [started(), stopped(), committed()])
    assert kinds(conversation.handle(created("r1"))) == ["response.cancel"]
    said = drive(conversation, [output("r1", "i1"), added("i1", role="assistant"), words("i1", "Yes"), delta("r1")])
    assert said == []
    assert forgotten(conversation.handle(cancelled("r1"))) == ["i1"]


def test_a_response_to_what_was_said_before_the_pause_is_cancelled(conversation: Conversation) -> None:
    drive(conversation, [started(), stopped(), committed()])
    conversation.pause()
    assert kinds(conversation.handle(created("r1"))) == ["response.cancel"]


@pytest.mark.parametrize("turn_first", [True, False])
def test_a_late_response_to_what_was_said_in_the_pause_is_not_heard_after_it(
    conversation: Conversation, turn_first: bool
) -> None:
    if turn_first:
        drive(conversation, [started(), stopped(), committed()])
        conversation.pause()
    else:
        conversation.pause()
        drive(conversation, [started(), stopped(), committed()])
    conversation.resume(anew=True)
    assert kinds(conversation.handle(created("r1"))) == ["response.cancel"]
    drive(conversation, [cancelled("r1"), started("u2"), stopped("u2"), committed("u2")])
    assert kinds(conversation.handle(created("r2"))) == []


# What was asked for.


def test_what_a_command_asks_for_waits_for_the_end_of_the_pause(conversation: Conversation) -> None:
    conversation.pause()
    (answer,) = conversation.create_response(1, ResponseConfig(instructions="greet"))
    assert answers([answer]) == [(1, None)]
    assert answers(conversation.say(2, "Hello?")) == [(2, None)]
    resumed = resume(conversation)
    assert asked(resumed) == ["greet"]
    assert told(drive(conversation, [created("r1"), done("r1")])) == ["user: Hello?"]


def test_of_what_waited_before_only_that_comes_which_somebody_asked_for(conversation: Conversation) -> None:
    drive(conversation, [*turn("u1", "Tell me."), created("r1")])
    conversation.remark(ResponseConfig(instructions="welcome"))
    ask(conversation, "sing")
    conversation.say(1, "Why?")
    conversation.pause()
    conversation.handle(cancelled("r1"))
    assert asked(resume(conversation)) == ["sing"]
    drive(conversation, [created("r2")])
    assert told(conversation.handle(done("r2"))) == ["user: Why?"]
    assert asked(drive(conversation, [created("r3"), done("r3")])) == []


def test_what_the_model_was_asked_for_and_had_not_begun_comes_after_the_pause(conversation: Conversation) -> None:
    first = ask(conversation, "sing")
    conversation.pause()
    assert kinds(conversation.handle(created("r1", request_of(first)))) == ["response.cancel"]
    conversation.handle(cancelled("r1"))
    again = resume(conversation)
    assert asked(again) == ["sing"]
    assert request_of(again) != request_of(first)


def test_what_was_on_its_way_is_not_taken_for_what_is_asked_again(conversation: Conversation) -> None:
    first = ask(conversation, "sing")
    conversation.pause()
    assert asked(resume(conversation)) == []
    assert kinds(conversation.handle(created("r1", request_of(first)))) == ["response.cancel"]
    assert asked(conversation.handle(cancelled("r1"))) == ["sing"]


def test_what_the_model_had_begun_and_said_nothing_of_comes_after_the_pause(conversation: Conversation) -> None:
    first = ask(conversation, "sing")
    conversation.handle(created("r1", request_of(first)))
    conversation.pause()
    conversation.handle(cancelled("r1"))
    assert asked(resume(conversation)) == ["sing"]


def test_what_was_partly_said_does_not_come_again(conversation: Conversation) -> None:
    first = ask(conversation, "sing")
    drive(conversation, [created("r1", request_of(first)), delta("r1")])
    conversation.pause()
    conversation.handle(cancelled("r1"))
    assert asked(conversation.resume(anew=True)) == []


def test_a_greeting_that_was_not_begun_does_not_come_after_the_pause(conversation: Conversation) -> None:
    conversation.remark(ResponseConfig(instructions="welcome"))
    conversation.pause()
    drive(conversation, [created("r1"), cancelled("r1")])
    assert asked(conversation.resume(anew=True)) == []


def test_the_outputs_of_calls_are_told_and_not_answered() -> None:
    conversation = new_conversation(tools=True)
    drive(conversation, [created("r1"), done("r1", CALL)])
    conversation.pause()
    assert kinds(conversation.give_outputs(outputs("rain"))) == ["conversation.item.create"]
    assert asked(conversation.resume(anew=True)) == []


def test_outputs_that_come_after_a_pause_are_as_stale_as_in_it() -> None:
    conversation = new_conversation(tools=True)
    drive(conversation, [*turn("u1", "Rain?"), created("r1"), done("r1", CALL)])
    conversation.pause()
    conversation.resume(anew=True)
    assert kinds(conversation.give_outputs(outputs("rain"))) == ["conversation.item.create"]


def test_a_function_that_a_cut_reply_wants_is_not_called_in_the_pause() -> None:
    conversation = new_conversation(tools=True)
    drive(conversation, [*turn("u1", "Order it."), created("r1"), delta("r1")])
    conversation.pause()
    actions = conversation.handle(done("r1", CALL))
    assert kinds(actions) == ["conversation.item.create"]
    assert "stopped you" in told(actions)[0]
    assert conversation.is_idle


def test_a_text_that_the_model_was_told_is_answered_after_the_pause_as_one_that_waited(
    conversation: Conversation,
) -> None:
    conversation.say(1, "Why?")
    conversation.pause()
    drive(conversation, [created("r1"), cancelled("r1")])
    assert asked(resume(conversation)) == [None]


def test_a_text_that_the_model_refuses_in_the_pause_is_not_answered_after_it(conversation: Conversation) -> None:
    refused = event_id(conversation.say(1, "Why?"), ev.ItemCreate)
    conversation.pause()
    drive(conversation, [error("invalid_value", refused), created("r1"), cancelled("r1")])
    assert asked(conversation.resume(anew=True)) == []


def test_nothing_is_said_that_could_be_answered(conversation: Conversation) -> None:
    conversation.pause()
    assert answers(conversation.create_response(1, ResponseConfig())) == [(1, "agent_paused")]
    assert asked(resume(conversation)) == []
    assert asked(conversation.create_response(2, ResponseConfig())) == [None]


def test_a_greeting_that_waits_lapses_when_the_user_speaks_in_the_pause() -> None:
    conversation = new_conversation(user_present=False)
    conversation.pause()
    conversation.user_joined()
    conversation.remark(ResponseConfig(instructions="welcome"))
    drive(conversation, turn("u1", "Hey agent, start."))
    assert asked(conversation.resume(anew=False)) == []


def test_what_waits_for_the_end_of_the_pause_keeps_no_connection_from_being_replaced(
    conversation: Conversation,
) -> None:
    conversation.pause()
    conversation.handle(TAKEN)
    ask(conversation, "sing")
    assert conversation.is_idle


def test_an_answer_that_was_cut_is_not_taken_for_what_is_asked_for_next(conversation: Conversation) -> None:
    drive(conversation, [started(), stopped(), committed()])
    conversation.pause()
    conversation.resume(anew=False)
    greet = ask(conversation, "greet")
    # The server has not told yet which request a response answers.
    assert kinds(conversation.handle(created("r1"))) == ["response.cancel"]
    conversation.handle(cancelled("r1"))
    assert kinds(conversation.handle(created("r2", request_of(greet)))) == []
    assert kinds(conversation.handle(delta("r2"))) == ["Play"]


# What is heard.


def test_what_is_said_is_told_apart_and_forgotten_once_it_is_known(conversation: Conversation) -> None:
    conversation.pause()
    actions = drive(conversation, [started(), stopped(), committed(), added("u1", role="user")])
    assert kinds(actions) == ["UserSpeech", "UserSpeech"]
    assert conversation.handle(ev.TranscriptionDelta(item_id="u1", delta="Is")) == []
    usage = TranscriptionUsage(type="duration", seconds=1)
    actions = conversation.handle(ev.TranscriptionCompleted(item_id="u1", transcript=" Is she? ", usage=usage))
    assert forgotten(actions) == ["u1"]
    assert actions[1:] == [Overheard("Is she?"), Transcribed(usage)]
    conversation.handle(ev.ItemDeleted(item_id="u1"))
    assert len(conversation.history) == 0


def test_what_can_t_be_written_down_is_forgotten_too(conversation: Conversation) -> None:
    conversation.pause()
    drive(conversation, [started(), stopped(), committed()])
    assert forgotten(conversation.handle(ev.TranscriptionFailed(item_id="u1"))) == ["u1"]


def test_where_nothing_is_written_down_it_is_forgotten_at_once() -> None:
    conversation = new_conversation(words=False)
    conversation.pause()
    assert forgotten(drive(conversation, [started(), stopped(), committed()])) == ["u1"]


def test_what_is_committed_by_command_is_forgotten_too() -> None:
    conversation = new_conversation(None)
    conversation.pause()
    conversation.commit(1)
    assert answers(conversation.handle(committed("u1"))) == [(1, None)]
    assert forgotten(conversation.handle(spoke("u1", "Is she?"))) == ["u1"]


def test_what_is_not_known_yet_is_forgotten_when_the_pause_ends(conversation: Conversation) -> None:
    conversation.pause()
    drive(conversation, [started(), stopped(), committed()])
    assert forgotten(conversation.resume(anew=True)) == ["u1"]
    conversation.handle(ev.ItemDeleted(item_id="u1"))
    assert conversation.handle(spoke("u1", "Is she?")) == []
    assert len(conversation.history) == 0


def test_nothing_of_it_is_told_on_another_connection(conversation: Conversation) -> None:
    conversation.pause()
    drive(conversation, [started(), stopped(), committed()])
    assert not any(isinstance(action, Transcript) for action in conversation.disconnected())
    assert told(conversation.connected()) == []
    conversation.resume(anew=True)
    conversation.handle(ev.InputAudioBufferCleared())
    # The other connection may give the same id to something else.
    said = drive(conversation, [started(), stopped(), committed(), spoke("u1", "Hello?")])
    assert Transcript("user", "u1", "Hello?", final=True) in said


def test_no_voice_is_told_on_another_connection_where_only_an_ear_may_hear(conversation: Conversation) -> None:
    conversation.uplink.append(audio(500))
    conversation.uplink.take()
    drive(conversation, [started(), stopped(ms=500), committed()])
    conversation.pause(is_private=True)
    conversation.disconnected()
    assert told(conversation.connected()) == []
    conversation.resume(anew=False)
    conversation.disconnected()
    assert told(conversation.connected()) == ["user, spoken"]


def test_what_the_user_is_saying_as_the_pause_ends_may_be_forgotten_or_heard(conversation: Conversation) -> None:
    for anew in (True, False):
        conversation.pause()
        conversation.handle(started())
        resumed = conversation.resume(anew=anew)
        assert ("input_audio_buffer.clear" in kinds(resumed)) is anew


def test_what_the_model_has_heard_and_not_told_of_yet_is_forgotten_too(conversation: Conversation) -> None:
    conversation.pause()
    conversation.handle(TAKEN)
    assert kinds(conversation.resume(anew=True)) == ["input_audio_buffer.clear", "session.update"]
    # It was on its way: said before the agent resumed.
    said = drive(conversation, [started(), stopped(), committed()])
    assert not any(isinstance(action, Transcript) for action in said)
    assert (asked(said), forgotten(said)) == ([], ["u1"])
    assert conversation.handle(spoke("u1", "Is she?")) == []
    conversation.handle(ev.InputAudioBufferCleared())
    said = drive(conversation, [started("u2"), stopped("u2"), committed("u2"), spoke("u2", "Hello?")])
    assert Transcript("user", "u2", "Hello?", final=True) in said


def test_another_connection_has_heard_nothing_before(conversation: Conversation) -> None:
    conversation.pause()
    conversation.resume(anew=True)
    conversation.disconnected()
    conversation.connected()
    said = drive(conversation, [started(), stopped(), committed(), spoke("u1", "Hello?")])
    assert Transcript("user", "u1", "Hello?", final=True) in said


def test_without_a_connection_there_is_nothing_on_its_way(conversation: Conversation) -> None:
    conversation.pause()
    conversation.disconnected()
    assert kinds(conversation.resume(anew=True)) == []
    conversation.connected()
    said = drive(conversation, [started(), stopped(), committed(), spoke("u1", "Hello?")])
    assert Transcript("user", "u1", "Hello?", final=True) in said


def test_nothing_is_answered_before_the_model_has_forgotten_what_was_said_in_the_pause(
    conversation: Conversation,
) -> None:
    conversation.pause()
    conversation.handle(TAKEN)
    drive(conversation, [started(), stopped()])
    conversation.resume(anew=True)
    assert kinds(conversation.say(1, "What did I just say?")) == ["Answer"]
    assert forgotten(drive(conversation, [committed(), spoke("u1", "Go forward.")])) == ["u1"]
    answered = conversation.handle(ev.InputAudioBufferCleared())
    assert (told(answered), asked(answered)) == (["user: What did I just say?"], [None])


@pytest.mark.parametrize("tells", ["cleared", "refused", "settings"])
def test_a_model_that_knows_of_the_resumption_hears_again(conversation: Conversation, tells: str) -> None:
    conversation.pause()
    conversation.handle(TAKEN)
    resumed = conversation.resume(anew=True)
    refused = error("invalid_value", event_id(resumed, ev.InputAudioBufferClear))
    told: dict[str, ev.ServerEvent] = {"cleared": ev.InputAudioBufferCleared(), "refused": refused, "settings": TAKEN}
    conversation.handle(told[tells])
    assert Transcript("user", "u1", "Hello?", final=True) in drive(conversation, turn("u1", "Hello?"))


def test_by_push_to_talk_a_commit_behind_the_resumption_shows_that_it_knows() -> None:
    conversation = new_conversation(None)
    conversation.pause()
    conversation.commit(1)
    conversation.resume(anew=True)
    conversation.commit(2)
    assert forgotten(drive(conversation, [committed("u1"), spoke("u1", "Psst.")])) == ["u1"]
    assert Transcript("user", "u2", "Hello?", final=True) in drive(
        conversation, [committed("u2"), spoke("u2", "Hello?")]
    )


def test_that_it_knows_of_the_pause_is_not_that_it_knows_of_the_resumption(conversation: Conversation) -> None:
    conversation.pause()
    conversation.resume(anew=True)
    conversation.handle(TAKEN)
    assert Transcript("user", "u1", "Hello?", final=True) not in drive(conversation, turn("u1", "Hello?"))


def test_the_late_words_of_a_pause_before_are_not_overheard_in_the_next(conversation: Conversation) -> None:
    conversation.pause()
    conversation.handle(TAKEN)
    drive(conversation, [started(), stopped(), committed()])
    conversation.resume(anew=True)
    conversation.pause()
    assert conversation.handle(spoke("u1", "Hey agent, start.")) == []


# The phrase that pauses.


def test_the_phrase_that_pauses_is_forgotten_and_the_reply_to_it(conversation: Conversation) -> None:
    drive(conversation, [*turn("u1", "Tell me."), *spoken_reply("r1", "i1", "It was"), done("r1")])
    drive(
        conversation, [started("u2"), stopped("u2"), committed("u2"), *spoken_reply("r2", "i2", "What should I stop")]
    )
    conversation.handle(spoke("u2", "Hey agent, stop."))
    actions = conversation.pause("u2")
    assert kinds(actions)[:2] == ["response.cancel", "Interrupt"]
    assert forgotten(actions) == ["i2", "u2"]
    # What was cut is told once more, as after every cut; the reply that nobody wants is not shown any further.
    assert conversation.handle(all_words("i2", "What should I stop, please?", "r2")) == []
    drive(conversation, [ev.ItemDeleted(item_id="i2"), ev.ItemDeleted(item_id="u2")])
    assert [entry.words for entry in conversation.history] == ["Tell me.", "It was"]


def test_what_comes_later_of_the_reply_to_the_phrase_is_forgotten_when_it_is_over(conversation: Conversation) -> None:
    drive(conversation, [*turn("u1", "Hey agent, stop."), created("r1")])
    assert forgotten(conversation.pause("u1")) == ["u1"]
    drive(conversation, [output("r1", "i1"), added("i1", role="assistant"), words("i1", "What")])
    assert forgotten(conversation.handle(cancelled("r1"))) == ["i1"]


def test_what_a_command_lets_the_agent_say_meanwhile_is_cut_and_not_forgotten() -> None:
    conversation = new_conversation(ServerVad(create_response=False, interrupt_response=False))
    first = ask(conversation, "sing")
    drive(conversation, [created("r1", request_of(first)), added("i1", role="assistant")])
    drive(conversation, [words("i1", "Sing"), delta("r1"), *turn("u1", "Hey agent, stop.")])
    assert forgotten(conversation.pause("u1")) == ["u1"]
    assert forgotten(conversation.handle(cancelled("r1"))) == []


def test_a_phrase_that_is_said_twice_is_forgotten_twice(conversation: Conversation) -> None:
    for item_id in ("u1", "u2"):
        drive(conversation, [started(item_id), stopped(item_id), committed(item_id)])
    conversation.handle(spoke("u2", "Hey agent, stop!"))
    assert forgotten(conversation.pause("u2")) == ["u2"]
    conversation.handle(spoke("u1", "Hey, stop."))
    again = conversation.pause("u1")
    assert (forgotten(again), kinds(again)) == (["u1"], ["conversation.item.delete"])


def test_the_calls_by_which_the_model_answers_the_phrase_are_forgotten() -> None:
    conversation = new_conversation(tools=True)
    drive(conversation, [*turn("u1", "Rain?"), created("r1"), done("r1", CALL)])
    drive(conversation, turn("u2", "Hey agent, stop."))
    other = FunctionCall("call_2", "look_up", "{}")
    drive(conversation, [created("r2"), done("r2", other)])
    conversation.give_outputs(outputs("rain"))
    assert forgotten(conversation.pause("u2")) == ["item_call_2", "u2"]
    assert conversation.give_outputs([FunctionOutput("call_2", "stopped")]) == []


def test_the_phrase_is_forgotten_by_the_name_that_it_has_on_another_connection(conversation: Conversation) -> None:
    drive(conversation, turn("u1", "Hey agent, stop."))
    conversation.disconnected()
    (create,) = sent(conversation.connected(), ev.ItemCreate)
    assert forgotten(conversation.pause("u1")) == [create.item.id]


def test_the_reply_to_the_phrase_is_not_made_anew_where_it_was_cut(conversation: Conversation) -> None:
    drive(conversation, [*turn("u1", "Hey agent, stop."), *spoken_reply("r1", "i1", "What should I stop"), done("r1")])
    conversation.disconnected()
    conversation.connected()
    conversation.pause("u1")
    assert told(conversation.interrupted([("i1", 0, 500)])) == []


def test_what_comes_of_the_reply_to_the_phrase_when_it_is_over_is_forgotten_too() -> None:
    conversation = new_conversation(tools=True)
    drive(conversation, [*turn("u1", "Hey agent, stop."), created("r1")])
    conversation.pause("u1")
    actions = conversation.handle(done("r1", CALL))
    assert (forgotten(actions), told(actions)) == (["item_call_1"], [])


def test_a_call_that_was_forgotten_with_the_phrase_gets_no_output() -> None:
    conversation = new_conversation(tools=True)
    drive(conversation, [*turn("u1", "Hey agent, stop."), created("r1")])
    call = {"type": "function_call", "call_id": "call_1", "name": "look_up", "arguments": "{}"}
    drive(conversation, [added("item_call_1", role=None, **call)])
    assert forgotten(conversation.pause("u1")) == ["item_call_1", "u1"]
    assert told(conversation.handle(done("r1", CALL))) == []


def test_a_reply_that_had_begun_before_the_phrase_stays() -> None:
    conversation = new_conversation(ServerVad(interrupt_response=False))
    drive(conversation, [*turn("u1", "Tell me."), *spoken_reply("r1", "i1", "It was")])
    drive(conversation, turn("u2", "Hey agent, stop."))
    assert forgotten(conversation.pause("u2")) == ["u2"]
    assert forgotten(conversation.handle(cancelled("r1"))) == []


def test_what_was_said_before_the_phrase_was_known_is_forgotten_too(conversation: Conversation) -> None:
    drive(conversation, [started("u1"), stopped("u1"), committed("u1")])
    drive(conversation, [started("u2"), stopped("u2"), committed("u2"), spoke("u2", "Darling, the code is 4711.")])
    drive(conversation, [started("u3"), stopped("u3"), committed("u3")])
    conversation.say(1, "By command.")
    conversation.handle(spoke("u1", "Hey agent, stop."))
    assert forgotten(conversation.pause("u1")) == ["u2", "u1"]
    actions = conversation.handle(spoke("u3", "Hey agent, start."))
    assert (forgotten(actions), actions[-1]) == (["u3"], Overheard("Hey agent, start."))
    assert [entry.words for entry in conversation.history if not entry.is_gone] == ["By command."]


# Settings.


def test_settings_that_change_in_a_pause_are_in_force_after_it(conversation: Conversation) -> None:
    conversation.pause()
    conversation.handle(TAKEN)
    asking = conversation.update(1, detecting(ServerVad(silence_duration_ms=900).in_full()))
    told_now = detection_of(asking)
    assert told_now is not None
    assert (told_now["silence_duration_ms"], told_now["create_response"]) == (900, False)
    assert answers(conversation.handle(TAKEN)) == [(1, None)]
    resumed = detection_of(conversation.resume(anew=True))
    assert resumed is not None
    assert (resumed["silence_duration_ms"], resumed["create_response"]) == (900, True)


def test_a_pause_keeps_to_a_change_that_the_model_has_not_answered(conversation: Conversation) -> None:
    conversation.update(1, detecting(ServerVad(silence_duration_ms=900).in_full()))
    paused = detection_of(conversation.pause())
    assert paused is not None
    assert paused["silence_duration_ms"] == 900
    assert answers(conversation.handle(TAKEN)) == [(1, None)]
    assert conversation.handle(TAKEN) == []


def test_a_pause_agrees_to_nothing(conversation: Conversation) -> None:
    conversation.update(1, detecting(ServerVad(silence_duration_ms=900).in_full()))
    refused = event_id(conversation.update(2, SessionConfig(instructions="Sing.")), ev.SessionUpdate)
    conversation.pause()
    conversation.handle(error("invalid_value", refused))
    detection = conversation.config.turn_detection
    assert isinstance(detection, ServerVad)
    assert detection.silence_duration_ms == 500
    drive(conversation, [TAKEN, TAKEN])
    detection = conversation.config.turn_detection
    assert isinstance(detection, ServerVad)
    assert (detection.silence_duration_ms, detection.create_response) == (900, True)


def test_a_model_that_does_not_take_a_pause_or_its_end_is_asked_again_a_few_times(conversation: Conversation) -> None:
    for change in ("pause", "resume"):
        actions = conversation.pause() if change == "pause" else conversation.resume(anew=True)
        for times_left in (2, 1, 0):
            refusal = error("invalid_value", event_id(actions, ev.SessionUpdate))
            actions = conversation.handle(refusal)
            assert actions[0] == Report(refusal.error)
            assert len(sent(actions, ev.SessionUpdate)) == min(times_left, 1)


def test_while_it_has_not_taken_the_end_of_a_pause_turns_are_answered_by_us(conversation: Conversation) -> None:
    conversation.pause()
    conversation.handle(TAKEN)
    actions = conversation.resume(anew=False)
    for _ in range(3):
        actions = conversation.handle(error("invalid_value", event_id(actions, ev.SessionUpdate)))
    assert asked(drive(conversation, [started(), stopped(), committed()])) == [None]


@pytest.mark.parametrize("is_taken", [True, False])
def test_a_change_that_is_not_settled_when_the_agent_resumes_does_not_keep_it_silent(
    conversation: Conversation, is_taken: bool
) -> None:
    conversation.pause()
    conversation.handle(TAKEN)
    change = conversation.update(1, detecting(SemanticVad(eagerness="low").in_full()))
    assert sent(conversation.resume(anew=True), ev.SessionUpdate) == []
    refusal = error("invalid_value", event_id(change, ev.SessionUpdate))
    settled = conversation.handle(TAKEN if is_taken else refusal)
    assert answers(settled) == [(1, None if is_taken else "invalid_value")]
    resumed = detection_of(settled)
    assert resumed is not None
    assert (resumed["type"], resumed["create_response"]) == ("semantic_vad" if is_taken else "server_vad", True)


def test_pauses_that_the_model_does_not_answer_do_not_pile_up(conversation: Conversation) -> None:
    actions = [action for _ in range(100) for action in (*conversation.pause(), *conversation.resume(anew=False))]
    assert len(sent(actions, ev.SessionUpdate)) == 2
    assert conversation.commands_waiting == 0
    conversation.pause()
    # What it was told last is that it may answer, so that it is to be told again.
    assert (
        detection_of(drive(conversation, [TAKEN, TAKEN]))
        == ServerVad(create_response=False, interrupt_response=False).model_dump()
    )


def test_a_pause_is_no_command_that_somebody_waits_for(conversation: Conversation) -> None:
    conversation.pause()
    assert conversation.is_idle


def test_another_connection_begins_in_the_pause(conversation: Conversation) -> None:
    agreed = conversation.opening
    conversation.pause()
    opening = conversation.opening
    assert opening is conversation.opening
    detection = opening.turn_detection
    assert detection is not None
    assert not detection.create_response
    assert kinds(drive(conversation, []) + conversation.disconnected() + conversation.connected()) == ["SendAudio"]
    conversation.resume(anew=True)
    assert conversation.opening is agreed


def test_a_pause_before_the_connection_is_lost_is_not_told_again_after_it(conversation: Conversation) -> None:
    conversation.pause()
    conversation.disconnected()
    assert kinds(conversation.connected()) == ["SendAudio"]


def test_a_pause_without_a_connection_is_not_told_at_all(conversation: Conversation) -> None:
    conversation.disconnected()
    assert kinds(conversation.pause()) == ["Interrupt"]
    assert kinds(conversation.connected()) == ["SendAudio"]


# After it.


def test_a_turn_that_ends_before_the_model_knows_is_answered_all_the_same(conversation: Conversation) -> None:
    conversation.pause()
    conversation.handle(TAKEN)
    conversation.handle(started())
    conversation.resume(anew=False)
    conversation.handle(stopped())
    assert asked(conversation.handle(committed())) == [None]


def test_a_turn_that_ends_after_the_model_knows_is_left_to_it(conversation: Conversation) -> None:
    conversation.pause()
    conversation.handle(TAKEN)
    conversation.resume(anew=False)
    conversation.handle(TAKEN)
    assert asked(drive(conversation, turn("u1", "Hello?"))) == []


def test_where_the_model_answers_nothing_by_itself_it_does_not_after_a_pause() -> None:
    conversation = new_conversation(ServerVad(create_response=False))
    conversation.pause()
    conversation.resume(anew=False)
    assert asked(drive(conversation, turn("u1", "Hello?"))) == []


# A cut by command.


def test_a_reply_is_cut_by_command_and_what_waits_comes_next(conversation: Conversation) -> None:
    drive(conversation, [*turn("u1", "Tell me."), *spoken_reply("r1", "i1", "It was")])
    ask(conversation, "sing")
    assert not conversation.is_cut
    assert kinds(conversation.interrupt()) == ["response.cancel", "Interrupt"]
    assert conversation.is_cut
    assert conversation.handle(delta("r1")) == []
    assert asked(conversation.handle(cancelled("r1"))) == ["sing"]


def test_what_was_only_asked_for_is_cut_too(conversation: Conversation) -> None:
    first = ask(conversation, "sing")
    assert not conversation.is_cut
    assert kinds(conversation.interrupt()) == ["Interrupt"]
    assert conversation.is_cut
    assert kinds(conversation.handle(created("r1", request_of(first)))) == ["response.cancel"]
    assert asked(conversation.handle(cancelled("r1"))) == []


def test_what_was_made_and_is_still_being_heard_is_cut(conversation: Conversation) -> None:
    drive(conversation, [*turn("u1", "Tell me."), *spoken_reply("r1", "i1", "It was"), done("r1")])
    assert kinds(conversation.interrupt()) == ["Interrupt"]
    assert kinds(conversation.interrupted([("i1", 0, 500)])) == ["Transcript", "conversation.item.truncate"]


def test_a_turn_that_collides_in_a_pause_is_not_answered_later(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    conversation.pause()
    drive(conversation, [started(), stopped(), committed(), error(COLLISION), cancelled("r1")])
    assert asked(conversation.resume(anew=True)) == []


def test_an_error_about_nothing_in_particular_changes_nothing(conversation: Conversation) -> None:
    conversation.pause()
    refusal = ErrorDetail(type="x", message="no", code=None)
    assert conversation.handle(ev.ErrorEvent(error=refusal)) == [Report(refusal)]


def test_the_answer_that_the_model_is_about_to_begin_is_cut(conversation: Conversation) -> None:
    drive(conversation, [started(), stopped(), committed()])
    assert not conversation.is_cut
    conversation.interrupt()
    assert conversation.is_cut
    assert kinds(conversation.handle(created("r1"))) == ["response.cancel"]
    conversation.handle(cancelled("r1"))
    drive(conversation, turn("u2", "And now?"))
    assert kinds(conversation.handle(created("r2"))) == []


def test_a_cut_while_functions_run_keeps_their_outputs_from_being_spoken_about() -> None:
    conversation = new_conversation(tools=True)
    drive(conversation, [*turn("u1", "Rain?"), created("r1"), done("r1", CALL)])
    assert not conversation.is_cut
    conversation.interrupt()
    assert conversation.is_cut
    assert kinds(conversation.give_outputs(outputs("rain"))) == ["conversation.item.create"]


def test_a_function_that_a_cut_reply_calls_is_called_and_not_spoken_about() -> None:
    conversation = new_conversation(tools=True)
    drive(conversation, [*turn("u1", "Order it."), created("r1"), delta("r1")])
    conversation.interrupt()
    assert any(isinstance(action, CallTools) for action in conversation.handle(done("r1", CALL)))
    assert kinds(conversation.give_outputs(outputs("done"))) == ["conversation.item.create"]


def test_a_barge_in_is_no_cut_of_what_functions_give() -> None:
    conversation = new_conversation(tools=True)
    drive(conversation, [*turn("u1", "Order it."), created("r1"), delta("r1"), started("u2"), done("r1", CALL)])
    drive(conversation, [stopped("u2"), ev.InputAudioBufferCleared()])
    conversation.give_up_waiting()
    assert conversation.is_responding
    assert asked(conversation.give_outputs(outputs("done"))) == [None]


def test_what_functions_give_is_not_told_to_the_next_user() -> None:
    conversation = new_conversation(tools=True)
    drive(conversation, [*turn("u1", "My balance?"), created("r1"), done("r1", CALL)])
    conversation.user_left()
    conversation.user_joined()
    assert kinds(conversation.give_outputs(outputs("5 euros"))) == ["conversation.item.create"]
