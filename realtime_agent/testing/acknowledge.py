"""What a good server answers by itself to what its client sends. No I/O."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from realtime_agent.errors import InvalidEvent
from realtime_agent.realtime.events import parse_client_event
from realtime_agent.testing.conversation import Conversation
from realtime_agent.testing.outputs import Event

__all__ = ["acknowledge", "error", "read"]

_MIN_COMMIT_MS = 100


def error(
    code: str | None,
    message: str | None = None,
    *,
    event_id: str | None = None,
    param: str | None = None,
    kind: str = "invalid_request_error",
) -> Event:
    """An error event; `event_id` names the client's event at fault."""
    detail = {"type": kind, "code": code, "message": message or code or kind, "param": param, "event_id": event_id}
    return {"type": "error", "error": detail}


def read(message: str | bytes) -> tuple[Event, list[Event]]:
    """The event in a message as it came, empty if it has no type, and the error that answers it if it is invalid."""
    event: Event = {}
    with suppress(ValueError, RecursionError):
        match json.loads(message):
            case {"type": str()} as typed:
                event = typed
    try:
        parse_client_event(message)
    except InvalidEvent as wrong:
        return event, [error(wrong.code, str(wrong), param=wrong.param, event_id=wrong.event_id)]
    return event, []


def acknowledge(event: Event, conversation: Conversation) -> list[Event]:
    """The events that answer a valid one of the client's; responses are none of them."""
    return list(_ANSWERS[event["type"]](event, conversation))


def _update(event: Event, conversation: Conversation) -> list[Event]:
    return [{"type": "session.updated", "session": conversation.update(event["session"])}]


def _append(event: Event, conversation: Conversation) -> list[Event]:
    try:
        conversation.hear(base64.b64decode(event["audio"], validate=True))
    except (binascii.Error, ValueError):
        return [_about(event, "invalid_value", "The audio is not base64.", "audio")]
    return []


def _commit(event: Event, conversation: Conversation) -> Iterable[Event]:
    if conversation.waiting_ms < _MIN_COMMIT_MS:
        message = f"There is too little audio: {conversation.waiting_ms:.0f} ms of at least {_MIN_COMMIT_MS} ms."
        return [_about(event, "input_audio_buffer_commit_empty", message)]
    return conversation.heard(None, by_vad=False)


def _clear(_event: Event, _conversation: Conversation) -> list[Event]:
    return [{"type": "input_audio_buffer.cleared"}]


def _create_item(event: Event, conversation: Conversation) -> list[Event]:
    item = dict(event["item"])
    item_id = item.get("id") or conversation.ids.new("item")
    after = event.get("previous_item_id")
    if item_id in conversation.items:
        return [_about(event, "invalid_value", f"An item with id {item_id!r} exists already.", "item.id")]
    if after not in (None, "root", *conversation.items):
        return [_no_item(event, after, "previous_item_id")]
    previous = {None: conversation.last_id, "root": None}.get(after, after)
    item |= {"id": item_id, "object": "realtime.item", "status": "completed"}
    if item.get("content"):
        item["content"] = [{name: part[name] for name in part if name != "audio"} for part in item["content"]]
    kinds = ("conversation.item.added", "conversation.item.done")
    return [{"type": kind, "previous_item_id": previous, "item": item} for kind in kinds]


def _retrieve(event: Event, conversation: Conversation) -> list[Event]:
    item_id = event["item_id"]
    if item_id not in conversation.items:
        return [_no_item(event, item_id)]
    return [{"type": "conversation.item.retrieved", "item": conversation.items[item_id]}]


def _truncate(event: Event, conversation: Conversation) -> list[Event]:
    item_id, end_ms = event["item_id"], event["audio_end_ms"]
    content_index = event.get("content_index", 0)
    if item_id not in conversation.items:
        return [_no_item(event, item_id)]
    spoken_ms = conversation.spoken_ms(item_id)
    if not spoken_ms or content_index != 0:
        return [_about(event, "unsupported_content_type", "Only model output audio messages can be truncated")]
    if end_ms > spoken_ms:
        message = f"Audio content of {int(spoken_ms)}ms is already shorter than {end_ms}ms"
        return [_about(event, "invalid_value", message, "audio_end_ms")]
    where = {"item_id": item_id, "content_index": content_index, "audio_end_ms": end_ms}
    return [{"type": "conversation.item.truncated", **where}]


def _delete(event: Event, conversation: Conversation) -> list[Event]:
    item_id = event["item_id"]
    if item_id not in conversation.items:
        return [_no_item(event, item_id)]
    return [{"type": "conversation.item.deleted", "item_id": item_id}]


def _create_response(event: Event, conversation: Conversation) -> list[Event]:
    out_of_band = (event.get("response") or {}).get("conversation") == "none"
    if conversation.response is None or out_of_band:
        return []
    message = (
        f"Conversation already has an active response in progress: {conversation.response.get('id')}. "
        "Wait until the response is finished before creating a new one."
    )
    return [_about(event, "conversation_already_has_active_response", message)]


def _cancel_response(event: Event, conversation: Conversation) -> list[Event]:
    active = conversation.response
    if active is None or event.get("response_id") not in (None, active.get("id")):
        return [_about(event, "response_cancel_not_active", "Cancellation failed: no active response found")]
    return conversation.cancelled("client_cancelled")


def _clear_output(event: Event, _conversation: Conversation) -> list[Event]:
    return [_about(event, "invalid_value", "There is no output audio buffer on a websocket.", "type")]


def _about(event: Event, code: str, message: str, param: str | None = None) -> Event:
    return error(code, message, event_id=event.get("event_id"), param=param)


def _no_item(event: Event, item_id: Any, param: str = "item_id") -> Event:
    return _about(event, "item_not_found", f"The conversation has no item with id {item_id!r}.", param)


_ANSWERS: dict[str, Callable[[Event, Conversation], Iterable[Event]]] = {
    "session.update": _update,
    "input_audio_buffer.append": _append,
    "input_audio_buffer.commit": _commit,
    "input_audio_buffer.clear": _clear,
    "conversation.item.create": _create_item,
    "conversation.item.retrieve": _retrieve,
    "conversation.item.truncate": _truncate,
    "conversation.item.delete": _delete,
    "response.create": _create_response,
    "response.cancel": _cancel_response,
    "output_audio_buffer.clear": _clear_output,
}
