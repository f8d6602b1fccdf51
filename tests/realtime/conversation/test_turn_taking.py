"""Who speaks next where several things want an answer at once: nothing is said twice, and nothing is forgotten."""

from __future__ import annotations

import pytest

from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.conversation.actions import Action
from realtime_agent.realtime.session import (
    CallTools,
    FunctionCall,
    FunctionOutput,
    Interrupt,
    Play,
    Report,
    Transcript,
    UserSpeech,
)
from realtime_agent.realtime.types import (
    AudioInput,
    ErrorDetail,
    ResponseConfig,
    ServerVad,
    SessionAudio,
    SessionConfig,
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
    audio_done,
    cancelled,
    committed,
    created,
    delta,
    done,
    drive,
    error,
    event_id,
    instructions,
    kinds,
    new_conversation,
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

GREET = ResponseConfig(instructions="greet")


@pytest.fixture
def conversation() -> Conversation:
    return new_conversation()


def answered(conversation: Conversation, item_id: str, response_id: str) -> list[Action]:
    """The user's speech ends, and the server answers it by itself."""
    said = f"item of {response_id}"
    return drive(
        conversation,
        [stopped(item_id), committed(item_id), *spoken_reply(response_id, said, "Yes."), done(response_id),
         spoke(item_id, "Hello?")],
    )  # fmt: skip


def cut_in_a_reply(conversation: Conversation, *, heard: bool) -> str:
    """A reply is cut off by a lost connection, and asked for again; the id of that request."""
    drive(conversation, [*turn("u1", "Count."), created("r1")])
    if heard:
        drive(conversation, [words("i1", "one two"), delta("r1", pcm=audio(500))])
    conversation.disconnected()
    return request_of(conversation.connected())


# What the user says makes other things pointless.


@pytest.mark.parametrize("heard", [True, False], ids=["of which something was heard", "of which nothing was heard"])
@pytest.mark.parametrize("early", [True, False], ids=["before it begins again", "once it has begun again"])
def test_a_reply_that_was_cut_by_an_outage_is_not_made_once_the_user_has_spoken(
    conversation: Conversation, heard: bool, early: bool
) -> None:
    request = cut_in_a_reply(conversation, heard=heard)
    again = [started("u2"), created("r2", request)]
    drive(conversation, [*(again if early else reversed(again)), cancelled("r2")])
    assert asked(answered(conversation, "u2", "r3")) == []
    assert conversation.is_quiet


def test_a_reply_that_was_cut_waits_where_nobody_answers_the_user_by_itself() -> None:
    conversation = new_conversation(ServerVad(create_response=False))
    request = cut_in_a_reply(conversation, heard=False)
    drive(conversation, [started("u2"), created("r2", request), cancelled("r2")])
    assert asked(drive(conversation, [stopped("u2"), committed("u2"), spoke("u2", "Hello?")])) == [None]


def test_a_greeting_is_dropped_when_the_user_speaks_first(conversation: Conversation) -> None:
    request = request_of(conversation.remark(GREET))
    conversation.handle(started("u1"))
    assert kinds(conversation.handle(created("r1", request))) == ["response.cancel"]
    conversation.handle(cancelled("r1"))
    assert asked(answered(conversation, "u1", "r2")) == []


def test_a_greeting_that_waits_for_the_end_of_an_outage_is_dropped_when_the_user_speaks_first() -> None:
    conversation = new_conversation(user_present=False)
    conversation.remark(GREET)
    conversation.handle(started("u1"))
    assert asked(conversation.user_joined()) == []
    assert asked(answered(conversation, "u1", "r2")) == []


def test_a_greeting_collides_with_the_answer_to_a_user_who_spoke_first_and_is_dropped(
    conversation: Conversation,
) -> None:
    actions = conversation.remark(GREET)
    drive(conversation, [started("u1"), stopped("u1"), committed("u1"), created("r1")])
    assert conversation.handle(error(COLLISION, event_id(actions, ev.ResponseCreate))) == []
    assert conversation.handle(delta("r1")) != []
    assert asked(conversation.handle(done("r1"))) == []


def test_a_greeting_comes_after_the_user_who_spoke_first_where_nobody_answers_them() -> None:
    conversation = new_conversation(ServerVad(create_response=False))
    request = request_of(conversation.remark(GREET))
    drive(conversation, [started("u1"), created("r1", request), cancelled("r1")])
    assert asked(drive(conversation, [stopped("u1"), committed("u1")])) == ["greet"]


def test_a_greeting_is_not_dropped_where_the_user_cannot_interrupt() -> None:
    conversation = new_conversation(ServerVad(interrupt_response=False))
    request = request_of(conversation.remark(GREET))
    conversation.handle(started("u1"))
    assert conversation.handle(created("r1", request)) == []
    assert conversation.handle(delta("r1")) != []


def test_what_a_command_lets_the_agent_say_comes_after_the_user_who_spoke_before_any_of_it_came(
    conversation: Conversation,
) -> None:
    request = request_of(conversation.create_response(1, ResponseConfig(instructions="Say exactly: your taxi is here")))
    drive(conversation, [created("r1", request), added("i1", role="assistant"), started("u1"), cancelled("r1")])
    assert asked(answered(conversation, "u1", "r2")) == ["Say exactly: your taxi is here"]


def test_what_a_command_lets_the_agent_say_is_over_when_the_user_speaks_against_it(conversation: Conversation) -> None:
    request = request_of(conversation.create_response(1, ResponseConfig(instructions="Say exactly: your taxi is here")))
    drive(conversation, [created("r1", request), delta("r1"), started("u1"), cancelled("r1")])
    assert asked(answered(conversation, "u1", "r2")) == []


# What one response has answered, no other answers again.


def test_a_text_whose_answer_gave_way_to_the_user_is_answered_with_what_they_say(conversation: Conversation) -> None:
    actions = conversation.say(1, "What is two and two?")
    drive(conversation, [started("u1"), created("r1", request_of(actions)), cancelled("r1")])
    assert asked(answered(conversation, "u1", "r2")) == []


def test_a_turn_that_collided_is_answered_with_the_next() -> None:
    conversation = new_conversation(ServerVad(interrupt_response=False))
    drive(conversation, [created("r1"), started("u1"), stopped("u1"), committed("u1"), error(COLLISION)])
    drive(conversation, [started("u2"), done("r1")])
    assert asked(answered(conversation, "u2", "r2")) == []


def test_a_text_that_the_server_took_before_it_answered_the_user_is_not_answered_again(
    conversation: Conversation,
) -> None:
    # The server is known to tell what a response answers: the next one is the user's.
    drive(conversation, [created("r0", request_of(ask(conversation, "greet"))), done("r0")])
    actions = conversation.say(1, "What is two and two?")
    (item,) = sent(actions, ev.ItemCreate)
    drive(conversation, [started("u1"), stopped("u1"), committed("u1"), ev.ItemAdded(item=item.item)])
    drive(conversation, [created("r1"), error(COLLISION, event_id(actions, ev.ResponseCreate))])
    assert asked(conversation.handle(done("r1"))) == []


def test_outputs_are_not_answered_by_what_a_command_lets_the_agent_say() -> None:
    conversation = new_conversation(tools=True)
    drive(conversation, [created("r1"), done("r1", CALL), created("r2")])
    conversation.create_response(1, ResponseConfig(instructions="Say exactly: one moment"))
    (output,) = sent(conversation.give_outputs(outputs("wet")), ev.ItemCreate)
    conversation.handle(ev.ItemAdded(item=output.item))
    actions = conversation.handle(done("r2"))
    assert asked(actions) == ["Say exactly: one moment"]
    conversation.handle(created("r3", request_of(actions)))
    assert asked(conversation.handle(done("r3"))) == [None]


def test_outputs_of_calls_that_are_gone_ask_for_nothing() -> None:
    conversation = new_conversation(tools=True)
    drive(conversation, [created("r1"), done("r1", CALL), ev.ItemDeleted(item_id="item_call_1")])
    assert conversation.give_outputs(outputs("wet")) == []


def test_a_text_that_the_model_refuses_is_not_answered(conversation: Conversation) -> None:
    actions = conversation.say(1, "…")
    refused = conversation.handle(error("string_above_max_length", event_id(actions, ev.ItemCreate)))
    assert answers(refused) == [(1, "string_above_max_length")]
    assert kinds(conversation.handle(created("r1", request_of(actions)))) == ["response.cancel"]


# What is owed is not forgotten.


def test_after_an_outage_both_a_request_and_the_user_s_turn_are_answered(conversation: Conversation) -> None:
    ask(conversation, "Say exactly: hold on")
    drive(conversation, [started("u1"), stopped("u1"), committed("u1")])
    conversation.disconnected()
    actions = conversation.connected()
    assert asked(actions) == ["Say exactly: hold on"]
    conversation.handle(created("r1", request_of(actions)))
    assert asked(conversation.handle(done("r1"))) == [None]


def test_after_an_outage_a_reply_goes_on_and_then_the_turn_that_came_meanwhile_is_answered() -> None:
    conversation = new_conversation(ServerVad(interrupt_response=False))
    drive(conversation, [created("r1"), words("i1", "one two"), delta("r1", pcm=audio(500))])
    drive(conversation, [started("u1"), stopped("u1"), committed("u1")])
    conversation.disconnected()
    actions = conversation.connected()
    assert "Go on" in instructions(actions)
    conversation.handle(created("r2", request_of(actions)))
    assert asked(conversation.handle(done("r2"))) == [None]


@pytest.mark.parametrize("kind", [ev.ItemTruncate, ev.ItemDelete])
def test_an_error_about_something_else_does_not_settle_what_is_owed(
    conversation: Conversation, kind: type[ev.ClientEvent]
) -> None:
    if kind is ev.ItemDelete:
        drive(conversation, [*spoken_reply("r1", "i1", "one two"), done("r1")])
        conversation.disconnected()
        conversation.connected()
        conversation.handle(started("u1"))
    else:
        drive(conversation, [*spoken_reply("r1", "i1", "one two"), started("u1"), cancelled("r1")])
    name = event_id(conversation.interrupted([("i1", 0, 300)]), kind)
    drive(conversation, [stopped("u1"), committed("u1"), spoke("u1", "Why?")])
    conversation.handle(error("invalid_value", name, param="audio_end_ms"))
    conversation.disconnected()
    assert asked(conversation.connected()) == [None]


@pytest.mark.parametrize("detection", [ServerVad(silence_duration_ms=800), None])
def test_a_change_of_turn_detection_settles_what_is_owed_only_where_it_ends_answers(
    conversation: Conversation, detection: ServerVad | None
) -> None:
    drive(conversation, [started("u1"), stopped("u1"), committed("u1")])
    conversation.update(1, SessionConfig(audio=SessionAudio(input=AudioInput(turn_detection=detection))))
    conversation.handle(ev.SessionUpdated(session={}))
    conversation.disconnected()
    assert asked(conversation.connected()) == ([] if detection is None else [None])


def test_a_turn_that_could_not_be_written_down_holds_nothing_up(conversation: Conversation) -> None:
    failed = ev.TranscriptionFailed(item_id="u1", error=ErrorDetail(type="x", message="x"))
    drive(conversation, [started("u1"), stopped("u1"), committed("u1"), failed])
    assert conversation.is_quiet
    assert asked(ask(conversation, "then")) == ["then"]


def test_the_model_s_own_turn_after_a_long_silence_is_owed_an_answer(conversation: Conversation) -> None:
    conversation.commit(5)
    timed_out = ev.InputAudioBufferTimeoutTriggered(audio_start_ms=0, audio_end_ms=5000, item_id="u1")
    # It is no commit by command.
    assert answers(drive(conversation, [timed_out, committed("u1")])) == []
    conversation.disconnected()
    assert asked(conversation.connected()) == [None]


# Whoever has left is not answered.


def test_what_was_asked_for_one_user_and_collided_is_not_said_to_the_next(conversation: Conversation) -> None:
    actions = conversation.create_response(1, ResponseConfig(instructions="for the first"))
    conversation.user_left()
    drive(conversation, [error(COLLISION, event_id(actions, ev.ResponseCreate)), done("r0")])
    conversation.disconnected()
    conversation.connected()
    assert asked(conversation.user_joined()) == []


def test_the_answer_to_a_user_who_has_left_is_not_said_to_the_next(conversation: Conversation) -> None:
    drive(conversation, [started("u1"), stopped("u1"), committed("u1")])
    conversation.user_left()
    conversation.user_joined()
    assert kinds(conversation.handle(created("r1"))) == ["response.cancel"]
    assert conversation.handle(delta("r1")) == []
    drive(conversation, [cancelled("r1"), started("u2"), stopped("u2"), committed("u2"), created("r2")])
    assert conversation.handle(delta("r2")) != []


def test_the_answer_to_a_user_whose_turn_ended_as_they_left_is_not_said_to_the_next(conversation: Conversation) -> None:
    conversation.handle(started("u1"))
    conversation.user_left()
    drive(conversation, [stopped("u1"), committed("u1")])
    conversation.user_joined()
    assert kinds(conversation.handle(created("r1"))) == ["response.cancel"]
    conversation.disconnected()
    assert asked(conversation.connected()) == []


@pytest.mark.parametrize("between", ["speech", "an outage"])
def test_the_next_user_is_answered_where_the_last_one_s_answer_never_came(
    conversation: Conversation, between: str
) -> None:
    drive(conversation, [started("u1"), stopped("u1"), committed("u1")])
    conversation.user_left()
    conversation.user_joined()
    if between == "speech":
        conversation.handle(started("u2"))
    else:
        conversation.disconnected()
        conversation.connected()
    conversation.handle(created("r1"))
    assert conversation.handle(delta("r1")) != []


def test_a_cancel_names_what_it_cancels(conversation: Conversation) -> None:
    request = request_of(ask(conversation, "greet"))
    conversation.handle(started("u1"))
    (cancel,) = sent(conversation.handle(created("r1", request)), ev.ResponseCancel)
    assert cancel.to_dict()["response_id"] == "r1"
    drive(conversation, [cancelled("r1"), stopped("u1"), created("r2")])
    (cancel,) = sent(conversation.user_left(), ev.ResponseCancel)
    assert cancel.to_dict()["response_id"] == "r2"
    conversation.user_joined()
    drive(conversation, [cancelled("r2"), created(None)])
    (cancel,) = sent(conversation.user_left(), ev.ResponseCancel)
    assert "response_id" not in cancel.to_dict()


# Interrupted.


def test_words_of_an_interrupted_response_that_begin_afterwards_are_neither_shown_nor_kept(
    conversation: Conversation,
) -> None:
    drive(conversation, [*turn("u1", "Hi"), created("r1"), started("u2")])
    conversation.interrupted([])
    late: list[ev.ServerEvent] = [
        added("i1", role="assistant"),
        words("i1", "Hello"),
        delta("r1"),
        all_words("i1", "Hello there"),
    ]
    actions = drive(conversation, [*late, cancelled("r1")])
    assert not [action for action in actions if isinstance(action, Transcript)]
    # The model is to forget them too, though its last word of the response names no item.
    assert [event.item_id for event in sent(actions, ev.ItemDelete)] == ["i1"]
    conversation.disconnected()
    assert told(conversation.connected()) == ["user: Hi"]


def test_a_commit_in_the_middle_of_speech_ends_the_speech(conversation: Conversation) -> None:
    conversation.handle(started("u1"))
    conversation.commit(5)
    actions = conversation.handle(committed("u1"))
    assert UserSpeech(False, is_forgotten=True) in actions
    assert answers(actions) == [(5, None)]


def test_all_parts_of_an_item_are_cut_where_it_must_be_made_anew(conversation: Conversation) -> None:
    drive(conversation, [created("r1"), added("i1", role="assistant")])
    for index, text in enumerate(["one two", "three four"]):
        here = {"response_id": "r1", "item_id": "i1", "content_index": index}
        spoken = delta("r1", pcm=audio(1000)).model_copy(update={"content_index": index})
        drive(conversation, [ev.OutputTranscriptDelta(**here, delta=text), spoken])
        drive(conversation, [ev.OutputAudioDone(**here), ev.OutputTranscriptDone(**here, transcript=text)])
    conversation.handle(done("r1"))
    conversation.disconnected()
    conversation.connected()
    conversation.handle(started("u1"))
    actions = conversation.interrupted([("i1", 0, 500), ("i1", 1, 0)])
    assert told(actions) == ["assistant: one"]
    assert len(sent(actions, ev.ItemDelete)) == 1


def test_an_item_that_was_renamed_is_cut_by_the_name_that_playout_has(conversation: Conversation) -> None:
    long = "item_" + "a" * 36
    drive(conversation, [*spoken_reply("r1", long, "one two three four"), done("r1")])
    conversation.disconnected()
    conversation.connected()
    conversation.handle(started("u1"))
    actions = conversation.interrupted([(long, 0, 600)])
    assert told(actions) == ["assistant: one"]
    assert [action.item_id for action in actions if isinstance(action, Transcript)] == [long]


# Servers that tell less.


def test_a_response_that_is_not_announced_is_one_all_the_same(conversation: Conversation) -> None:
    ask(conversation, "greet")
    assert conversation.handle(delta("r1")) != []
    assert conversation.is_responding
    assert Interrupt(since_ms=0) in conversation.handle(started("u1"))
    assert conversation.handle(delta("r1")) == []
    conversation.handle(done("r1"))
    assert not conversation.is_responding
    # What comes late does not begin it again.
    assert conversation.handle(delta("r1")) == []
    assert not conversation.is_responding


def test_a_response_that_was_not_announced_goes_on_after_an_outage(conversation: Conversation) -> None:
    ask(conversation, "greet")
    drive(conversation, [added("i1", role="assistant"), words("i1", "one"), delta("r1", pcm=audio(500))])
    conversation.disconnected()
    assert "Go on" in instructions(conversation.connected())


def test_a_response_without_an_id_can_be_interrupted(conversation: Conversation) -> None:
    drive(conversation, [created(None), delta("")])
    conversation.handle(started("u1"))
    assert conversation.handle(delta("")) == []
    drive(conversation, [done(None), created(None)])
    assert [type(action) for action in conversation.handle(delta(""))] == [Play]


def test_a_response_ends_also_where_its_end_names_none(conversation: Conversation) -> None:
    drive(conversation, [created("r1"), done(None)])
    assert not conversation.is_responding


def test_an_id_that_is_given_again_is_another_response(conversation: Conversation) -> None:
    drive(conversation, [created("r1"), delta("r1"), started("u1")])
    drive(conversation, [cancelled("r1"), stopped("u1"), committed("u1"), spoke("u1", "Hi")])
    conversation.disconnected()
    conversation.connected()
    conversation.handle(created("r1"))
    assert conversation.handle(delta("r1", "i5")) != []


def test_a_reply_of_which_no_words_came_is_asked_for_again(conversation: Conversation) -> None:
    drive(conversation, [*turn("u1", "Count."), created("r1"), delta("r1", pcm=audio(2000))])
    conversation.disconnected()
    assert asked(conversation.connected()) == [None]


def test_a_part_ends_with_its_response(conversation: Conversation) -> None:
    drive(conversation, [created("r1"), words("i1", "Hello."), delta("r1", pcm=audio(100)), all_words("i1", "Hello.")])
    assert kinds(conversation.handle(done("r1"))) == ["EndPart"]
    assert kinds(drive(conversation, [created("r2"), delta("r2", "i2"), audio_done("r2", "i2")])) == ["Play", "EndPart"]
    assert kinds(conversation.handle(done("r2"))) == []


def test_a_call_that_is_told_twice_is_made_once() -> None:
    conversation = new_conversation(tools=True)
    item = {"type": "function_call", "call_id": "call_1", "name": "look_up", "arguments": "{}"}
    whole = ev.OutputItemDone.model_validate({"response_id": "r1", "item": item | {"id": "i1"}})
    actions = drive(conversation, [created("r1"), whole, done("r1", output=[item])])
    (make,) = actions
    assert isinstance(make, CallTools)
    assert [call.call_id for call in make.calls] == ["call_1"]
    conversation.give_outputs(outputs("wet"))
    conversation.disconnected()
    assert told(conversation.connected()) == ["call: answered", "output: wet"]


def test_more_calls_than_can_be_made_are_reported() -> None:
    conversation = new_conversation(tools=True)
    calls = [FunctionCall(f"call_{number}", "look_up", "{}") for number in range(65)]
    actions = drive(conversation, [created("r1"), done("r1", *calls)])
    assert [action.error.type for action in actions if isinstance(action, Report)] == ["too_many_calls"]
    (made,) = (action for action in actions if isinstance(action, CallTools))
    assert [call.call_id for call in made.calls] == [f"call_{number}" for number in range(64)]
    # The model hears of the others at once, and is asked to go on when those are made.
    (output,) = sent(actions, ev.ItemCreate)
    assert (output.item.call_id, "Too many calls" in (output.item.output or "")) == ("call_64", True)
    outcome = conversation.give_outputs([FunctionOutput(call.call_id, "42") for call in made.calls])
    assert asked(outcome) == [None]


def test_an_output_is_told_with_its_call_where_that_was_too_old_to_be_told() -> None:
    conversation = new_conversation(tools=True, replay_tokens=60)
    drive(conversation, [created("r1"), done("r1", CALL)])
    for number in range(4):
        drive(conversation, turn(f"u{number}", "This is a rather long sentence that fills the budget."))
        drive(
            conversation,
            [*spoken_reply(f"q{number}", f"j{number}", "And one long sentence to answer it."), done(f"q{number}")],
        )
    conversation.disconnected()
    assert "call: call_1" not in told(conversation.connected())
    assert told(conversation.give_outputs(outputs("wet"))) == ["call: call_1", "output: wet"]
    conversation.disconnected()
    assert told(conversation.connected())[-2:] == ["call: answered", "output: wet"]


@pytest.mark.parametrize("code", ["item_truncate_invalid_item_id", "item_delete_invalid_item_id"])
def test_an_error_about_an_item_that_is_not_there_is_no_command_s(conversation: Conversation, code: str) -> None:
    conversation.tell(1, "it rains")
    conversation.create_response(2, GREET)
    assert kinds(conversation.handle(error(code, param="item_id"))) == ["Report"]


def test_a_request_that_collides_with_the_answer_to_a_turn_keeps_its_instructions(conversation: Conversation) -> None:
    """Where the server tells neither what a response answers nor what an error is about."""
    ask(conversation, "greet")
    drive(conversation, [started("u1"), stopped("u1"), committed("u1"), created("r1"), error(COLLISION)])
    assert asked(conversation.handle(done("r1"))) == ["greet"]


def test_the_agent_is_told_that_a_user_who_leaves_speaks_no_more(conversation: Conversation) -> None:
    conversation.handle(started("u1"))
    assert conversation.user_left() == [UserSpeech(False, is_forgotten=True)]
    assert conversation.user_left() == []


def test_a_greeting_is_dropped_also_where_it_has_begun_and_nothing_of_it_came(conversation: Conversation) -> None:
    request = request_of(conversation.remark(GREET))
    drive(conversation, [created("r1", request), started("u1"), cancelled("r1")])
    assert asked(answered(conversation, "u1", "r2")) == []


def test_a_greeting_that_an_outage_cut_is_dropped_when_the_user_speaks(conversation: Conversation) -> None:
    conversation.handle(created("r1", request_of(conversation.remark(GREET))))
    conversation.disconnected()
    actions = conversation.connected()
    assert asked(actions) == ["greet"]
    drive(conversation, [started("u1"), created("r2", request_of(actions)), cancelled("r2")])
    assert asked(answered(conversation, "u1", "r3")) == []


def test_what_a_command_lets_the_agent_say_is_said_though_an_outage_and_the_user_came_before(
    conversation: Conversation,
) -> None:
    request = request_of(ask(conversation, "Say exactly: your taxi is here"))
    conversation.handle(created("r1", request))
    conversation.disconnected()
    actions = conversation.connected()
    drive(conversation, [started("u1"), created("r2", request_of(actions)), cancelled("r2")])
    assert asked(answered(conversation, "u1", "r3")) == ["Say exactly: your taxi is here"]


def test_a_reply_that_goes_on_is_over_when_the_user_speaks_though_nobody_answers_them() -> None:
    conversation = new_conversation(ServerVad(create_response=False))
    request = cut_in_a_reply(conversation, heard=True)
    drive(conversation, [started("u2"), created("r2", request), cancelled("r2")])
    assert asked(drive(conversation, [stopped("u2"), committed("u2"), spoke("u2", "Hello?")])) == []


def test_a_reply_does_not_go_on_behind_another_that_the_server_began() -> None:
    conversation = new_conversation(ServerVad(interrupt_response=False))
    drive(conversation, [created("r0", request_of(ask(conversation, "greet"))), done("r0")])
    drive(conversation, [*turn("u1", "Count."), created("r1"), words("i1", "one two"), delta("r1", pcm=audio(500))])
    conversation.disconnected()
    actions = conversation.connected()
    drive(conversation, [started("u2"), stopped("u2"), committed("u2"), created("r2")])
    assert conversation.handle(error(COLLISION, event_id(actions, ev.ResponseCreate))) == []
    assert asked(conversation.handle(done("r2"))) == []


def test_what_nobody_wants_is_not_put_back_when_the_user_speaks(conversation: Conversation) -> None:
    actions = conversation.say(1, "…")
    conversation.handle(error("string_above_max_length", event_id(actions, ev.ItemCreate)))
    drive(conversation, [created("r1", request_of(actions)), started("u1"), cancelled("r1")])
    assert asked(answered(conversation, "u1", "r2")) == []


def test_where_it_is_not_told_what_a_response_answers_a_request_is_made_once(conversation: Conversation) -> None:
    ask(conversation, "greet")
    # What begins may be the answer to the turn, and our request still be on its way.
    drive(conversation, [started("u1"), stopped("u1"), committed("u1"), created("r1"), started("u2")])
    assert asked(drive(conversation, [cancelled("r1"), stopped("u2"), committed("u2"), spoke("u2", "Hi")])) == []


def test_a_text_that_was_taken_before_the_answer_to_a_turn_is_answered_with_it_wherever_it_is_not_told(
    conversation: Conversation,
) -> None:
    actions = conversation.say(1, "What is two and two?")
    (item,) = sent(actions, ev.ItemCreate)
    drive(conversation, [ev.ItemAdded(item=item.item), started("u1"), stopped("u1"), committed("u1"), created("r1")])
    assert conversation.handle(error(COLLISION, event_id(actions, ev.ResponseCreate))) == []
    assert asked(drive(conversation, [done("r1"), spoke("u1", "Well?")])) == []


def test_a_user_whose_turn_ended_as_they_left_is_not_answered_after_an_outage(conversation: Conversation) -> None:
    conversation.handle(started("u1"))
    conversation.user_left()
    drive(conversation, [stopped("u1"), committed("u1")])
    conversation.disconnected()
    conversation.user_joined()
    assert asked(conversation.connected()) == []


def test_after_the_answer_to_a_user_who_has_left_the_next_is_answered(conversation: Conversation) -> None:
    drive(conversation, [started("u1"), stopped("u1"), committed("u1")])
    conversation.user_left()
    conversation.user_joined()
    drive(conversation, [created("r1"), cancelled("r1"), created("r2")])
    assert conversation.handle(delta("r2")) != []


def test_what_a_collision_held_is_asked_for_on_another_connection(conversation: Conversation) -> None:
    actions = ask(conversation, "greet")
    for _ in range(2):
        actions = conversation.handle(error(COLLISION, event_id(actions, ev.ResponseCreate)))
    assert actions == []
    conversation.disconnected()
    assert asked(conversation.connected()) == ["greet"]


def test_an_id_of_an_unannounced_response_may_be_given_again_on_another_connection(conversation: Conversation) -> None:
    drive(conversation, [delta("r1"), done("r1")])
    conversation.disconnected()
    conversation.connected()
    conversation.handle(delta("r1", "i2"))
    assert conversation.is_responding


def test_an_unnamed_error_is_for_the_request_before_it_is_for_a_change(conversation: Conversation) -> None:
    conversation.update(1, SessionConfig(instructions="Sing."))
    conversation.create_response(2, GREET)
    assert answers(conversation.handle(error("invalid_value"))) == [(2, "invalid_value")]
    assert answers(conversation.handle(error("invalid_value"))) == [(1, "invalid_value")]


def test_a_part_ends_once(conversation: Conversation) -> None:
    drive(conversation, [created("r1"), words("i1", "Hello."), delta("r1", pcm=audio(100)), done("r1")])
    assert "EndPart" not in kinds(conversation.disconnected())


def test_a_part_that_was_interrupted_does_not_end(conversation: Conversation) -> None:
    drive(conversation, [created("r1"), words("i1", "Hello."), delta("r1", pcm=audio(100)), started("u1")])
    conversation.interrupted([("i1", 0, 50)])
    assert "EndPart" not in kinds(conversation.disconnected())


def test_a_refusal_of_a_commit_is_for_the_command_that_it_names() -> None:
    conversation = new_conversation(None)
    first = conversation.commit(1)
    # Turn detection's own commit crosses it, and answers it.
    assert answers(conversation.handle(committed("u1"))) == [(1, None)]
    conversation.commit(2)
    empty = conversation.handle(error("input_audio_buffer_commit_empty", event_id(first, ev.InputAudioBufferCommit)))
    assert kinds(empty) == ["Report"]
    assert answers(conversation.handle(committed("u2"))) == [(2, None)]


def test_that_an_item_was_gone_already_is_no_error(conversation: Conversation) -> None:
    drive(conversation, [created("r1"), added("i1", role="assistant"), words("i1", "Hello"), started("u1")])
    conversation.interrupted([])
    forget = conversation.handle(cancelled("r1"))
    assert conversation.handle(error("item_not_found", event_id(forget, ev.ItemDelete))) == []


def test_a_turn_that_goes_on_is_no_longer_waited_for(conversation: Conversation) -> None:
    drive(conversation, [started("u1"), stopped("u1"), committed("u1")])
    assert asked(ask(conversation, "then")) == []
    conversation.handle(started("u2"))
    conversation.commit(5)
    assert asked(conversation.handle(committed("u2"))) == ["then"]


def test_words_under_the_id_of_what_the_user_said_are_not_theirs(conversation: Conversation) -> None:
    drive(conversation, [*turn("u1", "Hi"), created("r1"), words("u1", "Hello"), done("r1")])
    conversation.disconnected()
    assert told(conversation.connected()) == ["user: Hi"]


@pytest.mark.parametrize(
    ("details", "words"),
    [({"reason": "max_output_tokens"}, "max_output_tokens"), (None, "it does not say why")],
)
def test_a_response_that_the_model_broke_off_is_reported(
    conversation: Conversation, details: dict[str, str] | None, words: str
) -> None:
    conversation.handle(created("r1"))
    (report,) = conversation.handle(done("r1", status="incomplete", status_details=details))
    assert isinstance(report, Report)
    assert (report.error.type, report.error.message) == (
        "response_incomplete", f"the model broke off its response: {words}",
    )  # fmt: skip


def test_what_was_asked_for_one_user_is_not_said_to_the_next_who_speaks(conversation: Conversation) -> None:
    request = request_of(conversation.create_response(1, ResponseConfig(instructions="for the first")))
    conversation.user_left()
    conversation.user_joined()
    drive(conversation, [created("r1", request), started("u1"), cancelled("r1")])
    assert asked(answered(conversation, "u1", "r2")) == []


def test_a_turn_that_could_not_be_answered_is_no_refusal_of_a_change() -> None:
    conversation = new_conversation(ServerVad(interrupt_response=False))
    conversation.handle(created("r1"))
    conversation.update(1, SessionConfig(instructions="Sing."))
    actions = drive(conversation, [started("u1"), stopped("u1"), committed("u1"), error(COLLISION)])
    assert answers(actions) == []
    assert asked(conversation.handle(done("r1"))) == [None]


def test_an_unnamed_error_is_not_swallowed_by_a_change_that_nobody_waits_for(conversation: Conversation) -> None:
    conversation.update(1, SessionConfig(instructions="Sing."))
    conversation.withdraw(1)
    assert kinds(conversation.handle(error("server_error"))) == ["Report"]


def test_what_was_given_up_is_not_said_when_it_comes_after_all(conversation: Conversation) -> None:
    request = request_of(ask(conversation, "Say exactly: hello Ann"))
    assert kinds(conversation.give_up_asking()) == ["Report"]
    conversation.user_left()
    conversation.user_joined()
    assert kinds(conversation.handle(created("r1", request))) == ["response.cancel"]


def test_a_response_that_does_not_go_on_is_broken_off_and_the_next_has_its_turn(conversation: Conversation) -> None:
    drive(conversation, [created("r1"), delta("r1")])
    assert conversation.create_response(1, GREET) != []
    before = conversation.making
    conversation.handle(delta("r1"))
    assert conversation.making != before
    actions = conversation.give_up_making()
    assert kinds(actions) == ["response.cancel", "Report", "EndPart", "response.create"]
    # What comes of it after all does no harm.
    assert conversation.handle(done("r1")) == []
    assert conversation.is_responding


def test_a_turn_that_nobody_answers_does_not_hold_what_waits_for_ever() -> None:
    conversation = new_conversation(words=False)
    drive(conversation, [started("u1"), stopped("u1"), committed("u1")])
    assert asked(ask(conversation, "then")) == []
    before = conversation.waiting
    assert before is not None
    # Each turn has its own time.
    drive(conversation, [started("u2"), stopped("u2"), committed("u2")])
    assert conversation.waiting not in (None, before)
    assert asked(conversation.give_up_waiting()) == ["then"]
    assert conversation.waiting is None


def test_what_waits_does_not_come_over_a_turn_that_is_heard_again(conversation: Conversation) -> None:
    conversation.uplink.append(audio(3000))
    conversation.uplink.take()
    conversation.handle(started("u1", 1000))
    ask(conversation, "then")
    conversation.disconnected()
    assert asked(conversation.connected()) == []
    assert asked(answered(conversation, "u1", "r1")) == ["then"]


def test_a_commit_that_was_lost_does_not_take_a_turn_for_its_own(conversation: Conversation) -> None:
    conversation.commit(5)
    conversation.withdraw(5)
    drive(conversation, [started("u1"), stopped("u1"), committed("u1")])
    conversation.disconnected()
    assert asked(conversation.connected()) == [None]


def test_a_commit_answers_whoever_waits_for_it() -> None:
    conversation = new_conversation(None)
    conversation.commit(1)
    conversation.withdraw(1)
    conversation.commit(2)
    assert answers(conversation.handle(committed("u1"))) == [(2, None)]


def test_the_end_of_a_response_that_is_told_twice_is_not_the_end_of_the_next(conversation: Conversation) -> None:
    drive(conversation, [created("r1"), done("r1")])
    ask(conversation, "next")
    conversation.handle(done("r1"))
    assert conversation.is_responding


def test_a_collision_that_a_reply_explains_leaves_another_try() -> None:
    conversation = new_conversation(None)
    drive(conversation, [created("r0", request_of(ask(conversation, "zero"))), done("r0")])
    actions = ask(conversation, "one")
    drive(conversation, [created("r1", "another's"), error(COLLISION, event_id(actions, ev.ResponseCreate))])
    actions = conversation.handle(done("r1"))
    # The model is late to notice that it has ended.
    assert asked(conversation.handle(error(COLLISION, event_id(actions, ev.ResponseCreate)))) == ["one"]


def test_half_a_character_is_told_as_none(conversation: Conversation) -> None:
    (create,) = sent(conversation.tell(1, "caf\ud83d"), ev.ItemCreate)
    assert create.item.to_dict()["content"][0]["text"] == "caf?"


def test_a_long_text_that_fits_is_told_whole(conversation: Conversation) -> None:
    conversation.tell(1, "x" * 20_000)
    conversation.disconnected()
    (create,) = sent(conversation.connected(), ev.ItemCreate)
    assert create.item.to_dict()["content"][0]["text"] == "x" * 20_000


def test_a_call_s_id_may_be_given_again_on_another_connection() -> None:
    conversation = new_conversation(tools=True)
    for number, text in enumerate(["sun", "rain"], 1):
        call = FunctionCall("call_1", "look_up", f'{{"day": {number}}}')
        drive(conversation, [created(f"r{number}"), done(f"r{number}", call)])
        conversation.give_outputs(outputs(text))
        conversation.disconnected()
        creates = sent(conversation.connected(), ev.ItemCreate)
    said = {create.item.call_id: create.item.output for create in creates if create.item.output}
    made = {create.item.arguments: said[create.item.call_id] for create in creates if create.item.arguments}
    assert made == {'{"day": 1}': "sun", '{"day": 2}': "rain"}
