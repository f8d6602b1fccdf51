"""What a Realtime server tells of the session, the conversation and the audio buffers; of its responses, see
`response_events.py`.

They are read tolerantly: what a server adds is ignored, and what it leaves out or gets wrong costs an event only where
nothing could be done about it without.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from realtime_agent.lenient import Lenient, OrEmpty
from realtime_agent.realtime.types import ErrorDetail, Item, LenientInt, LenientText, TranscriptionUsage, Wire

__all__ = [
    "ConversationCreated",
    "ConversationEvent",
    "DtmfEventReceived",
    "ErrorEvent",
    "InputAudioBufferCleared",
    "InputAudioBufferCommitted",
    "InputAudioBufferTimeoutTriggered",
    "ItemAdded",
    "ItemCreated",
    "ItemDeleted",
    "ItemDone",
    "ItemRetrieved",
    "ItemTruncated",
    "McpListToolsCompleted",
    "McpListToolsFailed",
    "McpListToolsInProgress",
    "OutputAudioBufferCleared",
    "OutputAudioBufferStarted",
    "OutputAudioBufferStopped",
    "RateLimitsUpdated",
    "ServerEventBase",
    "SessionCreated",
    "SessionUpdated",
    "SpeechStarted",
    "SpeechStopped",
    "TranscriptionCompleted",
    "TranscriptionDelta",
    "TranscriptionFailed",
    "TranscriptionSegment",
]


def _whole(value: object) -> object:
    return round(value) if isinstance(value, float) and abs(value) < 2**63 else value


Milliseconds = Annotated[LenientInt, BeforeValidator(_whole)]
"""Some servers count in fractions."""


class ServerEventBase(Wire):
    """What all of them have."""

    event_id: LenientText = ""


class ErrorEvent(ServerEventBase):
    """Something went wrong; most errors leave the session open."""

    type: Literal["error"] = "error"
    error: Annotated[ErrorDetail, OrEmpty(ErrorDetail)] = Field(default_factory=ErrorDetail)


class SessionCreated(ServerEventBase):
    """The first event of a session."""

    type: Literal["session.created"] = "session.created"
    session: Lenient[dict[str, Any]] = None


class SessionUpdated(ServerEventBase):
    """The settings now in force."""

    type: Literal["session.updated"] = "session.updated"
    session: Lenient[dict[str, Any]] = None


class RateLimitsUpdated(ServerEventBase):
    """What is left of the account's limits."""

    type: Literal["rate_limits.updated"] = "rate_limits.updated"
    rate_limits: Lenient[list[dict[str, Any]]] = None


class ConversationCreated(ServerEventBase):
    """The conversation of a session began."""

    type: Literal["conversation.created"] = "conversation.created"
    conversation: Lenient[dict[str, Any]] = None


class ItemAdded(ServerEventBase):
    """An item joined the conversation; its content may still be coming."""

    type: Literal["conversation.item.added"] = "conversation.item.added"
    item: Item
    previous_item_id: Lenient[str] = None


class ItemCreated(ServerEventBase):
    """An item joined the conversation, as servers of before the general availability tell it."""

    type: Literal["conversation.item.created"] = "conversation.item.created"
    item: Item
    previous_item_id: Lenient[str] = None


class ItemDone(ServerEventBase):
    """An item is whole."""

    type: Literal["conversation.item.done"] = "conversation.item.done"
    item: Item
    previous_item_id: Lenient[str] = None


class ItemRetrieved(ServerEventBase):
    """The answer to `conversation.item.retrieve`."""

    type: Literal["conversation.item.retrieved"] = "conversation.item.retrieved"
    item: Item


class ItemTruncated(ServerEventBase):
    """An assistant's audio was cut where the user stopped hearing it."""

    type: Literal["conversation.item.truncated"] = "conversation.item.truncated"
    item_id: str
    content_index: LenientInt = 0
    audio_end_ms: Milliseconds = 0


class ItemDeleted(ServerEventBase):
    """An item was removed."""

    type: Literal["conversation.item.deleted"] = "conversation.item.deleted"
    item_id: str


class TranscriptionDelta(ServerEventBase):
    """More of what the user said."""

    type: Literal["conversation.item.input_audio_transcription.delta"] = (
        "conversation.item.input_audio_transcription.delta"
    )
    item_id: str
    content_index: LenientInt = 0
    delta: LenientText = ""


class TranscriptionSegment(ServerEventBase):
    """Some of what was said, with who said it and when, from models that tell speakers apart."""

    type: Literal["conversation.item.input_audio_transcription.segment"] = (
        "conversation.item.input_audio_transcription.segment"
    )
    item_id: str
    content_index: LenientInt = 0
    id: LenientText = ""
    text: LenientText = ""
    speaker: LenientText = ""
    start: Annotated[float, OrEmpty(float)] = 0
    end: Annotated[float, OrEmpty(float)] = 0


