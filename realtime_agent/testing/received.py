"""What came from a client: finding an event in it, and telling it in few words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from realtime_agent.testing.outputs import Event

__all__ = ["Received", "matches"]

_LONGEST = 300


def matches(value: object, wanted: object) -> bool:
    """Whether a value is as wanted: an object needs only the fields that are wanted, at any depth."""
    if isinstance(wanted, Mapping):
        return isinstance(value, Mapping) and all(
            name in value and matches(value[name], wanted[name]) for name in wanted
        )
    if isinstance(wanted, list) and isinstance(value, list):
        return len(value) == len(wanted) and all(map(matches, value, wanted))
    return value == wanted


class Received:
    """The events of one client, in order, and up to where each kind was expected."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._seen: dict[str, int] = {}

    def take(self, kind: str, nth: int | None, fields: Mapping[str, Any]) -> Event | None:
        """The next event of a kind that matches, or the `nth` of all that do; None if there is none yet."""
        start = self._seen.get(kind, 0) if nth is None else 0
        found = [at for at in range(start, len(self.events)) if self._is(at, kind) and matches(self.events[at], fields)]
        count = 1 if nth is None else nth
        if len(found) < count:
            return None
        at = found[count - 1]
        self._seen[kind] = max(self._seen.get(kind, 0), at + 1)
        return self.events[at]

    def missing(self, kind: str, nth: int | None, fields: Mapping[str, Any]) -> str:
        """What was wanted, and what came, in words."""
        which = "another" if self._seen.get(kind) and nth is None else f"{nth}." if nth else "no"
        with_fields = f" with {_short(fields)}" if fields else ""
        wanted = f"{kind}{with_fields} did not come" if which == "no" else f"{which} {kind}{with_fields} did not come"
        same = [f"\n  {_short(event)}" for event in self.events if event.get("type") == kind]
        return f"{wanted}; what came: {_in_words(self.events)}{''.join(same)}"

    def _is(self, at: int, kind: str) -> bool:
        return bool(self.events[at].get("type") == kind)


def _in_words(events: Iterable[Event]) -> str:
    runs = [(kind, sum(1 for _ in run)) for kind, run in groupby(str(event.get("type")) for event in events)]
    return ", ".join(kind if count == 1 else f"{kind} x{count}" for kind, count in runs) or "nothing"


def _short(value: object) -> str:
    words = json.dumps(value, ensure_ascii=False, default=str)
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"
