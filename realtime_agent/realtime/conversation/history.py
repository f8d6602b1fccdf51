"""What was said so far: the items of a conversation in order, sans-I/O.

It outlives the connection that they came over: `replay` is what is told on another one.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime.conversation.spoken import Spoken
from realtime_agent.realtime.types import Item
from realtime_agent.recent import Recent

__all__ = ["Entry", "History", "Kind"]

Kind = Literal["user", "assistant", "system", "call", "output"]

_MIN_KEPT = 64
"""Items whose late events must still be recognised, whatever the budget."""

_MOST_OF_ALL = 4
"""Where not all fits, an item is told in at most this part of the budget, to leave room for what it belongs to."""

_ITEM_TOKENS = 4
_BYTES_PER_TOKEN = 4
"""A rule of thumb that holds for many languages, since what has fewer letters a token has more bytes a letter."""
_AUDIO_MS_PER_TOKEN = 100
"""OpenAI counts a token for a tenth of a second of a user's audio."""

_LEFT_OUT = " […]"
"""Tells a model that a text goes on."""

_MAX_AUDIO = 60_000 * BYTES_PER_MS

_MAX_PARTS = 64
"""Parts that an item may have; a server that sends without end must not fill the memory."""

_MAX_CUTTABLE = 16
"""Assistant items that may still be waiting to be heard, and so to be cut."""


@dataclass(slots=True, eq=False)
class Entry:
    """One item.

    Attributes:
        id: By which the model knows it; it changes where an item has to be made anew.
        text: The words of a user or of the system, a call's arguments, or a call's output.
        is_whole: Whether nothing more is to come.
        audio: What the user said, as long as its words are not known.
        parts: What an assistant said, by content index.
        known: How much of it the model has by the present connection: nothing, its words, or an assistant's audio too.
        call_id: Of a call, and of its output.
        name: Of the function.
        is_ours: Whether its id is one that we gave it.
        is_gone: Whether the model was told to forget it. It stays until it has, since others may be told to stand
            behind it.
        is_overheard: Whether it was said while the agent was paused, so that it is to be forgotten.
    """

    id: str
    kind: Kind
    text: str = ""
    is_whole: bool = False
    audio: bytes = b""
    parts: dict[int, Spoken] = field(default_factory=dict)
    known: Literal["nothing", "words", "audio"] = "nothing"
    call_id: str = ""
    name: str = ""
    is_ours: bool = False
    is_gone: bool = False
    is_overheard: bool = False

    @property
    def words(self) -> str:
        """Its words, of an assistant those that were heard."""
        return " ".join(filter(None, (part.heard_text for part in self.parts.values()))) if self.parts else self.text

    @property
    def is_begun(self) -> bool:
        """Whether anything of it came that can be heard or read."""
        return any(part.is_begun for part in self.parts.values())

    @property
    def is_written(self) -> bool:
        """Whether nobody speaks any of it."""
        return bool(self.parts) and all(part.is_written for part in self.parts.values())

    @property
    def tokens(self) -> int:
        """An estimate of what it costs to tell it."""
        size = len(self.words.encode()) + len(self.name)
        return _ITEM_TOKENS + size // _BYTES_PER_TOKEN + len(self.audio) // (_AUDIO_MS_PER_TOKEN * BYTES_PER_MS)

    def shorten(self, tokens: int) -> None:
        """Leave out the end of a long text."""
        if self.tokens > tokens and self.kind in ("user", "system", "output"):
            size = max(0, (tokens - _ITEM_TOKENS) * _BYTES_PER_TOKEN - len(_LEFT_OUT.encode()))
            self.text = self.text.encode()[:size].decode(errors="ignore") + _LEFT_OUT

    def part(self, content_index: int) -> Spoken:
        """One part of what an assistant said."""
        if len(self.parts) >= _MAX_PARTS and content_index not in self.parts:
            return Spoken()
        return self.parts.setdefault(content_index, Spoken())

    def item(self) -> Item | None:
        """The item that tells it, or `None` where there is nothing to tell."""
        content: list[dict[str, Any]]
        match self.kind:
            case "call":
                fields = {"type": "function_call", "call_id": self.call_id, "name": self.name, "arguments": self.text}
                return Item.model_validate({"id": self.id, **fields})
            case "output":
                fields = {"type": "function_call_output", "call_id": self.call_id, "output": self.text}
                return Item.model_validate({"id": self.id, **fields})
            case "assistant":
                content = [{"type": "output_text", "text": self.words}]
            case _ if self.audio and not self.text:
                content = [{"type": "input_audio", "audio": base64.b64encode(self.audio).decode("ascii")}]
            case _:
                content = [{"type": "input_text", "text": self.text}]
        if not self.words and not self.audio:
            return None
        return Item.model_validate({"id": self.id, "type": "message", "role": self.kind, "content": content})


