"""One client's connection to a scripted server."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from realtime_agent.testing.acknowledge import acknowledge, error, read
from realtime_agent.testing.conversation import Conversation
from realtime_agent.testing.faults import Cut, Fault, HangUp, Mute, RefuseSettings, StopReading
from realtime_agent.testing.habits import Habits
from realtime_agent.testing.outputs import Event
from realtime_agent.testing.received import Received
from realtime_agent.testing.script import Script

__all__ = ["Handler", "ScriptedConnection"]

logger = logging.getLogger(__name__)


class ScriptedConnection(Script):
    """A connection; a `ScriptedServer` makes one for each client that comes.

    Attributes:
        headers: What the client sent with the upgrade.
        path: What it asked for, with the query.
    """

    def __init__(
        self, websocket: ServerConnection, habits: Habits, handlers: Mapping[str, Handler], fault: Fault | None
    ) -> None:
        assert websocket.request is not None, "the handshake is over"
        self.headers = dict(websocket.request.headers.raw_items())
        self.path = websocket.request.path
        self._websocket = websocket
        self._habits = habits
        self._handlers = handlers
        self._fault = fault
        self._received = Received()
        self._hangs = False
        self._beside: list[asyncio.Task[None]] = []
        model = parse_qs(urlsplit(self.path).query).get("model", ["scripted"])[0]
        self._conversation = Conversation(habits.ids, model)

    @property
    def conversation(self) -> Conversation:
        """What the model knows of its conversation."""
        return self._conversation

    @property
    def received(self) -> list[Event]:
        """Every event that came, in order."""
        return self._received.events

    @property
    def is_open(self) -> bool:
        """Whether neither side has hung up."""
        return self._websocket.close_code is None

    async def send(self, event: str | Mapping[str, Any], /, **fields: Any) -> None:
        """Emit one event, as `Script.send` says."""
        whole = {"type": event, **fields} if isinstance(event, str) else {**event, **fields}
        if self._habits.delay_s:
            await asyncio.sleep(self._habits.delay_s)
        self._conversation.note(whole)
        await self._websocket.send(json.dumps({"event_id": self._habits.ids.new("event")} | whole))

    async def send_raw(self, message: str | bytes) -> None:
        """Emit what need not be an event, as `Script.send_raw` says."""
        await self._websocket.send(message)

    async def expect(
        self, kind: str, nth: int | None = None, /, *, timeout: float | None = None, **fields: Any
    ) -> Event:
        """Wait for an event of the client's, as `Script.expect` says; not longer than the connection lasts."""
        found: list[Event] = []

        def is_over() -> bool:
            found.extend(self.take(kind, nth, fields))
            return bool(found) or not self.is_open

        await self._habits.wait(is_over, timeout)
        if not found:
            raise AssertionError(self.missing(kind, nth, fields))
        return found[0]

    def take(self, kind: str, nth: int | None, fields: Mapping[str, Any]) -> list[Event]:
        """What `expect` gives, if it is there already."""
        event = self._received.take(kind, nth, fields)
        return [] if event is None else [event]

    def missing(self, kind: str, nth: int | None, fields: Mapping[str, Any]) -> str:
        """What `expect` says if it did not come."""
        state = "" if self.is_open else f" (and the connection ended with {self._websocket.close_code})"
        return self._received.missing(kind, nth, fields) + state

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Hang up on the client, in order."""
        await self._websocket.close(code, reason)

    def cut(self) -> None:
        """Break the connection without a word, as a network would."""
        self._websocket.transport.abort()

    def stop_reading(self) -> None:
        """Read nothing more, pings neither, as a machine that hangs. It can be cut still."""
        self._hangs = True
        self._websocket.transport.pause_reading()

    def give_up(self) -> None:
        """Let go of a client that would hear no goodbye."""
        if self._hangs:
            self.cut()

    async def ended(self) -> int | None:
        """Wait until the connection is over; gives the close code, 1006 if there was no goodbye.

        Raises:
            AssertionError: it goes on.
        """
        if not await self._habits.wait(lambda: not self.is_open, None):
            raise AssertionError("the connection did not end")
        return self._websocket.close_code

    async def run(self) -> None:
        """Be the server's side until the connection is over."""
        async with asyncio.TaskGroup() as tasks:
            try:
                await self._converse(tasks)
            except ConnectionClosed as closed:
                logger.debug("a client went away: %s", closed)
            for task in self._beside:
                task.cancel()
        await self._habits.changed()

    async def _converse(self, tasks: asyncio.TaskGroup) -> None:
        match self._fault:
            case HangUp(at_once=True) | Cut(at_once=True):
                await self._leave(self._fault)
                return
            case StopReading():
                self.stop_reading()
        if not isinstance(self._fault, Mute):
            await self.send("session.created", session=self._conversation.session)
        if self._hangs:
            await self._websocket.wait_closed()
        async for message in self._websocket:
            if not self._hangs:
                await self._take(message, tasks)

    async def _take(self, message: str | bytes, tasks: asyncio.TaskGroup) -> None:
        event, refusals = read(message)
        kind = event.get("type", "")
        handler = None if refusals else self._handlers.get(kind)
        answers = refusals
        if kind not in self._habits.silent_on and not isinstance(self._fault, Mute):
            if not refusals and handler is None:
                answers = self._answers(event)
            with suppress(ConnectionClosed):  # what the client sent before it went is taken all the same
                await self.send_all(answers)
        if kind == "response.create" and not answers:
            self._conversation.requests.append(event.get("response") or {})
        if event:
            self.received.append(event)
            await self._habits.changed()
        if handler is not None:
            self._beside.append(tasks.create_task(self._handle(handler, event)))
        if kind == "session.update" and not refusals and isinstance(self._fault, HangUp | Cut):
            self._beside.append(tasks.create_task(self._leave(self._fault)))

    def _answers(self, event: Event) -> list[Event]:
        if event["type"] == "session.update" and isinstance(self._fault, RefuseSettings):
            return [error(self._fault.code, self._fault.message, event_id=event.get("event_id"))]
        return acknowledge(event, self._conversation)

    async def _handle(self, handler: Handler, event: Event) -> None:
        try:
            await handler(self, event)
        except ConnectionClosed:
            logger.debug("a client went away while it was answered")
        except Exception as failure:  # noqa: BLE001  # whatever it is, the test gets it
            self._habits.failures.append(failure)
            await self._habits.changed()

    async def _leave(self, fault: HangUp | Cut) -> None:
        await asyncio.sleep(fault.after_s)
        if isinstance(fault, Cut):
            self.cut()
        else:
            await self.close(fault.code, fault.reason)

    async def _ready(self) -> None:
        return


Handler = Callable[[ScriptedConnection, Event], Awaitable[None]]
"""Answers a client's event in a test's own way, on the connection that it came on."""
