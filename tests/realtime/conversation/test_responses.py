"""Whose turn it is to speak: one response at a time, in its turn, and none to nobody."""

from __future__ import annotations

import pytest

from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.conversation.agreed import Agreed
from realtime_agent.realtime.conversation.request import Request
from realtime_agent.realtime.conversation.responses import Responses
from realtime_agent.realtime.session import Play, Report, Spent
from realtime_agent.realtime.types import ResponseConfig, ServerVad, SessionConfig
from tests.realtime.conversation.talk import (
    COLLISION,
    PCM,
    all_words,
    answers,
    ask,
    asked,
    audio_done,
    cancelled,
    config,
    created,
    delta,
    done,
    drive,
    error,
    event_id,
    kinds,
    new_conversation,
    request_of,
    sent,
    started,
    stopped,
    told,
    words,
)

GREET = ResponseConfig(instructions="greet")


@pytest.fixture
def conversation() -> Conversation:
    return new_conversation()


# One response at a time.


def test_a_response_is_asked_for_at_once_when_none_is_made(conversation: Conversation) -> None:
    assert asked(ask(conversation, "greet")) == ["greet"]
    assert conversation.is_responding


def test_every_request_has_an_id_and_says_which_it_is(conversation: Conversation) -> None:
    first = conversation.create_response(None)
    second = drive(conversation, [created("r1"), done("r1")]) + conversation.create_response(None)
    (create,) = sent(first, ev.ResponseCreate)
    assert create.to_dict() == {
        "type": "response.create",
        "event_id": event_id(first, ev.ResponseCreate),
        "response": {"metadata": {"request": request_of(first)}},
    }
    assert request_of(first) != request_of(second)
    assert event_id(first, ev.ResponseCreate) != event_id(second, ev.ResponseCreate)


def test_a_request_s_own_settings_are_not_changed(conversation: Conversation) -> None:
    config = ResponseConfig(instructions="greet")
    conversation.create_response(None, config)
    assert config.to_dict() == {"instructions": "greet"}


def test_requests_wait_their_turn_and_are_sent_in_order(conversation: Conversation) -> None:
    assert asked(ask(conversation, "one")) == ["one"]
    assert ask(conversation, "two") == []
    conversation.handle(created("r1"))
    assert ask(conversation, "three") == []
    assert asked(conversation.handle(done("r1"))) == ["two"]
    conversation.handle(created("r2"))
    assert asked(conversation.handle(done("r2"))) == ["three"]
    conversation.handle(created("r3"))
    assert conversation.handle(done("r3")) == []