class TranscriptionCompleted(ServerEventBase):
    """All that the user said."""

    type: Literal["conversation.item.input_audio_transcription.completed"] = (
        "conversation.item.input_audio_transcription.completed"
    )
    item_id: str
    content_index: LenientInt = 0
    transcript: str
    usage: Lenient[TranscriptionUsage] = None


class TranscriptionFailed(ServerEventBase):
    """What the user said could not be written down."""

    type: Literal["conversation.item.input_audio_transcription.failed"] = (
        "conversation.item.input_audio_transcription.failed"
    )
    item_id: str
    content_index: LenientInt = 0
    error: Lenient[dict[str, Any]] = None


class InputAudioBufferCommitted(ServerEventBase):
    """The buffered audio became the user message `item_id`."""

    type: Literal["input_audio_buffer.committed"] = "input_audio_buffer.committed"
    item_id: str
    previous_item_id: Lenient[str] = None


class InputAudioBufferCleared(ServerEventBase):
    """The buffered audio was forgotten."""

    type: Literal["input_audio_buffer.cleared"] = "input_audio_buffer.cleared"


class SpeechStarted(ServerEventBase):
    """The user began to speak; times are counted from the first audio of the session."""

    type: Literal["input_audio_buffer.speech_started"] = "input_audio_buffer.speech_started"
    audio_start_ms: Milliseconds = 0
    item_id: LenientText = ""


class SpeechStopped(ServerEventBase):
    """The user stopped speaking."""

    type: Literal["input_audio_buffer.speech_stopped"] = "input_audio_buffer.speech_stopped"
    audio_end_ms: Milliseconds = 0
    item_id: LenientText = ""


class InputAudioBufferTimeoutTriggered(ServerEventBase):
    """Nobody spoke for `idle_timeout_ms` after the last response."""

    type: Literal["input_audio_buffer.timeout_triggered"] = "input_audio_buffer.timeout_triggered"
    audio_start_ms: Milliseconds = 0
    audio_end_ms: Milliseconds = 0
    item_id: LenientText = ""


class DtmfEventReceived(ServerEventBase):
    """Somebody pressed a key of their telephone; for SIP only."""

    type: Literal["input_audio_buffer.dtmf_event_received"] = "input_audio_buffer.dtmf_event_received"
    event: LenientText = ""
    received_at: LenientInt = 0


class OutputAudioBufferStarted(ServerEventBase):
    """The server began to play a response; for WebRTC and SIP only."""

    type: Literal["output_audio_buffer.started"] = "output_audio_buffer.started"
    response_id: LenientText = ""


class OutputAudioBufferStopped(ServerEventBase):
    """The server has played a response; for WebRTC and SIP only."""

    type: Literal["output_audio_buffer.stopped"] = "output_audio_buffer.stopped"
    response_id: LenientText = ""


class OutputAudioBufferCleared(ServerEventBase):
    """The server was stopped in playing a response; for WebRTC and SIP only."""

    type: Literal["output_audio_buffer.cleared"] = "output_audio_buffer.cleared"
    response_id: LenientText = ""


class McpListToolsInProgress(ServerEventBase):
    """The service asks a server of tools what it has."""

    type: Literal["mcp_list_tools.in_progress"] = "mcp_list_tools.in_progress"
    item_id: LenientText = ""


class McpListToolsCompleted(ServerEventBase):
    """The service knows what a server of tools has."""

    type: Literal["mcp_list_tools.completed"] = "mcp_list_tools.completed"
    item_id: LenientText = ""


class McpListToolsFailed(ServerEventBase):
    """The service could not learn what a server of tools has."""

    type: Literal["mcp_list_tools.failed"] = "mcp_list_tools.failed"
    item_id: LenientText = ""


ConversationEvent = (
    ErrorEvent
    | SessionCreated
    | SessionUpdated
    | RateLimitsUpdated
    | ConversationCreated
    | ItemAdded
    | ItemCreated
    | ItemDone
    | ItemRetrieved
    | ItemTruncated
    | ItemDeleted
    | TranscriptionDelta
    | TranscriptionSegment
    | TranscriptionCompleted
    | TranscriptionFailed
    | InputAudioBufferCommitted
    | InputAudioBufferCleared
    | SpeechStarted
    | SpeechStopped
    | InputAudioBufferTimeoutTriggered
    | DtmfEventReceived
    | OutputAudioBufferStarted
    | OutputAudioBufferStopped
    | OutputAudioBufferCleared
    | McpListToolsInProgress
    | McpListToolsCompleted
    | McpListToolsFailed
)
