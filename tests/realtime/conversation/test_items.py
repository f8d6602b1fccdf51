"""What was said: the agent's audio and words, items of ours, where they stand, and what is cut of them."""

from __future__ import annotations

import base64

import pytest

from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.session import EndPart, Interrupt, Play, Report, Transcript, UserSpeech
from realtime_agent.realtime.types import SemanticVad, ServerVad, TurnDetection
from tests.realtime.conversation.talk import (
    PCM,
    added,
    all_words,
    answers,
    ask,
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
    kinds,
    new_conversation,
    sent,
    spoke,
    spoken_reply,
    started,
    told,
    turn,
    words,
)


@pytest.fixture
def conversation() -> Conversation:
    return new_conversation()


def order(conversation: Conversation) -> list[str]:
    return [entry.id for entry in conversation.history]


def replayed(conversation: Conversation) -> list[str]:
    """What another connection is told."""
    conversation.disconnected()
    return told(conversation.connected())


# The agent's audio.


def test_audio_is_played_and_its_end_told(conversation: Conversation) -> None:
    conversation.handle(created("r1"))
    assert conversation.handle(delta("r1")) == [Play("i1", 0, PCM)]
    assert conversation.handle(audio_done("r1")) == [EndPart("i1", 0)]


@pytest.mark.parametrize("text", ["AAA", "not base64!", "ä"])
def test_audio_that_is_not_base64_is_reported_and_the_rest_is_played(conversation: Conversation, text: str) -> None:
    conversation.handle(created("r1"))
    (report,) = conversation.handle(ev.OutputAudioDelta(response_id="r1", item_id="i1", delta=text))
    assert isinstance(report, Report)
    assert conversation.handle(delta("r1")) == [Play("i1", 0, PCM)]


def test_speaking_over_a_reply_drops_what_is_left_of_it_and_never_the_next(conversation: Conversation) -> None:
    drive(conversation, [created("r1"), delta("r1")])
    assert conversation.handle(started()) == [Interrupt(since_ms=0), UserSpeech(True)]
    assert drive(conversation, [delta("r1"), audio_done("r1"), cancelled("r1"), delta("r1")]) == []
    conversation.handle(created("r2"))
    assert conversation.handle(delta("r2", "i2")) == [Play("i2", 0, PCM)]
    assert conversation.handle(audio_done("r2", "i2")) == [EndPart("i2", 0)]


def test_speaking_after_a_reply_was_made_and_before_it_was_heard_interrupts_and_drops_nothing_else(
    conversation: Conversation,
) -> None:
    drive(conversation, [created("r1"), done("r1")])
    assert conversation.handle(started()) == [Interrupt(since_ms=0), UserSpeech(True)]
    conversation.handle(created("r2"))
    assert conversation.handle(delta("r2")) == [Play("i1", 0, PCM)]


def test_a_user_who_begins_before_the_next_response_does_not_silence_it(conversation: Conversation) -> None:
    drive(conversation, [created("r1"), started(), created("r2")])
    assert conversation.handle(delta("r1")) == []
    assert conversation.handle(delta("r2")) == [Play("i1", 0, PCM)]


@pytest.mark.parametrize(
    ("turn_detection", "interrupts"),
    [
        (ServerVad(interrupt_response=False), False),
        (SemanticVad(interrupt_response=False), False),
        (ServerVad(), True),
        (SemanticVad(), True),
    ],
)
def test_speech_interrupts_only_where_turn_detection_says_so(turn_detection: TurnDetection, interrupts: bool) -> None:
    conversation = new_conversation(turn_detection)
    conversation.handle(created("r1"))
    expected = [Interrupt(since_ms=0), UserSpeech(True)] if interrupts else [UserSpeech(True)]
    assert conversation.handle(started()) == expected
    assert bool(conversation.handle(delta("r1"))) is not interrupts


# The agent's words.


def test_the_agent_s_words_are_told_as_they_come(conversation: Conversation) -> None:
    assert conversation.handle(words("i1", "good ")) == [Transcript("assistant", "i1", "good ")]
    whole = Transcript("assistant", "i1", "good day", final=True)
    assert conversation.handle(all_words("i1", "good day")) == [whole]
    assert conversation.handle(all_words("i1", "good day")) == []
    assert conversation.handle(words("i1", "late")) == []


