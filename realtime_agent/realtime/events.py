"""The events of OpenAI's GA Realtime API, typed: what a client sends and what a server sends.

`parse_server_event` never fails on an event it does not know, since servers add them; it gives an `UnknownEvent`.
`parse_client_event` is strict: a server must tell its client what is wrong.
"""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, TypeAdapter, ValidationError

from realtime_agent.errors import InvalidEvent
from realtime_agent.realtime.types import (
    ContentPart,
    ErrorDetail,
    Item,
    Response,
    ResponseConfig,
    Sent,
    SessionConfig,
    TranscriptionUsage,
    Wire,
)
from realtime_agent.validation import field_path, in_words

__all__ = [
    "ClientEvent",
    "ContentPartAdded",
    "ContentPartDone",
    "ErrorEvent",
    "FunctionCallArgumentsDelta",
    "FunctionCallArgumentsDone",
    "InputAudioBufferAppend",
    "InputAudioBufferClear",
    "InputAudioBufferCleared",
    "InputAudioBufferCommit",
    "InputAudioBufferCommitted",
    "InputAudioBufferTimeoutTriggered",
    "ItemAdded",
    "ItemCreate",
    "ItemDelete",
    "ItemDeleted",
    "ItemDone",
    "ItemRetrieve",
    "ItemRetrieved",
    "ItemTruncate",
    "ItemTruncated",
    "KnownServerEvent",
    "OutputAudioDelta",
    "OutputAudioDone",
    "OutputItemAdded",
    "OutputItemDone",
    "OutputTextDelta",
    "OutputTextDone",
    "OutputTranscriptDelta",
    "OutputTranscriptDone",
    "RateLimitsUpdated",
    "ResponseCancel",
    "ResponseCreate",
    "ResponseCreated",
    "ResponseDone",
    "ServerEvent",
    "SessionCreated",
    "SessionUpdate",
    "SessionUpdated",
    "SpeechStarted",
    "SpeechStopped",
    "TranscriptionCompleted",
    "TranscriptionDelta",
    "TranscriptionFailed",
    "UnknownEvent",
    "parse_client_event",
    "parse_server_event",
]


class _ClientEvent(Sent):
    event_id: str | None = None


class SessionUpdate(_ClientEvent):
    """Change settings; only what is set changes."""

    type: Literal["session.update"] = "session.update"
    session: SessionConfig


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
)


class _ServerEvent(Wire):
    event_id: str = ""


class ErrorEvent(_ServerEvent):
    """Something went wrong; most errors leave the session open."""

    type: Literal["error"] = "error"
    error: ErrorDetail


class SessionCreated(_ServerEvent):
    """The first event of a session."""

    type: Literal["session.created"] = "session.created"
    session: dict[str, Any]


class SessionUpdated(_ServerEvent):
    """The settings now in force."""

    type: Literal["session.updated"] = "session.updated"
    session: dict[str, Any]


class RateLimitsUpdated(_ServerEvent):
    """What is left of the account's limits."""

    type: Literal["rate_limits.updated"] = "rate_limits.updated"
    rate_limits: list[dict[str, Any]]


class InputAudioBufferCommitted(_ServerEvent):
    """The buffered audio became the user message `item_id`."""

    type: Literal["input_audio_buffer.committed"] = "input_audio_buffer.committed"
    item_id: str
    previous_item_id: str | None = None


class InputAudioBufferCleared(_ServerEvent):
    """The buffered audio was forgotten."""

    type: Literal["input_audio_buffer.cleared"] = "input_audio_buffer.cleared"


class SpeechStarted(_ServerEvent):
    """The user began to speak; times are counted from the first audio of the session."""

    type: Literal["input_audio_buffer.speech_started"] = "input_audio_buffer.speech_started"
    audio_start_ms: int
    item_id: str


class SpeechStopped(_ServerEvent):
    """The user stopped speaking."""

    type: Literal["input_audio_buffer.speech_stopped"] = "input_audio_buffer.speech_stopped"
    audio_end_ms: int
    item_id: str


class InputAudioBufferTimeoutTriggered(_ServerEvent):
    """Nobody spoke for `idle_timeout_ms` after the last response."""

    type: Literal["input_audio_buffer.timeout_triggered"] = "input_audio_buffer.timeout_triggered"
    audio_start_ms: int
    audio_end_ms: int
    item_id: str


class ItemAdded(_ServerEvent):
    """An item joined the conversation; its content may still be coming."""

    type: Literal["conversation.item.added"] = "conversation.item.added"
    item: Item
    previous_item_id: str | None = None


class ItemDone(_ServerEvent):
    """An item is whole."""

    type: Literal["conversation.item.done"] = "conversation.item.done"
    item: Item
    previous_item_id: str | None = None


class ItemRetrieved(_ServerEvent):
    """The answer to `conversation.item.retrieve`."""

    type: Literal["conversation.item.retrieved"] = "conversation.item.retrieved"
    item: Item


class ItemTruncated(_ServerEvent):
    """An assistant's audio was cut where the user stopped hearing it."""

    type: Literal["conversation.item.truncated"] = "conversation.item.truncated"
    item_id: str
    content_index: int
    audio_end_ms: int


class ItemDeleted(_ServerEvent):
    """An item was removed."""

    type: Literal["conversation.item.deleted"] = "conversation.item.deleted"
    item_id: str