class History:
    """The newest items of a conversation.

    Args:
        max_tokens: How much of it is told on another connection, estimated; the oldest is left out first.
    """

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._entries: list[Entry] = []
        self._by_id: dict[str, Entry] = {}
        self._former: Recent[str, Entry] = Recent(_MIN_KEPT)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, item_id: str) -> Entry | None:
        """The entry of this id, also one that it had before; unless it is too old or was never there."""
        entry = self._by_id.get(item_id) or self._former.get(item_id)
        return entry if entry is not None and entry.id in self._by_id else None

    def after(self, item_id: str) -> list[Entry]:
        """All that stands behind the entry of this id; nothing, if there is none."""
        entry = self.get(item_id)
        return self._entries[self._entries.index(entry) + 1 :] if entry is not None else []

    def is_begun(self, item_ids: Iterable[str], *, in_words: bool = False) -> bool:
        """Whether anything of these items was heard or read; `in_words`: and can be told."""
        entries = [entry for item_id in item_ids if (entry := self.get(item_id)) is not None]
        return any(entry.is_begun and (entry.words or not in_words) for entry in entries)

    def put(self, item_id: str, kind: Kind, after: str | None = None) -> Entry:
        """The entry of this id: the one that is there, or a new one, behind another one if that is known."""
        entry = self._by_id.get(item_id)
        if entry is None:
            before = self._by_id.get(after) if after is not None else None
            entry = self._by_id[item_id] = Entry(item_id, kind)
            self._entries.insert(len(self._entries) if before is None else self._entries.index(before) + 1, entry)
            self._freeze()
            self.trim()
        return entry

    def move(self, entry: Entry, after: str | None) -> None:
        """Put an item where the server says that it is: behind another one, if that is known."""
        before = self._by_id.get(after) if after is not None else None
        if before is not None and before is not entry:
            self._entries.remove(entry)
            self._entries.insert(self._entries.index(before) + 1, entry)

    def move_to_end(self, entry: Entry) -> None:
        """Put an item behind all others."""
        self._entries.remove(entry)
        self._entries.append(entry)

    def remove(self, item_id: str) -> None:
        """Forget an item; harmless when it is not there."""
        entry = self._by_id.pop(item_id, None)
        if entry is not None:
            self._entries.remove(entry)

    def rename(self, entry: Entry, item_id: str) -> None:
        """Let the model know an item by another id."""
        self._former[entry.id] = self._by_id.pop(entry.id)
        entry.id = item_id
        self._by_id[item_id] = entry

    def known_before(self, entry: Entry) -> Entry | None:
        """The nearest entry in front of this one that the model has."""
        earlier = reversed(self._entries[: self._entries.index(entry)])
        return next((entry for entry in earlier if entry.known != "nothing" and not entry.is_gone), None)

    def call(self, call_id: str) -> Entry | None:
        """The function call of this id."""
        return next((entry for entry in self._entries if entry.kind == "call" and entry.call_id == call_id), None)

    def answered_calls(self) -> list[tuple[Entry, Entry]]:
        """The calls that have their outputs, each with its own."""
        outputs = {entry.call_id: entry for entry in self._entries if entry.kind == "output"}
        calls = [entry for entry in self._entries if entry.kind == "call"]
        return [(entry, outputs[entry.call_id]) for entry in calls if entry.call_id in outputs]

    def trim(self) -> None:
        """Drop the oldest while there is more than the budget, and the audio of the user that is more than a minute."""
        self._trim_audio()
        excess = sum(entry.tokens for entry in self._entries) - self._max_tokens
        while excess > 0 and len(self._entries) > _MIN_KEPT:
            oldest = self._entries[0]
            excess -= oldest.tokens
            self.remove(oldest.id)

    def replay(self, *, running: frozenset[str] = frozenset()) -> list[Entry]:
        """The newest entries that fit into the budget and that can be told on another connection, in order.

        Args:
            running: The calls whose outputs are still to come. A call without one is not told, nor is an output
                without its call: a model may refuse either.
        """
        if sum(entry.tokens for entry in self._entries) > self._max_tokens:
            for entry in self._entries:
                entry.shorten(self._max_tokens // _MOST_OF_ALL)
        answered = {entry.call_id for entry in self._entries if entry.kind == "output"} | running
        left = self._max_tokens
        told: list[Entry] = []
        for entry in reversed(self._entries):
            if entry.is_gone or entry.item() is None or (entry.kind == "call" and entry.call_id not in answered):
                continue
            if entry.tokens > self._max_tokens:
                continue  # the others need not go with it
            left -= entry.tokens
            if left < 0:
                break
            told.append(entry)
        told.reverse()
        return _behind_their_calls(told)

    def _freeze(self) -> None:
        spoken = [entry for entry in self._by_id.values() if entry.kind == "assistant"]
        if len(spoken) > _MAX_CUTTABLE:
            for part in spoken[-_MAX_CUTTABLE - 1].parts.values():
                part.freeze()

    def _trim_audio(self) -> None:
        left = _MAX_AUDIO
        for entry in reversed(self._entries):
            if len(entry.audio) > left:
                entry.audio = b""
            left -= len(entry.audio)


def _behind_their_calls(entries: list[Entry]) -> list[Entry]:
    """These entries, but no output that stands before its call (a lost connection may leave it so) or has none here."""
    outputs = {entry.call_id: entry for entry in entries if entry.kind == "output"}
    called: set[str] = set()
    told = []
    for entry in entries:
        if entry.kind != "output":
            told.append(entry)
        elif entry.call_id in called:
            told.append(outputs.pop(entry.call_id, entry))
        if entry.kind == "call":
            called.add(entry.call_id)
            early = outputs.get(entry.call_id)
            if early is not None and entries.index(early) < entries.index(entry):
                told.append(outputs.pop(entry.call_id))
    return told
