"""A session with a speech-to-speech model.

`Session` is all that an agent knows of the model's side; `RealtimeSession` speaks OpenAI's Realtime protocol.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from realtime_agent.errors import ModelRefused, SessionError, SessionTimeout
from realtime_agent.realtime.connection import Connection
from realtime_agent.realtime.events import (
    ClientEvent,
    ErrorEvent,
    ServerEvent,
    SessionCreated,
    SessionUpdate,
    SessionUpdated,
)
from realtime_agent.realtime.types import SessionConfig

__all__ = ["RealtimeSession", "Session"]

logger = logging.getLogger(__name__)


class Session(Protocol):
    """What an agent needs of a model."""

    async def open(self) -> None:
        """Connect and configure.

        Raises:
            SessionError: the model can't be reached, refused, or did not answer in time.
        """
        ...

    async def close(self) -> None:
        """Hang up; harmless when repeated."""
        ...

    async def append(self, pcm: bytes) -> None:
        """Send more of the user's audio, PCM16 mono 24 kHz."""
        ...

    async def send(self, event: ClientEvent) -> None:
        """Send anything else."""
        ...

    def events(self) -> AsyncIterator[ServerEvent]:
        """Everything that the model sends, until `close`.

        Raises:
            SessionError: the session was lost.
        """
        ...


class RealtimeSession:
    """A `Session` over one websocket.

    Args:
        url: `wss://…/realtime?model=…`.
        headers: Sent with the upgrade.
        config: What the session begins with.
        timeout: Seconds for the model to accept, and for it to take the settings.
    """

    def __init__(self, url: str, headers: Mapping[str, str], config: SessionConfig, *, timeout: float) -> None:
        self._url = url
        self._headers = headers
        self._config = config
        self._timeout = timeout
        self._connection: Connection | None = None
        self._numbers = itertools.count(1)

    async def open(self) -> None:
        """Connect, and wait until the model has taken the settings."""
        self._connection = connection = await Connection.open(self._url, self._headers, timeout=self._timeout)
        try:
            async with asyncio.timeout(self._timeout):
                await self._expect(connection, SessionCreated)
                await connection.send(SessionUpdate(session=self._config))
                await self._expect(connection, SessionUpdated)
        except TimeoutError:
            raise SessionTimeout(f"the model did not take its settings within {self._timeout:g} s") from None

    async def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            await self._connection.close()

    async def append(self, pcm: bytes) -> None:
        """Send more of the user's audio."""
        audio = base64.b64encode(pcm).decode("ascii")
        await self._opened.send_json('{"type":"input_audio_buffer.append","audio":"' + audio + '"}')

    async def send(self, event: ClientEvent) -> None:
        """Send any other event. It gets an id if it has none, so that an error can be told from another's."""
        if event.event_id is None:
            event.event_id = f"event_{next(self._numbers)}"
        await self._opened.send(event)

    def events(self) -> AsyncIterator[ServerEvent]:
        """Everything that the model sends."""
        return self._opened.events()

    @property
    def _opened(self) -> Connection:
        if self._connection is None:
            raise SessionError("the session is not open")
        return self._connection

    @staticmethod
    async def _expect(connection: Connection, kind: type[SessionCreated] | type[SessionUpdated]) -> None:
        """Wait for the one event; what comes before it is of no use yet.

        Raises:
            ModelRefused: the model sent an error instead.
        """
        while True:
            event = await connection.receive()
            if isinstance(event, kind):
                return
            if isinstance(event, ErrorEvent):
                raise ModelRefused(f"the model refused its settings: {event.error.message}", event.error.code)
            logger.debug("before %s came %s", kind.__name__, event.type)
