"""Transcripts as clients over Agora know them: under the names that the Realtime API's events had in its beta.

A channel's own message is {"type": "transcript", "role", "item_id"} with either "delta" or "text" and "final", and
where the item was cut short, "interrupted". Whatever is no transcript goes as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["from_event", "to_event"]

_DELTA = {
    "assistant": "response.audio_transcript.delta",
    "user": "conversation.item.input_audio_transcription.delta",
}
_FINAL = {
    "assistant": "response.audio_transcript.done",
    "user": "conversation.item.input_audio_transcription.completed",
}
_ROLES = {name: role for names in (_DELTA, _FINAL) for role, name in names.items()}


def to_event(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event that says what a message of ours says."""
    if body.get("type") != "transcript":
        return body
    names = _FINAL if body.get("final") else _DELTA
    event: dict[str, Any] = {"type": names[body["role"]], "item_id": body["item_id"], "content_index": 0}
    event |= {"transcript": body["text"]} if body.get("final") else {"delta": body["delta"]}
    if body.get("interrupted"):
        event["interrupted"] = True
    return event


def from_event(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message of ours that says what an event says."""
    kind = event.get("type")
    role = _ROLES.get(kind) if isinstance(kind, str) else None
    if role is None:
        return event
    body: dict[str, Any] = {"type": "transcript", "role": role, "item_id": event.get("item_id")}
    body |= {"delta": event["delta"]} if "delta" in event else {"text": event.get("transcript"), "final": True}
    if event.get("interrupted") is True:
        body["interrupted"] = True
    return body
