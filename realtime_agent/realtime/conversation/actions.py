"""What a conversation decides is to be done: its session does some of it, the agent the rest."""

from __future__ import annotations

from dataclasses import dataclass

from realtime_agent.realtime.events import ClientEvent
from realtime_agent.realtime.session import SessionEvent
from realtime_agent.realtime.types import ErrorDetail, SessionConfig

__all__ = ["Action", "Answer", "Outcome", "Send", "SendAudio"]

Outcome = SessionConfig | str | bool


@dataclass(frozen=True, slots=True)
class Send:
    """Send this event to the model."""

    event: ClientEvent


@dataclass(frozen=True, slots=True)
class SendAudio:
    """Send all audio that waits, before what comes next; or as much of it as the command of this number commits."""

    command: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Tell whoever gave the command of this number what came of it: the model accepted it, or why not.

    `outcome` is what was changed, the id of the item that was made, or whether the response asked for has begun.
    """

    command: int
    error: ErrorDetail | None = None
    outcome: Outcome | None = None


Action = Send | SendAudio | Answer | SessionEvent
