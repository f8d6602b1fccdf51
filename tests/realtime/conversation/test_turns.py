"""The turns of the user: when they speak, what they said, and when that becomes a message."""

from __future__ import annotations

import pytest

from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.conversation.actions import SendAudio
from realtime_agent.realtime.session import Interrupt, Report, Transcribed, Transcript, UserSpeech
from realtime_agent.realtime.types import AudioInput, ServerVad, SessionAudio, SessionConfig, TranscriptionUsage
from tests.realtime.conversation.talk import (
    PCM,
    added,
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
    sent,
    spoke,
    started,
    stopped,
    told,
    turn,
)

NO_TURNS = SessionConfig(audio=SessionAudio(input=AudioInput(turn_detection=None)))


@pytest.fixture
def conversation() -> Conversation:
    return new_conversation()


@pytest.fixture
def push_to_talk() -> Conversation:
    return new_conversation(None)


# Speech.


def test_how_long_ago_a_turn_began_and_ended_is_counted_in_the_user_s_audio() -> None:
    """The model tells of both a second late."""
    conversation = new_conversation(ServerVad(prefix_padding_ms=300, silence_duration_ms=500))
    conversation.handle(created("r1"))
    conversation.uplink.append(audio(5000))
    conversation.uplink.take()
    assert conversation.handle(started(ms=3700)) == [Interrupt(since_ms=1000), UserSpeech(True)]
    conversation.uplink.append(audio(3000))
    conversation.uplink.take()
    assert conversation.handle(stopped(ms=7000)) == [UserSpeech(False, silence_ms=500, late_ms=1000)]


@pytest.mark.parametrize("ms", [9000, -60_000])
def test_a_server_that_counts_from_elsewhere_is_not_believed(ms: int) -> None:
    conversation = new_conversation()
    conversation.uplink.append(audio(5000))
    conversation.uplink.take()
    assert conversation.handle(started(ms=ms)) == [Interrupt(since_ms=0), UserSpeech(True)]
    assert conversation.handle(stopped(ms=ms)) == [UserSpeech(False, silence_ms=500)]


def test_the_beginning_and_the_end_of_speech_are_told(conversation: Conversation) -> None:
    assert conversation.handle(started()) == [Interrupt(since_ms=0), UserSpeech(True)]
    assert conversation.handle(stopped(ms=9)) == [UserSpeech(False, silence_ms=500)]


def test_nothing_is_asked_for_while_the_user_speaks(conversation: Conversation) -> None:
    drive(conversation, [created("r1"), started()])
    assert ask(conversation, "then") == []
    assert asked(conversation.handle(cancelled("r1"))) == []
    # The server answers the turn by itself; what waits comes after that.
    assert asked(drive(conversation, [stopped(), committed()])) == []
    conversation.handle(created("r2"))
    assert asked(conversation.handle(done("r2"))) == ["then"]


def test_where_the_server_does_not_answer_turns_the_end_of_speech_releases_what_waits() -> None:
    conversation = new_conversation(ServerVad(create_response=False))
    conversation.handle(started())
    assert ask(conversation, "then") == []
    assert asked(conversation.handle(stopped())) == ["then"]


def test_speech_whose_audio_was_cleared_holds_nothing_back(conversation: Conversation) -> None:
    conversation.handle(started())
    assert ask(conversation, "then") == []
    silence, *rest = conversation.handle(ev.InputAudioBufferCleared())
    assert silence == UserSpeech(False, is_forgotten=True)
    assert asked(rest) == ["then"]


def test_an_answer_that_the_server_could_not_begin_releases_what_waits(conversation: Conversation) -> None:
    conversation.handle(started())
    assert ask(conversation, "then") == []
    conversation.handle(stopped())
    report, *rest = conversation.handle(error("too_many_responses"))
    assert isinstance(report, Report)
    assert asked(rest) == ["then"]


def test_an_answer_that_never_begins_is_waited_for_until_the_words_are_known(conversation: Conversation) -> None:
    conversation.handle(started())
    assert ask(conversation, "then") == []
    assert asked(drive(conversation, [stopped(), committed()])) == []
    assert asked(conversation.handle(spoke("u1", "Hello?"))) == ["then"]


