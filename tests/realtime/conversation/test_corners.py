"""Corners of the conversation, where two things happen at once."""

from __future__ import annotations

import pytest

from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation.actions import Action, Answer
from realtime_agent.realtime.types import SessionConfig
from tests.realtime.conversation.talk import (
    CALL,
    COLLISION,
    all_words,
    answers,
    ask,
    asked,
    cancelled,
    committed,
    created,
    done,
    drive,
    error,
    event_id,
    new_conversation,
    outputs,
    request_of,
    sent,
    spoke,
    started,
    stopped,
    told,
    words,
)


def test_outputs_that_were_taken_while_their_request_was_on_its_way_are_not_answered_twice() -> None:
    conversation = new_conversation(tools=True)
    drive(conversation, [created("r1"), done("r1", CALL)])
    actions = conversation.give_outputs(outputs("wet"))
    (create,) = sent(actions, ev.ItemCreate)
    # The user begins to speak as the model begins to answer; the server answers their turn by itself, outputs known.
    drive(conversation, [ev.ItemAdded(item=create.item), started(), created("r2", request_of(actions))])
    drive(conversation, [cancelled("r2"), stopped(), committed(), created("r3")])
    assert asked(conversation.handle(done("r3"))) == []


def test_the_user_s_text_that_is_refused_answers_with_the_model_s_error() -> None:
    conversation = new_conversation()
    actions = conversation.say(1, "hello")
    refusal = error("string_above_max_length", event_id(actions, ev.ItemCreate))
    assert answers([*conversation.handle(refusal), *conversation.handle(created("r1"))]) == [
        (1, "string_above_max_length")
    ]


def test_the_system_s_text_that_is_refused_without_event_id_answers_with_the_model_s_error() -> None:
    conversation = new_conversation()
    conversation.tell(1, "it rains")
    refusal = error("invalid_value", param="item.content")
    assert conversation.handle(refusal) == [Answer(1, refusal.error)]


def test_an_error_about_an_item_is_not_taken_for_the_request_s() -> None:
    conversation = new_conversation()
    ask(conversation, "greet")
    conversation.tell(1, "it rains")
    assert answers(conversation.handle(error("invalid_value", param="item.content"))) == [(1, "invalid_value")]
    assert conversation.is_responding


def test_words_whose_audio_never_came_before_the_user_interrupted_are_not_told() -> None:
    conversation = new_conversation()
    drive(conversation, [created("r1"), words("i1", "Good day"), started()])
    conversation.interrupted([])
    drive(conversation, [all_words("i1", "Good day to"), cancelled("r1")])
    conversation.disconnected()
    assert told(conversation.connected()) == []


def test_a_commit_in_the_middle_of_a_turn_is_answered_where_the_server_tells_the_end_of_speech_too() -> None:
    conversation = new_conversation()
    conversation.handle(started("u1"))
    assert asked(ask(conversation, "then")) == []
    conversation.commit(5)
    actions = drive(conversation, [stopped("u1"), committed("u1")])
    assert answers(actions) == [(5, None)]
    assert asked(actions) == ["then"]


@pytest.mark.parametrize("named", [True, False], ids=["with event_id", "without event_id"])
def test_a_collision_never_makes_a_tight_loop(named: bool) -> None:
    conversation = new_conversation()
    actions = ask(conversation, "greet")

    def collide() -> list[Action]:
        return conversation.handle(error(COLLISION, event_id(actions, ev.ResponseCreate) if named else None))

    # The server may be about to notice that its last response has ended.
    actions = collide()
    assert asked(actions) == ["greet"]
    # It holds on to a response that we have not heard of, or that was done already.
    for response in ("r1", "r2", "r3"):
        assert collide() == []
        assert asked(collide()) == []
        actions = conversation.handle(done(response))
        assert asked(actions) == ["greet"]


def test_what_a_collision_holds_is_asked_for_again_with_the_next_request() -> None:
    """Without turn detection, nobody but us begins a response that could end."""
    conversation = new_conversation(None)
    actions = ask(conversation, "one")
    for _ in range(2):
        actions = conversation.handle(error(COLLISION, event_id(actions, ev.ResponseCreate)))
    assert actions == []
    assert asked(ask(conversation, "two")) == ["one"]
    conversation.handle(created("r1"))
    assert asked(conversation.handle(done("r1"))) == ["two"]


def test_a_turn_without_words_that_nobody_answers_holds_no_quiet_moment_up() -> None:
    conversation = new_conversation()
    drive(conversation, [started(), stopped(), committed(), spoke("u1", "")])
    assert conversation.is_quiet


def test_a_change_of_instructions_does_not_let_a_request_overtake_the_answer_to_a_turn() -> None:
    conversation = new_conversation()
    conversation.update(1, SessionConfig(instructions="Sing."))
    drive(conversation, [started(), stopped(), committed()])
    assert asked(ask(conversation, "then")) == []
    actions = conversation.handle(ev.SessionUpdated(session={}))
    assert (answers(actions), asked(actions)) == ([(1, None)], [])
    drive(conversation, [created("r1")])
    assert asked(conversation.handle(done("r1"))) == ["then"]
