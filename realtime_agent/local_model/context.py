"""What all that happens in one session has in common."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from realtime_agent.errors import InvalidEvent
from realtime_agent.local_model.items import Conversation, Entry, new_id
from realtime_agent.local_model.outbox import Outbox
from realtime_agent.realtime.events import ErrorEvent, ItemAdded, ItemDone, KnownServerEvent
from realtime_agent.realtime.types import ErrorDetail

__all__ = ["Context"]

T = TypeVar("T")


class Context:
    """One session's conversation, its way to the client, and the owner of its tasks."""

    def __init__(self, outbox: Outbox, conversation: Conversation) -> None:
        self.outbox = outbox
        self.conversation = conversation
        self.tasks = asyncio.TaskGroup()
        self._running: set[asyncio.Task[Any]] = set()

    def emit(self, event: KnownServerEvent) -> None:
        """Send an event as it is now; it never waits."""
        event.event_id = new_id("event")
        self.outbox.put(event.to_json())

    def emit_error(self, error: InvalidEvent, event_id: str | None = None) -> None:
        """Send an error; `event_id` is the client's event at fault."""
        detail = ErrorDetail(
            type="invalid_request_error", code=error.code, message=str(error), param=error.param, event_id=event_id
        )
        self.emit(ErrorEvent(error=detail))

    def add(self, entry: Entry, after: str | None = None) -> None:
        """Add a whole item to the conversation and say so.

        Raises:
            InvalidEvent: `after` is not in the conversation, or the entry is already.
        """
        previous = self.conversation.add(entry, after)
        self.emit(ItemAdded(item=entry.item, previous_item_id=previous))
        self.emit(ItemDone(item=entry.item, previous_item_id=previous))

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task that ends with the session at the latest. It must not raise."""
        task = self.tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def end(self) -> None:
        """Cancel what is running."""
        for task in self._running:
            task.cancel()
