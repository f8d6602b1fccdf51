"""What goes in and out over HTTP, checked at the edge."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field

from realtime_agent.config import Settings
from realtime_agent.control.commands import DEFAULT_TURN_DETECTION, Command
from realtime_agent.control.life import EndReason, State
from realtime_agent.control.spec import AgentSpec, ChannelName, Instruction, Language, Limits, Seconds, Uid
from realtime_agent.realtime.types import TurnDetection

__all__ = [
    "AgentInfo",
    "AgentList",
    "CommandSent",
    "Detail",
    "Error",
    "Health",
    "InvalidRequest",
    "StartAgent",
    "Started",
    "StopAgent",
    "Stopped",
    "Token",
    "TokenRequest",
    "describe_validation",
    "random_uid",
]


class Detail(BaseModel):
    """One thing that is wrong with a request."""

    field: str
    message: str


class InvalidRequest(Exception):
    """A request that can't be understood; answered with 400."""

    def __init__(self, message: str, details: list[Detail] | None = None) -> None:
        super().__init__(message)
        self.details = details or []


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
            InvalidRequest: the voice is not one of the server's.
        """
        voice = self.voice or settings.default_voice
        if voice not in settings.voices:
            message = f"unknown voice {voice[:40]!r}; it is one of {', '.join(settings.voices)}"
            raise InvalidRequest("Invalid request", [Detail(field="voice", message=message)])
        uid = self.uid or random_uid()
        if self.user_uid == uid:
            details = [Detail(field="user_uid", message="the agent can't hear itself: user_uid equals uid")]
            raise InvalidRequest("Invalid request", details)
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
    usage: dict[str, int] = Field(description="Responses and tokens so far.")


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


def describe_validation(errors: list[Any]) -> list[Detail]:
    """Pydantic's errors, as fields and messages."""
    return [Detail(field=_field(error), message=_message(error)) for error in errors]


_UNION_TAGS = frozenset({"server_vad", "semantic_vad", "bool"}) | {
    command.model_fields["command"].annotation.__args__[0] for command in get_args(Command)
}
"""Steps of an error's location that name a union's member, not a field."""


def _field(error: Any) -> str:
    # pydantic names an inner union by its members, in brackets.
    steps = [str(step) for step in error["loc"] if step not in _UNION_TAGS and "[" not in str(step)]
    if error["type"] in ("union_tag_not_found", "union_tag_invalid"):
        steps.append(error["ctx"]["discriminator"].strip("'"))
    return ".".join(steps) or "body"


def _message(error: Any) -> str:
    match error["type"]:
        case "union_tag_not_found":
            return "Field required"
        case "union_tag_invalid":
            return f"Input should be one of {error['ctx']['expected_tags']}"
        case "string_pattern_mismatch" if error["loc"][-1] == "channel_name":
            return "Only letters, digits, spaces and !#$%&()+-:;<=.>?@[]^_{}|~, may be used"
        case _:
            return str(error["msg"]).removeprefix("Value error, ")
