"""The newest events of one agent, numbered, for any number of readers that are each at their own place."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from math import inf
from typing import Any

from realtime_agent.control.events import AgentEvent

__all__ = ["EventLog", "LoggedEvent"]

_MEAN_BYTES = 4096
"""What an event may take on the average. Most take a few hundred; what functions give may be a thousand times that."""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event as others are told it.

    Attributes:
        number: Counted from 1.
        id: No other event of any agent has it, nor had before the server was started again.
        type: What kind it is.
        text: All of it, as a JSON object in ASCII.
    """

    number: int
    id: str
    type: str
    text: str


class EventLog:
    """Keeps the last events, also when no more will come; nobody who reads can slow whoever writes.

    Args:
        log_id: No other log has it.
        channel_name: Whose they are.
        generation: Which agent of that channel.
        max_events: How many are kept; fewer of large ones, and the newest in any case.
        clock: Unix seconds.
    """

    def __init__(
        self, log_id: str, channel_name: str, generation: int, max_events: int, clock: Callable[[], float]
    ) -> None:
        self.id = log_id
        self.is_complete = False
        self._agent = {"channel_name": channel_name, "generation": generation}
        self._events: deque[LoggedEvent] = deque()
        self._max_events = max_events
        self._bytes = 0
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
        self._bytes += len(text)
        while len(self._events) > self._max_events or self._is_too_large():
            self._bytes -= len(self._events.popleft().text)
        self._wake()
        return logged

    def complete(self) -> None:
        """No more will come."""
        self.is_complete = True
        self._wake()

    def after(self, number: int, max_bytes: float = inf) -> list[LoggedEvent]:
        """The events behind this one that are still kept; no more of them than fit, but one at least."""
        begin = max(0, len(self._events) - max(0, self._last - number))
        found: list[LoggedEvent] = []
        size = 0
        for event in islice(self._events, begin, None):
            size += len(event.text)
            if found and size > max_bytes:
                break
            found.append(event)
        return found

    def missed(self, number: int) -> int:
        """How many of the events behind this one are kept no more."""
        return max(0, self._last - number - len(self._events))

    async def wait(self, number: int) -> None:
        """Wait until there is an event behind this one, or none will come."""
        while self._last <= number and not self.is_complete:
            await self._more.wait()

    def _is_too_large(self) -> bool:
        return self._bytes > self._max_events * _MEAN_BYTES and len(self._events) > 1

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()