def test_without_turn_detection_speech_that_was_on_the_wire_interrupts_nothing(push_to_talk: Conversation) -> None:
    assert push_to_talk.handle(started()) == [UserSpeech(False)]
    assert asked(ask(push_to_talk, "then")) == ["then"]


def test_turning_turn_detection_off_ends_the_turn_that_was_being_spoken(conversation: Conversation) -> None:
    conversation.handle(started())
    assert ask(conversation, "then") == []
    assert kinds(conversation.update(1, NO_TURNS)) == ["session.update"]
    answer, silence, *rest = conversation.handle(ev.SessionUpdated(session={}))
    assert answers([answer]) == [(1, None)]
    assert silence == UserSpeech(False, is_forgotten=True)
    assert asked(rest) == ["then"]


def test_turn_detection_is_what_it_was_until_the_model_has_agreed(conversation: Conversation) -> None:
    conversation.update(1, NO_TURNS)
    assert conversation.handle(started()) == [Interrupt(since_ms=0), UserSpeech(True)]
    conversation.handle(ev.SessionUpdated(session={}))
    assert conversation.handle(started()) == [UserSpeech(False)]


def test_with_a_lost_connection_the_user_s_speech_ends(conversation: Conversation) -> None:
    conversation.handle(started())
    assert UserSpeech(False, is_forgotten=True) in conversation.disconnected()
    assert UserSpeech(False, is_forgotten=True) not in conversation.disconnected()


# What they said.


def test_a_turn_of_the_user_has_its_place_before_its_words_are_known(conversation: Conversation) -> None:
    assert conversation.handle(committed()) == [Transcript("user", "u1", "")]


def test_the_user_s_words_are_told_as_they_come(conversation: Conversation) -> None:
    assert conversation.handle(ev.TranscriptionDelta(item_id="u1", delta="hel")) == [Transcript("user", "u1", "hel")]
    assert conversation.handle(ev.TranscriptionDelta(item_id="u1")) == []
    assert conversation.handle(spoke("u1", " hello. \n")) == [Transcript("user", "u1", "hello.", final=True)]


def test_what_it_cost_to_write_them_down_is_told(conversation: Conversation) -> None:
    usage = TranscriptionUsage(type="duration", seconds=3)
    event = ev.TranscriptionCompleted(item_id="u1", transcript="Hello.", usage=usage)
    assert conversation.handle(event)[1:] == [Transcribed(usage)]


def test_words_that_could_not_be_understood_are_told_as_none(conversation: Conversation) -> None:
    actions = conversation.handle(ev.TranscriptionFailed(item_id="u1", error={}))
    assert actions == [Transcript("user", "u1", "", final=True)]


def test_words_that_will_never_come_are_closed_once(conversation: Conversation) -> None:
    drive(conversation, [*turn("u1", "Hello?"), started("u2"), stopped("u2"), committed("u2")])
    assert Transcript("user", "u2", "", final=True) in (actions := conversation.disconnected())
    assert not any(isinstance(action, Transcript) and action.item_id == "u1" for action in actions)
    conversation.connected()
    assert conversation.disconnected() == []


def test_another_connection_hears_what_was_not_written_down_as_it_was_spoken(conversation: Conversation) -> None:
    conversation.uplink.append(audio(1000))
    conversation.uplink.take()
    drive(conversation, [started(ms=200), stopped(ms=800), committed()])
    conversation.disconnected()
    (create,) = sent(actions := conversation.connected(), ev.ItemCreate)
    assert told(actions) == ["user, spoken"]
    assert create.item.content is not None
    assert len(create.item.content[0].audio or "") == len(audio(600)) * 4 // 3


# Audio that waits.


def test_a_turn_that_was_not_committed_is_sent_again(conversation: Conversation) -> None:
    conversation.uplink.append(audio(1000))
    assert conversation.uplink.take() == audio(1000)
    conversation.handle(started(ms=700))
    conversation.disconnected()
    conversation.uplink.append(PCM)
    actions = conversation.connected()
    assert SendAudio() in actions
    assert told(actions) == asked(actions) == []
    assert conversation.uplink.take() == audio(300) + PCM


