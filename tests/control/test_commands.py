"""Commands as they come over HTTP and as they go over the agent's queue."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from realtime_agent.config import Settings
from realtime_agent.control import commands
from realtime_agent.realtime.types import SemanticVad, ServerVad

VAD = {"type": "server_vad", "threshold": 0.3}

GOOD: list[tuple[dict[str, Any], type]] = [
    ({"command": "update_instruction", "new_instruction": "sing"}, commands.UpdateInstruction),
    ({"command": "update_turn_detection", "new_turn_detection": True}, commands.UpdateTurnDetection),
    ({"command": "update_turn_detection", "new_turn_detection": False}, commands.UpdateTurnDetection),
    ({"command": "update_turn_detection", "new_turn_detection": VAD}, commands.UpdateTurnDetection),
    ({"command": "send_system_text", "input_text": "it rains"}, commands.SendSystemText),
    ({"command": "send_user_text", "input_text": "hello"}, commands.SendUserText),
    ({"command": "create_response", "new_instruction": "greet"}, commands.CreateResponse),
    ({"command": "create_response"}, commands.CreateResponse),
    ({"command": "say", "input_text": "hello"}, commands.Say),
    ({"command": "interrupt"}, commands.Interrupt),
    ({"command": "commit_audio_buffer"}, commands.CommitAudioBuffer),
    ({"command": "clear_audio_buffer"}, commands.ClearAudioBuffer),
    ({"command": "pause"}, commands.Pause),
    ({"command": "resume"}, commands.Resume),
    ({"command": "update_session", "speed": 1.2}, commands.UpdateSession),
    ({"command": "update_session", "tracing": None}, commands.UpdateSession),
    ({"command": "update_session", "voice": {"id": "voice_1"}, "tools": ["look_up"]}, commands.UpdateSession),
]


@pytest.mark.parametrize(("raw", "kind"), GOOD)
def test_a_command_is_read_and_survives_the_queue(raw: dict[str, Any], kind: type) -> None:
    raw = {"channel_name": "test", **raw}
    command = commands.command_adapter.validate_python(raw)
    assert type(command) is kind
    sent = command.model_dump(mode="json", exclude_unset=True)
    assert sent == raw
    assert commands.command_adapter.validate_json(json.dumps(sent)) == command


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({}, "command"),
        ({"command": "dance"}, "dance"),
        ({"command": "update_instruction"}, "new_instruction"),
        ({"command": "update_instruction", "new_instruction": ""}, "new_instruction"),
        ({"command": "update_instruction", "new_instruction": "a" * 32_001}, "new_instruction"),
        ({"command": "update_turn_detection"}, "new_turn_detection"),
        ({"command": "update_turn_detection", "new_turn_detection": None}, "new_turn_detection"),
        ({"command": "update_turn_detection", "new_turn_detection": 1}, "new_turn_detection"),
        ({"command": "update_turn_detection", "new_turn_detection": "true"}, "new_turn_detection"),
        ({"command": "update_turn_detection", "new_turn_detection": {"type": "psychic"}}, "new_turn_detection"),
        ({"command": "update_turn_detection", "new_turn_detection": {**VAD, "threshold": 2}}, "threshold"),
        ({"command": "update_turn_detection", "new_turn_detection": {**VAD, "threshold": "0.3"}}, "threshold"),
        (
            {"command": "update_turn_detection", "new_turn_detection": {**VAD, "create_response": "no"}},
            "create_response",
        ),
        ({"command": "update_turn_detection", "new_turn_detection": {**VAD, "create_response": 0}}, "create_response"),
        ({"command": "update_instruction", "new_instruction": " \n"}, "new_instruction"),
        ({"command": "say", "input_text": " "}, "input_text"),
        ({"command": "send_user_text", "input_text": "\t"}, "input_text"),
        ({"command": "update_session", "voice": None}, "give at least one setting"),
        ({"command": "send_system_text"}, "input_text"),
        ({"command": "send_system_text", "input_text": ""}, "input_text"),
        ({"command": "send_user_text"}, "input_text"),
        ({"command": "send_user_text", "input_text": 5}, "input_text"),
        ({"command": "send_user_text", "input_text": "a" * 32_001}, "input_text"),
        ({"command": "create_response", "new_instruction": ""}, "new_instruction"),
        ({"command": "say"}, "input_text"),
        ({"command": "say", "input_text": ""}, "input_text"),
        ({"command": "pause", "by": "me"}, "by"),
        ({"command": "update_session"}, "at least one setting"),
        ({"command": "update_session", "model": "other"}, "model"),
        ({"command": "update_session", "turn_detection": None}, "turn_detection"),
        ({"command": "update_session", "speed": 2}, "speed"),
        ({"command": "commit_audio_buffer", "why": "because"}, "why"),
        ({"command": "commit_audio_buffer", "channel_name": "a/b"}, "channel_name"),
    ],
)
def test_a_wrong_command_is_refused_by_the_name_of_its_field(raw: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        commands.command_adapter.validate_python({"channel_name": "test", **raw})


@pytest.mark.parametrize(("raw", "kind"), GOOD)
def test_every_command_names_its_channel(raw: dict[str, Any], kind: type) -> None:
    with pytest.raises(ValidationError, match=rf"{raw['command']}\.channel_name"):
        commands.command_adapter.validate_python(raw)


def test_turn_detection_is_a_switch_or_a_setting_in_full() -> None:
    def read(wanted: object) -> object:
        raw = {"command": "update_turn_detection", "channel_name": "test", "new_turn_detection": wanted}
        command = commands.command_adapter.validate_python(raw)
        assert isinstance(command, commands.UpdateTurnDetection)
        return command.new_turn_detection

    assert read(True) is True
    assert read(False) is False
    assert isinstance(read(VAD), ServerVad)
    assert isinstance(read({"type": "semantic_vad"}), SemanticVad)


def test_the_default_turn_detection_is_sent_in_full() -> None:
    assert commands.DEFAULT_TURN_DETECTION.to_dict() == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "create_response": True,
        "interrupt_response": True,
    }


@pytest.mark.parametrize("wrong", ["true", 1, None, []])
def test_what_is_neither_a_switch_nor_an_object_is_told_what_may_be(wrong: object) -> None:
    command = {"command": "update_turn_detection", "channel_name": "room", "new_turn_detection": wrong}
    with pytest.raises(ValidationError, match="should be true, false or an object"):
        commands.command_adapter.validate_python(command)


def test_a_language_alone_names_no_model_and_a_transcription_does() -> None:
    def transcription(**fields: Any) -> dict[str, Any]:
        raw = {"channel_name": "test", "command": "update_session", **fields}
        command = commands.command_adapter.validate_python(raw)
        assert isinstance(command, commands.UpdateSession)
        told = command.completed(Settings(transcription_model="scribe")).session().transcription
        assert told is not None
        return told.to_dict()

    assert transcription(language="ga") == {"language": "ga"}
    assert transcription(transcription={"prompt": "Aoife"}) == {"model": "scribe", "prompt": "Aoife"}
    assert transcription(transcription={"prompt": "Aoife"}, language="ga") == {
        "model": "scribe", "prompt": "Aoife", "language": "ga",
    }  # fmt: skip
