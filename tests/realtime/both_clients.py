"""Two clients that speak to a server alike: the connection that the agent has, and the official one."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import reduce
from typing import Any

from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.exceptions import ConnectionClosed

from realtime_agent.errors import SessionLost
from realtime_agent.realtime.connection import Connection
from realtime_agent.realtime.endpoint import Endpoint
from realtime_agent.realtime.events import UnknownEvent, parse_client_event
from realtime_agent.testing.outputs import Event
from tests.local_model.oracle import validate

__all__ = ["CLIENTS", "Dialing", "WireClient"]

TIMEOUT_S = 20


class WireClient(ABC):
    """Sends events and keeps every event that comes.

    Attributes:
        events: What came, in order.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []

    @abstractmethod
    async def send(self, kind: str, **fields: Any) -> None:
        """Send an event that the client has a type for."""

    @abstractmethod
    async def send_any(self, event: Event) -> None:
        """Send what need not be an event of the protocol."""

    @abstractmethod
    async def _receive(self) -> Event:
        """The next event."""

    @abstractmethod
    async def ended(self) -> str:
        """Wait until the server has hung up; gives its words."""

    async def receive(self) -> Event:
        """The next event."""
        async with asyncio.timeout(TIMEOUT_S):
            self.events.append(await self._receive())
        return self.events[-1]

    async def until(self, kind: str) -> Event:
        """Receive up to an event of this type. An error is no answer unless it is asked for."""
        while (event := await self.receive())["type"] != kind:
            assert event["type"] != "error", event
        return event

    async def ask(self, kind: str, answer: str, **fields: Any) -> Event:
        """Send an event, and wait for one of the type that answers it."""
        await self.send(kind, **fields)
        return await self.until(answer)

    async def refused(self, kind: str, **fields: Any) -> str:
        """Send an event that must be refused, by its id; gives the code of the error."""
        await self.send(kind, event_id="mine", **fields)
        return await self.is_refused("mine")

    async def is_refused(self, event_id: str) -> str:
        """Wait for the error about an event; gives its code."""
        error = (await self.until("error"))["error"]
        assert error["event_id"] == event_id
        code: str = error["code"]
        return code

    async def add(self, item: Event, **fields: Any) -> Event:
        """Make an item; gives the event that says it was added, with what `conversation.item.done` says the same of."""
        added = await self.ask("conversation.item.create", "conversation.item.added", item=item, **fields)
        done = await self.until("conversation.item.done")
        assert done["item"] == added["item"]
        assert done["previous_item_id"] == added["previous_item_id"]
        return added

    async def configure(self, **settings: Any) -> Event:
        """Change settings; gives all of them."""
        change = {"type": "realtime", **settings}
        updated: Event = (await self.ask("session.update", "session.updated", session=change))["session"]
        return updated

    async def respond(self, **response: Any) -> Event:
        """Ask for a response; gives it when it is done."""
        done: Event = (await self.ask("response.create", "response.done", response=response))["response"]
        return done


class _Ours(WireClient):
    """The connection that the agent has."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    async def send(self, kind: str, **fields: Any) -> None:
        self._connection.send(parse_client_event(json.dumps({"type": kind, **fields})))

    async def send_any(self, event: Event) -> None:
        self._connection.send_json(json.dumps(event))

    async def _receive(self) -> Event:
        event = await self._connection.receive()
        assert not isinstance(event, UnknownEvent), event.type
        return event.to_dict()

    async def ended(self) -> str:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while True:
                    await self._connection.receive()
        except SessionLost as lost:
            return str(lost)


class _Official(WireClient):
    """The connection of the `openai` package; what comes must be what its types say."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        super().__init__()
        self._connection = connection

    async def send(self, kind: str, **fields: Any) -> None:
        # Its methods are called as the events are.
        await reduce(getattr, kind.split("."), self._connection)(**fields)  # type: ignore[operator]  # by their names

    async def send_any(self, event: Event) -> None:
        await self._connection.send(event)  # type: ignore[arg-type]  # it need not be one

    async def _receive(self) -> Event:
        message = await self._connection.recv_bytes()
        event = validate(message)
        assert self._connection.parse_event(message).type == event["type"]
        return event

    async def ended(self) -> str:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while True:
                    await self._connection.recv_bytes()
        except ConnectionClosed as closed:
            return str(closed)


@asynccontextmanager
async def ours(url: str) -> AsyncIterator[WireClient]:
    """Our own connection."""
    connection = await Endpoint(f"{url}/realtime?model=m", {"Authorization": "Bearer x"}, TIMEOUT_S).connect()
    try:
        yield _Ours(connection)
    finally:
        await connection.close()


@asynccontextmanager
async def official(url: str) -> AsyncIterator[WireClient]:
    """The official client's."""
    async with (
        AsyncOpenAI(api_key="x", websocket_base_url=url) as openai,
        openai.realtime.connect(model="m") as connection,
    ):
        yield _Official(connection)


Dialing = Callable[[str], AbstractAsyncContextManager[WireClient]]
CLIENTS: dict[str, Dialing] = {"our connection": ours, "the official client": official}