def test_a_reply_in_text_is_told_like_one_in_speech(conversation: Conversation) -> None:
    text = ev.OutputTextDelta(response_id="r1", item_id="i1", delta="good ")
    whole = ev.OutputTextDone(response_id="r1", item_id="i1", text="good day")
    assert conversation.handle(text) == [Transcript("assistant", "i1", "good ", typed=True)]
    assert conversation.handle(whole) == [Transcript("assistant", "i1", "good day", final=True, typed=True)]


def test_the_words_of_an_item_are_those_of_all_its_parts(conversation: Conversation) -> None:
    of_second = {"response_id": "r1", "item_id": "i1", "content_index": 1}
    second = base64.b64encode(audio(1000)).decode()
    drive(
        conversation,
        [created("r1"), words("i1", "good day"), delta("r1", pcm=audio(1000)), all_words("i1", "good day")],
    )
    drive(conversation, [ev.OutputTranscriptDelta(**of_second, delta="how are you")])
    drive(conversation, [ev.OutputAudioDelta(**of_second, delta=second)])
    whole = Transcript("assistant", "i1", "good day how are you", final=True)
    assert conversation.handle(ev.OutputTranscriptDone(**of_second, transcript="how are you")) == [whole]
    heard = Transcript("assistant", "i1", "good day how", final=True, interrupted=True)
    assert heard in conversation.interrupted([("i1", 1, 500)])
    nothing_more = Transcript("assistant", "i1", "good", final=True, interrupted=True)
    assert conversation.interrupted([("i1", 0, 500), ("i1", 1, 0)])[2] == nothing_more


# What was cut.


def test_what_was_cut_is_told_to_the_model_and_to_whoever_shows_the_words(conversation: Conversation) -> None:
    drive(conversation, [created("r1"), words("i1", "good "), delta("r1", pcm=audio(500))])
    drive(conversation, [words("i1", "day to"), delta("r1", pcm=audio(500)), started()])
    actions = conversation.interrupted([("i1", 0, 850)])
    (truncate,) = sent(actions, ev.ItemTruncate)
    assert (truncate.item_id, truncate.content_index, truncate.audio_end_ms) == ("i1", 0, 850)
    assert Transcript("assistant", "i1", "good day", final=True, interrupted=True) in actions
    assert len(actions) == 2
    assert drive(conversation, [words("i1", " you"), all_words("i1", "good day to you")]) == []


def test_only_the_words_that_were_heard_are_kept(conversation: Conversation) -> None:
    drive(conversation, [*spoken_reply("r1", "i1", "one two three four"), done("r1"), started()])
    actions = conversation.interrupted([("i1", 0, 1100)])
    assert Transcript("assistant", "i1", "one two", final=True, interrupted=True) in actions
    assert replayed(conversation) == ["assistant: one two"]


def test_every_item_that_was_cut_is_told(conversation: Conversation) -> None:
    drive(conversation, spoken_reply("r1", "i1", "one"))
    drive(conversation, [words("i2", "tw"), delta("r1", "i2"), started()])
    actions = conversation.interrupted([("i1", 0, 100), ("i2", 0, 0)])
    assert [(cut.item_id, cut.audio_end_ms) for cut in sent(actions, ev.ItemTruncate)] == [("i1", 100), ("i2", 0)]
    shown = [action for action in actions if isinstance(action, Transcript)]
    assert [(words.item_id, words.text, words.interrupted) for words in shown] == [("i1", "", True), ("i2", "", True)]


def test_where_nothing_was_cut_nothing_is_told(conversation: Conversation) -> None:
    assert conversation.interrupted([]) == []


def test_no_more_is_said_to_be_heard_than_was_received(conversation: Conversation) -> None:
    drive(conversation, [created("r1"), delta("r1", pcm=audio(300)), started()])
    (truncate,) = sent(conversation.interrupted([("i1", 0, 5000)]), ev.ItemTruncate)
    assert truncate.audio_end_ms == 300


def test_what_was_heard_once_is_not_unheard_by_a_later_cut(conversation: Conversation) -> None:
    drive(conversation, [*spoken_reply("r1", "i1", "one two three"), started()])
    conversation.interrupted([("i1", 0, 600)])
    conversation.interrupted([("i1", 0, 1500)])
    assert replayed(conversation) == ["assistant: one"]


@pytest.mark.parametrize("item_id", ["never_heard_of", "u1"])
def test_an_item_that_is_not_the_agent_s_is_not_cut(conversation: Conversation, item_id: str) -> None:
    drive(conversation, turn("u1", "Hello?"))
    assert conversation.interrupted([(item_id, 0, 100)]) == []


