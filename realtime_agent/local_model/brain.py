"""What to answer: the interface of the two brains, a chat endpoint and simple rules."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = ["Brain", "Message", "Prompt"]


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
