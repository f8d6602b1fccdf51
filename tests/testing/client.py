"""A client that keeps whatever a scripted server says, and holds it against the official package's types."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from realtime_agent.testing import Event, ScriptedServer
from tests.local_model.oracle import validate

__all__ = ["TIMEOUT_S", "Client", "client_of", "everything", "kinds", "message"]

TIMEOUT_S = 20


class Client:
    """A raw websocket."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket

    async def send(self, kind: str, **fields: Any) -> None:
        """Send an event."""
        await self.websocket.send(json.dumps({"type": kind, **fields}))

    async def next(self) -> dict[str, Any]:
        """The next event, which must be one of the protocol."""
        async with asyncio.timeout(TIMEOUT_S):
            return validate(await self.websocket.recv())

    async def until(self, kind: str) -> list[dict[str, Any]]:
        """Every event up to one of this type."""
        events = [await self.next()]
        while events[-1]["type"] != kind:
            events.append(await self.next())
        return events

    async def ask(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """Everything that an event is answered with."""
        await self.send(kind, **fields)
        await self.send("conversation.item.retrieve", item_id="nowhere", event_id="mark")
        events = await self.until_marked()
        return events[:-1]

    async def until_marked(self) -> list[dict[str, Any]]:
        """Every event up to the answer to a mark."""
        events = [await self.next()]
        while events[-1].get("error", {}).get("event_id") != "mark":
            events.append(await self.next())
        return events


@asynccontextmanager
async def client_of(model: ScriptedServer) -> AsyncIterator[Client]:
    """A client that has been greeted."""
    async with connect(f"{model.url}/realtime?model=m", compression=None) as websocket:
        client = Client(websocket)
        assert (await client.next())["type"] == "session.created"
        yield client


async def everything(websocket: ClientConnection) -> list[str | bytes]:
    """What comes until the connection ends, however it does."""
    messages = []
    with suppress(ConnectionClosed):
        while True:
            messages.append(await asyncio.wait_for(websocket.recv(), TIMEOUT_S))
    return messages


def message(text: str = "hi", **more: Any) -> Event:
    """An item of the user's."""
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **more}


def kinds(events: list[Event]) -> list[str]:
    """The types of events, in order."""
    return [event["type"] for event in events]
