"""A session's way to its server, which can fail, and where all that goes either way is overheard."""

from __future__ import annotations

import json
from collections.abc import Callable

from realtime_agent.realtime.connection import Connection
from realtime_agent.realtime.events import ServerEvent
from realtime_agent.testing.outputs import Event

__all__ = ["Line"]

TIMEOUT_S = 20.0


class _Overheard(Connection):
    """A connection that keeps what goes either way, as events."""

    received: list[ServerEvent]
    sent: list[Event]

    def _send(self, message: bytes) -> None:
        self.sent.append(json.loads(message))
        super()._send(message)

    async def receive(self) -> ServerEvent:
        event = await super().receive()
        self.received.append(event)
        return event

    async def run(self, handle: Callable[[ServerEvent], None]) -> None:
        def overhear(event: ServerEvent) -> None:
            self.received.append(event)
            handle(event)

        await super().run(overhear)


class Line:
    """Where a session has its connections from; the network in between can fail.

    Attributes:
        url: The server that takes the next ones.
        connections: All there were, in order.
    """

    timeout = TIMEOUT_S

    def __init__(self, url: str) -> None:
        self.url = url
        self.connections: list[_Overheard] = []

    async def connect(self) -> Connection:
        connection = await _Overheard.open(f"{self.url}/realtime?model=m", {}, timeout=self.timeout)
        connection.received, connection.sent = [], []
        self.connections.append(connection)
        return connection

    @property
    def newest(self) -> _Overheard:
        """The connection that was made last."""
        return self.connections[-1]

    def cut(self) -> None:
        """Break the newest connection, without a word to either side."""
        self.newest._websocket.abort()

    def told(self) -> list[Event]:
        """The items that the model was told on the newest connection."""
        return [event["item"] for event in self.newest.sent if event["type"] == "conversation.item.create"]
