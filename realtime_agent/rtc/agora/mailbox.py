"""What other threads tell an event loop: bounded, in order, one wake-up for many."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Mailbox"]

E = TypeVar("E")


class Mailbox(Generic[E]):
    """Takes events from any thread and delivers them in the loop it was made in.

    A loop that stands still for a while must not find minutes of audio afterwards: of the kinds that may be dropped,
    the oldest gives way. The others are rare, and none of them is lost.

    Args:
        deliver: Called in the loop with each event; must not raise.
        droppable: The kinds of which only so many may wait.
        max_waiting: How many of each: no flood of messages crowds out a voice.

    Attributes:
        dropped: How many events gave way.
    """

    def __init__(self, deliver: Callable[[E], None], *, droppable: tuple[type[E], ...], max_waiting: int) -> None:
        self.dropped = 0
        self._deliver = deliver
        self._droppable = droppable
        self._max_waiting = max_waiting
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: deque[E] = deque()
        self._droppable_waiting: Counter[type[E]] = Counter()
        self._is_woken = False
        self._closed = False

    def put(self, event: E) -> None:
        """Leave an event, from any thread; never blocks for longer than another thread's `put`."""
        with self._lock:
            if self._closed:
                return
            kind = type(event)
            if kind in self._droppable:
                if self._droppable_waiting[kind] == self._max_waiting:
                    self._drop_oldest(kind)
                self._droppable_waiting[kind] += 1
            self._waiting.append(event)
            if self._is_woken:
                return
            self._is_woken = True
        try:
            self._loop.call_soon_threadsafe(self._deliver_all)
        except RuntimeError:
            self.close()  # the loop is closed, and with it whoever could want to know

    def close(self) -> None:
        """Take and deliver nothing more."""
        with self._lock:
            self._closed = True
            self._waiting.clear()

    def _deliver_all(self) -> None:
        with self._lock:
            events, self._waiting = self._waiting, deque()
            self._droppable_waiting.clear()
            self._is_woken = False
        for event in events:
            if self._closed:
                return
            self._deliver(event)

    def _drop_oldest(self, kind: type[E]) -> None:
        index = next(i for i, event in enumerate(self._waiting) if type(event) is kind)
        del self._waiting[index]
        self._droppable_waiting[kind] -= 1
        self.dropped += 1
