from __future__ import annotations

import pytest

from realtime_agent.rtc.wire import natural, parse_object


def test_a_text_message_is_an_object() -> None:
    assert parse_object('{"type": "wave", "text": "grüße"}') == {"type": "wave", "text": "grüße"}


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "null", '"x"', "[" * 20_000, '{"position": ' + "9" * 5000 + "}", "\0"]
)
def test_text_that_holds_no_object_is_none(text: str) -> None:
    assert parse_object(text) is None


@pytest.mark.parametrize("value", [0, 1, 1 << 40])
def test_a_count_is_taken(value: int) -> None:
    assert natural(value) == value


@pytest.mark.parametrize("value", [-1, 1.0, "1", None, True, False, [1]])
def test_what_is_no_count_is_none(value: object) -> None:
    assert natural(value) is None
