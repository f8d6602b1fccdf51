"""What a refusal or a goodbye means, and how it is told."""

from __future__ import annotations

import json

import pytest

from realtime_agent.errors import SessionError, SessionLost
from realtime_agent.realtime.failures import closed, refused, without_secrets

KEY = "sk-very-secret"


def refusal(status: int = 401, content_type: str = "application/json", body: bytes = b"") -> SessionError:
    return refused("model", status, content_type, body, {f"Bearer {KEY}", KEY})


@pytest.mark.parametrize("code", [None, 1000, 1001, 1005, 1006, 1011, 1012, 1013, 1014, 3008, 3999])
def test_after_these_goodbyes_another_connection_may_do(code: int | None) -> None:
    assert isinstance(closed(code, ""), SessionLost)


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003, 4000, 4999])
def test_after_these_goodbyes_another_connection_would_not_do(code: int) -> None:
    assert not isinstance(closed(code, ""), SessionLost)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 529])
def test_after_these_answers_another_try_may_do(status: int) -> None:
    assert isinstance(refusal(status), SessionLost)


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 407, 410, 426])
def test_after_these_answers_another_try_would_not_do(status: int) -> None:
    assert not isinstance(refusal(status), SessionLost)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"error": {"message": "no such model", "code": "x"}}'),
        ("application/problem+json; charset=utf-8", b'{"error": "no such model"}'),
        ("Application/JSON", b'{"message": "no such model"}'),
        ("application/json", b'{"detail": "no such\\nmodel"}'),
        ("application/json", b'"no such model"'),
        ("text/plain; charset=utf-8", b"no such\r\nmodel\n"),
        ("text/plain", b"no such \x1bmodel\x00"),
    ],
)
def test_the_server_s_words_are_told_on_one_line(content_type: str, body: bytes) -> None:
    assert str(refusal(404, content_type, body)) == "the model refused the connection: HTTP 404: no such model"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", b"<html>no"),
        ("", b"no such model"),
        ("application/json", b"{"),
        ("application/json", b"[" * 100_000),
        ("application/json", b"[1]"),
        ("application/json", b"{}"),
        ("application/json", b'{"error": {"code": 5}}'),
        ("application/json", b'{"error": {"error": {"error": "deep"}}}'),
        ("application/json", b""),
    ],
)
def test_what_is_no_message_is_left_out(content_type: str, body: bytes) -> None:
    assert str(refusal(404, content_type, body)) == "the model refused the connection: HTTP 404"


def test_a_long_message_is_cut_and_a_key_in_it_hidden_before() -> None:
    body = json.dumps({"error": {"message": "x" * 190 + f" wrong key {KEY}, said Bearer {KEY}"}}).encode()
    told = str(refusal(401, "application/json", body))
    assert "sk-" not in told
    assert len(told) < 260
    assert told.endswith("…")


def test_a_key_is_hidden_wherever_it_is() -> None:
    told = without_secrets(f"{KEY} and Bearer {KEY}, a 1", {KEY, f"Bearer {KEY}", "1"})
    assert told == "*** and ***, a 1"


def test_a_goodbye_s_reason_is_one_line() -> None:
    assert str(closed(4000, "no\r\n such  beta")) == "the model closed the connection with 4000: no such beta"
