"""A Realtime server that says what a test wants it to, over a real websocket on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from realtime_agent.testing.connection import Handler, ScriptedConnection
from realtime_agent.testing.conversation import Conversation
from realtime_agent.testing.faults import Fault, Refuse
from realtime_agent.testing.habits import Habits
from realtime_agent.testing.outputs import Event
from realtime_agent.testing.script import Script

__all__ = ["ScriptedServer", "scripted_server"]

_MAX_MESSAGE = 16 * 2**20
"""Bytes: above the 15 MiB that the Realtime API allows for one event."""

_CLOSE_TIMEOUT_S = 1.0
_TIMEOUT_S = 20.0


class ScriptedServer(Script):
    """Greets its clients and acknowledges what they send, as a good server does; what it says is the test's.

    What it can say and wait for, it says on its newest connection and waits for there.

    Attributes:
        url: Its address, for `REALTIME_API_BASE_URI`.
        connections: Every connection that was accepted, in order.
        refused: How many were refused.
    """

    def __init__(self, timeout_s: float = _TIMEOUT_S) -> None:
        self.url = ""
        self.connections: list[ScriptedConnection] = []
        self.refused = 0
        self._habits = Habits(timeout_s)
        self._handlers: dict[str, Handler] = {}
        self._faults: list[Fault] = []
        self._lasting: Fault | None = None
        self._given: dict[ServerConnection, Fault | None] = {}

    @property
    def newest(self) -> ScriptedConnection:
        """The connection that came last.

        Raises:
            AssertionError: nobody has connected yet.
        """
        if not self.connections:
            raise AssertionError("nobody has connected to the scripted server yet")
        return self.connections[-1]

    @property
    def conversation(self) -> Conversation:
        """What the model knows of its conversation on the newest connection."""
        return self.newest.conversation

    @property
    def received(self) -> list[Event]:
        """Every event that came on the newest connection, in order."""
        return self.newest.received if self.connections else []

    @property
    def headers(self) -> dict[str, str]:
        """What the newest client sent with the upgrade; empty until there is one."""
        return self.newest.headers if self.connections else {}

    @property
    def path(self) -> str:
        """What the newest client asked for, with the query; empty until there is one."""
        return self.newest.path if self.connections else ""

    async def connected(self, count: int = 1) -> ScriptedConnection:
        """Wait until so many connections have been accepted since the server started; gives the last of these.

        Raises:
            AssertionError: they did not come.
        """
        if not await self._habits.wait(lambda: len(self.connections) >= count, None):
            raise AssertionError(
                f"{count} connections did not come, but {len(self.connections)} ({self.refused} refused)"
            )
        return self.connections[count - 1]

    def on(self, kind: str, handler: Handler) -> None:
        """Let a handler answer events of this type from now on, in place of the server.

        It is called with the connection and the event, and may take its time. Of invalid events it does not hear: the
        server refuses them. What it raises, the test gets: from the next `expect`, or at the end.
        """
        self._handlers[kind] = handler

    def silent_on(self, *kinds: str) -> None:
        """Answer events of these types no more."""
        self._habits.silent_on.update(kinds)

    def delay(self, seconds: float) -> None:
        """Wait so long before each event from now on, as a slow network."""
        self._habits.delay_s = seconds

    def fail(self, fault: Fault, times: int | None = None) -> None:
        """Let the next connections go wrong, so many or all; faults that are counted come first, in order."""
        if times is None:
            self._lasting = fault
        else:
            self._faults += [fault] * times

    def heal(self) -> None:
        """Let the next connections go right."""
        self._faults.clear()
        self._lasting = None

    async def send(self, event: str | Mapping[str, Any], /, **fields: Any) -> None:
        """Emit one event, as `Script.send` says."""
        await self._ready()
        await self.newest.send(event, **fields)

    async def send_raw(self, message: str | bytes) -> None:
        """Emit what need not be an event, as `Script.send_raw` says."""
        await self._ready()
        await self.newest.send_raw(message)

    async def expect(
        self, kind: str, nth: int | None = None, /, *, timeout: float | None = None, **fields: Any
    ) -> Event:
        """Wait for an event, as `Script.expect` says, on a newer connection if one comes meanwhile."""
        found: list[Event] = []

        def is_there() -> bool:
            if self.connections:
                found.extend(self.newest.take(kind, nth, fields))
            return bool(found)

        if not await self._habits.wait(is_there, timeout):
            raise AssertionError(self.newest.missing(kind, nth, fields))
        return found[0]

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Hang up on the newest client, in order."""
        await self.newest.close(code, reason)

    def cut(self) -> None:
        """Break the newest connection without a word, as a network would."""
        self.newest.cut()

    def stop_reading(self) -> None:
        """Read nothing more of the newest client, pings neither, as a machine that hangs."""
        self.newest.stop_reading()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve on a free port until the caller is done."""
        async with serve(
            self._serve,
            "127.0.0.1",
            0,
            process_request=self._admit,
            compression=None,
            max_size=_MAX_MESSAGE,
            close_timeout=_CLOSE_TIMEOUT_S,
        ) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            self.url = f"ws://127.0.0.1:{port}/v1"
            try:
                yield
            finally:
                for connection in self.connections:
                    connection.give_up()
        self._habits.check()

    def _admit(self, websocket: ServerConnection, _: Request) -> Response | None:
        fault = self._faults.pop(0) if self._faults else self._lasting
        if isinstance(fault, Refuse):
            self.refused += 1
            return websocket.respond(fault.status, fault.body)
        self._given[websocket] = fault
        return None

    async def _serve(self, websocket: ServerConnection) -> None:
        connection = ScriptedConnection(websocket, self._habits, self._handlers, self._given.pop(websocket, None))
        self.connections.append(connection)
        await self._habits.changed()
        await connection.run()

    async def _ready(self) -> None:
        await self.connected()


@asynccontextmanager
async def scripted_server(timeout_s: float = _TIMEOUT_S) -> AsyncIterator[ScriptedServer]:
    """Run one on a free port while the context lasts.

    Args:
        timeout_s: How many seconds `expect` and the like wait.

    Raises:
        Exception: a handler raised it, and nobody else got it.
    """
    script = ScriptedServer(timeout_s)
    async with script.running():
        yield script
