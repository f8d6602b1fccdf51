"""What a client sends to a Realtime server. It is strict: a field that is misspelt is an error and not a silence."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from realtime_agent.realtime.types import AnySessionConfig, Item, ResponseConfig, Sent

__all__ = [
    "ClientEvent",
    "InputAudioBufferAppend",
    "InputAudioBufferClear",
    "InputAudioBufferCommit",
    "ItemCreate",
    "ItemDelete",
    "ItemRetrieve",
    "ItemTruncate",
    "OutputAudioBufferClear",
    "ResponseCancel",
    "ResponseCreate",
    "SessionUpdate",
]


class _ClientEvent(Sent):
    event_id: str | None = None


class SessionUpdate(_ClientEvent):
    """Change settings; only what is set changes."""

    type: Literal["session.update"] = "session.update"
    session: AnySessionConfig


class InputAudioBufferAppend(_ClientEvent):
    """More of the user's audio, base64. At most 15 MiB; not acknowledged."""

    type: Literal["input_audio_buffer.append"] = "input_audio_buffer.append"
    audio: str


class InputAudioBufferCommit(_ClientEvent):
    """Make the buffered audio a user message."""

    type: Literal["input_audio_buffer.commit"] = "input_audio_buffer.commit"


class InputAudioBufferClear(_ClientEvent):
    """Forget the buffered audio."""

    type: Literal["input_audio_buffer.clear"] = "input_audio_buffer.clear"


class ItemCreate(_ClientEvent):
    """Add an item, at the end or behind `previous_item_id` (`root` is the front)."""

    type: Literal["conversation.item.create"] = "conversation.item.create"
    previous_item_id: str | None = None
    item: Item


class ItemRetrieve(_ClientEvent):
    """Ask for an item as the server holds it."""

    type: Literal["conversation.item.retrieve"] = "conversation.item.retrieve"
    item_id: str


class ItemTruncate(_ClientEvent):
    """Say how much of an assistant's audio was heard; the rest is forgotten."""

    type: Literal["conversation.item.truncate"] = "conversation.item.truncate"
    item_id: str
    content_index: int = 0
    audio_end_ms: Annotated[int, Field(ge=0)]


class ItemDelete(_ClientEvent):
    """Remove an item."""

    type: Literal["conversation.item.delete"] = "conversation.item.delete"
    item_id: str


class ResponseCreate(_ClientEvent):
    """Ask for a response."""

    type: Literal["response.create"] = "response.create"
    response: ResponseConfig | None = None


class ResponseCancel(_ClientEvent):
    """Stop a response."""

    type: Literal["response.cancel"] = "response.cancel"
    response_id: str | None = None


class OutputAudioBufferClear(_ClientEvent):
    """Stop the audio that the server is playing; for WebRTC and SIP only."""

    type: Literal["output_audio_buffer.clear"] = "output_audio_buffer.clear"


ClientEvent = (
    SessionUpdate
    | InputAudioBufferAppend
    | InputAudioBufferCommit
    | InputAudioBufferClear
    | ItemCreate
    | ItemRetrieve
    | ItemTruncate
    | ItemDelete
    | ResponseCreate
    | ResponseCancel
    | OutputAudioBufferClear
)