def test_an_item_that_another_connection_knows_by_its_words_is_made_anew_where_it_stood(
    conversation: Conversation,
) -> None:
    drive(conversation, turn("u1", "Count."))
    drive(conversation, [*spoken_reply("r1", "i1", "one two three four"), done("r1")])
    drive(conversation, turn("u2", "More."))
    conversation.disconnected()
    actions = conversation.connected()
    assert told(actions) == ["user: Count.", "assistant: one two three four", "user: More."]
    creates = sent(actions, ev.ItemCreate)
    first, old_id, second = (create.item.id for create in creates)
    drive(conversation, [ev.ItemAdded(item=create.item) for create in creates])
    # The user hears the old session's audio still, when they speak to the new one.
    conversation.handle(started("u3"))
    actions = conversation.interrupted([("i1", 0, 1000)])
    assert kinds(actions) == ["Transcript", "conversation.item.delete", "conversation.item.create"]
    assert actions[0] == Transcript("assistant", "i1", "one two", final=True, interrupted=True)
    assert [delete.item_id for delete in sent(actions, ev.ItemDelete)] == [old_id]
    (create,) = sent(actions, ev.ItemCreate)
    assert (create.previous_item_id, told(actions)) == (first, ["assistant: one two"])
    new_id = create.item.id
    assert new_id not in (None, old_id)
    drive(conversation, [ev.ItemDeleted(item_id=old_id or ""), added(new_id or "", first, role="assistant")])
    assert order(conversation) == [first, new_id, second]
    assert replayed(conversation) == ["user: Count.", "assistant: one two", "user: More."]


def test_an_item_that_is_made_anew_at_the_front_says_so(conversation: Conversation) -> None:
    drive(conversation, [*spoken_reply("r1", "i1", "one two"), done("r1")])
    assert replayed(conversation) == ["assistant: one two"]
    (create,) = sent(conversation.interrupted([("i1", 0, 600)]), ev.ItemCreate)
    assert create.previous_item_id == "root"


def test_an_item_of_which_nothing_was_heard_is_deleted_and_not_made_anew(conversation: Conversation) -> None:
    drive(conversation, [*spoken_reply("r1", "i1", "one two"), done("r1")])
    assert replayed(conversation) == ["assistant: one two"]
    actions = conversation.interrupted([("i1", 0, 100)])
    assert kinds(actions) == ["Transcript", "conversation.item.delete"]
    assert replayed(conversation) == []


def test_what_is_cut_while_there_is_no_session_is_told_the_next_as_it_was_heard(conversation: Conversation) -> None:
    drive(conversation, [*spoken_reply("r1", "i1", "one two"), done("r1")])
    conversation.disconnected()
    assert kinds(conversation.interrupted([("i1", 0, 600)])) == ["Transcript"]
    assert told(conversation.connected()) == ["assistant: one"]


# Items of ours.


def test_the_system_s_text_becomes_an_item_at_once_and_the_command_is_answered_when_it_is_there(
    conversation: Conversation,
) -> None:
    conversation.handle(created("r1"))
    actions = conversation.tell(7, "it rains")
    (create,) = sent(actions, ev.ItemCreate)
    assert create.item.id is not None
    assert create.item.to_dict() == {
        "type": "message", "id": create.item.id, "role": "system",
        "content": [{"type": "input_text", "text": "it rains"}],
    }  # fmt: skip
    assert answers(actions) == []
    assert answers(conversation.handle(added("another"))) == []
    assert answers(conversation.handle(added(create.item.id))) == [(7, None)]
    assert answers(conversation.handle(added(create.item.id))) == []


@pytest.mark.parametrize("kind", [ev.ItemAdded, ev.ItemDone, ev.ItemCreated])
def test_each_word_for_an_item_that_is_there_acknowledges_it(
    conversation: Conversation, kind: type[ev.ItemAdded | ev.ItemDone | ev.ItemCreated]
) -> None:
    (create,) = sent(conversation.tell(7, "it rains"), ev.ItemCreate)
    assert answers(conversation.handle(kind(item=create.item))) == [(7, None)]


def test_an_item_that_the_model_refuses_is_answered_with_its_error_and_forgotten(conversation: Conversation) -> None:
    actions = conversation.tell(7, "it rains")
    assert answers(conversation.handle(error("invalid_value", event_id(actions, ev.ItemCreate)))) == [
        (7, "invalid_value")
    ]
    assert replayed(conversation) == []