def test_a_turn_that_ended_but_was_not_committed_is_sent_again_and_not_answered_twice(
    conversation: Conversation,
) -> None:
    conversation.uplink.append(audio(1000))
    conversation.uplink.take()
    drive(conversation, [started(ms=700), stopped(ms=900)])
    conversation.disconnected()
    conversation.uplink.append(PCM)
    # The next connection detects the turn's end again, and answers it by itself.
    assert asked(conversation.connected()) == []
    assert conversation.uplink.take() == audio(300) + PCM


def test_a_turn_that_was_committed_and_not_answered_is_answered(conversation: Conversation) -> None:
    drive(conversation, turn("u1", "Hello?")[:-1])
    conversation.disconnected()
    assert asked(conversation.connected()) == [None]


def test_a_turn_that_was_answered_is_not_answered_again(conversation: Conversation) -> None:
    drive(conversation, [*turn("u1", "Hello?"), created("r1"), delta("r1"), done("r1")])
    conversation.disconnected()
    assert asked(conversation.connected()) == []


def test_where_the_server_does_not_answer_turns_a_committed_one_is_not_answered_after_a_cut_either() -> None:
    conversation = new_conversation(ServerVad(create_response=False))
    drive(conversation, turn("u1", "Hello?"))
    conversation.disconnected()
    assert asked(conversation.connected()) == []


def test_what_is_to_be_forgotten_is_not_sent_again(conversation: Conversation) -> None:
    conversation.uplink.append(audio(1000))
    conversation.uplink.take()
    conversation.handle(started())
    assert kinds(conversation.clear()) == ["input_audio_buffer.clear"]
    conversation.disconnected()
    assert conversation.clear() == []
    conversation.connected()
    assert conversation.uplink.take() == b""


# Committing by command.


def test_what_waits_is_sent_before_it_is_committed(push_to_talk: Conversation) -> None:
    assert kinds(push_to_talk.commit(5)) == ["SendAudio", "input_audio_buffer.commit"]


def test_a_commit_is_answered_when_the_turn_is_a_message(push_to_talk: Conversation) -> None:
    assert answers(push_to_talk.commit(5)) == []
    assert answers(push_to_talk.handle(committed())) == [(5, None)]
    assert answers(push_to_talk.handle(committed("u2"))) == []


def test_commits_are_answered_in_order(push_to_talk: Conversation) -> None:
    push_to_talk.commit(5)
    push_to_talk.commit(6)
    assert answers(push_to_talk.handle(committed("u1"))) == [(5, None)]
    assert answers(push_to_talk.handle(committed("u2"))) == [(6, None)]


@pytest.mark.parametrize("named", [True, False], ids=["with event_id", "without event_id"])
def test_a_commit_of_nothing_is_answered_with_the_model_s_error(push_to_talk: Conversation, named: bool) -> None:
    actions = push_to_talk.commit(5)
    name = event_id(actions, ev.InputAudioBufferCommit) if named else None
    refusal = error("input_audio_buffer_commit_empty", name)
    assert answers(push_to_talk.handle(refusal)) == [(5, refusal.error.code)]
    assert answers(push_to_talk.handle(committed())) == []


def test_a_refusal_of_a_commit_that_nobody_asked_for_is_reported(push_to_talk: Conversation) -> None:
    refusal = error("input_audio_buffer_commit_empty")
    assert push_to_talk.handle(refusal) == [Report(refusal.error)]


def test_a_turn_that_turn_detection_ended_answers_no_commit(conversation: Conversation) -> None:
    conversation.handle(started("u1"))
    conversation.handle(stopped("u1"))
    conversation.commit(5)
    assert answers(conversation.handle(committed("u1"))) == []
    refusal = error("input_audio_buffer_commit_empty")
    assert answers(conversation.handle(refusal)) == [(5, "input_audio_buffer_commit_empty")]


def test_a_commit_by_hand_in_the_middle_of_a_turn_releases_what_waits(conversation: Conversation) -> None:
    conversation.handle(started("u1"))
    assert ask(conversation, "then") == []
    conversation.commit(5)
    actions = conversation.handle(committed("u1"))
    assert answers(actions) == [(5, None)]
    assert asked(actions) == ["then"]


