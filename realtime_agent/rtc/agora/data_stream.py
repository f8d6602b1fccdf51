"""Messages over Agora's data streams, sans-I/O: their wire form, their pace, and how the far end puts them together.

A message is a JSON object, as UTF-8 in base64, in parts of `msg_id|part|total|content`: `part` counts from 1, and each
is at most 1,024 bytes long. Data streams take 6 KB a second, and lose and reorder what they carry; so a transcript's
last message has its whole text.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from realtime_agent.recent import Recent
from realtime_agent.rtc.wire import parse_object

__all__ = ["Assembler", "DataStream"]

MAX_PART_BYTES = 1024
_MAX_PARTS = 99
"""About 70 KB of JSON: many times the longest transcript of a response."""
_MAX_WAITING = 200
_MAX_OPEN = 32
"""Messages of which some parts came and others did not, yet or ever."""

_MAX_DONE = 256
"""Messages that came whole, kept in mind because their parts may come again."""

_INTERVAL_S = 0.04
_BYTES_PER_S = 4_900
"""Less than 6,000 by a whole part, so that no second has more, whichever one is measured."""


class DataStream:
    """What waits to be sent, and when it may go. Times are seconds of any monotonic clock.

    Deltas of one item that wait become one message, and its whole text takes the place of those that still wait. When
    too much waits, the oldest delta is dropped.

    Attributes:
        dropped: How many messages were dropped.
    """

    def __init__(self) -> None:
        self.dropped = 0
        # Clients tell the messages of all senders apart by their ids.
        self._name = secrets.token_hex(4)
        self._number = 0
        self._waiting: deque[dict[str, Any]] = deque()
        self._parts: deque[str] = deque()
        self._free_at = float("-inf")

    def add(self, body: Mapping[str, Any]) -> None:
        """Take a message."""
        message = dict(body)
        if message.get("type") == "state":
            # Only the newest counts.
            self._waiting = deque(each for each in self._waiting if each.get("type") != "state")
        if "item_id" in message:
            before = self._waiting_delta(message["item_id"])
            if before is not None and "delta" in message and before["type"] == message["type"]:
                before["delta"] += message["delta"]
                return
            if before is not None and "transcript" in message:
                self._waiting.remove(before)
        if len(self._waiting) == _MAX_WAITING:
            self._drop()
        self._waiting.append(message)

    def next_due(self) -> float | None:
        """When `take` will have a part; `None` while nothing waits. May lie in the past."""
        return self._free_at if self._parts or self._waiting else None

    def take(self, now: float) -> str | None:
        """The next part, if it is due."""
        if now < self._free_at:
            return None
        while not self._parts:
            if not self._waiting:
                return None
            self._parts.extend(self._split(self._waiting.popleft()))
        part = self._parts.popleft()
        self._free_at = now + max(_INTERVAL_S, len(part) / _BYTES_PER_S)
        return part

    def hurry_last(self) -> None:
        """Let the message that came last go next."""
        if self._waiting:
            self._parts.extendleft(reversed(self._split(self._waiting.pop())))

    def _waiting_delta(self, item_id: object) -> dict[str, Any] | None:
        return next((each for each in self._waiting if each.get("item_id") == item_id and "delta" in each), None)

    def _drop(self) -> None:
        oldest = next((each for each in self._waiting if "delta" in each), self._waiting[0])
        self._waiting.remove(oldest)
        self.dropped += 1

    def _split(self, body: Mapping[str, Any]) -> list[str]:
        """A message's parts; none if there would be too many."""
        self._number += 1
        msg_id = f"{self._name}{self._number}"
        content = base64.b64encode(json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()).decode()
        room = MAX_PART_BYTES - len(f"{msg_id}|{_MAX_PARTS}|{_MAX_PARTS}|")
        pieces = [content[start : start + room] for start in range(0, len(content), room)]
        if len(pieces) > _MAX_PARTS:
            self.dropped += 1
            return []
        return [f"{msg_id}|{number}|{len(pieces)}|{piece}" for number, piece in enumerate(pieces, 1)]


@dataclass(slots=True)
class _Open:
    """A message of which parts are missing."""

    total: int
    pieces: dict[int, str] = field(default_factory=dict)


class Assembler:
    """Puts messages together of parts in any order; drops what is broken or comes twice, and the oldest of many."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, str], _Open] = {}
        self._done: Recent[tuple[int, str], None] = Recent(_MAX_DONE)

    def add(self, uid: int, part: str) -> dict[str, Any] | None:
        """Take a part from a participant; gives the message that it completes."""
        fields = part.split("|", 3)
        if len(fields) != 4 or len(part) > MAX_PART_BYTES:
            return None
        msg_id, number, total = fields[0], _count(fields[1]), _count(fields[2])
        if number is None or total is None or number > total:
            return None
        if (uid, msg_id) in self._done:
            return None
        message = self._open.pop((uid, msg_id), None) or _Open(total)
        if message.total != total:
            return None
        message.pieces[number] = fields[3]
        if len(message.pieces) == total:
            body = _read("".join(message.pieces[each] for each in range(1, total + 1)))
            if body is not None:
                self._done[uid, msg_id] = None
            return body
        self._open[uid, msg_id] = message
        if len(self._open) > _MAX_OPEN:
            del self._open[next(iter(self._open))]
        return None

    def forget(self, uid: int) -> None:
        """A participant left: what it did not finish will not be, and its next ids are new ones."""
        for key in [key for key in (*self._open, *self._done) if key[0] == uid]:
            self._open.pop(key, None)
            self._done.pop(key, None)


def _count(text: str) -> int | None:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 2 else 0
    return number or None


def _read(content: str) -> dict[str, Any] | None:
    try:
        return parse_object(base64.b64decode(content, validate=True).decode())
    except (binascii.Error, ValueError):
        return None
