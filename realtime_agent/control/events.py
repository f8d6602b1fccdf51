"""What an agent reports of itself: events that go from the worker up to whoever watches it.

They are public: the live stream and webhooks pass them on as they are. Only `Load` is for the server alone.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from realtime_agent.control.life import EndReason, State
from realtime_agent.control.usage import TotalUsage

__all__ = [
    "AgentEvent",
    "AgentTranscript",
    "CommandDone",
    "ConnectionChanged",
    "Ended",
    "ErrorReported",
    "Interrupted",
    "Load",
    "RecordingBegun",
    "SpeechChanged",
    "StateChanged",
    "ToolCalled",
    "ToolReturned",
    "TurnMeasured",
    "UsageChanged",
    "agent_event_adapter",
]

Ms = Annotated[float, Field(ge=0)]
"""Milliseconds."""


class _AgentEvent(BaseModel):
    model_config = ConfigDict(frozen=True)


class StateChanged(_AgentEvent):
    """The agent is in another state of its life. `waiting` for the first time means ready."""

    type: Literal["state"] = "state"
    state: State
    by: Literal["voice", "command"] | None = Field(None, description="Who paused it, or let it resume.")


class Ended(_AgentEvent):
    """The agent is gone; the last event. `cause` says in words what failed, if something did."""

    type: Literal["ended"] = "ended"
    reason: EndReason
    cause: str | None = None


class AgentTranscript(_AgentEvent):
    """Words of one side: `delta` to append, or with `final` the whole `text`.

    Items stand in the conversation in the order of `place`, whenever their words come: those of a user are often known
    only after the reply to them began. A final with `interrupted` takes the place of an earlier one: it has only what
    the user heard, by estimate. Words that are `typed` are spoken by nobody.
    """

    type: Literal["transcript"] = "transcript"
    role: Literal["user", "assistant"]
    item_id: str
    place: int = Field(description="Where in the conversation, counted from 1.")
    delta: str | None = None
    text: str | None = None
    final: Literal[True] | None = None
    interrupted: Literal[True] | None = None
    typed: Literal[True] | None = None


class SpeechChanged(_AgentEvent):
    """One side began to speak, or stopped: the user as turn detection tells it, the agent as the channel gets it."""

    type: Literal["speech"] = "speech"
    role: Literal["user", "assistant"]
    speaking: bool


class Interrupted(_AgentEvent):
    """The agent's speech was cut."""

    type: Literal["interrupted"] = "interrupted"
    by: Literal["user", "command", "pause"]
    after_ms: Ms | None = Field(None, description="How long the user had been speaking by then.")


class TurnMeasured(_AgentEvent):
    """How long the user waited for an answer, counted from their last word as turn detection tells it."""

    type: Literal["turn"] = "turn"
    first_audio_ms: Ms = Field(description="Until the first audio came from the model.")
    first_frame_ms: Ms = Field(description="Until the first frame was given to the channel.")
    silence_ms: Ms = Field(description="How much of it was the silence that turn detection waits for.")


class ToolCalled(_AgentEvent):
    """The model calls a function."""

    type: Literal["tool_call"] = "tool_call"
    call_id: str
    name: str
    arguments: str


class ToolReturned(_AgentEvent):
    """A function returned, or failed: `output` is what the model is told."""

    type: Literal["tool_output"] = "tool_output"
    call_id: str
    name: str
    output: str
    took_ms: Ms


class CommandDone(_AgentEvent):
    """A command was carried out, or `error` says why not."""

    type: Literal["command"] = "command"
    command: str
    error: str | None = None


class ErrorReported(_AgentEvent):
    """Something went wrong, and the agent goes on.

    Not `error`, as which a browser's EventSource tells that its connection is lost.
    """

    type: Literal["agent_error"] = "agent_error"
    of: Literal["model", "recording", "stream"] = "model"
    code: str
    message: str


class ConnectionChanged(_AgentEvent):
    """The connection to the model, to the channel or to the ear was lost, is there again, or was renewed in time."""

    type: Literal["connection"] = "connection"
    to: Literal["model", "channel", "ear"]
    status: Literal["lost", "restored", "renewed"]
    cause: str | None = None
    after_s: float | None = Field(None, description="How long it was away.")


class RecordingBegun(_AgentEvent):
    """The agent is being recorded; `file` is what the files are called, without folder and endings."""

    type: Literal["recording"] = "recording"
    file: str


class UsageChanged(_AgentEvent):
    """What the agent's model has cost so far, all together."""

    type: Literal["usage"] = "usage"
    usage: TotalUsage


class Load(_AgentEvent):
    """How the worker keeps up: now, and since it last told."""

    type: Literal["load"] = "load"
    loop_lag_ms: Ms = Field(description="The longest that its event loop was late.")
    uplink_ms: Ms = Field(description="Audio of the user that waits to be sent.")
    downlink_ms: Ms = Field(description="Audio of the agent that waits to be spoken.")
    dropped_uplink_ms: Ms = Field(0, description="Of the user's audio what was too much to wait, since the start.")
    dropped_downlink_ms: Ms = Field(0, description="Of the agent's likewise.")


AgentEvent = (
    StateChanged
    | Ended
    | AgentTranscript
    | SpeechChanged
    | Interrupted
    | TurnMeasured
    | ToolCalled
    | ToolReturned
    | CommandDone
    | ErrorReported
    | ConnectionChanged
    | RecordingBegun
    | UsageChanged
    | Load
)

agent_event_adapter: TypeAdapter[AgentEvent] = TypeAdapter(Annotated[AgentEvent, Field(discriminator="type")])
"""Reads an event that came as JSON."""