def test_a_commit_that_no_session_answered_is_asked_of_the_next_behind_its_audio(push_to_talk: Conversation) -> None:
    push_to_talk.uplink.append(audio(1000))
    push_to_talk.uplink.take()
    push_to_talk.commit(5)
    assert answers(push_to_talk.disconnected()) == []
    assert kinds(push_to_talk.connected()) == ["SendAudio", "input_audio_buffer.commit", "SendAudio"]
    assert push_to_talk.uplink.take() == audio(1000)
    assert answers(push_to_talk.handle(committed())) == [(5, None)]


def test_without_turn_detection_all_that_was_not_committed_is_sent_again(push_to_talk: Conversation) -> None:
    for _ in range(5):
        push_to_talk.uplink.append(audio(1000))
        push_to_talk.uplink.take()
    push_to_talk.disconnected()
    push_to_talk.connected()
    assert push_to_talk.uplink.take() == audio(5000)


def test_with_turn_detection_silence_is_not_sent_again_until_it_is_turned_off(conversation: Conversation) -> None:
    for _ in range(5):
        conversation.uplink.append(audio(1000))
        conversation.uplink.take()
        conversation.uplink.confirm(conversation.uplink.sent)
    conversation.update(1, NO_TURNS)
    conversation.handle(ev.SessionUpdated(session={}))
    conversation.uplink.append(audio(3000))
    conversation.disconnected()
    conversation.connected()
    assert len(conversation.uplink.take()) == len(audio(2000 + 3000))


@pytest.mark.parametrize("refused", [False, True], ids=["at first", "after another was refused"])
def test_what_is_said_after_a_commit_belongs_to_the_next_turn(push_to_talk: Conversation, refused: bool) -> None:
    if refused:
        push_to_talk.commit(4)
        push_to_talk.handle(error("input_audio_buffer_commit_empty"))
    push_to_talk.uplink.append(audio(1000))
    push_to_talk.commit(5)
    push_to_talk.uplink.take()
    push_to_talk.uplink.append(audio(500))
    push_to_talk.uplink.take()
    push_to_talk.handle(committed())
    push_to_talk.disconnected()
    (create,) = sent(push_to_talk.connected(), ev.ItemCreate)
    assert create.item.content is not None
    assert len(create.item.content[0].audio or "") == len(audio(1000)) * 4 // 3
    assert push_to_talk.uplink.take() == audio(500)


def test_a_commit_while_there_is_no_session_waits_for_the_next(push_to_talk: Conversation) -> None:
    push_to_talk.disconnected()
    assert push_to_talk.commit(5) == []
    assert kinds(push_to_talk.connected()) == ["SendAudio", "input_audio_buffer.commit", "SendAudio"]
    assert answers(push_to_talk.handle(committed())) == [(5, None)]


def test_what_was_committed_by_hand_is_not_answered_by_itself_after_a_cut(push_to_talk: Conversation) -> None:
    push_to_talk.commit(5)
    drive(push_to_talk, [committed(), spoke("u1", "Hello?")])
    push_to_talk.disconnected()
    actions = push_to_talk.connected()
    assert told(actions) == ["user: Hello?"]
    assert asked(actions) == []


# Quiet.


def test_it_is_not_quiet_while_the_user_speaks_or_their_words_are_to_come(conversation: Conversation) -> None:
    assert conversation.is_quiet
    events: list[ev.ServerEvent] = [started(), stopped(), committed(), created("r1"), done("r1")]
    for event in events:
        conversation.handle(event)
        assert not conversation.is_quiet
    conversation.handle(spoke("u1", "Hello?"))
    assert conversation.is_quiet


def test_where_words_are_not_written_down_nothing_waits_for_them() -> None:
    conversation = new_conversation(words=False)
    drive(conversation, [started(), stopped(), committed(), created("r1")])
    assert not conversation.is_quiet
    conversation.handle(done("r1"))
    assert conversation.is_quiet


def test_a_commit_that_was_not_answered_is_no_quiet_moment(push_to_talk: Conversation) -> None:
    push_to_talk.commit(5)
    assert not push_to_talk.is_quiet
    drive(push_to_talk, [committed(), added("u1", role="user"), spoke("u1", "Hello?")])
    assert push_to_talk.is_quiet
