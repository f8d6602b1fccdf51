"""A conversation that is paused: nothing that is heard becomes part of it, nor the phrase that paused it."""

from __future__ import annotations

import pytest

from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.session import (
    FunctionCall,
    FunctionOutput,
    Overheard,
    Report,
    Transcribed,
    Transcript,
)
from realtime_agent.realtime.types import (
    ServerVad,
    TranscriptionUsage,
)
from tests.realtime.conversation.talk import (
    CALL,
    TAKEN,
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
    forgotten,
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


@pytest.fixture
def conversation() -> Conversation:
    return new_conversation()


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


@pytest.mark.parametrize(("code", "is_told"), [("item_delete_invalid_item_id", False), ("server_error", True)])
def test_that_the_model_may_not_have_forgotten_it_is_told(conversation: Conversation, code: str, is_told: bool) -> None:
    conversation.pause()
    actions = drive(conversation, turn("u1", "Darling, the code is 4711."))
    refusal = error(code, event_id(actions, ev.ItemDelete))
    assert conversation.handle(refusal) == ([Report(refusal.error)] if is_told else [])


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


def test_neither_a_turn_nor_a_response_of_the_pause_lets_anything_be_answered_earlier(
    conversation: Conversation,
) -> None:
    conversation.pause()
    conversation.say(1, "Hello?")
    drive(conversation, [started(), stopped(), committed()])
    conversation.resume(anew=True)
    late = drive(conversation, [created("r1"), cancelled("r1"), started("u2"), stopped("u2"), committed("u2")])
    assert asked(late) == []
    assert asked(conversation.handle(ev.InputAudioBufferCleared())) == [None]


def test_a_model_that_never_tells_is_waited_for_for_a_while_only() -> None:
    conversation = new_conversation(None)
    conversation.pause()
    conversation.say(1, "Hello?")
    assert asked(conversation.resume(anew=True)) == []
    assert conversation.waiting is not None
    assert asked(conversation.give_up_waiting()) == [None]
    assert Transcript("user", "u1", "Hello?", final=True) in drive(conversation, turn("u1", "Hello?"))


@pytest.mark.parametrize("before", ["clear", "pause"])
def test_the_answer_to_an_earlier_clear_is_none_to_that_of_the_resumption(
    conversation: Conversation, before: str
) -> None:
    conversation.pause()
    conversation.handle(TAKEN)
    if before == "clear":
        conversation.clear()
    else:
        conversation.resume(anew=True)
        conversation.pause()
    conversation.resume(anew=True)
    conversation.handle(ev.InputAudioBufferCleared())
    assert forgotten(drive(conversation, [started(), stopped(), committed()])) == ["u1"]


def test_of_ever_so_many_items_none_becomes_part_of_the_conversation(conversation: Conversation) -> None:
    conversation.pause()
    for number in range(70):
        drive(conversation, [started(), stopped(), committed(f"u{number}")])
    assert Transcript("user", "u0", "Psst.", final=True) not in conversation.handle(spoke("u0", "Psst."))


def test_who_was_told_of_a_message_is_told_that_it_is_nothing(conversation: Conversation) -> None:
    for item_id in ("u1", "u2"):
        drive(conversation, [started(item_id), stopped(item_id), committed(item_id)])
    conversation.handle(spoke("u1", "Hey agent, stop."))
    assert Transcript("user", "u2", "", final=True) in conversation.pause("u1")


def test_late_words_from_before_the_pause_let_nothing_be_answered_earlier(conversation: Conversation) -> None:
    drive(conversation, [started(), stopped(), committed()])
    conversation.pause()
    conversation.resume(anew=True)
    conversation.say(1, "What did I just say?")
    assert kinds(conversation.handle(spoke("u1", "Go forward."))) == ["Transcript"]
    assert asked(conversation.handle(ev.InputAudioBufferCleared())) == [None]


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


def test_what_came_of_a_call_that_answers_the_phrase_is_forgotten_with_it() -> None:
    conversation = new_conversation(tools=True)
    drive(conversation, [*turn("u1", "Hey agent, stop."), created("r1"), done("r1", CALL)])
    (told_of,) = sent(conversation.give_outputs(outputs("rain")), ev.ItemCreate)
    assert forgotten(conversation.pause("u1")) == ["item_call_1", told_of.item.id, "u1"]


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
