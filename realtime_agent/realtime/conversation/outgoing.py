"""What is sent to the model: it is numbered, so that an error can be told to whom it is for."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from realtime_agent.realtime.conversation.actions import Action, Send
from realtime_agent.realtime.events import ClientEvent
from realtime_agent.realtime.types import ErrorDetail
from realtime_agent.recent import Recent

__all__ = ["OnError", "Outgoing"]

_MAX_EXPECTED = 256
"""Events that an error may still be about."""

OnError = Callable[[ErrorDetail], list[Action]]


class Outgoing:
    """Gives out ids, and remembers who wants to know of an error.

    Attributes:
        is_connected: Whether there is a connection to send on.
    """

    def __init__(self) -> None:
        self.is_connected = False
        self._numbers = itertools.count(1)
        self._expected: Recent[str, OnError] = Recent(_MAX_EXPECTED)

    def new_id(self, kind: str) -> str:
        """An id that was never given before."""
        return f"{kind}_{next(self._numbers)}"

    def send(self, event: ClientEvent, on_error: OnError | None = None) -> Send:
        """Send an event. `on_error` decides what to do when the model has refused it."""
        event.event_id = self.new_id("event")
        if on_error is not None:
            self._expected[event.event_id] = on_error
        return Send(event)

    def on_error(self, event_id: str) -> OnError | None:
        """Who wants to know of an error about this event; asked once."""
        return self._expected.pop(event_id, None)

    def connected(self) -> None:
        """There is a connection to send on."""
        self.is_connected = True

    def disconnected(self) -> None:
        """Nothing can be sent, and nothing more will be heard of what was."""
        self.is_connected = False
        self._expected.clear()
