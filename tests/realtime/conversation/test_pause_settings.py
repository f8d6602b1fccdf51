"""Settings of a conversation that is paused, and how the model learns that it is and is no more."""

from __future__ import annotations

from typing import Any

import pytest

from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.session import (
    Report,
)
from realtime_agent.realtime.types import (
    AudioInput,
    SemanticVad,
    ServerVad,
    SessionAudio,
    SessionConfig,
    TurnDetection,
)
from tests.realtime.conversation.talk import (
    TAKEN,
    answers,
    asked,
    committed,
    drive,
    error,
    event_id,
    kinds,
    new_conversation,
    sent,
    started,
    stopped,
    turn,
)


@pytest.fixture
def conversation() -> Conversation:
    return new_conversation()


def detection_of(actions: list[Any]) -> dict[str, Any] | None:
    """The turn detection that the model is told to use."""
    (update,) = sent(actions, ev.SessionUpdate)
    detection: dict[str, Any] | None = update.to_dict()["session"]["audio"]["input"]["turn_detection"]
    return detection


def detecting(detection: TurnDetection | None) -> SessionConfig:
    return SessionConfig(audio=SessionAudio(input=AudioInput(turn_detection=detection)))


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


def test_a_turn_that_is_left_to_us_is_not_answered_to_nobody(conversation: Conversation) -> None:
    conversation.pause()
    conversation.handle(TAKEN)
    conversation.resume(anew=False)
    drive(conversation, [started(), stopped()])
    conversation.user_left()
    conversation.handle(committed())
    assert asked(conversation.user_joined()) == []


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


def test_a_pause_that_comes_as_a_connection_opens_is_told() -> None:
    conversation = new_conversation()
    opening = conversation.opening
    conversation.disconnected()
    conversation.pause()
    assert (
        detection_of(conversation.connected(opening))
        == ServerVad(create_response=False, interrupt_response=False).model_dump()
    )
    conversation.disconnected()
    assert sent(conversation.connected(), ev.SessionUpdate) == []
