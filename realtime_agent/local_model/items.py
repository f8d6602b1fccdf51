"""The conversation: its items, their order, and what of them was heard. No I/O.

Items keep words, not audio: a retrieved item has its transcript only, so that an hour of talk stays small.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from realtime_agent.errors import InvalidEvent
from realtime_agent.local_model.brain import Message
from realtime_agent.realtime.types import ContentPart, Item

__all__ = ["Conversation", "Entry", "messages_of", "new_entry", "new_id"]

_CONTENT = {"system": ("input_text",), "user": ("input_text", "input_audio"), "assistant": ("output_text",)}
"""What a client may put into a message. Assistant audio can't be injected, its text can: so it is at OpenAI."""

_MAX_MESSAGES = 50
"""What the brain is shown of a long conversation."""


def new_id(prefix: str) -> str:
    """A unique id, such as `item_5f0c…`."""
    return f"{prefix}_{secrets.token_hex(10)}"


@dataclass(eq=False)
class Entry:
    """An item and what the wire does not show of it.

    Attributes:
        item: The item as clients see it.
        audio_ms: How much audio the user or the assistant spoke in it.
        spoken: The assistant's sentences and how long each sounds, in milliseconds.
        truncated: Whether the client cut it: what is said after that was not heard.
    """

    item: Item
    audio_ms: float = 0
    spoken: list[tuple[str, float]] = field(default_factory=list)
    truncated: bool = False

    @property
    def id(self) -> str:
        """The item's id."""
        return self.item.id or ""

    @property
    def text(self) -> str:
        """What it says, in words."""
        return " ".join(part.text or part.transcript or "" for part in self.item.content or []).strip()

    def hear(self, transcript: str) -> None:
        """Write down what the user said in it."""
        for part in self.item.content or []:
            if part.type == "input_audio" and part.transcript is None:
                part.transcript = transcript

    def say(self, text: str, duration_ms: float) -> None:
        """Add a sentence of the assistant's, which will sound so long."""
        if not self.truncated:
            self.spoken.append((text, duration_ms))

    def play(self, duration_ms: float) -> None:
        """Count more of the assistant's audio."""
        if not self.truncated:
            self.audio_ms += duration_ms

    def close(self, status: str, *, is_audio: bool) -> str:
        """Complete an assistant's message; give its text."""
        text = " ".join(text for text, _ in self.spoken)
        self.item.status = status
        part = (
            ContentPart(type="output_audio", transcript=text)
            if is_audio
            else ContentPart(type="output_text", text=text)
        )
        self.item.content = [part]
        return text

    def truncate(self, audio_end_ms: int) -> None:
        """Forget what was said after a moment of its audio."""
        self.spoken = _heard(self.spoken, audio_end_ms)
        self.audio_ms = audio_end_ms
        self.truncated = True
        for part in self.item.content or []:
            part.transcript = " ".join(text for text, _ in self.spoken)


def _heard(spoken: list[tuple[str, float]], until_ms: float) -> list[tuple[str, float]]:
    heard = []
    for text, duration_ms in spoken:
        if until_ms >= duration_ms:
            heard.append((text, duration_ms))
        else:
            words = text.split()
            count = int(len(words) * until_ms / duration_ms)
            if count:
                heard.append((" ".join(words[:count]), until_ms))
            break
        until_ms -= duration_ms
    return heard


