"""What an agent may be asked to be."""

from __future__ import annotations

import pickle
import string

import pytest
from pydantic import TypeAdapter, ValidationError

from realtime_agent.control.spec import AgentSpec, ChannelName, Instruction, Language, Limits, Seconds, Uid
from realtime_agent.realtime.types import NoiseReduction, SemanticVad, ServerVad, SessionConfig, Tracing, TurnDetection
from tests.specs import agent_spec


@pytest.mark.parametrize(
    "name",
    ["t", "a" * 64, string.ascii_letters, string.digits + " !#$%&()+-:;<=.>?@[]^_{}|~,", "room 1", "-"],
)
def test_a_channel_name_has_agora_s_alphabet(name: str) -> None:
    assert TypeAdapter(ChannelName).validate_python(name) == name


@pytest.mark.parametrize(
    "name", ["", "a" * 65, "café", "a/b", "a\\b", "a\nb", "test\n", "a'b", 'a"b', "a*b", "a`b", "\0", 5, None]
)
def test_a_channel_name_outside_agora_s_alphabet_is_refused(name: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(ChannelName).validate_python(name)


@pytest.mark.parametrize("name", ["...", ".a", "a..", " ."])
def test_a_channel_name_may_hold_dots(name: str) -> None:
    assert TypeAdapter(ChannelName).validate_python(name) == name


@pytest.mark.parametrize("name", [".", ".."])
def test_a_channel_name_that_no_address_can_hold_is_refused_in_words(name: str) -> None:
    with pytest.raises(ValidationError, match=r"can't be '\.' or '\.\.'"):
        TypeAdapter(ChannelName).validate_python(name)


@pytest.mark.parametrize("uid", [0, 1, 2**32 - 1])
def test_a_uid_has_32_bits(uid: int) -> None:
    assert TypeAdapter(Uid).validate_python(uid) == uid


@pytest.mark.parametrize("uid", [-1, 2**32, 1.0, 1.5, "1", True, None])
def test_what_is_no_uid_is_refused(uid: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Uid).validate_python(uid)


@pytest.mark.parametrize("seconds", [0, 0.5, 7 * 24 * 3600])
def test_seconds_go_from_none_to_a_week(seconds: float) -> None:
    assert TypeAdapter(Seconds).validate_python(seconds) == seconds


@pytest.mark.parametrize("seconds", [-0.1, 7 * 24 * 3600 + 1, float("nan"), float("inf"), "5", True, None])
def test_what_is_no_time_is_refused(seconds: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Seconds).validate_python(seconds)


@pytest.mark.parametrize("language", ["en", "deu"])
def test_a_language_is_an_iso_639_code(language: str) -> None:
    assert TypeAdapter(Language).validate_python(language) == language


@pytest.mark.parametrize("language", ["", "e", "EN", "en-US", "english", "en\n"])
def test_what_is_no_language_code_is_refused(language: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Language).validate_python(language)


def test_an_instruction_has_a_length() -> None:
    assert len(TypeAdapter(Instruction).validate_python("a" * 32_000)) == 32_000
    for wrong in ("", "a" * 32_001):
        with pytest.raises(ValidationError):
            TypeAdapter(Instruction).validate_python(wrong)


@pytest.mark.parametrize("turn_detection", [None, ServerVad(threshold=0.3), SemanticVad(eagerness="low")])
def test_a_spec_reaches_its_worker_as_it_was(turn_detection: TurnDetection | None) -> None:
    whole = agent_spec(turn_detection=turn_detection, user_left_grace_s=2.5)
    again = pickle.loads(pickle.dumps(whole))
    assert again == whole
    if turn_detection is not None:
        assert again.session.turn_detection.to_json() == turn_detection.to_json()


def test_of_a_session_what_is_set_and_what_is_null_and_what_is_left_out_reaches_the_worker() -> None:
    session = agent_spec().session
    assert session.audio is not None
    assert session.audio.input is not None
    session.audio.input.noise_reduction = None
    session.tracing = Tracing(group_id="g")
    again = pickle.loads(pickle.dumps(agent_spec(session=session))).session
    assert again.to_json() == session.to_json()
    assert again.to_dict()["tracing"] == {"group_id": "g"}
    assert again.to_dict()["audio"]["input"]["noise_reduction"] is None
    assert "transcription" not in again.to_dict()["audio"]["input"]
    session.audio.input.noise_reduction = NoiseReduction(type="near_field")
    again = pickle.loads(pickle.dumps(agent_spec(session=session))).session
    assert again.to_dict()["audio"]["input"]["noise_reduction"] == {"type": "near_field"}


@pytest.mark.parametrize("session", [{}, {"audio": {}}, {"audio": {"input": {}}}])
def test_a_session_that_says_nothing_of_turns_is_push_to_talk(session: dict[str, object]) -> None:
    assert agent_spec(session=SessionConfig.model_validate(session)).session.turn_detection is None


def test_a_spec_does_not_change() -> None:
    with pytest.raises(ValidationError):
        agent_spec().uid = 8  # type: ignore[misc] # it is frozen, which is what is tested
    with pytest.raises(ValidationError):
        agent_spec().limits.idle_timeout_s = 5  # type: ignore[misc] # it is frozen, which is what is tested


@pytest.mark.parametrize("field", AgentSpec.model_fields)
def test_nothing_of_a_spec_is_left_to_a_default(field: str) -> None:
    fields = agent_spec().model_dump()
    del fields[field]
    with pytest.raises(ValidationError, match=field):
        AgentSpec.model_validate(fields)


@pytest.mark.parametrize("field", Limits.model_fields)
def test_no_limit_is_left_to_a_default(field: str) -> None:
    limits = agent_spec().limits.model_dump()
    del limits[field]
    with pytest.raises(ValidationError, match=field):
        Limits.model_validate(limits)
