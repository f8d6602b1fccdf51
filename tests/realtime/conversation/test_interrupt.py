"""What is said, or about to be, cut by command."""

from __future__ import annotations

import pytest

from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.session import (
    CallTools,
    Report,
)
from realtime_agent.realtime.types import (
    ErrorDetail,
)
from tests.realtime.conversation.talk import (
    CALL,
    COLLISION,
    ask,
    asked,
    cancelled,
    committed,
    created,
    delta,
    done,
    drive,
    error,
    kinds,
    new_conversation,
    outputs,
    request_of,
    spoken_reply,
    started,
    stopped,
    turn,
)


@pytest.fixture
def conversation() -> Conversation:
    return new_conversation()


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


def test_what_waits_behind_an_answer_that_is_cut_has_its_turn_at_once(conversation: Conversation) -> None:
    drive(conversation, [started(), stopped(), committed()])
    ask(conversation, "sing")
    assert asked(conversation.interrupt()) == ["sing"]


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
