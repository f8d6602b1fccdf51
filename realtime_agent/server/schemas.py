"""What goes in and out over HTTP, checked at the edge."""

from __future__ import annotations

import secrets
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from realtime_agent.control.commands import CommandResult
from realtime_agent.control.life import EndReason, State
from realtime_agent.control.spec import ChannelName, Uid
from realtime_agent.control.usage import TotalUsage
from realtime_agent.errors import FieldError, InvalidRequest
from realtime_agent.fleet.fleet import AgentRecord
from realtime_agent.validation import field_path, in_words

__all__ = [
    "AgentInfo",
    "AgentList",
    "AgoraToken",
    "AnyToken",
    "CommandSent",
    "Detail",
    "Error",
    "Health",
    "Request",
    "Started",
    "StopAgent",
    "Stopped",
    "Token",
    "TokenRequest",
    "invalid_request",
    "random_uid",
]


class Detail(BaseModel):
    """One thing that is wrong with a request."""

    field: str
    message: str


class Request(BaseModel):
    """A body that has no fields but its own."""

    model_config = ConfigDict(extra="forbid")


def random_uid() -> int:
    """A uid for someone who leaves the choice to us."""
    return secrets.randbelow(2**31 - 1) + 1


class StopAgent(Request):
    """Stop the agent in a channel."""

    channel_name: ChannelName


class TokenRequest(Request):
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
    """The agent has carried out the command, and its model has accepted it."""

    status: str
    result: CommandResult


class Token(BaseModel):
    """What a user needs to join a channel of this server."""

    rtc: Literal["web"] = "web"
    channel_name: str
    uid: int
    token: str
    url: str = Field(description="Open this as a websocket.")
    expires_at: int = Field(description="Unix seconds.")


class AgoraToken(BaseModel):
    """What a user needs to join a channel of Agora SD-RTN."""

    rtc: Literal["agora"] = "agora"
    channel_name: str
    uid: int
    app_id: str
    token: str = Field(description="Empty where there is no AGORA_APP_CERT: the project must take users without one.")
    expires_at: int | None = Field(description="Unix seconds; null where there is no token.")


AnyToken = Annotated[Token | AgoraToken, Field(discriminator="rtc")]
"""What a user needs to join, by the kind of channels that the server has."""


class AgentInfo(BaseModel):
    """One agent: running, or the last one that ended in its channel."""

    channel_name: str
    uid: int
    user_uid: int | None
    pid: int | None
    generation: int = Field(description="Which agent of this server it is, counted from 1.")
    state: State
    since: float = Field(description="When it came into its state, in Unix seconds.")
    lost: list[Literal["model", "channel", "ear"]] = Field(description="What it has no connection to at the moment.")
    reason: EndReason | None = Field(description="Why it ended.")
    cause: str | None = Field(description="What failed, in words.")
    usage: TotalUsage = Field(description="What its model has cost so far.")

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
            lost=sorted(agent.lost) if agent.ended is None else [],
            reason=agent.ended.reason if agent.ended else None,
            cause=agent.ended.cause if agent.ended else None,
            usage=agent.usage,
        )


class AgentList(BaseModel):
    """The running agents, and what all have cost."""

    agents: list[AgentInfo] = Field(description="The running ones, oldest first.")
    total: TotalUsage = Field(description="What all agents have cost since the server started, also those that ended.")


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
