from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from realtime_agent.config import Settings
from realtime_agent.control.commands import DEFAULT_TURN_DETECTION
from realtime_agent.errors import InvalidRequest
from realtime_agent.server.schemas import StartAgent, invalid_request, random_uid


def test_what_is_left_out_is_the_servers_default() -> None:
    settings = Settings(idle_timeout_s=5)
    spec = StartAgent(channel_name="room", uid=7).to_spec(settings)
    assert (spec.channel_name, spec.uid, spec.user_uid) == ("room", 7, None)
    assert (spec.voice, spec.model) == (settings.default_voice, settings.openai_model)
    assert spec.system_instruction == settings.system_instruction
    assert (spec.language, spec.greeting) == (None, None)
    assert spec.turn_detection == DEFAULT_TURN_DETECTION
    assert spec.limits.idle_timeout_s == 5


def test_what_is_given_is_taken() -> None:
    body: dict[str, Any] = {
        "channel_name": "room", "uid": 7, "user_uid": 5, "system_instruction": "Be brief.", "voice": "cedar",
        "language": "en", "model": "gpt-realtime", "greeting": "Hello!", "turn_detection": None,
        "user_wait_timeout_s": 0, "user_left_grace_s": 1.5, "idle_timeout_s": 2, "max_duration_s": 3,
    }  # fmt: skip
    spec = StartAgent.model_validate(body).to_spec(Settings())
    limits = spec.limits.model_dump()
    assert {**spec.model_dump(exclude={"limits"}), **limits} == body


def test_uid_0_is_a_choice_of_the_server_and_user_uid_0_is_anyone() -> None:
    spec = StartAgent(channel_name="room", uid=0, user_uid=0).to_spec(Settings())
    assert 0 < spec.uid < 2**32
    assert spec.user_uid is None
    assert len({random_uid() for _ in range(20)}) > 1


def test_an_agent_cannot_hear_itself() -> None:
    with pytest.raises(InvalidRequest) as caught:
        StartAgent(channel_name="room", uid=7, user_uid=7).to_spec(Settings())
    assert [each.field for each in caught.value.fields] == ["user_uid"]


def test_a_wrong_voice_names_the_right_ones() -> None:
    with pytest.raises(InvalidRequest) as caught:
        StartAgent(channel_name="room", uid=7, voice="x" * 1000).to_spec(Settings())
    (wrong,) = caught.value.fields
    assert wrong.field == "voice"
    assert "marin" in wrong.message
    assert len(wrong.message) < 200


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
