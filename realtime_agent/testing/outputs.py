"""What a reply is made of: speech, text, function calls. Each knows the events that bring it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.testing.sound import tone

__all__ = ["Call", "Event", "Output", "Speech", "Text", "words_of"]

Event = dict[str, Any]
"""An event as it travels, but for its `event_id`, which it gets when it is sent."""

_MS_PER_WORD = 300


@dataclass(frozen=True, slots=True)
class Speech:
    """Words that are spoken.

    Attributes:
        text: The words; they come one by one.
        pcm: What they sound like; a tone of 300 ms for each word, unless given.
        piece_ms: How much of the audio is in one event.
        item_id: The item's id; made up, unless given.
    """

    text: str
    pcm: bytes | None = None
    piece_ms: int = 100
    item_id: str | None = None

    def begin(self, item_id: str) -> Event:
        """The item as it is at first."""
        return _message(item_id, "in_progress", [])

    def end(self, item_id: str, status: str) -> Event:
        """The item when all of it was sent."""
        return _message(item_id, status, [{"type": "output_audio", "transcript": self.text}])

    def pieces(self, where: Event) -> Iterator[Event]:
        """The events between its beginning and its end."""
        yield {"type": "response.content_part.added", **where, "part": {"type": "audio", "transcript": ""}}
        for word, piece in zip_longest(words_of(self.text), self._audio()):
            if word is not None:
                yield {"type": "response.output_audio_transcript.delta", **where, "delta": word}
            if piece is not None:
                yield {"type": "response.output_audio.delta", **where, "delta": base64.b64encode(piece).decode()}
        yield {"type": "response.output_audio.done", **where}
        yield {"type": "response.output_audio_transcript.done", **where, "transcript": self.text}
        yield {"type": "response.content_part.done", **where, "part": {"type": "audio", "transcript": self.text}}

    def _audio(self) -> Iterator[bytes]:
        pcm = tone(_MS_PER_WORD * len(self.text.split())) if self.pcm is None else self.pcm
        size = self.piece_ms * BYTES_PER_MS
        return (pcm[start : start + size] for start in range(0, len(pcm), size))


@dataclass(frozen=True, slots=True)
class Text:
    """Words that are written.

    Attributes:
        text: The words; they come one by one.
        item_id: The item's id; made up, unless given.
    """

    text: str
    item_id: str | None = None

    def begin(self, item_id: str) -> Event:
        """The item as it is at first."""
        return _message(item_id, "in_progress", [])

    def end(self, item_id: str, status: str) -> Event:
        """The item when all of it was sent."""
        return _message(item_id, status, [{"type": "output_text", "text": self.text}])

    def pieces(self, where: Event) -> Iterator[Event]:
        """The events between its beginning and its end."""
        yield {"type": "response.content_part.added", **where, "part": {"type": "text", "text": ""}}
        for word in words_of(self.text):
            yield {"type": "response.output_text.delta", **where, "delta": word}
        yield {"type": "response.output_text.done", **where, "text": self.text}
        yield {"type": "response.content_part.done", **where, "part": {"type": "text", "text": self.text}}


@dataclass(frozen=True, slots=True)
class Call:
    """A function call.

    Attributes:
        name: The function.
        arguments: Its arguments; as a string they need not be JSON.
        call_id: The call's id; made up, unless given.
        item_id: The item's id; made up, unless given.
    """

    name: str
    arguments: Mapping[str, Any] | str
    call_id: str | None = None
    item_id: str | None = None

    def begin(self, item_id: str) -> Event:
        """The item as it is at first."""
        return self._item(item_id, "in_progress", "")

    def end(self, item_id: str, status: str) -> Event:
        """The item when all of it was sent."""
        return self._item(item_id, status, self.json)

    def pieces(self, where: Event) -> Iterator[Event]:
        """The events between its beginning and its end."""
        place = {name: where[name] for name in ("response_id", "item_id", "output_index")} | {"call_id": self.call_id}
        middle = (len(self.json) + 1) // 2
        for delta in (self.json[:middle], self.json[middle:]):
            if delta:
                yield {"type": "response.function_call_arguments.delta", **place, "delta": delta}
        done = "response.function_call_arguments.done"
        yield {"type": done, **place, "name": self.name, "arguments": self.json}

    @property
    def json(self) -> str:
        """The arguments as they travel."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)

    def _item(self, item_id: str, status: str, arguments: str) -> Event:
        item = {"id": item_id, "object": "realtime.item", "type": "function_call", "status": status}
        return item | {"name": self.name, "call_id": self.call_id, "arguments": arguments}


Output = Speech | Text | Call


def _message(item_id: str, status: str, content: list[Event]) -> Event:
    item = {"id": item_id, "object": "realtime.item", "type": "message", "status": status}
    return item | {"role": "assistant", "content": content}


def words_of(text: str) -> list[str]:
    """The text word by word, its blanks included."""
    return re.findall(r"\s*\S+(?:\s+$)?", text)
