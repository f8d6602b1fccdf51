"""What happened in a channel and was not read yet."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable

from realtime_agent.driven import Driven
from realtime_agent.rtc.channel import AudioFrame, ChannelEvent, Message, Played

__all__ = ["Inbox"]

logger = logging.getLogger(__name__)

_MAX_WAITING = 100
"""Events of a kind that may wait; of audio 2 s in frames of 20 ms, 1 s in Agora's. Who is later had better skip."""

_DROPPABLE = (AudioFrame, Played, Message)
"""What a user can send without end. Who comes and goes is never dropped."""


class Inbox:
    """Channel events for one reader, who is told of each where it happens; until they read, and if they read in their
    own time, a bounded queue of them.

    Audio, positions and messages have a bound each, beyond which the oldest of the kind gives way: no flood of messages
    crowds out a voice. The first loss is logged, and at the end how much was lost. Joins and leaves stay.
    """

    def __init__(self, max_waiting: int = _MAX_WAITING) -> None:
        self._max_waiting = max_waiting
        self._events: deque[ChannelEvent] = deque()
        self._waiting: Counter[type[ChannelEvent]] = Counter()
        self._arrived = asyncio.Event()
        self._handle: Callable[[ChannelEvent], None] | None = None
        self._telling = Driven()
        self._closed = False
        self._dropped = 0

    def put(self, event: ChannelEvent) -> None:
        """Add an event; never blocks."""
        if self._handle is not None:
            try:
                self._handle(event)
            except Exception as error:  # noqa: BLE001 - whoever awaits `run` gets it
                self._handle = None
                self._telling.fail(error)
            return
        if self._closed:
            return
        kind = type(event)
        if kind in _DROPPABLE:
            if self._waiting[kind] == self._max_waiting:
                self._drop_oldest(kind)
            self._waiting[kind] += 1
        self._events.append(event)
        self._arrived.set()

    def close(self) -> None:
        """No more events will come; the reader gets those that wait and then the end."""
        if self._dropped and not self._closed:
            logger.warning("%d events from users were dropped, because the agent was behind", self._dropped)
        self._closed = True
        self._handle = None
        self._arrived.set()
        self._telling.end()

    async def run(self, handle: Callable[[ChannelEvent], None]) -> None:
        """Tell `handle` every event, in order, until `close`: those that wait, and then each within its `put`.

        Raises:
            Exception: what `handle` raised; it is told nothing more.
        """
        while self._events:
            handle(self._next())
        if self._closed:
            return
        self._handle = handle
        try:
            await self._telling.run()
        finally:
            self._handle = None

    async def events(self) -> AsyncIterator[ChannelEvent]:
        """Every event, in order, until `close`, for a reader who takes their time."""
        while True:
            while self._events:
                yield self._next()
            if self._closed:
                return
            self._arrived.clear()
            await self._arrived.wait()

    def _next(self) -> ChannelEvent:
        event = self._events.popleft()
        if type(event) in _DROPPABLE:
            self._waiting[type(event)] -= 1
        return event

    def _drop_oldest(self, kind: type[ChannelEvent]) -> None:
        index = next(i for i, event in enumerate(self._events) if type(event) is kind)
        del self._events[index]
        self._waiting[kind] -= 1
        if not self._dropped:
            logger.warning("the agent is behind: what its users sent first is dropped")
        self._dropped += 1
