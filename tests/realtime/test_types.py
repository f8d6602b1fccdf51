"""What we send is strict, what a server sends is read tolerantly, and only what was set travels."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from realtime_agent.errors import InvalidEvent
from realtime_agent.realtime.events import SessionUpdate, parse_client_event
from realtime_agent.realtime.types import (
    AnySessionConfig,
    AudioInput,
    AudioOutput,
    ErrorDetail,
    Item,
    Response,
    SemanticVad,
    ServerVad,
    SessionAudio,
    SessionConfig,
    TranscriptionSessionConfig,
    TurnDetection,
    Usage,
)

turn_detection: TypeAdapter[TurnDetection] = TypeAdapter(TurnDetection)


def test_only_what_was_set_is_sent_and_a_fixed_type_always() -> None:
    assert SessionConfig().to_dict() == {"type": "realtime"}
    assert SessionConfig(instructions="be brief").to_json() == '{"type":"realtime","instructions":"be brief"}'
    assert SemanticVad().to_dict() == {"type": "semantic_vad"}
    assert ServerVad(idle_timeout_ms=None).to_dict() == {"type": "server_vad", "idle_timeout_ms": None}


def test_what_was_set_later_is_sent_too() -> None:
    config = SessionConfig()
    config.instructions = None
    assert config.to_dict() == {"type": "realtime", "instructions": None}


def test_a_pickle_remembers_what_was_set() -> None:
    config = SessionConfig(audio=SessionAudio(input=AudioInput(turn_detection=None)))
    assert pickle.loads(pickle.dumps(config)).to_json() == config.to_json()


@pytest.mark.parametrize(
    ("raw", "kind"), [({"type": "server_vad"}, ServerVad), ({"type": "semantic_vad", "eagerness": "low"}, SemanticVad)]
)
def test_turn_detection_is_chosen_by_its_type(raw: dict[str, Any], kind: type[ServerVad] | type[SemanticVad]) -> None:
    assert isinstance(turn_detection.validate_python(raw), kind)


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"type": "psychic"},
        {"type": "server_vad", "threshold": 1.01},
        {"type": "server_vad", "threshold": -0.01},
        {"type": "server_vad", "prefix_padding_ms": 5001},
        {"type": "server_vad", "silence_duration_ms": 10_001},
        {"type": "server_vad", "silence_duration_ms": -1},
        {"type": "server_vad", "idle_timeout_ms": 4999},
        {"type": "server_vad", "idle_timeout_ms": 30_001},
        {"type": "server_vad", "eagerness": "low"},
        {"type": "semantic_vad", "eagerness": "eager"},
        {"type": "semantic_vad", "threshold": 0.5},
    ],
)
def test_wrong_turn_detection_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        turn_detection.validate_python(raw)


@pytest.mark.parametrize(
    "raw",
    [
        {"temperature": 0.8},
        {"voice": "marin"},
        {"type": "transcription"},
        {"output_modalities": ["video"]},
        {"max_output_tokens": 0},
        {"max_output_tokens": 4097},
        {"max_output_tokens": "many"},
        {"tool_choice": "never"},
        {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}},
        {"audio": {"output": {"speed": 1.51}}},
        {"audio": {"output": {"speed": 0.24}}},
        {"audio": {"input": {"turn_detektion": None}}},
    ],
)
def test_a_setting_that_is_misspelt_or_out_of_range_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SessionConfig.model_validate(raw)


def kind_of(session: dict[str, Any]) -> type[AnySessionConfig]:
    event = parse_client_event(json.dumps({"type": "session.update", "session": session}))
    assert isinstance(event, SessionUpdate)
    return type(event.session)


def test_the_settings_of_a_session_are_read_by_its_type() -> None:
    assert kind_of({"type": "transcription"}) is TranscriptionSessionConfig
    assert kind_of({"type": "realtime"}) is SessionConfig
    assert kind_of({}) is SessionConfig


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"type": "psychic"}, "session.type"),
        ({"type": ["transcription"]}, "session.type"),
        ({"type": "transcription", "instructions": "Sing."}, "session.instructions"),
        ({"type": "transcription", "audio": {"output": {}}}, "session.audio.output"),
        ({"type": "transcription", "transcription": {}}, "session.transcription"),
        (
            {"type": "transcription", "audio": {"input": {"turn_detection": {"type": "psychic"}}}},
            "session.audio.input.turn_detection.type",
        ),
        ("transcription", "session"),
    ],
)
def test_wrong_settings_of_a_session_are_refused_by_the_name_of_the_field(session: object, param: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        parse_client_event(json.dumps({"type": "session.update", "session": session}))
    assert caught.value.param == param


@pytest.mark.parametrize("tokens", [1, 4096, "inf"])
def test_the_limits_of_output_tokens_are_openai_s(tokens: int | str) -> None:
    assert SessionConfig.model_validate({"max_output_tokens": tokens}).max_output_tokens == tokens


def test_what_a_server_sends_may_have_more_fields_or_few() -> None:
    assert Response.model_validate({"id": "r", "mood": "good"}).id == "r"
    assert Response.model_validate({}).usage is None
    assert Usage.model_validate({"total_tokens": 3, "video_tokens": 1}).total_tokens == 3
    assert ErrorDetail.model_validate({"type": "t", "message": "m", "hint": "h"}).code is None
    assert Item.model_validate({"type": "mcp_call", "server_label": "x"}).type == "mcp_call"


def test_a_speed_may_be_as_slow_and_as_fast_as_openai_s() -> None:
    assert AudioOutput(speed=0.25).speed == 0.25
    assert AudioOutput(speed=1.5).speed == 1.5
