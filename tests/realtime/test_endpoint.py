"""Where the settings lead, and with what."""

from __future__ import annotations

import logging

import pytest
from pydantic import SecretStr

from realtime_agent.config import Settings
from realtime_agent.realtime.endpoint import realtime_endpoint, warn_of_distant_ear, warn_of_plain_key
from realtime_agent.testing import ScriptedServer

KEY = "sk-very-secret"


def settings(base: str = "", key: str = KEY, auth: str = "bearer", headers: str = "") -> Settings:
    return Settings.model_validate(
        {
            "realtime_api_base_uri": base,
            "openai_api_key": SecretStr(key),
            "realtime_api_auth": auth,
            "realtime_api_headers": SecretStr(headers),
            "model_timeout_s": 7,
        }
    )


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("", "wss://api.openai.com/v1/realtime?model=m%2F1%20b"),
        ("wss://api.x.ai/v1", "wss://api.x.ai/v1/realtime?model=m%2F1%20b"),
        ("wss://model.example/v1/", "wss://model.example/v1/realtime?model=m%2F1%20b"),
        ("wss://model.example", "wss://model.example/realtime?model=m%2F1%20b"),
        ("ws://127.0.0.1:9000/", "ws://127.0.0.1:9000/realtime?model=m%2F1%20b"),
        ("ws://[::1]:9000/v1", "ws://[::1]:9000/v1/realtime?model=m%2F1%20b"),
        (
            "wss://r.openai.azure.com/openai/?api-version=2025-04-01-preview&a=%20b",
            "wss://r.openai.azure.com/openai/realtime?api-version=2025-04-01-preview&a=%20b&model=m%2F1%20b",
        ),
    ],
)
def test_the_model_is_asked_for_below_the_base(base: str, url: str) -> None:
    endpoint = realtime_endpoint(settings(base), "m/1 b")
    assert endpoint.url == url
    assert endpoint.timeout == 7


@pytest.mark.parametrize(
    ("key", "auth", "extra", "headers"),
    [
        ("", "bearer", "", {}),
        (KEY, "bearer", "", {"Authorization": f"Bearer {KEY}"}),
        (KEY, "api-key", "", {"api-key": KEY}),
        (KEY, "bearer", '{"X-A": "b"}', {"X-A": "b", "Authorization": f"Bearer {KEY}"}),
        ("", "bearer", '{"X-A": "b"}', {"X-A": "b"}),
        (KEY, "bearer", '{"authorization": "Entra t"}', {"authorization": "Entra t"}),
        (KEY, "api-key", '{"API-Key": "b"}', {"API-Key": "b"}),
        (KEY, "bearer", '{"api-key": "b"}', {"api-key": "b", "Authorization": f"Bearer {KEY}"}),
    ],
)
def test_the_key_and_other_headers_go_as_the_settings_say(
    key: str, auth: str, extra: str, headers: dict[str, str]
) -> None:
    assert realtime_endpoint(settings(key=key, auth=auth, headers=extra), "m").headers == headers


async def test_it_connects(script: ScriptedServer) -> None:
    endpoint = realtime_endpoint(settings(f"{script.url}?a=b", auth="api-key", headers='{"X-A": "b"}'), "my model")
    connection = await endpoint.connect()
    await connection.close()
    assert script.path == "/v1/realtime?a=b&model=my%20model"
    assert (script.headers["api-key"], script.headers["X-A"]) == (KEY, "b")
    assert "Authorization" not in script.headers


def test_it_shows_no_secret() -> None:
    endpoint = realtime_endpoint(settings("wss://u:s3cret@model.example/v1?key=s3cret", headers='{"X": "s3cret"}'), "m")
    assert "s3cret" not in f"{endpoint!r} {endpoint}"
    assert KEY not in f"{endpoint!r} {endpoint}"


@pytest.mark.parametrize(
    ("base", "key", "headers", "warned"),
    [
        ("ws://model.example/v1", KEY, "", True),
        ("ws://192.0.2.1/v1", KEY, "", True),
        ("ws://model.example/v1", "", '{"X-A": "s3cret"}', True),
        ("ws://model.example/v1", "", "", False),
        ("wss://model.example/v1", KEY, "", False),
        ("ws://127.0.0.1:9000/v1", KEY, "", False),
        ("ws://localhost:9000/v1", KEY, "", False),
        ("ws://[::1]:9000/v1", KEY, "", False),
        ("", KEY, "", False),
    ],
)
def test_a_key_that_leaves_the_machine_unencrypted_is_warned_of_once_and_not_for_each_agent(
    base: str, key: str, headers: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    realtime_endpoint(settings(base, key, headers=headers), "m")
    assert caplog.records == []
    warn_of_plain_key(settings(base, key, headers=headers))
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * warned
    assert KEY not in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("phrases", "uri", "warned"),
    [
        ("local", "ws://ears.example/v1", ["what users say goes to ears.example, unencrypted, also in a pause"]),
        ("local", "wss://somebody:s3cret@ears.example/v1", ["what users say goes to ears.example, also in a pause"]),
        ("local", "ws://127.0.0.1:9001/v1", []),
        ("local", "", []),
        ("transcript", "ws://ears.example/v1", []),
    ],
)
def test_an_ear_on_another_machine_is_warned_of(
    phrases: str, uri: str, warned: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_distant_ear(Settings.model_validate({"voice_phrases": phrases, "voice_phrases_uri": uri}))
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == warned
