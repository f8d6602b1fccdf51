"""Whether a key looks like one; it must never be repeated."""

from __future__ import annotations

import json

import pytest

from realtime_agent.config import load_settings
from realtime_agent.doctor.finding import Finding, Level
from realtime_agent.doctor.key import check_key

GOOD = "sk-proj-4f9aQ2LmZt81vB7c"
OPENAI = ""
AZURE = "wss://voice.openai.azure.com/openai/v1"
OTHER = "wss://voice.test/v1"


def check(key: str, address: str, headers: dict[str, str] | None = None) -> list[Finding]:
    environ = {"OPENAI_API_KEY": key, "REALTIME_API_BASE_URI": address}
    if headers is not None:
        environ["REALTIME_API_HEADERS"] = json.dumps(headers)
    findings = check_key(load_settings(environ, None))
    assert not key or key not in str(findings)
    return findings


@pytest.mark.parametrize(
    ("key", "address", "level", "words"),
    [
        (GOOD, OPENAI, Level.OK, "has the shape of a key"),
        (GOOD, "wss://eu.api.openai.com/v1", Level.OK, "has the shape of a key"),
        ("4f9aQ2LmZt81vB7c4f9aQ2LmZt81vB7c", AZURE, Level.OK, "has the shape of a key"),
        ("hello", OTHER, Level.OK, "not known here"),
        ("", OTHER, Level.OK, "if voice.test wants no key"),
        ("", AZURE, Level.PROBLEM, "wants one"),
        ("", "wss://api.openai.com/v1", Level.PROBLEM, "wants one"),
        ("4f9aQ2LmZt81vB7c4f9aQ2LmZt81vB7c", OPENAI, Level.WARNING, "does not begin with sk-"),
        (GOOD, AZURE, Level.WARNING, "not Azure's"),
        ("sk-4f9aQ2", OPENAI, Level.WARNING, "is shorter than keys are"),
        (f"Bearer {GOOD}", OPENAI, Level.PROBLEM, "has a space or quotes in it"),
        (f'"{GOOD}"', OPENAI, Level.PROBLEM, "has a space or quotes in it"),
        (f"'{GOOD}'", OTHER, Level.PROBLEM, "has a space or quotes in it"),
        ("sk-4f9aQ2LmZt 81vB7c8d9e0f", AZURE, Level.PROBLEM, "has a space or quotes in it"),
    ],
)
def test_the_shape_is_what_this_server_s_keys_have(key: str, address: str, level: Level, words: str) -> None:
    (found,) = check(key, address)
    assert (found.level, found.subject) == (level, "OPENAI_API_KEY")
    assert words in found.text
    assert bool(found.remedy) is (level is not Level.OK)


def test_a_placeholder_is_told_only_once_with_the_settings() -> None:
    assert check("your-key", OPENAI) == []


@pytest.mark.parametrize("name", ["Authorization", "api-key"])
def test_a_key_may_be_among_the_headers(name: str) -> None:
    (found,) = check("", AZURE, {name: "secret-value"})
    assert (found.level, found.text) == (Level.OK, "is empty; REALTIME_API_HEADERS has the key's header")


def test_a_key_that_would_go_out_unencrypted_is_told() -> None:
    plain = "ws://voice.test/v1"
    for key, headers in ((GOOD, None), ("", {"X-A": "b"})):
        found = check(key, plain, headers)[-1]
        assert (found.level, found.subject) == (Level.WARNING, "REALTIME_API_BASE_URI")
        assert "unencrypted" in found.text
    for key, address in (("", plain), (GOOD, "ws://127.0.0.1:9000/v1"), (GOOD, OTHER)):
        assert "unencrypted" not in str(check(key, address))
