"""Holds events of ours against the types of the official `openai` package."""

from __future__ import annotations

import json
from typing import Any, get_args

from openai.types.realtime import (
    RealtimeServerEvent,
    RealtimeSessionCreateResponse,
    RealtimeTranscriptionSessionCreateRequest,
    RealtimeTranscriptionSessionCreateResponse,
)
from pydantic import BaseModel

__all__ = ["validate"]

_UNION, *_ = get_args(RealtimeServerEvent)
_TYPES: dict[str, type[BaseModel]] = {
    literal: model for model in get_args(_UNION) for literal in get_args(model.model_fields["type"].annotation)
}


def validate(message: str | bytes) -> dict[str, Any]:
    """Check that a message is an event that `openai` knows, with no field it does not know; give it as a dict."""
    event: dict[str, Any] = json.loads(message)
    known = _TYPES[event["type"]].model_validate_json(message, strict=True)
    if "session" in event:
        _check_session(event["session"])
    else:
        _refuse_unknown_fields(known)
    assert event["event_id"]
    return event


def _check_session(session: dict[str, Any]) -> None:
    """The package types this field as a request, which lacks the id and the like."""
    if session["type"] != "transcription":
        _refuse_unknown_fields(RealtimeSessionCreateResponse.model_validate(session, strict=True))
        return
    # The response's type has an older turn detection.
    asked = {name: session[name] for name in ("type", "audio", "include")}
    rest = {name: value for name, value in session.items() if name != "audio"}
    _refuse_unknown_fields(RealtimeTranscriptionSessionCreateRequest.model_validate(asked, strict=True))
    _refuse_unknown_fields(RealtimeTranscriptionSessionCreateResponse.model_validate(rest, strict=True))


def _refuse_unknown_fields(value: object) -> None:
    if isinstance(value, BaseModel):
        assert not value.model_extra, f"{type(value).__name__} has no {sorted(value.model_extra)}"
        for field in value.__dict__.values():
            _refuse_unknown_fields(field)
    elif isinstance(value, list):
        for element in value:
            _refuse_unknown_fields(element)
