"""A change of settings."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from realtime_agent.realtime.conversation.settings import merge_settings

SETTINGS = {
    "instructions": "Be brief.",
    "prompt": {"id": "p", "version": "1"},
    "tools": [{"type": "function", "name": "f"}],
    "audio": {
        "input": {"transcription": {"model": "t", "language": "en"}, "turn_detection": {"type": "server_vad"}},
        "output": {"voice": "marin"},
    },
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {}),
        ({"instructions": "Sing."}, {"instructions": "Sing."}),
        ({"tool_choice": "none"}, {"tool_choice": "none"}),
        ({"tools": []}, {"tools": []}),
        ({"prompt": {"id": "q"}}, {"prompt": {"id": "q"}}),
        ({"prompt": None}, {"prompt": None}),
        ({"audio": None}, {"audio": None}),
        ({"audio": {}}, {}),
    ],
)
def test_what_is_set_changes_as_a_whole(change: dict[str, Any], expected: dict[str, Any]) -> None:
    assert merge_settings(SETTINGS, change) == SETTINGS | expected


@pytest.mark.parametrize(
    ("side", "change", "expected"),
    [
        ("output", {"speed": 1.5}, {"voice": "marin", "speed": 1.5}),
        ("output", None, None),
        (
            "input",
            {"transcription": {"model": "u"}},
            {"transcription": {"model": "u"}, "turn_detection": {"type": "server_vad"}},
        ),
        (
            "input",
            {"turn_detection": None},
            {"transcription": {"model": "t", "language": "en"}, "turn_detection": None},
        ),
    ],
)
def test_audio_changes_by_the_field_of_a_direction(side: str, change: object, expected: object) -> None:
    merged = merge_settings(SETTINGS, {"audio": {side: change}})
    audio: Any = SETTINGS["audio"]
    assert merged == SETTINGS | {"audio": audio | {side: expected}}


def test_a_direction_may_be_new() -> None:
    assert merge_settings({}, {"audio": {"output": {"voice": "cedar"}}}) == {"audio": {"output": {"voice": "cedar"}}}
    assert merge_settings({"audio": None}, {"audio": {"output": None}}) == {"audio": {"output": None}}


def test_both_are_left_as_they_are() -> None:
    settings, change = copy.deepcopy(SETTINGS), {"audio": {"input": {"turn_detection": None}}, "tools": []}
    merge_settings(settings, change)
    assert settings == SETTINGS
    assert change == {"audio": {"input": {"turn_detection": None}}, "tools": []}
