"""A Realtime server that does what a test says, and remembers what it was sent."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

__all__ = ["ScriptedServer", "scripted_server"]

_TIMEOUT_S = 20


class ScriptedServer:
    """Greets and takes settings as the real one; everything else is the test's."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        self.path = ""
        self.refuse_connection: HTTPStatus | None = None
        self.refuse_settings = False
        self.ignore_settings = False
        self.silent = False
        self._arrived = asyncio.Condition()
        self._connection: ServerConnection | None = None
        self._connected = asyncio.Event()

    def answer_upgrade(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.refuse_connection is None:
            return None
        return connection.respond(self.refuse_connection, "go away\n")

    async def handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.headers = dict(connection.request.headers.raw_items())
        self.path = connection.request.path
        self._connection = connection
        self._connected.set()
        if not self.silent:
            await self.send("session.created", session={"type": "realtime"})
        async for message in connection:
            event = json.loads(message)
            if event["type"] == "session.update" and not self.silent and not self.ignore_settings:
                await self._take_settings(event)
            async with self._arrived:
                self.received.append(event)
                self._arrived.notify_all()

    async def _take_settings(self, event: dict[str, Any]) -> None:
        if self.refuse_settings:
            await self.send("error", error={"type": "invalid_request_error", "message": "no such model", "code": "x"})
        else:
            await self.send("session.updated", session=event["session"])

    async def send(self, kind: str, **fields: Any) -> None:
        """Emit one event."""
        await self.send_raw(json.dumps({"type": kind, "event_id": "e", **fields}))

    async def send_raw(self, message: str | bytes) -> None:
        """Emit what need not be an event."""
        await asyncio.wait_for(self._connected.wait(), _TIMEOUT_S)
        assert self._connection is not None
        await self._connection.send(message)

    async def close(self, code: int, reason: str = "") -> None:
        """Hang up on the client."""
        assert self._connection is not None
        await self._connection.close(code, reason)

    def abort(self) -> None:
        """Break the connection, as a network would."""
        assert self._connection is not None
        self._connection.transport.abort()

    async def expect(self, kind: str, count: int = 1) -> dict[str, Any]:
        """The `count`-th event of this type, once it has come."""

        def found() -> list[dict[str, Any]]:
            return [event for event in self.received if event["type"] == kind]

        async with asyncio.timeout(_TIMEOUT_S), self._arrived:
            await self._arrived.wait_for(lambda: len(found()) >= count)
        return found()[count - 1]

    async def speak(self, pcm: bytes, text: str = "hello", *, response: str = "r1", item: str = "i1") -> None:
        """A whole reply."""
        await self.send("response.created", response={"id": response})
        await self.delta(pcm, response=response, item=item)
        where = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        await self.send("response.output_audio_transcript.delta", delta=text, **where)
        await self.send("response.output_audio.done", **where)
        await self.send("response.output_audio_transcript.done", transcript=text, **where)
        usage = {"total_tokens": 5, "input_tokens": 2, "output_tokens": 3}
        await self.send("response.done", response={"id": response, "status": "completed", "usage": usage})

    async def delta(self, pcm: bytes, *, response: str = "r1", item: str = "i1") -> None:
        """Some audio of a reply."""
        where = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        await self.send("response.output_audio.delta", delta=base64.b64encode(pcm).decode(), **where)


@asynccontextmanager
async def scripted_server() -> AsyncIterator[ScriptedServer]:
    """Run one on a free port."""
    script = ScriptedServer()
    async with serve(script.handle, "127.0.0.1", 0, process_request=script.answer_upgrade) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        script.url = f"ws://127.0.0.1:{port}/v1"
        yield script
