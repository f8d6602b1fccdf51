from __future__ import annotations

from typing import Any

import pytest

from realtime_agent.rtc.agora.transcript_events import from_event, to_event

PAIRS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"type": "transcript", "role": "assistant", "item_id": "i", "delta": "Hel"},
        {"type": "response.audio_transcript.delta", "item_id": "i", "content_index": 0, "delta": "Hel"},
    ),
    (
        {"type": "transcript", "role": "assistant", "item_id": "i", "text": "Hello", "final": True},
        {"type": "response.audio_transcript.done", "item_id": "i", "content_index": 0, "transcript": "Hello"},
    ),
    (
        {"type": "transcript", "role": "assistant", "item_id": "i", "text": "He", "final": True, "interrupted": True},
        {
            "type": "response.audio_transcript.done",
            "item_id": "i",
            "content_index": 0,
            "transcript": "He",
            "interrupted": True,
        },
    ),
    (
        {"type": "transcript", "role": "user", "item_id": "i", "delta": "Hel"},
        {
            "type": "conversation.item.input_audio_transcription.delta",
            "item_id": "i",
            "content_index": 0,
            "delta": "Hel",
        },
    ),
    (
        {"type": "transcript", "role": "user", "item_id": "i", "text": "Hello", "final": True},
        {
            "type": "conversation.item.input_audio_transcription.completed",
            "item_id": "i",
            "content_index": 0,
            "transcript": "Hello",
        },
    ),
]


@pytest.mark.parametrize(("body", "event"), PAIRS)
def test_a_transcript_goes_under_the_names_of_the_realtime_api_s_beta(body: dict[str, Any], event: object) -> None:
    assert to_event(body) == event


@pytest.mark.parametrize(("body", "event"), PAIRS)
def test_and_comes_back_as_it_was(body: object, event: dict[str, Any]) -> None:
    assert from_event(event) == body


@pytest.mark.parametrize("body", [{"type": "state", "state": "active"}, {}, {"type": 5}, {"type": ["transcript"]}])
def test_whatever_is_no_transcript_stays_as_it_is(body: dict[str, Any]) -> None:
    assert to_event(body) == body
    assert from_event(body) == body
