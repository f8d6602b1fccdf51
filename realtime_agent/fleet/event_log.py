"""The newest events of one agent, numbered, for any number of readers that are each at their own place."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from realtime_agent.control.events import AgentEvent

__all__ = ["EventLog", "LoggedEvent"]

_KEPT_AT_THE_END = 100
"""Events of an agent that has ended; those who come late may still learn how it did."""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event as others are told it.

    Attributes:
        number: Counted from 1.
        id: No other event of any agent has it, nor had before the server was started again.
        type: What kind it is.
        text: All of it, as a JSON object.
    """

    number: int
    id: str
    type: str
    text: str


class EventLog:
    """Keeps the last events; nobody who reads can slow whoever writes.

    Args:
        log_id: No other log has it.
        channel_name: Whose they are.
        generation: Which agent of that channel.
        max_events: How many are kept.
        clock: Unix seconds.
    """

    def __init__(
        self, log_id: str, channel_name: str, generation: int, max_events: int, clock: Callable[[], float]
    ) -> None:
        self.id = log_id
        self.is_complete = False
        self._agent = {"channel_name": channel_name, "generation": generation}
        self._events: deque[LoggedEvent] = deque(maxlen=max_events)
        self._clock = clock
        self._last = 0
        self._more = asyncio.Event()

    @property
    def last(self) -> int:
        """The number of the newest event; 0 before there is one."""
        return self._last

    def append(self, event: AgentEvent) -> LoggedEvent:
        """Add an event; the oldest gives way."""
        self._last += 1
        event_id = f"{self.id}-{self._last}"
        body: dict[str, Any] = {"id": event_id, "at": round(self._clock(), 3), **self._agent}
        # With everything but ASCII escaped, since words may have half a character that has no other form.
        text = json.dumps(body | event.model_dump(mode="json", exclude_none=True), separators=(",", ":"))
        logged = LoggedEvent(self._last, event_id, event.type, text)
        self._events.append(logged)
        self._wake()
        return logged

    def complete(self) -> None:
        """No more will come; of what came, the end is kept."""
        self.is_complete = True
        self._events = deque(self._events, maxlen=_KEPT_AT_THE_END)
        self._wake()

    def after(self, number: int) -> list[LoggedEvent]:
        """The events behind this one that are still kept."""
        count = max(0, min(self._last - number, len(self._events)))
        return list(islice(reversed(self._events), count))[::-1]

    def missed(self, number: int) -> int:
        """How many of the events behind this one are kept no more."""
        return max(0, self._last - number - len(self._events))

    async def wait(self, number: int) -> None:
        """Wait until there is an event behind this one, or none will come."""
        while self._last <= number and not self.is_complete:
            await self._more.wait()

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()
