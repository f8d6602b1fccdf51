"""A conversation that is paused: nothing is said."""

from __future__ import annotations

from typing import Any

import pytest

from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.session import (
    Play,
)
from realtime_agent.realtime.types import (
    ResponseConfig,
    SemanticVad,
    ServerVad,
)
from tests.realtime.conversation.talk import (
    CALL,
    TAKEN,
    added,
    answers,
    ask,
    asked,
    cancelled,
    committed,
    created,
    delta,
    done,
    drive,
    error,
    event_id,
    forgotten,
    kinds,
    new_conversation,
    output,
    outputs,
    request_of,
    sent,
    spoken_reply,
    started,
    stopped,
    told,
    turn,
    words,
)


@pytest.fixture
def conversation() -> Conversation:
    return new_conversation()


def detection_of(actions: list[Any]) -> dict[str, Any] | None:
    """The turn detection that the model is told to use."""
    (update,) = sent(actions, ev.SessionUpdate)
    detection: dict[str, Any] | None = update.to_dict()["session"]["audio"]["input"]["turn_detection"]
    return detection


def resume(conversation: Conversation) -> list[Any]:
    """Let it resume by command, and the model know."""
    return [*conversation.resume(anew=True), *conversation.handle(ev.InputAudioBufferCleared())]


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


def test_what_was_cut_before_the_pause_does_not_come_after_it(conversation: Conversation) -> None:
    only_asked = ask(conversation, "sing")
    conversation.interrupt()
    conversation.pause()
    drive(conversation, [created("r1", request_of(only_asked)), cancelled("r1")])
    assert asked(resume(conversation)) == []
    begun = ask(conversation, "dance")
    conversation.handle(created("r2", request_of(begun)))
    conversation.interrupt()
    conversation.pause()
    conversation.handle(cancelled("r2"))
    assert asked(resume(conversation)) == []


def test_no_turn_of_before_the_pause_is_waited_for(conversation: Conversation) -> None:
    drive(conversation, [started(), stopped()])
    assert conversation.waiting is not None
    conversation.pause()
    assert conversation.waiting is None


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


def test_a_function_that_a_cut_reply_wants_is_not_called_after_the_pause_either() -> None:
    conversation = new_conversation(tools=True)
    drive(conversation, [*turn("u1", "Order it."), created("r1"), delta("r1")])
    conversation.pause()
    conversation.resume(anew=True)
    assert kinds(conversation.handle(done("r1", CALL))) == ["conversation.item.create"]


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
