"""What a new agent is asked to be becomes its spec, and what its model is told."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.realtime import RealtimeSessionCreateRequest
from pydantic import ValidationError

from realtime_agent.config import Settings
from realtime_agent.control.commands import DEFAULT_TURN_DETECTION
from realtime_agent.control.spec import AgentSpec
from realtime_agent.errors import InvalidRequest
from realtime_agent.realtime.types import SessionConfig
from realtime_agent.server.openapi import openapi
from realtime_agent.server.routes import ROUTES
from realtime_agent.server.schemas import invalid_request
from realtime_agent.server.start_agent import StartAgent

MCP = {"type": "mcp", "server_label": "docs", "server_url": "https://docs.example/mcp", "require_approval": "never"}
PCM = {"type": "audio/pcm", "rate": 24000}


def spec(settings: Settings | None = None, **body: Any) -> AgentSpec:
    """What becomes of a body."""
    request = StartAgent.model_validate({"channel_name": "room", "uid": 7, **body})
    return request.to_spec(settings or Settings())


def told(settings: Settings | None = None, **body: Any) -> dict[str, Any]:
    """What the model is told of a body, once it has come to the worker."""
    sent = spec(settings, **body)
    travelled = AgentSpec.model_validate_json(sent.model_dump_json(exclude_unset=True))
    assert travelled == sent
    return travelled.session.to_dict()


def test_what_is_left_out_is_the_servers_default() -> None:
    settings = Settings(idle_timeout_s=5)
    plain = spec(settings)
    assert (plain.channel_name, plain.uid, plain.user_uid, plain.greeting, plain.tools) == ("room", 7, None, "", None)
    assert plain.session.turn_detection == DEFAULT_TURN_DETECTION
    assert plain.limits.idle_timeout_s == 5


def test_of_what_is_left_out_the_model_is_told_only_the_servers_defaults() -> None:
    settings = Settings(
        openai_model="gpt-9", transcription_model="scribe", default_voice="cedar", system_instruction="Hi."
    )
    assert told(settings) == {
        "type": "realtime",
        "model": "gpt-9",
        "instructions": "Hi.",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": PCM,
                "transcription": {"model": "scribe"},
                "turn_detection": {
                    "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500,
                    "idle_timeout_ms": None, "create_response": True, "interrupt_response": True,
                },
            },
            "output": {"format": PCM, "voice": "cedar"},
        },
    }  # fmt: skip


def test_what_is_given_is_taken() -> None:
    body: dict[str, Any] = {"uid": 9, "user_uid": 5, "greeting": "Hello!", "idle_prompt": "Hm?", "goodbye": "Bye."}
    limits: dict[str, Any] = {
        "user_wait_timeout_s": 0,
        "user_left_grace_s": 1.5,
        "idle_prompt_s": 1,
        "idle_timeout_s": 2,
        "max_duration_s": 3,
    }
    found = spec(**body, **limits)
    assert found.model_dump(include=set(body)) == body
    assert found.limits.model_dump() == limits


def test_what_it_says_of_its_own_accord_is_the_server_s_unless_the_caller_says_even_nothing() -> None:
    settings = Settings(greeting="Welcome.", idle_prompt="Still there?", goodbye="Bye.")
    found = spec(settings, greeting="", goodbye="Farewell.")
    assert (found.greeting, found.idle_prompt, found.goodbye) == ("", "Still there?", "Farewell.")


@pytest.mark.parametrize(
    "given",
    [
        {"max_output_tokens": 100},
        {"max_output_tokens": "inf"},
        {"output_modalities": ["text"]},
        {"tool_choice": "required"},
        {"tool_choice": {"type": "function", "name": "look"}},
        {"tool_choice": {"type": "mcp", "server_label": "docs", "name": "search"}},
        {"parallel_tool_calls": False},
        {"truncation": "disabled"},
        {"truncation": {"type": "retention_ratio", "retention_ratio": 0.8}},
        {
            "truncation": {
                "type": "retention_ratio",
                "retention_ratio": 0.8,
                "token_limits": {"post_instructions": 5000},
            }
        },
        {"tracing": "auto"},
        {"tracing": {"workflow_name": "calls", "group_id": "7", "metadata": {"k": "v"}}},
        {"tracing": None},
        {"prompt": None},
        {"reasoning": {"effort": "low"}},
        {"include": ["item.input_audio_transcription.logprobs"]},
        {"tools": [MCP]},
        {"model": "some/deployment"},
    ],
)
def test_a_setting_of_the_session_is_told_as_it_was_given(given: dict[str, Any]) -> None:
    assert told(**given) == told() | given


@pytest.mark.parametrize(
    ("side", "name", "value"),
    [
        ("input", "noise_reduction", {"type": "far_field"}),
        ("input", "noise_reduction", None),
        ("input", "turn_detection", None),
        ("input", "transcription", None),
        (
            "input",
            "turn_detection",
            {"type": "semantic_vad", "eagerness": "low", "create_response": False, "interrupt_response": True},
        ),
        (
            "input",
            "transcription",
            {"model": "m", "language": "en", "prompt": "p", "delay": "low", "keywords": ["k"], "languages": ["en"]},
        ),
        ("output", "speed", 1.25),
        ("output", "voice", {"id": "voice_1234"}),
        ("output", "voice", "cedar"),
    ],
)
def test_a_setting_of_the_audio_is_told_as_it_was_given(side: str, name: str, value: object) -> None:
    expected = told()
    expected["audio"][side][name] = value
    given: dict[str, Any] = {name: value}
    assert told(**given) == expected


@pytest.mark.parametrize(
    "name",
    ["system_instruction", "voice", "language", "model", "user_uid", "greeting", "speed", "output_modalities",
     "max_output_tokens", "tools", "tool_choice", "parallel_tool_calls", "truncation", "reasoning", "include",
     "idle_timeout_s"],
)  # fmt: skip
def test_a_null_that_says_nothing_is_as_if_left_out(name: str) -> None:
    given = spec(**{name: None})
    assert given == spec()
    assert given.session.to_dict() == told()


def test_every_setting_at_once_is_one_that_openai_takes() -> None:
    everything = told(
        system_instruction="Be brief.", voice={"id": "voice_1"}, language="en", model="gpt-realtime",
        turn_detection={"type": "semantic_vad"}, speed=1.5, noise_reduction={"type": "near_field"},
        transcription={"delay": "minimal"}, output_modalities=["audio"], max_output_tokens=4096, tools=["look", MCP],
        tool_choice="auto", parallel_tool_calls=True,
        truncation={"type": "retention_ratio", "retention_ratio": 0.5}, tracing={"group_id": "g"},
        prompt={"id": "pmpt_1", "version": "2", "variables": {"name": "Ada"}}, reasoning={"effort": "high"},
        include=["item.input_audio_transcription.logprobs"],
    )  # fmt: skip
    assert everything.keys() == SessionConfig.model_fields.keys()
    theirs = RealtimeSessionCreateRequest.model_validate(everything, strict=True)
    assert theirs.to_dict() == everything


def test_turn_detection_is_told_in_full() -> None:
    assert told(turn_detection={"type": "server_vad", "threshold": 0.3})["audio"]["input"]["turn_detection"] == {
        "type": "server_vad", "threshold": 0.3, "prefix_padding_ms": 300, "silence_duration_ms": 500,
        "idle_timeout_ms": None, "create_response": True, "interrupt_response": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "transcription"),
    [
        ({"language": "de"}, {"model": "scribe", "language": "de"}),
        ({"transcription": {}}, {"model": "scribe"}),
        ({"transcription": {"language": "de"}}, {"model": "scribe", "language": "de"}),
        ({"transcription": {"keywords": ["Ada"]}, "language": "de"},
         {"model": "scribe", "language": "de", "keywords": ["Ada"]}),
        ({"transcription": {"model": "whisper-1"}}, {"model": "whisper-1"}),
    ],
)  # fmt: skip
def test_a_transcription_is_completed(given: dict[str, Any], transcription: dict[str, Any]) -> None:
    found = told(Settings(transcription_model="scribe"), **given)
    assert found["audio"]["input"]["transcription"] == transcription


@pytest.mark.parametrize("transcription", [{"language": "en"}, {"language": "de"}, None])
def test_a_language_is_given_once_and_where_there_is_a_transcription(transcription: dict[str, Any] | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        spec(language="en", transcription=transcription)
    (wrong,) = caught.value.fields
    assert wrong.field == "language"
    assert "transcription" in wrong.message


def test_a_prompt_brings_its_own_instructions() -> None:
    settings = Settings(system_instruction="The server's.")
    assert "instructions" not in told(settings, prompt={"id": "p"})
    assert told(settings, prompt={"id": "p"})["prompt"] == {"id": "p"}
    assert told(settings, prompt={"id": "p"}, system_instruction="Be brief.")["instructions"] == "Be brief."
    assert told(settings, prompt=None)["instructions"] == "The server's."


@pytest.mark.parametrize(
    ("given", "functions", "servers"),
    [
        ({}, None, None),
        ({"tools": []}, (), None),
        ({"tools": ["look", "book"]}, ("look", "book"), None),
        ({"tools": [MCP]}, (), [MCP]),
        ({"tools": ["look", MCP]}, ("look",), [MCP]),
    ],
)
def test_functions_are_named_and_mcp_servers_told_to_the_model(
    given: dict[str, Any], functions: tuple[str, ...] | None, servers: list[dict[str, Any]] | None
) -> None:
    assert spec(**given).tools == functions
    assert told(**given).get("tools") == servers


def test_uid_0_is_a_choice_of_the_server_and_user_uid_0_is_anyone() -> None:
    chosen = spec(uid=0, user_uid=0)
    assert 0 < chosen.uid < 2**32
    assert chosen.user_uid is None


def test_an_agent_cannot_hear_itself() -> None:
    with pytest.raises(InvalidRequest) as caught:
        spec(uid=7, user_uid=7)
    assert [each.field for each in caught.value.fields] == ["user_uid"]


def test_a_wrong_voice_names_the_right_ones() -> None:
    with pytest.raises(InvalidRequest) as caught:
        spec(voice="x" * 1000)
    (wrong,) = caught.value.fields
    assert wrong.field == "voice"
    assert "marin" in wrong.message
    assert len(wrong.message) < 200


def test_every_field_says_what_it_is_for() -> None:
    fields = openapi(ROUTES)["components"]["schemas"]["StartAgent"]["properties"]
    assert fields.keys() == StartAgent.model_fields.keys()
    assert [name for name, field in fields.items() if not field.get("description")] == []


def test_a_field_whose_null_says_something_does_not_claim_that_null_is_its_default() -> None:
    fields = openapi(ROUTES)["components"]["schemas"]["StartAgent"]["properties"]
    required = {"channel_name", "uid"}
    nullable = {"noise_reduction", "transcription", "tracing", "prompt"}
    assert {name for name, field in fields.items() if "default" not in field} == required | nullable


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"channel_name": ""}, "channel_name"),
        ({"channel_name": "a" * 65}, "channel_name"),
        ({"channel_name": "a/b"}, "channel_name"),
        ({"channel_name": "grün"}, "channel_name"),
        ({"channel_name": "a\n"}, "channel_name"),
        ({"channel_name": 5}, "channel_name"),
        ({"channel_name": None}, "channel_name"),
        ({"uid": -1}, "uid"),
        ({"uid": 2**32}, "uid"),
        ({"uid": "5"}, "uid"),
        ({"uid": 1.5}, "uid"),
        ({"uid": True}, "uid"),
        ({"uid": None}, "uid"),
        ({"user_uid": -1}, "user_uid"),
        ({"system_instruction": ""}, "system_instruction"),
        ({"system_instruction": "x" * 32_001}, "system_instruction"),
        ({"language": "english"}, "language"),
        ({"model": "a b"}, "model"),
        ({"greeting": "x" * 1001}, "greeting"),
        ({"voice": 5}, "voice"),
        ({"voice": {}}, "voice.id"),
        ({"voice": {"id": "voice_1", "name": "joe"}}, "voice.name"),
        ({"speed": 0.2}, "speed"),
        ({"speed": 1.6}, "speed"),
        ({"speed": "1"}, "speed"),
        ({"speed": float("nan")}, "speed"),
        ({"noise_reduction": {"type": "mid_field"}}, "noise_reduction.type"),
        ({"noise_reduction": "near_field"}, "noise_reduction"),
        ({"transcription": {"modell": "scribe"}}, "transcription.modell"),
        ({"transcription": {"delay": "none"}}, "transcription.delay"),
        ({"transcription": False}, "transcription"),
        ({"output_modalities": []}, "output_modalities"),
        ({"output_modalities": ["audio", "text"]}, "output_modalities"),
        ({"output_modalities": ["video"]}, "output_modalities.0"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": 4097}, "max_output_tokens"),
        ({"max_output_tokens": "5"}, "max_output_tokens"),
        ({"max_output_tokens": True}, "max_output_tokens"),
        ({"tools": "look"}, "tools"),
        ({"tools": ["look up"]}, "tools.0"),
        ({"tools": [5]}, "tools.0"),
        ({"tools": ["look", {"type": "mcp"}]}, "tools.1.server_label"),
        ({"tools": [{"type": "function", "server_label": "l"}]}, "tools.0.type"),
        ({"tool_choice": "never"}, "tool_choice"),
        ({"tool_choice": {"name": "look"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"parallel_tool_calls": "yes"}, "parallel_tool_calls"),
        ({"truncation": "always"}, "truncation"),
        ({"truncation": {"type": "retention_ratio"}}, "truncation.retention_ratio"),
        ({"truncation": {"type": "retention_ratio", "retention_ratio": 2}}, "truncation.retention_ratio"),
        ({"tracing": "yes"}, "tracing"),
        ({"tracing": {"group": "g"}}, "tracing.group"),
        ({"prompt": {}}, "prompt.id"),
        ({"reasoning": {"effort": "heroic"}}, "reasoning.effort"),
        ({"include": ["everything"]}, "include.0"),
        ({"turn_detection": {"type": "psychic"}}, "turn_detection.type"),
        ({"turn_detection": {}}, "turn_detection.type"),
        ({"turn_detection": {"type": "server_vad", "threshold": 2}}, "turn_detection.threshold"),
        ({"turn_detection": {"type": "server_vad", "treshold": 0.5}}, "turn_detection.treshold"),
        ({"idle_timeout_s": -1}, "idle_timeout_s"),
        ({"max_duration_s": "5"}, "max_duration_s"),
        ({"user_wait_timeout_s": float("nan")}, "user_wait_timeout_s"),
        ({"user_left_grace_s": float("inf")}, "user_left_grace_s"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_value_is_named_by_its_field(change: dict[str, Any], field: str) -> None:
    raw = {"channel_name": "room", "uid": 7, **change}
    with pytest.raises(ValidationError) as caught:
        StartAgent.model_validate(raw)
    fields = invalid_request(raw, caught.value).fields
    assert [each.field for each in fields] == [field]
    assert fields[0].message


@pytest.mark.parametrize("name", ["a", "a" * 64, "a room", "!#$%&()+-:;<=.>?@[]^_{}|~,", "0"])
def test_the_alphabet_of_channel_names_is_agoras(name: str) -> None:
    assert StartAgent(channel_name=name, uid=7).channel_name == name
