"""What an agent is asked to be: everything a worker needs to know besides the deployment's Settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from realtime_agent.realtime.types import SessionConfig

__all__ = ["NOT_BLANK", "AgentSpec", "ChannelName", "Instruction", "Language", "Limits", "Seconds", "Uid"]

NOT_BLANK = r"\S"
"""A pattern of what has words in it."""

_STEPS = (".", "..")
"""In an address they are no names: clients resolve them before they ask."""


def _check_no_step(name: str) -> str:
    if name in _STEPS:
        raise ValueError("can't be '.' or '..', which have a meaning of their own in addresses")
    return name


ChannelName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=r"^[a-zA-Z0-9 !#$%&()+\-:;<=.>?@\[\]^_{}|~,]+$",
        description="The channel: up to 64 of the characters that Agora allows, but not '.' or '..'.",
        examples=["test"],
        json_schema_extra={"not": {"enum": list(_STEPS)}},
    ),
    AfterValidator(_check_no_step),
]
Uid = Annotated[
    int,
    Field(strict=True, ge=0, le=2**32 - 1, description="A participant's number; 0 lets the server choose."),
]
Instruction = Annotated[str, Field(min_length=1, max_length=32_000, pattern=NOT_BLANK)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$", description="ISO 639, such as en.")]
Seconds = Annotated[float, Field(strict=True, ge=0, le=7 * 24 * 3600, allow_inf_nan=False)]


class Limits(BaseModel):
    """How long an agent may wait and live, in seconds; 0 is for ever."""

    model_config = ConfigDict(frozen=True)

    user_wait_timeout_s: Seconds
    user_left_grace_s: Seconds
    idle_prompt_s: Seconds
    idle_timeout_s: Seconds
    max_duration_s: Seconds


class AgentSpec(BaseModel):
    """One agent, complete: nothing is left to a default.

    Attributes:
        uid: The agent's own number, never 0.
        user_uid: Whom it hears; `None` is the first who comes.
        greeting: What it says first when its user comes; empty lets the user begin.
        idle_prompt: What it says when nobody has spoken for a while; empty is nothing.
        goodbye: What it says before it leaves since nobody speaks; empty is nothing.
        record: Whether the conversation is recorded; `None` is where the deployment records.
        session: What its model is told when the session begins, but for the functions. What is not set is not sent.
        tools: The functions of AGENT_TOOLS that its model may call, by name; `None` is all of them.
    """

    model_config = ConfigDict(frozen=True)

    channel_name: ChannelName
    uid: Uid
    user_uid: Uid | None
    greeting: str
    idle_prompt: str
    goodbye: str
    record: bool | None
    session: SessionConfig
    tools: tuple[str, ...] | None
    limits: Limits
