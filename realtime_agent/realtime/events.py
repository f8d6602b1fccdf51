"""The events of OpenAI's GA Realtime API, typed: what a client sends and what a server sends.

`parse_server_event` never fails on an event it does not know, since servers add them; it gives an `UnknownEvent`.
`parse_client_event` is strict: a server must tell its client what is wrong.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter, ValidationError

from realtime_agent.errors import InvalidEvent
from realtime_agent.realtime import client_events, response_events, server_events
from realtime_agent.realtime.client_events import *  # noqa: F403 - this is the one door to all events
from realtime_agent.realtime.response_events import *  # noqa: F403 - likewise
from realtime_agent.realtime.server_events import *  # noqa: F403 - likewise
from realtime_agent.realtime.types import Wire
from realtime_agent.validation import field_path, in_words

__all__ = ["KnownServerEvent", "ServerEvent", "UnknownEvent", "parse_client_event", "parse_server_event"]
__all__ += client_events.__all__
__all__ += response_events.__all__
__all__ += server_events.__all__


class UnknownEvent(Wire):
    """An event that this version does not know, or that lacks what it must have: benign."""

    type: str
    raw: dict[str, Any]


KnownServerEvent = server_events.ConversationEvent | response_events.ResponseEvent

ServerEvent = KnownServerEvent | UnknownEvent

_client = TypeAdapter[client_events.ClientEvent](Annotated[client_events.ClientEvent, Field(discriminator="type")])
# Without the adapter around it, which would look at its arguments for each event.
_server = TypeAdapter[KnownServerEvent](Annotated[KnownServerEvent, Field(discriminator="type")]).validator
_CLIENT_TYPES = frozenset(model.model_fields["type"].default for model in get_args(client_events.ClientEvent))


def parse_client_event(message: str | bytes) -> client_events.ClientEvent:
    """Read one event from a client.

    Raises:
        InvalidEvent: it is not one; code, param and event_id say what a server should answer.
    """
    try:
        return _client.validate_json(message)
    except ValidationError as error:
        raise _invalid(message, error) from None


def parse_server_event(message: str | bytes) -> ServerEvent:
    """Read one event from a server; one that is unknown or malformed becomes an `UnknownEvent`.

    Raises:
        InvalidEvent: the message is not a JSON object with a type.
    """
    try:
        event: ServerEvent = _server.validate_json(message)
    except ValidationError:
        raw = _object(message)
        return UnknownEvent(type=raw["type"], raw=raw)
    return event


def _object(message: str | bytes) -> dict[str, Any]:
    try:
        raw = json.loads(message)
    except (ValueError, RecursionError):
        raise InvalidEvent("The message is not valid JSON.", "invalid_json") from None
    if not isinstance(raw, dict):
        raise InvalidEvent("The message is not a JSON object.", "invalid_json")
    if not isinstance(raw.get("type"), str):
        raise InvalidEvent("The event has no type.", "missing_required_parameter", "type", _event_id(raw))
    return raw


def _event_id(raw: dict[str, Any]) -> str | None:
    event_id = raw.get("event_id")
    return event_id if isinstance(event_id, str) else None


_CODES = {
    "missing": "missing_required_parameter",
    "union_tag_not_found": "missing_required_parameter",
    "extra_forbidden": "unknown_parameter",
}


def _invalid(message: str | bytes, error: ValidationError) -> InvalidEvent:
    detail = error.errors(include_input=False, include_url=False)[0]
    if detail["type"] == "json_invalid":
        return InvalidEvent("The message is not valid JSON.", "invalid_json")
    raw = _object(message)
    event_id = _event_id(raw)
    if raw["type"] not in _CLIENT_TYPES:
        return InvalidEvent(f"Unknown event type {raw['type'][:100]!r}.", "invalid_value", "type", event_id)
    param = field_path(raw, detail)
    code = _CODES.get(detail["type"], "invalid_value")
    return InvalidEvent(f"{param}: {in_words(detail)}.", code, param, event_id)
