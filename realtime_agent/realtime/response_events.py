"""What a Realtime server tells of its responses.

Servers of before the general availability, and some that are compatible with it, use older names for six of these
events; they are read as what they are.
"""

from __future__ import annotations

from typing import Annotated, Literal

import pybase64
from pydantic import Field

from realtime_agent.lenient import OrEmpty
from realtime_agent.realtime.server_events import ServerEventBase
from realtime_agent.realtime.types import ContentPart, Item, LenientInt, LenientText, Response

__all__ = [
    "ContentPartAdded",
    "ContentPartDone",
    "FunctionCallArgumentsDelta",
    "FunctionCallArgumentsDone",
    "McpCallArgumentsDelta",
    "McpCallArgumentsDone",
    "McpCallCompleted",
    "McpCallFailed",
    "McpCallInProgress",
    "OutputAudioDelta",
    "OutputAudioDone",
    "OutputItemAdded",
    "OutputItemDone",
    "OutputTextDelta",
    "OutputTextDone",
    "OutputTranscriptDelta",
    "OutputTranscriptDone",
    "ResponseCreated",
    "ResponseDone",
    "ResponseEvent",
]


class ResponseCreated(ServerEventBase):
    """A response began."""

    type: Literal["response.created"] = "response.created"
    response: Annotated[Response, OrEmpty(Response)] = Field(default_factory=Response)


class ResponseDone(ServerEventBase):
    """A response ended: completed, cancelled, incomplete or failed."""

    type: Literal["response.done"] = "response.done"
    response: Annotated[Response, OrEmpty(Response)] = Field(default_factory=Response)


class _OutputEvent(ServerEventBase):
    response_id: str = ""
    output_index: LenientInt = 0


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

    type: Literal["response.output_text.delta", "response.text.delta"] = "response.output_text.delta"
    delta: str


class OutputTextDone(_ContentEvent):
    """The text is whole."""

    type: Literal["response.output_text.done", "response.text.done"] = "response.output_text.done"
    text: str


class OutputTranscriptDelta(_ContentEvent):
    """More of the words that the audio says."""

    type: Literal["response.output_audio_transcript.delta", "response.audio_transcript.delta"] = (
        "response.output_audio_transcript.delta"
    )
    delta: str


class OutputTranscriptDone(_ContentEvent):
    """All the words that the audio says."""

    type: Literal["response.output_audio_transcript.done", "response.audio_transcript.done"] = (
        "response.output_audio_transcript.done"
    )
    transcript: str


class OutputAudioDelta(_ContentEvent):
    """More of the agent's audio."""

    type: Literal["response.output_audio.delta", "response.audio.delta"] = "response.output_audio.delta"
    delta: str

    def pcm(self) -> bytes:
        """The audio itself.

        Raises:
            ValueError: it is not base64.
        """
        return pybase64.b64decode(self.delta, validate=True)


class OutputAudioDone(_ContentEvent):
    """All of the audio was sent."""

    type: Literal["response.output_audio.done", "response.audio.done"] = "response.output_audio.done"


class FunctionCallArgumentsDelta(_OutputItemEvent):
    """More of a call's arguments."""

    type: Literal["response.function_call_arguments.delta"] = "response.function_call_arguments.delta"
    call_id: LenientText = ""
    delta: str


class FunctionCallArgumentsDone(_OutputItemEvent):
    """A call's arguments are whole."""

    type: Literal["response.function_call_arguments.done"] = "response.function_call_arguments.done"
    call_id: str
    name: LenientText = ""
    arguments: str


class McpCallArgumentsDelta(_OutputItemEvent):
    """More of the arguments of a call that the service makes itself."""

    type: Literal["response.mcp_call_arguments.delta"] = "response.mcp_call_arguments.delta"
    delta: str


class McpCallArgumentsDone(_OutputItemEvent):
    """The arguments of a call that the service makes itself are whole."""

    type: Literal["response.mcp_call_arguments.done"] = "response.mcp_call_arguments.done"
    arguments: str


class McpCallInProgress(_OutputItemEvent):
    """The service makes a call."""

    type: Literal["response.mcp_call.in_progress"] = "response.mcp_call.in_progress"


class McpCallCompleted(_OutputItemEvent):
    """A call of the service was made."""

    type: Literal["response.mcp_call.completed"] = "response.mcp_call.completed"


class McpCallFailed(_OutputItemEvent):
    """A call of the service failed."""

    type: Literal["response.mcp_call.failed"] = "response.mcp_call.failed"


ResponseEvent = (
    ResponseCreated
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
    | McpCallArgumentsDelta
    | McpCallArgumentsDone
    | McpCallInProgress
    | McpCallCompleted
    | McpCallFailed
)