class Conversation:
    """The items in order, by id.

    Args:
        max_items: How many are kept, at least one; the oldest give way. None keeps all.
    """

    def __init__(self, max_items: int | None = None) -> None:
        self.id = new_id("conv")
        self._max_items = max_items
        self._entries: list[Entry] = []

    @property
    def last_id(self) -> str | None:
        """The last item's id."""
        return self._entries[-1].id if self._entries else None

    def add(self, entry: Entry, after: str | None = None) -> str | None:
        """Insert behind the item `after`, at the front for "root", else at the end; give the preceding item's id.

        Raises:
            InvalidEvent: there is no such item, or there is one with this id already.
        """
        if any(entry.id == other.id for other in self._entries):
            raise InvalidEvent(f"An item with id {entry.id!r} exists already.", "invalid_value", "item.id")
        if after is None:
            index = len(self._entries)
        elif after == "root":
            index = 0
        else:
            index = self._index(after, "previous_item_id") + 1
        self._entries.insert(index, entry)
        previous = self._entries[index - 1].id if index else None
        if self._max_items is not None:
            del self._entries[: -self._max_items]
        return previous

    def previous_id(self, entry: Entry) -> str | None:
        """The id of the item before this one; None if there is none, or this one was deleted."""
        if entry not in self._entries or (index := self._entries.index(entry)) == 0:
            return None
        return self._entries[index - 1].id

    def get(self, item_id: str) -> Entry:
        """Find an item.

        Raises:
            InvalidEvent: there is none with this id.
        """
        return self._entries[self._index(item_id, "item_id")]

    def delete(self, item_id: str) -> None:
        """Remove an item.

        Raises:
            InvalidEvent: there is none with this id.
        """
        del self._entries[self._index(item_id, "item_id")]

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Forget what an assistant said after a moment of its audio.

        Raises:
            InvalidEvent: there is no such item, it is not an assistant's audio, or it is not that long.
        """
        entry = self.get(item_id)
        if entry.item.role != "assistant":
            raise InvalidEvent("Only an assistant's message can be truncated.", "invalid_value", "item_id")
        if content_index != 0 or not entry.audio_ms:
            raise InvalidEvent("The content to truncate is not audio.", "invalid_value", "content_index")
        if audio_end_ms > entry.audio_ms:
            message = f"Audio content of {int(entry.audio_ms)}ms is already shorter than {audio_end_ms}ms"
            raise InvalidEvent(message, "invalid_value", "audio_end_ms")
        entry.truncate(audio_end_ms)

    def entries(self) -> list[Entry]:
        """The latest entries, as many as the brain is shown."""
        return self._entries[-_MAX_MESSAGES:]

    def _index(self, item_id: str, param: str) -> int:
        for index, entry in enumerate(self._entries):
            if entry.id == item_id:
                return index
        raise InvalidEvent(f"The conversation has no item with id {item_id!r}.", "item_not_found", param)


def messages_of(entries: list[Entry]) -> tuple[Message, ...]:
    """What was said, for the brain."""
    return tuple(Message(entry.item.role, entry.text) for entry in entries if entry.item.role)


def new_entry(item: Item, param: str = "item") -> Entry:
    """Make an entry of an item that a client sent; `param` is where it stands in the event.

    Raises:
        InvalidEvent: it is not an item of the protocol.
    """
    fields: dict[str, object] = {"id": item.id or new_id("item"), "object": "realtime.item", "status": "completed"}
    match item.type:
        case "message":
            fields["role"] = item.role
            fields["content"] = _content(item, param)
        case "function_call":
            fields |= _required(item, ("name", "arguments"), param)
        case "function_call_output":
            fields |= _required(item, ("call_id", "output"), param)
        case _:
            raise InvalidEvent(f"Items of type {item.type!r} are not supported.", "invalid_value", f"{param}.type")
    if item.call_id is not None:
        fields["call_id"] = item.call_id
    return Entry(Item.model_validate({"type": item.type, **fields}))


def _required(item: Item, names: tuple[str, ...], param: str) -> dict[str, object]:
    for name in names:
        if getattr(item, name) is None:
            raise InvalidEvent.missing(f"{param}.{name}")
    return {name: getattr(item, name) for name in names}


def _content(item: Item, param: str) -> list[ContentPart]:
    if item.role is None:
        raise InvalidEvent.missing(f"{param}.role")
    if item.content is None:
        raise InvalidEvent.missing(f"{param}.content")
    parts = []
    for index, part in enumerate(item.content):
        where = f"{param}.content[{index}]"
        if part.type not in _CONTENT[item.role]:
            allowed = " or ".join(_CONTENT[item.role])
            message = f"A message of the {item.role} holds {allowed}, not {part.type!r}."
            raise InvalidEvent(message, "invalid_value", f"{where}.type")
        if part.type == "input_audio":
            parts.append(ContentPart(type=part.type, transcript=part.transcript))
        elif part.text is None:
            raise InvalidEvent.missing(f"{where}.text")
        else:
            parts.append(ContentPart(type=part.type, text=part.text))
    return parts
