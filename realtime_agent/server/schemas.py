"""What goes in and out over HTTP, checked at the edge."""

from __future__ import annotations

import secrets
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from realtime_agent.config import Settings
from realtime_agent.control.commands import DEFAULT_TURN_DETECTION
from realtime_agent.control.life import EndReason, State
from realtime_agent.control.spec import AgentSpec, ChannelName, Instruction, Language, Limits, Seconds, Uid
from realtime_agent.errors import FieldError, InvalidRequest
from realtime_agent.fleet.fleet import AgentRecord
from realtime_agent.realtime.types import TurnDetection
from realtime_agent.validation import field_path, in_words

__all__ = [
    "AgentInfo",
    "AgentList",
    "CommandSent",
    "Detail",
    "Error",
    "Health",
    "StartAgent",
    "Started",
    "StopAgent",
    "Stopped",
    "Token",
    "TokenRequest",
    "Usage",
    "invalid_request",
    "random_uid",
]


class Detail(BaseModel):
    """One thing that is wrong with a request."""

    field: str
    message: str


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class StartAgent(_Request):
    """Start an agent. What is left out is the server's default."""

    channel_name: ChannelName
    uid: Uid = Field(description="The number that the agent joins with; 0 lets the server choose.")
    system_instruction: Instruction | None = Field(None, description="How the agent should behave.")
    voice: str | None = Field(None, description="One of the server's VOICES.")
    language: Language | None = None
    model: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\w.:/@-]+$")] | None = Field(
        None, description="The model's name, or an Azure deployment."
    )
    user_uid: Uid | None = Field(None, description="The participant that the agent hears; the first who comes.")
    greeting: Annotated[str, Field(min_length=1, max_length=1000)] | None = Field(
        None, description="What the agent says first, once its user is there."
    )
    turn_detection: TurnDetection | None = Field(
        DEFAULT_TURN_DETECTION, description="When the user's turn ends; null is push-to-talk."
    )
    user_wait_timeout_s: Seconds | None = Field(None, description="How long to wait for the user; 0 is for ever.")
    user_left_grace_s: Seconds | None = Field(None, description="How long to wait for a user who left.")
    idle_timeout_s: Seconds | None = Field(None, description="How long nobody may speak.")
    max_duration_s: Seconds | None = Field(None, description="How long the agent may run.")

    def to_spec(self, settings: Settings) -> AgentSpec:
        """Complete it with the server's defaults.

        Raises:
            InvalidRequest: the voice is not one of the server's, or the agent would hear itself.
        """
        voice = self.voice or settings.default_voice
        if voice not in settings.voices:
            message = f"unknown voice {voice[:40]!r}; it is one of {', '.join(settings.voices)}"
            raise InvalidRequest(FieldError("voice", message))
        uid = self.uid or random_uid()
        if self.user_uid == uid:
            raise InvalidRequest(FieldError("user_uid", "the agent can't hear itself: user_uid equals uid"))
        limits = {name: getattr(settings, name) for name in Limits.model_fields}
        limits |= {name: value for name in limits if (value := getattr(self, name)) is not None}
        return AgentSpec(
            channel_name=self.channel_name,
            uid=uid,
            # As in Agora, 0 is nobody in particular.
            user_uid=self.user_uid or None,
            system_instruction=self.system_instruction or settings.system_instruction,
            voice=voice,
            language=self.language,
            model=self.model or settings.openai_model,
            greeting=self.greeting,
            turn_detection=self.turn_detection,
            limits=Limits(**limits),
        )


def random_uid() -> int:
    """A uid for someone who leaves the choice to us."""
    return secrets.randbelow(2**31 - 1) + 1


class StopAgent(_Request):
    """Stop the agent in a channel."""

    channel_name: ChannelName


class TokenRequest(_Request):
    """Ask for what a user needs to join a channel."""

    channel_name: ChannelName
    uid: Uid = Field(0, description="The number that the user joins with; 0 lets the server choose.")


class Started(BaseModel):
    """The agent has joined its channel and its model is configured."""

    status: str = "Agent started!"
    channel_name: str
    uid: int
    pid: int
    state: State


class Stopped(BaseModel):
    """The agent has left its channel."""

    status: str = "Agent stopped!"
    channel_name: str
    reason: EndReason


class CommandSent(BaseModel):
    """The agent has carried out the command."""

    status: str


class Token(BaseModel):
    """What a user needs to join a channel of this server."""

    rtc: str = "web"
    channel_name: str
    uid: int
    token: str
    url: str = Field(description="Open this as a websocket.")
    expires_at: int = Field(description="Unix seconds.")


class Usage(BaseModel):
    """Responses and tokens."""

    responses: int
    input_tokens: int
    output_tokens: int
    total_tokens: int


class AgentInfo(BaseModel):
    """One agent: running, or the last one that ended in its channel."""

    channel_name: str
    uid: int
    user_uid: int | None
    pid: int | None
    generation: int = Field(description="Which agent of this server it is, counted from 1.")
    state: State
    since: float = Field(description="When it came into its state, in Unix seconds.")
    reason: EndReason | None = Field(description="Why it ended.")
    cause: str | None = Field(description="What failed, in words.")
    usage: Usage = Field(description="What its model has cost so far.")

    @classmethod
    def of(cls, agent: AgentRecord) -> Self:
        """What may be told about an agent."""
        return cls(
            channel_name=agent.spec.channel_name,
            uid=agent.spec.uid,
            user_uid=agent.spec.user_uid,
            pid=agent.pid,
            generation=agent.generation,
            state=agent.state,
            since=round(agent.since, 3),
            reason=agent.ended.reason if agent.ended else None,
            cause=agent.ended.cause if agent.ended else None,
            usage=Usage(**agent.usage.model_dump(exclude={"type"})),
        )


class AgentList(BaseModel):
    """The running agents, oldest first."""

    agents: list[AgentInfo]


class Health(BaseModel):
    """The server answers."""

    status: str = "ok"
    version: str


class Error(BaseModel):
    """What went wrong."""

    error: str
    details: list[Detail] | str


def invalid_request(raw: object, error: ValidationError) -> InvalidRequest:
    """What pydantic found wrong with `raw`, the input in plain values."""
    details = error.errors(include_input=False, include_url=False)
    return InvalidRequest(*(FieldError(field_path(raw, detail) or "body", _message(detail)) for detail in details))


def _message(detail: ErrorDetails) -> str:
    if detail["type"] == "string_pattern_mismatch" and detail["loc"][-1] == "channel_name":
        return "Only letters, digits, spaces and !#$%&()+-:;<=.>?@[]^_{}|~, may be used"
    if detail["type"] == "string_pattern_mismatch" and detail["loc"][-1] == "language":
        return "It is a code of ISO 639, such as en"
    return in_words(detail)
