"""Connections in memory, for tests of a session by a clock that jumps."""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from realtime_agent.errors import SessionError, SessionLost
from realtime_agent.realtime import events as ev
from realtime_agent.realtime.connection import Connection
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.realtime_session import RealtimeSession
from realtime_agent.realtime.renewal import Renewal
from realtime_agent.realtime.types import SessionConfig
from tests.realtime.sessions import CONFIG, Ear, running
from tests.virtual_time import run_in_virtual_time

__all__ = ["MemoryConnection", "MemoryConnector", "Talk", "take", "talk"]

E = TypeVar("E", bound=ev.ClientEvent)

Model = Callable[["MemoryConnection", ev.ClientEvent], None]
"""What a model does about what it is sent."""


class MemoryConnection(Connection):
    """A model that takes its settings, and else says what the test lets it say.

    Attributes:
        sent: What it was sent.
        is_closed: Whether its client has hung up.
        is_slow: Whether it takes very long to hang up.
        is_dead: Whether what it is sent goes nowhere.
        behind: Whether it takes what it is sent too slowly.
        model: What it does about what it is sent.
    """

    def __init__(self, model: Model) -> None:
        self.sent: list[ev.ClientEvent] = []
        self.is_closed = self.is_slow = self.is_dead = False
        self.behind = False
        self.model = model
        self._events: deque[ev.ServerEvent | SessionError] = deque([ev.SessionCreated()])
        self._changed = asyncio.Event()

    @property
    def is_open(self) -> bool:
        return not self.is_closed and not any(isinstance(event, SessionError) for event in self._events)

    @property
    def is_behind(self) -> bool:
        return self.behind

    def send(self, event: ev.ClientEvent) -> None:
        self.sent.append(event)
        self.model(self, event)

    def send_audio(self, pcm: bytes) -> None:
        self.send(ev.InputAudioBufferAppend(audio=base64.b64encode(pcm).decode()))

    async def run(self, handle: Callable[[ev.ServerEvent], None]) -> None:
        while True:
            handle(await self.receive())

    async def ping(self) -> None:
        while self.is_dead:
            await asyncio.sleep(1)

    async def receive(self) -> ev.ServerEvent:
        while not self._events:
            if self.is_closed:
                raise SessionLost("closed")
            self._changed.clear()
            await self._changed.wait()
        event = self._events.popleft()
        if isinstance(event, SessionError):
            raise event
        return event

    async def close(self) -> None:
        if self.is_slow:
            await asyncio.sleep(1000)
        self.is_closed = True
        self._changed.set()

    def says(self, *events: ev.ServerEvent | SessionError) -> None:
        """Let it say these, or break with an error."""
        self._events.extend(events)
        self._changed.set()

    def of_type(self, kind: type[E]) -> list[E]:
        """What it was sent of one type."""
        return [event for event in self.sent if isinstance(event, kind)]

    @property
    def audio(self) -> bytes:
        """The user's voice that it was sent."""
        return b"".join(base64.b64decode(event.audio) for event in self.of_type(ev.InputAudioBufferAppend))

    @property
    def settings(self) -> SessionConfig:
        """What it was told first."""
        told = self.of_type(ev.SessionUpdate)[0].session
        assert isinstance(told, SessionConfig)
        return told


class MemoryConnector:
    """Where the connections come from.

    Attributes:
        connections: All there were, in order.
        failures: How the next tries fail, in order; `None` is one that does not.
        tries: When each try was made.
        model: Whom they lead to.
    """

    timeout = 10.0

    def __init__(self) -> None:
        self.connections: list[MemoryConnection] = []
        self.failures: deque[SessionError | None] = deque()
        self.tries: list[float] = []
        self.model: Model = take

    async def connect(self) -> Connection:
        self.tries.append(asyncio.get_running_loop().time())
        if self.failures and (failure := self.failures.popleft()) is not None:
            raise failure
        connection = MemoryConnection(lambda connection, event: self.model(connection, event))
        self.connections.append(connection)
        return connection

    @property
    def newest(self) -> MemoryConnection:
        """The connection that was made last."""
        return self.connections[-1]


def take(connection: MemoryConnection, event: ev.ClientEvent) -> None:
    """Accept what commands ask."""
    match event:
        case ev.SessionUpdate():
            connection.says(ev.SessionUpdated())
        case ev.ItemCreate():
            connection.says(ev.ItemAdded(item=event.item))


class Talk:
    """A session that runs in memory, and both its ends."""

    def __init__(self, session: RealtimeSession, connector: MemoryConnector, ear: Ear) -> None:
        self.session = session
        self.connector = connector
        self.ear = ear

    async def settle(self, seconds: float = 0) -> None:
        """Let so much time pass, and everything happen that is due by then."""
        await asyncio.sleep(seconds)
        for _ in range(20):
            await asyncio.sleep(0)


def talk(
    happens: Callable[[Talk], Coroutine[Any, Any, None]],
    *,
    config: SessionConfig = CONFIG,
    rotate_s: float = 0,
    patience_s: float = 30,
    command_timeout_s: float = 5,
    **choices: Any,
) -> Talk:
    """Let this happen in a session that runs."""
    connector, ear = MemoryConnector(), Ear()
    renewal = Renewal(rotate_s=rotate_s, reconnect_timeout_s=patience_s, jitter=lambda: 0)

    async def run() -> Talk:
        conversation = Conversation(config, **choices)
        session = RealtimeSession(connector, conversation, renewal, command_timeout_s=command_timeout_s)
        talk = Talk(session, connector, ear)
        async with running(session, ear):
            await talk.settle()
            await happens(talk)
        return talk

    return run_in_virtual_time(run())
