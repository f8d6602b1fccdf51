"""Holds events of ours against the types of the official `openai` package."""

from __future__ import annotations

import json
from typing import Any, get_args

from openai.types.realtime import RealtimeServerEvent, RealtimeSessionCreateResponse
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
        # The package types this field as a request, which lacks the id and the like.
        _refuse_unknown_fields(RealtimeSessionCreateResponse.model_validate(event["session"], strict=True))
    else:
        _refuse_unknown_fields(known)
    assert event["event_id"]
    return event


def _refuse_unknown_fields(value: object) -> None:
    if isinstance(value, BaseModel):
        assert not value.model_extra, f"{type(value).__name__} has no {sorted(value.model_extra)}"
        for field in value.__dict__.values():
            _refuse_unknown_fields(field)
    elif isinstance(value, list):
        for element in value:
            _refuse_unknown_fields(element)
