"""The settings that the model has agreed to."""

from __future__ import annotations

from realtime_agent.realtime.conversation.agreed import Agreed
from realtime_agent.realtime.types import (
    AudioInput,
    AudioOutput,
    SemanticVad,
    ServerVad,
    SessionAudio,
    SessionConfig,
    Transcription,
)


def agreed() -> Agreed:
    audio = SessionAudio(
        input=AudioInput(transcription=Transcription(model="t"), turn_detection=ServerVad()),
        output=AudioOutput(voice="marin"),
    )
    return Agreed(SessionConfig(instructions="Be brief.", audio=audio))


def test_a_change_is_in_force_once_the_model_has_taken_it() -> None:
    settings = agreed()
    settings.propose(SessionConfig(instructions="Sing."), 1)
    assert len(settings) == 1
    (change,) = settings.to_send()
    assert settings.to_send() == []
    assert settings.config.instructions == "Be brief."
    assert settings.accepted() is change
    assert settings.config.instructions == "Sing."
    assert not len(settings)


def test_a_change_of_one_field_leaves_the_others() -> None:
    settings = agreed()
    turn_detection = SemanticVad().in_full()
    settings.propose(SessionConfig(audio=SessionAudio(input=AudioInput(turn_detection=turn_detection))), 1)
    settings.to_send()
    settings.accepted()
    audio = settings.config.audio
    assert audio is not None
    assert audio.input == AudioInput(transcription=Transcription(model="t"), turn_detection=SemanticVad())
    assert audio.output == AudioOutput(voice="marin")


def test_null_is_a_setting_too() -> None:
    settings = agreed()
    settings.propose(SessionConfig(audio=SessionAudio(input=AudioInput(turn_detection=None))), 1)
    settings.to_send()
    settings.accepted()
    told = settings.config.to_dict()["audio"]["input"]
    assert told == {"transcription": {"model": "t"}, "turn_detection": None}


def test_what_was_refused_is_not_in_force_nor_told_the_next_connection() -> None:
    settings = agreed()
    settings.propose(SessionConfig(instructions="Sing."), 1)
    (change,) = settings.to_send()
    assert settings.refused(change) is change
    assert settings.refused(change) is None
    settings.disconnected()
    assert settings.to_send() == []
    assert settings.config.instructions == "Be brief."


def test_answers_are_for_the_changes_in_their_order() -> None:
    settings = agreed()
    for number, words in enumerate(["one", "two"], 1):
        settings.propose(SessionConfig(instructions=words), number)
    settings.to_send()
    refused, accepted = settings.refused(), settings.accepted()
    assert refused is not None
    assert accepted is not None
    assert (refused.command, accepted.command) == (1, 2)
    assert settings.config.instructions == "two"
    assert settings.accepted() is None


def test_a_change_without_an_answer_is_told_the_next_connection() -> None:
    settings = agreed()
    settings.propose(SessionConfig(instructions="Sing."), 1)
    settings.to_send()
    settings.disconnected()
    assert settings.accepted() is None
    assert [change.command for change in settings.to_send()] == [1]


def test_a_change_that_was_not_answered_in_time_is_not_taken_for_the_next() -> None:
    settings = agreed()
    settings.propose(SessionConfig(instructions="Sing."), 1)
    settings.propose(SessionConfig(instructions="Dance."), 2)
    first, second = settings.to_send()
    assert not settings.withdraw(1)
    assert settings.accepted() is second
    assert settings.config.instructions == "Dance."
    assert settings.refused(first) is None
    assert settings.accepted() is None


def test_a_change_that_is_answered_late_is_taken_all_the_same() -> None:
    settings = agreed()
    settings.propose(SessionConfig(instructions="Sing."), 1)
    settings.to_send()
    settings.withdraw(1)
    assert not settings.is_awaited
    assert settings.accepted() is not None
    assert settings.config.instructions == "Sing."


def language(code: str) -> SessionConfig:
    return SessionConfig(audio=SessionAudio(input=AudioInput(transcription=Transcription(language=code))))


def test_a_language_alone_changes_nothing_else_of_the_transcription() -> None:
    listening = AudioInput(transcription=Transcription(model="t", prompt="Names: Aoife.", keywords=["Aoife"]))
    settings = Agreed(SessionConfig(audio=SessionAudio(input=listening)))
    change = settings.in_full(language("ga"))
    assert change is not None
    assert change.transcription == Transcription(model="t", prompt="Names: Aoife.", keywords=["Aoife"], language="ga")


def test_a_language_alone_is_one_of_the_transcription_that_is_asked_for() -> None:
    settings = agreed()
    other = AudioInput(transcription=Transcription(model="other"))
    settings.propose(SessionConfig(audio=SessionAudio(input=other)), 1)
    change = settings.in_full(language("ga"))
    assert change is not None
    assert change.transcription == Transcription(model="other", language="ga")


def test_where_nothing_is_written_down_no_language_can_be_set() -> None:
    settings = Agreed(SessionConfig())
    assert settings.in_full(language("ga")) is None
    whole = SessionConfig(audio=SessionAudio(input=AudioInput(transcription=Transcription(model="t", language="ga"))))
    assert settings.in_full(whole) is whole