def test_an_item_that_is_told_again_and_refused_is_reported(conversation: Conversation) -> None:
    drive(conversation, turn("u1", "Hello?"))
    conversation.disconnected()
    actions = conversation.connected()
    refusal = error("invalid_value", event_id(actions, ev.ItemCreate))
    assert conversation.handle(refusal) == [Report(refusal.error)]
    assert order(conversation) == []


def test_a_command_that_comes_while_there_is_no_session_is_told_the_next(conversation: Conversation) -> None:
    conversation.disconnected()
    assert conversation.tell(7, "it rains") == []
    actions = conversation.connected()
    assert told(actions) == ["system: it rains"]
    assert answers(actions) == []
    item_id = sent(actions, ev.ItemCreate)[0].item.id or ""
    assert answers(conversation.handle(added(item_id))) == [(7, None)]


def test_a_command_whose_acknowledgement_was_lost_is_answered_once_by_the_next_connection(
    conversation: Conversation,
) -> None:
    conversation.tell(7, "it rains")
    assert answers(conversation.disconnected()) == []
    (create,) = sent(conversation.connected(), ev.ItemCreate)
    assert answers(conversation.handle(added(create.item.id or ""))) == [(7, None)]


def test_a_command_whose_item_fits_into_no_session_any_more_is_answered() -> None:
    conversation = new_conversation(replay_tokens=35)
    conversation.tell(7, "it rains")
    conversation.disconnected()
    for number in range(8, 14):
        conversation.tell(number, f"it is {number}")
    actions = conversation.connected()
    assert told(actions) == [f"system: it is {number}" for number in range(8, 14)]
    assert answers(actions) == [(7, None)]


def test_an_id_that_is_too_long_for_openai_is_changed_where_an_item_is_told_again(conversation: Conversation) -> None:
    long = "item_of_a_server_that_likes_long_ids"
    drive(conversation, [added(long, role="assistant"), all_words(long, "Good day.")])
    conversation.disconnected()
    (create,) = sent(conversation.connected(), ev.ItemCreate)
    assert create.item.id is not None
    assert len(create.item.id) <= 32
    assert order(conversation) == [create.item.id]


# Where they stand.


def test_items_stand_where_the_server_says(conversation: Conversation) -> None:
    drive(conversation, [added("i1", role="assistant"), all_words("i1", "First.")])
    drive(conversation, [added("i2", "i1", role="assistant"), all_words("i2", "Third.")])
    drive(conversation, [committed("u1", "i1"), spoke("u1", "Second.")])
    assert order(conversation) == ["i1", "u1", "i2"]
    # A reply that begins before the turn that it answers was told to be there.
    conversation.handle(added("i1", "u1", role="assistant"))
    assert order(conversation) == ["u1", "i1", "i2"]


def test_an_item_whose_place_is_not_known_stays_where_it_is(conversation: Conversation) -> None:
    drive(conversation, [added("i1", role="assistant"), added("i2", role="assistant")])
    drive(conversation, [added("i1", "never_heard_of", role="assistant"), added("i1", None, role="assistant")])
    assert order(conversation) == ["i1", "i2"]


def test_an_item_that_the_server_has_forgotten_is_told_no_other(conversation: Conversation) -> None:
    drive(conversation, [*turn("u1", "Hello?"), *turn("u2", "Anybody?")])
    assert conversation.handle(ev.ItemDeleted(item_id="u1")) == []
    assert replayed(conversation) == ["user: Anybody?"]


def test_an_hour_of_talk_is_not_remembered(conversation: Conversation) -> None:
    for number in range(1000):
        response, item = f"r{number}", f"i{number}"
        ask(conversation, str(number))
        drive(conversation, [created(response), words(item, "word " * 40, response), delta(response, item)])
        drive(conversation, [started(f"u{number}"), committed(f"u{number}"), spoke(f"u{number}", "word " * 40)])
        conversation.interrupted([(item, 0, 10)])
        conversation.handle(cancelled(response))
    # It is trimmed when an item joins, not when its words come.
    assert sum(entry.tokens for entry in conversation.history) < 8200
    assert len(conversation.history) < 400
    # What is remembered is the newest.
    assert conversation.handle(delta("r999")) == []
    assert conversation.handle(words("i999", "late", "r999")) == []