def test_a_request_waits_for_a_response_that_the_server_began(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    assert conversation.is_responding
    assert ask(conversation, "greet") == []
    assert asked(conversation.handle(done("r1"))) == ["greet"]
    drive(conversation, [created("r2"), done("r2")])
    assert not conversation.is_responding


def test_the_end_of_another_response_releases_nothing(conversation: Conversation) -> None:
    conversation.handle(created("r2"))
    assert ask(conversation, "greet") == []
    assert conversation.handle(done("r1")) == []
    assert conversation.is_responding


def test_responses_without_an_id_are_still_one_at_a_time(conversation: Conversation) -> None:
    conversation.handle(created(None))
    assert ask(conversation, "greet") == []
    assert asked(conversation.handle(done(None))) == ["greet"]


def test_a_server_that_never_says_created_is_not_waited_for_for_ever(conversation: Conversation) -> None:
    ask(conversation, "one")
    assert ask(conversation, "two") == []
    assert asked(conversation.handle(done("r1"))) == ["two"]


def test_when_too_many_wait_another_one_is_refused(conversation: Conversation) -> None:
    conversation.handle(created("r0"))
    told = [answer for number in range(34) for answer in answers(conversation.create_response(number))]
    assert told == [*((number, None) for number in range(32)), (32, "too_many_responses"), (33, "too_many_responses")]
    replies = 0
    while asked(conversation.handle(done(f"r{replies}"))):
        replies += 1
        conversation.handle(created(f"r{replies}"))
    assert replies == 32


def test_that_too_many_wait_is_reported_where_nobody_asked(conversation: Conversation) -> None:
    conversation.handle(created("r0"))
    (report,) = [action for number in range(33) for action in ask(conversation, str(number))]
    assert isinstance(report, Report)
    assert report.error.code == "too_many_responses"


# Which request a response answers.


def test_a_response_tells_by_its_metadata_which_request_it_answers(conversation: Conversation) -> None:
    first = conversation.create_response(1, GREET)
    assert answers(first) == []
    assert answers(conversation.handle(created("r1", request_of(first)))) == [(1, None)]


def test_a_response_that_tells_nothing_is_taken_for_the_answer_where_the_server_is_not_known_to_tell(
    conversation: Conversation,
) -> None:
    conversation.create_response(1, GREET)
    assert answers(conversation.handle(created("r1"))) == [(1, None)]
    assert conversation.handle(done("r1")) == []
    assert not conversation.is_responding


def test_a_response_of_the_server_s_own_does_not_take_our_request_s_place_once_it_is_known_to_tell(
    conversation: Conversation,
) -> None:
    first = conversation.create_response(1, GREET)
    drive(conversation, [created("r1", request_of(first)), done("r1")])
    second = conversation.create_response(2, GREET)
    assert answers(conversation.handle(created("r2"))) == []
    assert answers(conversation.handle(done("r2"))) == []
    assert conversation.is_responding
    assert answers(conversation.handle(created("r3", request_of(second)))) == [(2, None)]
    assert conversation.handle(done("r3")) == []
    assert not conversation.is_responding


def test_that_a_server_tells_is_known_after_a_reconnect_too(conversation: Conversation) -> None:
    first = conversation.create_response(1, GREET)
    drive(conversation, [created("r1", request_of(first)), done("r1")])
    conversation.disconnected()
    conversation.connected()
    conversation.create_response(2, GREET)
    assert answers(conversation.handle(created("r2"))) == []


# The collision of two responses, and other errors.


def test_a_request_that_collides_is_sent_again_after_the_other_is_done(conversation: Conversation) -> None:
    name = event_id(ask(conversation, "greet"), ev.ResponseCreate)
    ask(conversation, "then")
    conversation.handle(created("r1"))
    assert conversation.handle(error(COLLISION, name)) == []
    assert asked(conversation.handle(done("r1"))) == ["greet"]
    conversation.handle(created("r2"))
    assert asked(conversation.handle(done("r2"))) == ["then"]


def test_a_request_that_is_sent_again_is_still_the_same(conversation: Conversation) -> None:
    first = ask(conversation, "greet")
    drive(conversation, [created("r1"), error(COLLISION, event_id(first, ev.ResponseCreate))])
    again = conversation.handle(done("r1"))
    assert request_of(again) == request_of(first)
    assert event_id(again, ev.ResponseCreate) != event_id(first, ev.ResponseCreate)


def test_a_request_that_collided_is_not_made_twice_after_a_cut(conversation: Conversation) -> None:
    name = event_id(ask(conversation, "greet"), ev.ResponseCreate)
    drive(conversation, [created("r1"), error(COLLISION, name)])
    conversation.disconnected()
    # First what the server had begun by itself, then ours.
    assert asked(conversation.connected()) == [None]
    conversation.handle(created("r2"))
    assert asked(conversation.handle(done("r2"))) == ["greet"]
    conversation.handle(created("r3"))
    assert asked(conversation.handle(done("r3"))) == []


def test_a_turn_of_the_user_that_the_server_could_not_answer_is_answered_in_its_turn(
    conversation: Conversation,
) -> None:
    ask(conversation, "greet")
    conversation.handle(created("r1"))
    assert conversation.handle(error(COLLISION)) == []
    assert asked(conversation.handle(done("r1"))) == [None]
    conversation.handle(created("r2"))
    assert conversation.handle(done("r2")) == []


def test_a_collision_told_twice_does_not_repeat_the_reply(conversation: Conversation) -> None:
    name = event_id(ask(conversation, "greet"), ev.ResponseCreate)
    conversation.handle(created("r1"))
    assert drive(conversation, [error(COLLISION, name), error(COLLISION, name)]) == []
    assert asked(conversation.handle(done("r1"))) == ["greet"]
    conversation.handle(created("r2"))
    assert conversation.handle(done("r2")) == []


def test_collisions_do_not_let_the_queue_outgrow_its_bound(conversation: Conversation) -> None:
    name = event_id(conversation.create_response(None), ev.ResponseCreate)
    for number in range(100):
        ask(conversation, str(number))
    drive(conversation, [created("r"), error(COLLISION, name)])
    said = asked(conversation.handle(done("r")))
    while requests := asked(conversation.handle(done(f"r{len(said)}"))):
        said += requests
    assert said == [None, *(str(number) for number in range(32))]


def test_cancelling_nothing_is_harmless(conversation: Conversation) -> None:
    assert conversation.handle(error("response_cancel_not_active")) == []
    ask(conversation, "one")
    assert ask(conversation, "two") == []
    assert conversation.handle(error("response_cancel_not_active")) == []
    conversation.handle(created("r1"))
    assert asked(conversation.handle(done("r1"))) == ["two"]


def test_a_request_that_the_server_refuses_is_reported_and_the_next_is_sent(conversation: Conversation) -> None:
    name = event_id(ask(conversation, "wrong"), ev.ResponseCreate)
    ask(conversation, "right")
    refusal = error("invalid_value", name)
    report, *rest = conversation.handle(refusal)
    assert report == Report(refusal.error)
    assert asked(rest) == ["right"]


def test_an_error_that_names_nothing_is_taken_to_mean_the_unanswered_request(conversation: Conversation) -> None:
    ask(conversation, "wrong")
    ask(conversation, "right")
    assert asked(conversation.handle(error("server_error"))) == ["right"]


def test_an_error_about_something_else_leaves_the_request_alone(conversation: Conversation) -> None:
    ask(conversation, "one")
    ask(conversation, "two")
    assert asked(conversation.handle(error("invalid_value", "some_other_event"))) == []
    conversation.handle(created("r1"))
    assert asked(conversation.handle(error("input_audio_buffer_commit_empty"))) == []
    assert asked(conversation.handle(done("r1"))) == ["two"]


def test_a_failed_response_is_reported(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    details = {"type": "failed", "error": {"type": "server_error", "message": "out of cards"}}
    (report,) = conversation.handle(done("r1", status="failed", status_details=details))
    assert isinstance(report, Report)
    assert report.error.message == "out of cards"
    assert kinds(conversation.handle(done("r2", status="failed"))) == ["Report"]


def test_what_a_response_cost_is_told(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    usage = {"total_tokens": 9, "input_tokens": 4, "output_tokens": 5}
    (spent,) = conversation.handle(done("r1", usage=usage))
    assert isinstance(spent, Spent)
    assert spent.usage.total_tokens == 9


# The command that asks.


def test_a_request_that_waits_counts_as_accepted(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    assert answers(conversation.create_response(1, GREET)) == [(1, None)]
    actions = conversation.handle(done("r1"))
    assert asked(actions) == ["greet"]
    assert answers(actions) == []
    assert answers(conversation.handle(created("r2"))) == []
    assert answers(conversation.handle(done("r2"))) == []


@pytest.mark.parametrize("named", [True, False], ids=["with event_id", "without event_id"])
def test_a_request_that_is_refused_answers_with_the_model_s_error(conversation: Conversation, named: bool) -> None:
    actions = conversation.create_response(1, GREET)
    refusal = error("invalid_value", event_id(actions, ev.ResponseCreate) if named else None)
    actions = conversation.handle(refusal)
    assert kinds(actions) == ["Answer"]
    assert answers(actions) == [(1, "invalid_value")]
    assert not conversation.is_responding


def test_a_request_that_was_accepted_and_is_refused_later_is_reported(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    conversation.create_response(1, GREET)
    name = event_id(conversation.handle(done("r1")), ev.ResponseCreate)
    assert kinds(conversation.handle(error("invalid_value", name))) == ["Report"]


def test_a_request_that_collides_counts_as_accepted(conversation: Conversation) -> None:
    name = event_id(conversation.create_response(1, GREET), ev.ResponseCreate)
    assert answers(conversation.handle(error(COLLISION, name))) == [(1, None)]


def test_a_request_that_was_done_before_it_was_said_to_begin_is_answered(conversation: Conversation) -> None:
    conversation.create_response(1, GREET)
    assert answers(conversation.handle(done("r1"))) == [(1, None)]


def test_a_request_that_a_lost_connection_left_unanswered_counts_as_accepted_and_is_made_again(
    conversation: Conversation,
) -> None:
    conversation.create_response(1, GREET)
    assert answers(conversation.disconnected()) == [(1, None)]
    actions = conversation.connected()
    assert asked(actions) == ["greet"]
    assert answers([*actions, *conversation.handle(created("r1"))]) == []


# The user's text.


def test_the_user_s_text_comes_with_its_answer_in_their_turn(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    waiting = conversation.say(1, "hello")
    assert kinds(waiting) == ["Answer"]
    assert answers(waiting) == [(1, None)]
    actions = conversation.handle(done("r1"))
    assert kinds(actions) == ["conversation.item.create", "Transcript", "response.create"]
    assert told(actions) == ["user: hello"]
    assert asked(actions) == [None]


def test_the_user_s_text_is_answered_for_when_its_response_begins(conversation: Conversation) -> None:
    assert answers(conversation.say(1, "hello")) == []
    assert answers(conversation.handle(created("r1"))) == [(1, None)]


@pytest.mark.parametrize("named", [True, False], ids=["with event_id", "without event_id"])
def test_the_user_s_text_whose_response_is_refused_answers_with_the_model_s_error(
    conversation: Conversation, named: bool
) -> None:
    name = event_id(conversation.say(1, "hello"), ev.ResponseCreate)
    assert answers(conversation.handle(error("invalid_value", name if named else None))) == [(1, "invalid_value")]


def test_the_user_s_text_is_not_repeated_when_its_answer_collides(conversation: Conversation) -> None:
    name = event_id(conversation.say(1, "hello"), ev.ResponseCreate)
    drive(conversation, [created("r1"), error(COLLISION, name)])
    assert kinds(conversation.handle(done("r1"))) == ["response.create"]


# A user who speaks when a response begins.


def test_a_response_that_begins_while_the_user_speaks_is_asked_for_again_when_they_have_finished(
    conversation: Conversation,
) -> None:
    ask(conversation, "greet")
    conversation.handle(started())
    assert kinds(conversation.handle(created("r1"))) == ["response.cancel"]
    # Nobody hears or reads it, and the model forgets that it has said it.
    assert drive(conversation, [delta("r1"), words("i1", "Hello"), all_words("i1", "Hello.")]) == []
    ended = done("r1", status="cancelled", output=[{"type": "message", "id": "i1"}])
    assert [delete.item_id for delete in sent(conversation.handle(ended), ev.ItemDelete)] == ["i1"]
    # The server answers the user's turn by itself; what waits comes after that.
    drive(conversation, [stopped(), created("r2")])
    assert asked(conversation.handle(done("r2"))) == ["greet"]


def test_a_response_that_is_asked_for_again_comes_first_and_pushes_no_other_out(conversation: Conversation) -> None:
    ask(conversation, "greet")
    for number in range(32):
        ask(conversation, str(number))
    drive(conversation, [started(), created("r1"), stopped()])
    said = []
    for number in range(2, 40):
        said += asked(conversation.handle(done(f"r{number - 1}")))
        conversation.handle(created(f"r{number}"))
    assert said == ["greet", *(str(number) for number in range(32))]


def test_where_speech_does_not_interrupt_a_response_may_begin_in_the_middle_of_it() -> None:
    conversation = new_conversation(ServerVad(interrupt_response=False))
    ask(conversation, "greet")
    conversation.handle(started())
    assert conversation.handle(created("r1")) == []
    assert conversation.handle(delta("r1")) != []


# A user who is not there.


def test_a_response_that_was_asked_for_one_user_is_not_spoken_to_the_next(conversation: Conversation) -> None:
    ask(conversation, "greet")
    ask(conversation, "then")
    conversation.user_left()
    assert conversation.user_joined() == []
    assert ask(conversation, "greet again") == []
    assert kinds(conversation.handle(created("r1"))) == ["response.cancel"]
    assert conversation.handle(delta("r1")) == []
    assert asked(conversation.handle(cancelled("r1"))) == ["greet again"]
    assert conversation.handle(created("r2")) == []
    assert conversation.handle(delta("r2")) == [Play("i1", 0, PCM)]


def test_nothing_is_asked_for_until_somebody_is_there() -> None:
    conversation = new_conversation(user_present=False)
    waiting = conversation.create_response(1, GREET)
    assert asked(waiting) == []
    assert answers(waiting) == [(1, None)]
    assert asked(conversation.user_joined()) == ["greet"]


def test_a_response_is_cancelled_and_not_heard_when_the_user_leaves(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    assert kinds(conversation.user_left()) == ["response.cancel"]
    assert drive(conversation, [delta("r1"), audio_done("r1")]) == []


def test_a_response_that_begins_after_the_user_left_is_cancelled_too(conversation: Conversation) -> None:
    ask(conversation, "greet")
    assert conversation.user_left() == []
    assert kinds(conversation.handle(created("r1"))) == ["response.cancel"]
    assert conversation.handle(delta("r1")) == []
    conversation.handle(cancelled("r1"))
    conversation.user_joined()
    conversation.handle(created("r2"))
    assert conversation.handle(delta("r2")) == [Play("i1", 0, PCM)]


@pytest.mark.parametrize("begun", [True, False], ids=["it had begun", "it had not begun"])
def test_what_was_asked_for_a_user_who_left_is_not_asked_of_another_connection(
    conversation: Conversation, begun: bool
) -> None:
    ask(conversation, "greet")
    ask(conversation, "then")
    if begun:
        conversation.handle(created("r1"))
    conversation.user_left()
    conversation.disconnected()
    assert asked(conversation.connected()) == asked(conversation.user_joined()) == []
    assert not conversation.is_responding


def test_a_user_who_leaves_while_there_is_no_session_is_not_answered_by_the_next(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    conversation.disconnected()
    assert conversation.user_left() == []
    assert asked(conversation.connected()) == asked(conversation.user_joined()) == []


# Quiet.


def test_it_is_not_quiet_while_a_response_is_asked_for_or_made_or_waits(conversation: Conversation) -> None:
    assert conversation.is_quiet
    ask(conversation, "one")
    assert not conversation.is_quiet
    conversation.handle(created("r1"))
    assert not conversation.is_quiet
    conversation.handle(done("r1"))
    assert conversation.is_quiet


def test_what_waits_for_somebody_to_come_is_no_quiet_moment() -> None:
    conversation = new_conversation(user_present=False)
    assert conversation.is_quiet
    ask(conversation, "greet")
    assert not conversation.is_quiet


# The queue itself.


def test_nothing_that_waits_gives_way() -> None:
    responses = Responses(Agreed(SessionConfig()), user_present=True)
    requests = [Request(str(number)) for number in range(34)]
    assert [responses.add(request) for request in requests] == [*([True] * 32), False, False]
    assert responses.next() is requests[0]


def test_what_waits_for_a_user_who_leaves_is_forgotten() -> None:
    responses = Responses(Agreed(SessionConfig()), user_present=True)
    responses.add(Request("one"))
    responses.user_left()
    assert responses.is_quiet


def test_without_a_connection_nothing_has_its_turn() -> None:
    conversation = Conversation(config(ServerVad()))
    assert ask(conversation, "one") == []
    assert asked(conversation.connected()) == ["one"]