class TranscriptionDelta(_ServerEvent):
    """More of what the user said."""

    type: Literal["conversation.item.input_audio_transcription.delta"] = (
        "conversation.item.input_audio_transcription.delta"
    )
    item_id: str
    content_index: int = 0
    delta: str = ""


class TranscriptionCompleted(_ServerEvent):
    """All that the user said."""

    type: Literal["conversation.item.input_audio_transcription.completed"] = (
        "conversation.item.input_audio_transcription.completed"
    )
    item_id: str
    content_index: int = 0
    transcript: str
    usage: TranscriptionUsage | None = None


class TranscriptionFailed(_ServerEvent):
    """What the user said could not be written down."""

    type: Literal["conversation.item.input_audio_transcription.failed"] = (
        "conversation.item.input_audio_transcription.failed"
    )
    item_id: str
    content_index: int = 0
    error: dict[str, Any]


class ResponseCreated(_ServerEvent):
    """A response began."""

    type: Literal["response.created"] = "response.created"
    response: Response


class ResponseDone(_ServerEvent):
    """A response ended: completed, cancelled, incomplete or failed."""

    type: Literal["response.done"] = "response.done"
    response: Response


class _OutputEvent(_ServerEvent):
    response_id: str
    output_index: int = 0


class _OutputItemEvent(_OutputEvent):
    item_id: str


class _ContentEvent(_OutputItemEvent):
    content_index: int = 0


class OutputItemAdded(_OutputEvent):
    """A response began an item."""

    type: Literal["response.output_item.added"] = "response.output_item.added"
    item: Item


class OutputItemDone(_OutputEvent):
    """A response's item is whole."""

    type: Literal["response.output_item.done"] = "response.output_item.done"
    item: Item


class ContentPartAdded(_ContentEvent):
    """A response's item began a part."""

    type: Literal["response.content_part.added"] = "response.content_part.added"
    part: ContentPart


class ContentPartDone(_ContentEvent):
    """A part is whole."""

    type: Literal["response.content_part.done"] = "response.content_part.done"
    part: ContentPart


class OutputTextDelta(_ContentEvent):
    """More text of a text response."""

    type: Literal["response.output_text.delta"] = "response.output_text.delta"
    delta: str


class OutputTextDone(_ContentEvent):
    """The text is whole."""

    type: Literal["response.output_text.done"] = "response.output_text.done"
    text: str


class OutputTranscriptDelta(_ContentEvent):
    """More of the words that the audio says."""

    type: Literal["response.output_audio_transcript.delta"] = "response.output_audio_transcript.delta"
    delta: str


class OutputTranscriptDone(_ContentEvent):
    """All the words that the audio says."""

    type: Literal["response.output_audio_transcript.done"] = "response.output_audio_transcript.done"
    transcript: str


class OutputAudioDelta(_ContentEvent):
    """More of the agent's audio."""

    type: Literal["response.output_audio.delta"] = "response.output_audio.delta"
    delta: str

    def pcm(self) -> bytes:
        """The audio itself.

        Raises:
            ValueError: it is not base64.
        """
        return base64.b64decode(self.delta, validate=True)


class OutputAudioDone(_ContentEvent):
    """All of the audio was sent."""

    type: Literal["response.output_audio.done"] = "response.output_audio.done"


class FunctionCallArgumentsDelta(_OutputItemEvent):
    """More of a call's arguments."""

    type: Literal["response.function_call_arguments.delta"] = "response.function_call_arguments.delta"
    call_id: str = ""
    delta: str


class FunctionCallArgumentsDone(_OutputItemEvent):
    """A call's arguments are whole."""

    type: Literal["response.function_call_arguments.done"] = "response.function_call_arguments.done"
    call_id: str
    name: str = ""
    arguments: str


class UnknownEvent(Wire):
    """An event that this version does not know, or that lacks what it must have: benign."""

    type: str
    raw: dict[str, Any]


KnownServerEvent = (
    ErrorEvent
    | SessionCreated
    | SessionUpdated
    | RateLimitsUpdated
    | InputAudioBufferCommitted
    | InputAudioBufferCleared
    | SpeechStarted
    | SpeechStopped
    | InputAudioBufferTimeoutTriggered
    | ItemAdded
    | ItemDone
    | ItemRetrieved
    | ItemTruncated
    | ItemDeleted
    | TranscriptionDelta
    | TranscriptionCompleted
    | TranscriptionFailed
    | ResponseCreated
    | ResponseDone
    | OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | ContentPartDone
    | OutputTextDelta
    | OutputTextDone
    | OutputTranscriptDelta
    | OutputTranscriptDone
    | OutputAudioDelta
    | OutputAudioDone
    | FunctionCallArgumentsDelta
    | FunctionCallArgumentsDone
)

ServerEvent = KnownServerEvent | UnknownEvent

_client = TypeAdapter[ClientEvent](Annotated[ClientEvent, Field(discriminator="type")])
_server = TypeAdapter[KnownServerEvent](Annotated[KnownServerEvent, Field(discriminator="type")])
_CLIENT_TYPES = frozenset(model.model_fields["type"].default for model in get_args(ClientEvent))


def parse_client_event(message: str | bytes) -> ClientEvent:
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
        return _server.validate_json(message)
    except ValidationError:
        raw = _object(message)
        return UnknownEvent(type=raw["type"], raw=raw)


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


_CODES = {"missing": "missing_required_parameter", "extra_forbidden": "unknown_parameter"}


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
