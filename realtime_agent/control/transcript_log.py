"""What was said, one line a message in the order of the conversation, sans-I/O.

A user's words are often known only after the reply to them began, and of a reply only what was heard counts, which is
known when it was heard to its end, or was cut. So a line waits until it is settled, and behind those that stand before
it; and it is written once.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from realtime_agent.control.events import AgentTranscript
from realtime_agent.recent import Recent

__all__ = ["TranscriptLog"]

_MAX_WAIT_S = 30.0
"""Words that have not come by then may never come, nor audio that speaks them."""

_MAX_WAITING = 1000
"""Messages that may wait; the oldest give way."""

_MAX_KNOWN = 256
"""Messages of which something may still come though their line is written, or though they have none yet."""


@dataclass
class _Message:
    """What is known of a message.

    Attributes:
        since: When the first of it came.
        last: When the last of it came, or was still being spoken.
        text: All its words.
        is_spoken: Whether it is speech of the agent's, and not only words.
    """

    role: str
    item_id: str
    since: float
    last: float
    text: str | None = None
    interrupted: bool = False
    is_spoken: bool = True


class TranscriptLog:
    """Makes lines of events. Times are seconds since the recording began."""

    def __init__(self) -> None:
        self._waiting: Recent[int, _Message] = Recent(_MAX_WAITING)
        self._written: Recent[int, None] = Recent(_MAX_KNOWN)
        # Items of which there is audio.
        self._voiced: Recent[str, None] = Recent(_MAX_KNOWN)

    def note(self, words: AgentTranscript, at: float) -> None:
        """Words have come."""
        if words.place in self._written:
            return
        if words.place not in self._waiting:
            self._waiting[words.place] = _Message(words.role, words.item_id, at, at)
        message = self._waiting[words.place]
        message.last = at
        if words.final:
            message.text = words.text or ""
            message.interrupted = words.interrupted is True
            message.is_spoken = words.role == "assistant" and words.typed is None

    def speaks(self, item_id: str) -> None:
        """Audio of this item has come."""
        self._voiced[item_id] = None

    def take(self, at: float, unheard: Collection[str]) -> list[str]:
        """The lines that are settled; of the items in `unheard`, the audio was not heard to its end yet."""
        for message in self._waiting.values():
            if message.item_id in unheard:
                message.last = at
        lines = []
        for place in sorted(self._waiting):
            message = self._waiting[place]
            if message.item_id in unheard or not (self._is_settled(message) or at - message.last >= _MAX_WAIT_S):
                break
            lines += self._line(place)
        return lines

    def finish(self) -> list[str]:
        """All lines that are left."""
        return [line for place in sorted(self._waiting) for line in self._line(place)]

    def _is_settled(self, message: _Message) -> bool:
        """Whether nothing can change it any more, once nothing more of it is to be heard."""
        if message.text is None:
            return False
        # Words come before the audio that speaks them.
        return message.interrupted or not message.is_spoken or message.item_id in self._voiced

    def _line(self, place: int) -> list[str]:
        message = self._waiting.pop(place)
        if not message.text:
            return []
        self._written[place] = None
        fields: dict[str, object] = {
            "at_s": round(message.since, 3), "role": message.role, "text": message.text, "place": place,
            "item_id": message.item_id,
        }  # fmt: skip
        if message.interrupted:
            fields["interrupted"] = True
        return [json.dumps(fields, ensure_ascii=False)]
