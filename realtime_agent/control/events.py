"""What an agent reports of itself: events that go from the worker up to whoever watches it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from realtime_agent.control.life import EndReason, State
from realtime_agent.control.usage import TotalUsage

__all__ = ["AgentEvent", "Ended", "StateChanged", "UsageChanged", "agent_event_adapter"]


class _AgentEvent(BaseModel):
    model_config = ConfigDict(frozen=True)


class StateChanged(_AgentEvent):
    """The agent is in another state of its life. `waiting` for the first time means ready."""

    type: Literal["state"] = "state"
    state: State


class Ended(_AgentEvent):
    """The agent is gone; the last event. `cause` says in words what failed, if something did."""

    type: Literal["ended"] = "ended"
    reason: EndReason
    cause: str | None = None


class UsageChanged(_AgentEvent):
    """What the agent's model has cost so far, all together."""

    type: Literal["usage"] = "usage"
    usage: TotalUsage


AgentEvent = StateChanged | Ended | UsageChanged

agent_event_adapter: TypeAdapter[AgentEvent] = TypeAdapter(Annotated[AgentEvent, Field(discriminator="type")])
"""Reads an event that came as JSON."""
