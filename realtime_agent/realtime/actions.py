"""What a conversation decides is to be done; whoever holds the channel and the session does it."""

from __future__ import annotations

from dataclasses import dataclass

from realtime_agent.realtime.events import ClientEvent
from realtime_agent.realtime.types import ErrorDetail, Usage

__all__ = [
    "Action",
    "EndPart",
    "Interrupt",
    "Play",
    "Report",
    "Send",
    "Spent",
    "Transcript",
    "UserSpeech",
]


@dataclass(frozen=True, slots=True)
class Send:
    """Send this event to the model."""

    event: ClientEvent


@dataclass(frozen=True, slots=True)
class Play:
    """Queue this audio for the user."""

    item_id: str
    content_index: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class EndPart:
    """The audio of this part is complete."""

    item_id: str
    content_index: int


@dataclass(frozen=True, slots=True)
class Interrupt:
    """The user speaks over the agent: drop what was not heard, and call `Conversation.interrupted` with what was."""


@dataclass(frozen=True, slots=True)
class UserSpeech:
    """The user began or stopped speaking."""

    speaking: bool


@dataclass(frozen=True, slots=True)
class Transcript:
    """Words of one side: a delta to append, or with `final` the whole text. The first of an item tells its place."""

    role: str
    item_id: str
    text: str
    final: bool = False
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Spent:
    """What a response cost."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Report:
    """The model reported an error; the session goes on."""

    error: ErrorDetail


Action = Send | Play | EndPart | Interrupt | UserSpeech | Transcript | Spent | Report
