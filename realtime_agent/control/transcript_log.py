"""What was said, one line a message in the order of the conversation, sans-I/O.

A user's words are often known only after the reply to them began, and of a reply only what was heard counts, which is
known when it is over. So a line waits until it is settled, and behind those that stand before it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from realtime_agent.control.events import AgentEvent, AgentTranscript, SpeechChanged

__all__ = ["TranscriptLog"]

_MAX_WAIT_S = 30.0
"""Words that have not come by then may never come."""


@dataclass
class _Message:
    role: str
    item_id: str
    since: float
    text: str | None = None
    interrupted: bool = False
    is_over: bool = False


class TranscriptLog:
    """Makes lines of events. Times are seconds since the recording began."""

    def __init__(self) -> None:
        self._messages: dict[int, _Message] = {}

    def note(self, event: AgentEvent, at: float) -> None:
        """Something has happened."""
        match event:
            case AgentTranscript():
                self._hear(event, at)
            case SpeechChanged(role="assistant", speaking=False):
                for message in self._messages.values():
                    message.is_over = message.is_over or (message.role == "assistant" and message.text is not None)

    def take(self, at: float) -> list[str]:
        """The lines that are settled."""
        lines = []
        for place in sorted(self._messages):
            message = self._messages[place]
            if not message.is_over and at - message.since < _MAX_WAIT_S:
                break
            lines += self._line(place)
        return lines

    def finish(self) -> list[str]:
        """All lines that are left."""
        return [line for place in sorted(self._messages) for line in self._line(place)]

    def _hear(self, event: AgentTranscript, at: float) -> None:
        message = self._messages.setdefault(event.place, _Message(event.role, event.item_id, at))
        if event.final:
            message.text = event.text or ""
            message.interrupted = event.interrupted is True
            message.is_over = event.role == "user" or message.interrupted

    def _line(self, place: int) -> list[str]:
        message = self._messages.pop(place)
        if not message.text:
            return []
        fields: dict[str, object] = {
            "at_s": round(message.since, 3), "role": message.role, "text": message.text, "place": place,
            "item_id": message.item_id,
        }  # fmt: skip
        if message.interrupted:
            fields["interrupted"] = True
        return [json.dumps(fields)]
