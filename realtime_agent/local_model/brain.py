"""What to answer: the interface, and which of the two brains a deployment has."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from realtime_agent.config import Settings

__all__ = ["Brain", "Message", "Prompt", "local_now", "new_brain"]

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Message:
    """One entry of the conversation, in words. What the user said may be empty: it could not be understood."""

    role: Literal["user", "assistant", "system"]
    text: str


@dataclass(frozen=True)
class Prompt:
    """What an answer is made from.

    Attributes:
        messages: The conversation so far, oldest first.
        instructions: The session's.
        request: Instructions for this one answer, which stand in for the session's.
    """

    messages: tuple[Message, ...] = ()
    instructions: str = ""
    request: str | None = None


class Brain(Protocol):
    """Answers in pieces of text, as they come."""

    def reply(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        """Answer a prompt.

        Raises:
            SessionError: while iterating; the message may be shown to the client.
        """


def local_now() -> datetime:
    """The time of day where this machine is."""
    return datetime.now().astimezone()


def new_brain(settings: Settings, clock: Clock = local_now) -> Brain:
    """The chat endpoint of LOCAL_LLM_URL, or else simple rules."""
    if settings.local_llm_url:
        from realtime_agent.local_model.chat import ChatBrain

        return ChatBrain(
            settings.local_llm_url, settings.local_llm_model, settings.local_llm_api_key.get_secret_value()
        )
    from realtime_agent.local_model.rules import RulesBrain

    return RulesBrain(clock)
