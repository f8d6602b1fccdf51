"""The conversation as a whole: functions, settings, errors, and a connection that is lost."""

from __future__ import annotations

import pytest

from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.conversation.actions import Answer
from realtime_agent.realtime.session import (
    CallTools,
    EndPart,
    FunctionCall,
    FunctionOutput,
    Play,
    Report,
    Transcript,
)
from realtime_agent.realtime.types import (
    AudioInput,
    AudioOutput,
    NoiseReduction,
    ResponseConfig,
    SessionAudio,
    SessionConfig,
)
from tests.realtime.conversation.talk import (
    CALL,
    COLLISION,
    PCM,
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
    instructions,
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

OTHER_CALL = FunctionCall("call_2", "look_up", '{"word": "snow"}')
SING = SessionConfig(instructions="Sing.")
GO_ON = "cut off by a lost connection"


@pytest.fixture
def conversation() -> Conversation:
    return new_conversation()


@pytest.fixture
def with_tools() -> Conversation:
    return new_conversation(tools=True)


def reconnect(conversation: Conversation) -> list[str]:
    """Lose the connection and get another: what is done at once, in short."""
    conversation.disconnected()
    return kinds(conversation.connected())


def call_functions(conversation: Conversation, *calls: FunctionCall) -> None:
    """Let the model call these."""
    drive(conversation, [created("r1"), done("r1", *(calls or (CALL,)))])


# A new session.


def test_nothing_is_said_before_there_is_a_session() -> None:
    conversation = Conversation(SessionConfig(instructions="Be brief."))
    assert kinds(conversation.create_response(1)) == ["Answer"]
    assert conversation.update(2, SING) == []
    assert conversation.tell(3, "it rains") == []
    assert conversation.commit(4) == []
    assert kinds(conversation.connected()) == [
        "conversation.item.create", "session.update", "SendAudio", "input_audio_buffer.commit", "SendAudio",
        "response.create",
    ]  # fmt: skip


def test_the_first_session_has_nothing_to_be_told() -> None:
    assert kinds(Conversation(SessionConfig()).connected()) == ["SendAudio"]


# Functions.


def test_functions_are_called_when_their_response_is_completed(with_tools: Conversation) -> None:
    with_tools.handle(created("r1"))
    assert with_tools.handle(done("r1", CALL, OTHER_CALL)) == [CallTools((CALL, OTHER_CALL))]
    assert with_tools.is_responding
    assert not with_tools.is_quiet


def test_a_call_that_is_not_repeated_when_its_response_is_done_is_made_all_the_same(with_tools: Conversation) -> None:
    with_tools.handle(created("r1"))
    item = {"type": "function_call", "id": "i1", "call_id": CALL.call_id, "name": CALL.name}
    whole = ev.OutputItemDone.model_validate({"response_id": "r1", "item": item | {"arguments": CALL.arguments}})
    assert with_tools.handle(whole) == []
    actions = with_tools.handle(done("r1", output=[item]))
    assert actions == [CallTools((CALL,))]


@pytest.mark.parametrize("status", ["cancelled", "failed", "incomplete"])
def test_a_response_that_was_not_completed_calls_nothing(with_tools: Conversation, status: str) -> None:
    with_tools.handle(created("r1"))
    assert not any(isinstance(action, CallTools) for action in with_tools.handle(done("r1", CALL, status=status)))
    assert not with_tools.is_responding


def test_a_call_that_is_not_whole_is_not_made(with_tools: Conversation) -> None:
    with_tools.handle(created("r1"))
    half = {"type": "function_call", "id": "i1", "call_id": "call_1", "name": "look_up", "status": "incomplete"}
    assert with_tools.handle(done("r1", output=[half])) == []


def test_a_response_that_nobody_may_hear_calls_nothing(with_tools: Conversation) -> None:
    ask(with_tools, "greet")
    drive(with_tools, [started(), created("r1")])
    actions = with_tools.handle(done("r1", CALL))
    assert kinds(actions) == ["conversation.item.delete"]


def test_another_response_s_end_calls_nothing(with_tools: Conversation) -> None:
    with_tools.handle(created("r1"))
    assert with_tools.handle(done("r2", CALL)) == []


def test_the_outputs_go_back_together_in_order_and_then_one_response_is_asked_for(with_tools: Conversation) -> None:
    call_functions(with_tools, CALL, OTHER_CALL)
    actions = with_tools.give_outputs(outputs("wet", "cold"))
    assert kinds(actions) == ["conversation.item.create", "conversation.item.create", "response.create"]
    assert told(actions) == ["output: wet", "output: cold"]
    assert [create.item.call_id for create in sent(actions, ev.ItemCreate)] == ["call_1", "call_2"]
    assert asked(actions) == [None]
    with_tools.handle(created("r2"))
    assert with_tools.handle(done("r2")) == []
    assert not with_tools.is_responding
    assert with_tools.is_quiet


def test_outputs_that_come_while_the_model_speaks_are_told_at_once_and_answered_in_their_turn(
    with_tools: Conversation,
) -> None:
    call_functions(with_tools)
    with_tools.handle(created("r2"))
    actions = with_tools.give_outputs(outputs("wet"))
    assert kinds(actions) == ["conversation.item.create"]
    assert asked(with_tools.handle(done("r2"))) == [None]


def test_a_response_that_begins_by_itself_after_the_outputs_were_taken_makes_ours_superfluous(
    with_tools: Conversation,
) -> None:
    call_functions(with_tools)
    with_tools.handle(created("r2"))
    (create,) = sent(with_tools.give_outputs(outputs("wet")), ev.ItemCreate)
    with_tools.handle(ev.ItemAdded(item=create.item))
    drive(with_tools, [started(), cancelled("r2"), stopped(), committed(), created("r3")])
    assert asked(with_tools.handle(done("r3"))) == []
    assert not with_tools.is_responding


def test_a_response_that_begins_before_the_outputs_were_taken_does_not(with_tools: Conversation) -> None:
    call_functions(with_tools, CALL, OTHER_CALL)
    with_tools.handle(created("r2"))
    first, _second = sent(with_tools.give_outputs(outputs("wet", "cold")), ev.ItemCreate)
    with_tools.handle(ev.ItemAdded(item=first.item))
    drive(with_tools, [started(), cancelled("r2"), stopped(), committed(), created("r3")])
    assert asked(with_tools.handle(done("r3"))) == [None]


def test_outputs_that_the_replay_told_are_answered_by_the_response_that_was_cut(with_tools: Conversation) -> None:
    call_functions(with_tools)
    with_tools.handle(created("r2"))
    with_tools.give_outputs(outputs("wet"))
    with_tools.disconnected()
    actions = with_tools.connected()
    assert told(actions) == ["call: answered", "output: wet"]
    assert asked(actions) == [None]
    with_tools.handle(created("r3"))
    assert asked(with_tools.handle(done("r3"))) == []


def test_an_output_that_the_model_refuses_holds_nothing_up(with_tools: Conversation) -> None:
    call_functions(with_tools)
    with_tools.handle(created("r2"))
    refusal = error("invalid_value", event_id(with_tools.give_outputs(outputs("wet")), ev.ItemCreate))
    assert with_tools.handle(refusal) == [Report(refusal.error)]
    drive(with_tools, [started(), cancelled("r2"), stopped(), committed(), created("r3")])
    assert asked(with_tools.handle(done("r3"))) == []
    assert not with_tools.is_responding


def test_an_output_without_a_call_is_not_told(with_tools: Conversation) -> None:
    call_functions(with_tools)
    assert told(with_tools.give_outputs([FunctionOutput("call_9", "never asked"), *outputs("wet")])) == ["output: wet"]


def test_outputs_that_come_while_there_is_no_session_are_told_by_the_replay(with_tools: Conversation) -> None:
    drive(with_tools, turn("u1", "Rain?"))
    call_functions(with_tools)
    with_tools.disconnected()
    assert with_tools.give_outputs(outputs("wet")) == []
    actions = with_tools.connected()
    assert told(actions) == ["user: Rain?", "call: call_1", "output: wet"]
    assert asked(actions) == [None]


def test_outputs_that_come_after_a_reconnect_are_told_behind_their_call(with_tools: Conversation) -> None:
    call_functions(with_tools)
    with_tools.disconnected()
    actions = with_tools.connected()
    assert told(actions) == ["call: call_1"]
    assert asked(actions) == []
    actions = with_tools.give_outputs(outputs("wet"))
    assert told(actions) == ["output: wet"]
    assert asked(actions) == [None]


def test_outputs_that_were_told_and_not_answered_are_told_and_asked_for_again_once(with_tools: Conversation) -> None:
    call_functions(with_tools)
    with_tools.give_outputs(outputs("wet"))
    with_tools.disconnected()
    actions = with_tools.connected()
    assert told(actions) == ["call: answered", "output: wet"]
    assert asked(actions) == [None]


def test_outputs_for_a_user_who_left_are_told_and_answered_to_nobody(with_tools: Conversation) -> None:
    call_functions(with_tools)
    with_tools.user_left()
    actions = with_tools.give_outputs(outputs("wet"))
    assert told(actions) == ["output: wet"]
    assert asked(actions) == []


def test_a_call_of_a_response_that_was_cut_is_made_by_the_response_that_is_asked_for_instead(
    with_tools: Conversation,
) -> None:
    drive(with_tools, [*turn("u1", "Rain?"), created("r1")])
    item = {"type": "function_call", "id": "i1", "call_id": "call_1", "name": "look_up", "arguments": "{}"}
    with_tools.handle(ev.ItemAdded.model_validate({"item": item}))
    with_tools.handle(ev.OutputItemDone.model_validate({"response_id": "r1", "item": item}))
    with_tools.disconnected()
    actions = with_tools.connected()
    assert told(actions) == ["user: Rain?"]
    assert asked(actions) == [None]


def test_no_more_functions_run_at_a_time_than_may(with_tools: Conversation) -> None:
    calls = [FunctionCall(f"call_{number}", "look_up", "{}") for number in range(70)]
    drive(with_tools, [created("r1"), done("r1", *calls[:60])])
    actions = drive(with_tools, [created("r2"), done("r2", *calls[60:])])
    (made,) = [action for action in actions if isinstance(action, CallTools)]
    assert [call.call_id for call in made.calls] == ["call_60", "call_61", "call_62", "call_63"]
    assert len(told(actions)) == 6


# Settings.


def test_a_change_is_answered_when_the_model_has_agreed(conversation: Conversation) -> None:
    actions = conversation.update(1, SING)
    assert [update.session for update in sent(actions, ev.SessionUpdate)] == [SING]
    assert answers(actions) == []
    assert conversation.config.instructions == "Be brief."
    assert conversation.handle(ev.SessionUpdated(session={})) == [Answer(1, outcome=SING)]
    assert conversation.config.instructions == "Sing."
    assert conversation.handle(ev.SessionUpdated(session={})) == []


@pytest.mark.parametrize("named", [True, False], ids=["with event_id", "without event_id"])
def test_a_change_that_is_refused_answers_with_the_model_s_error_and_changes_nothing(
    conversation: Conversation, named: bool
) -> None:
    name = event_id(conversation.update(1, SING), ev.SessionUpdate)
    refusal = error("invalid_value", name if named else None, param="session.instructions")
    assert conversation.handle(refusal) == [Answer(1, refusal.error)]
    assert conversation.config.instructions == "Be brief."
    conversation.disconnected()
    assert sent(conversation.connected(), ev.SessionUpdate) == []


def test_changes_are_answered_in_order_and_each_by_its_own_error(conversation: Conversation) -> None:
    conversation.update(1, SING)
    second = conversation.update(2, SessionConfig(instructions="Shout."))
    assert answers(conversation.handle(error("invalid_value", event_id(second, ev.SessionUpdate)))) == [
        (2, "invalid_value")
    ]
    assert answers(conversation.handle(ev.SessionUpdated(session={}))) == [(1, None)]
    assert conversation.config.instructions == "Sing."


def test_a_refused_change_does_not_harm_a_request_that_waits_for_its_answer(conversation: Conversation) -> None:
    conversation.update(1, SING)
    conversation.create_response(2, ResponseConfig(instructions="greet"))
    assert answers(conversation.handle(error("invalid_value", param="session.voice"))) == [(1, "invalid_value")]
    assert answers(conversation.handle(created("r1"))) == [(2, None)]


def test_another_connection_begins_with_what_was_agreed_last(conversation: Conversation) -> None:
    near = SessionConfig(audio=SessionAudio(input=AudioInput(noise_reduction=NoiseReduction(type="near_field"))))
    slow = SessionConfig(audio=SessionAudio(output=AudioOutput(speed=0.5)))
    for command, change in enumerate((SING, near, slow)):
        conversation.update(command, change)
        conversation.handle(ev.SessionUpdated(session={}))
    config = conversation.config.to_dict()
    assert config["instructions"] == "Sing."
    assert config["audio"]["input"]["noise_reduction"] == {"type": "near_field"}
    assert config["audio"]["input"]["turn_detection"] == {"type": "server_vad"}
    assert config["audio"]["output"] == {"speed": 0.5}


def test_a_change_that_was_not_answered_is_told_the_next_connection(conversation: Conversation) -> None:
    conversation.update(1, SING)
    assert not conversation.is_quiet
    assert answers(conversation.disconnected()) == []
    actions = conversation.connected()
    assert [update.session for update in sent(actions, ev.SessionUpdate)] == [SING]
    assert answers(conversation.handle(ev.SessionUpdated(session={}))) == [(1, None)]
    assert conversation.is_quiet


def test_a_change_while_there_is_no_session_waits_for_the_next(conversation: Conversation) -> None:
    conversation.disconnected()
    assert conversation.update(1, SING) == []
    assert len(sent(conversation.connected(), ev.SessionUpdate)) == 1
    assert answers(conversation.handle(ev.SessionUpdated(session={}))) == [(1, None)]


# A reply that was cut off.


def test_a_reply_of_which_nothing_was_heard_is_asked_for_again_with_its_own_settings(
    conversation: Conversation,
) -> None:
    ask(conversation, "greet")
    drive(conversation, [created("r1"), output("r1", "i1"), words("i1", "Hello")])
    conversation.disconnected()
    actions = conversation.connected()
    assert told(actions) == []
    assert asked(actions) == ["greet"]


def test_a_request_that_is_made_again_is_another_one(conversation: Conversation) -> None:
    first = ask(conversation, "greet")
    conversation.handle(created("r1", request_of(first)))
    conversation.disconnected()
    assert request_of(conversation.connected()) != request_of(first)


def test_of_a_reply_that_was_cut_only_what_was_heard_is_told_and_the_model_is_asked_to_go_on(
    conversation: Conversation,
) -> None:
    drive(conversation, turn("u1", "Count."))
    drive(conversation, [created("r1"), output("r1", "i1"), words("i1", "one"), delta("r1", pcm=audio(500))])
    # Words whose audio never came.
    conversation.handle(words("i1", " two three"))
    cut = conversation.disconnected()
    assert EndPart("i1", 0) in cut
    assert Transcript("assistant", "i1", "one", final=True, interrupted=True) in cut
    actions = conversation.connected()
    assert told(actions) == ["user: Count.", "assistant: one"]
    assert instructions(actions).startswith("Be brief.")
    assert GO_ON in instructions(actions)


def test_a_reply_with_instructions_of_its_own_goes_on_with_them(conversation: Conversation) -> None:
    ask(conversation, "greet")
    drive(conversation, [created("r1"), output("r1", "i1"), words("i1", "Hello"), delta("r1")])
    conversation.disconnected()
    going_on = instructions(conversation.connected())
    assert going_on.startswith("greet")
    assert GO_ON in going_on
    assert "Be brief." not in going_on


def test_a_reply_goes_on_with_the_instructions_that_the_session_has_then(conversation: Conversation) -> None:
    drive(conversation, [created("r1"), words("i1", "Hello"), delta("r1")])
    conversation.update(1, SING)
    conversation.handle(ev.SessionUpdated(session={}))
    conversation.disconnected()
    assert instructions(conversation.connected()).startswith("Sing.")


def test_a_reply_that_is_cut_again_before_it_went_on_is_asked_to_go_on_once(conversation: Conversation) -> None:
    drive(conversation, [created("r1"), words("i1", "Hello"), delta("r1")])
    conversation.disconnected()
    first = instructions(conversation.connected())
    conversation.disconnected()
    again = conversation.connected()
    assert instructions(again) == first
    conversation.handle(created("r2", request_of(again)))
    conversation.disconnected()
    assert instructions(conversation.connected()) == first
    assert first.count(GO_ON) == 1


def test_a_reply_in_text_that_was_cut_goes_on_too(conversation: Conversation) -> None:
    text = ev.OutputTextDelta(response_id="r1", item_id="i1", delta="good ")
    drive(conversation, [created("r1"), output("r1", "i1"), text])
    conversation.disconnected()
    actions = conversation.connected()
    assert told(actions) == ["assistant: good "]
    assert GO_ON in instructions(actions)


def test_a_reply_whose_items_are_all_whole_is_not_asked_for_again(conversation: Conversation) -> None:
    drive(conversation, [*spoken_reply("r1", "i1", "one two"), output("r1", "i1", whole=True)])
    conversation.disconnected()
    actions = conversation.connected()
    assert told(actions) == ["assistant: one two"]
    assert asked(actions) == []


def test_where_there_are_functions_a_call_might_have_come_behind_the_items_that_were_whole(
    with_tools: Conversation,
) -> None:
    drive(with_tools, [*spoken_reply("r1", "i1", "one two"), output("r1", "i1", whole=True)])
    with_tools.disconnected()
    assert GO_ON in instructions(with_tools.connected())


def test_a_reply_that_the_user_interrupted_is_not_asked_for_again(conversation: Conversation) -> None:
    drive(conversation, [*spoken_reply("r1", "i1", "one two three"), started()])
    conversation.interrupted([("i1", 0, 600)])
    conversation.disconnected()
    actions = conversation.connected()
    assert told(actions) == ["assistant: one"]
    assert asked(actions) == []


def test_what_waited_comes_behind_what_was_cut_off(conversation: Conversation) -> None:
    ask(conversation, "one")
    ask(conversation, "two")
    conversation.handle(created("r1"))
    conversation.disconnected()
    assert asked(conversation.connected()) == ["one"]
    conversation.handle(created("r2"))
    assert asked(conversation.handle(done("r2"))) == ["two"]


def test_late_audio_of_a_lost_session_is_not_waited_for(conversation: Conversation) -> None:
    drive(conversation, [created("r1"), delta("r1"), delta("r1", "i2")])
    assert [action for action in conversation.disconnected() if isinstance(action, EndPart)] == [
        EndPart("i1", 0),
        EndPart("i2", 0),
    ]
    assert not conversation.is_responding
    conversation.connected()
    assert not any(isinstance(action, EndPart) for action in conversation.disconnected())


def test_words_that_were_all_told_are_not_closed_again(conversation: Conversation) -> None:
    drive(conversation, [*spoken_reply("r1", "i1", "one two"), done("r1")])
    assert conversation.disconnected() == []


def test_the_new_session_s_reply_is_heard(conversation: Conversation) -> None:
    drive(conversation, [created("r1"), delta("r1")])
    reconnect(conversation)
    conversation.handle(created("r1"))
    assert conversation.handle(delta("r1", "i9")) == [Play("i9", 0, PCM)]


# What another connection is told.


def test_the_history_is_told_in_order_before_anything_else(with_tools: Conversation) -> None:
    with_tools.tell(1, "it rains")
    drive(with_tools, turn("u1", "Rain?"))
    call_functions(with_tools)
    with_tools.give_outputs(outputs("wet"))
    drive(with_tools, [*spoken_reply("r2", "i2", "Yes, rain."), done("r2")])
    with_tools.say(2, "Thanks.")
    with_tools.disconnected()
    with_tools.commit(3)
    actions = with_tools.connected()
    assert told(actions) == [
        "system: it rains", "user: Rain?", "call: answered", "output: wet", "assistant: Yes, rain.", "user: Thanks.",
    ]  # fmt: skip
    assert kinds(actions)[6:] == ["SendAudio", "input_audio_buffer.commit", "SendAudio", "response.create"]


def test_every_reconnect_tells_the_same(conversation: Conversation) -> None:
    drive(conversation, [*turn("u1", "Hello?"), *spoken_reply("r1", "i1", "one two"), done("r1")])
    for _ in range(3):
        conversation.disconnected()
        create, second = sent(actions := conversation.connected(), ev.ItemCreate)
        assert told(actions) == ["user: Hello?", "assistant: one two"]
        assert asked(actions) == []
        # The server makes them known, as it does with all items.
        drive(conversation, [ev.ItemAdded(item=create.item), ev.ItemDone(item=create.item)])
        drive(conversation, [ev.ItemAdded(item=second.item, previous_item_id=create.item.id)])


def test_what_is_told_fits_the_budget() -> None:
    conversation = new_conversation(replay_tokens=45)
    for number in range(10):
        drive(conversation, turn(f"u{number}", f"This is the number {number}."))
    conversation.handle(created("r1"))
    conversation.handle(done("r1"))
    conversation.disconnected()
    assert told(conversation.connected()) == [f"user: This is the number {number}." for number in (5, 6, 7, 8, 9)]


# Errors, and what is of no use.


def test_an_error_about_nothing_of_ours_is_reported(conversation: Conversation) -> None:
    refusal = error("server_error")
    assert conversation.handle(refusal) == [Report(refusal.error)]
    assert conversation.handle(error(COLLISION)) == []


def test_an_error_about_a_lost_session_s_event_is_not_taken_for_one_of_this(conversation: Conversation) -> None:
    name = event_id(conversation.create_response(1, ResponseConfig(instructions="greet")), ev.ResponseCreate)
    reconnect(conversation)
    assert kinds(conversation.handle(error("invalid_value", name))) == ["Report"]
    assert conversation.is_responding


def test_unknown_events_harm_nothing(conversation: Conversation) -> None:
    for _ in range(3):
        assert conversation.handle(ev.UnknownEvent(type="response.hologram.delta", raw={})) == []


@pytest.mark.parametrize(
    "event",
    [
        ev.SessionCreated(session={}),
        ev.SessionUpdated(session={}),
        ev.RateLimitsUpdated(rate_limits=[]),
        ev.ItemTruncated(item_id="i1", content_index=0, audio_end_ms=1),
        ev.ItemDeleted(item_id="i1"),
    ],
    ids=lambda event: event.type,
)
def test_events_without_a_consequence_have_none(conversation: Conversation, event: ev.ServerEvent) -> None:
    assert conversation.handle(event) == []
