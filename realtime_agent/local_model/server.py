"""The embedded model on a websocket: OpenAI's GA Realtime protocol at ws://HOST:PORT/v1/realtime.

Any key and any model name will do. It speaks with one voice whatever voice is asked for, knows PCM at 24 kHz only, and
calls no tools. With `?intent=transcription` a session only writes down what it hears.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection
from websockets.asyncio.server import serve as serve_websocket
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from realtime_agent.addresses import base_url
from realtime_agent.config import Settings
from realtime_agent.local_model.dialogue import Dialogue
from realtime_agent.local_model.dictation import Dictation
from realtime_agent.local_model.items import new_id
from realtime_agent.local_model.outbox import Outbox
from realtime_agent.local_model.parts import Ears, Parts, load_ears, load_parts
from realtime_agent.local_model.session import SessionSettings
from realtime_agent.local_model.transcription_settings import TranscriptionSettings
from realtime_agent.realtime.events import ErrorEvent
from realtime_agent.realtime.types import ErrorDetail

__all__ = ["LocalModel", "serve"]

logger = logging.getLogger(__name__)

_MAX_MESSAGE = 16 * 2**20
"""An append may hold 15 MiB."""

_SESSIONS_OF_AN_AGENT = 3
"""One to talk to, one that hears phrases, and one that takes another's place."""

_MIN_SESSIONS = 256
"""At least so many, as others than agents may come too."""

_MAX_SESSION_S = 3600
"""An hour, as at OpenAI."""


@dataclass(frozen=True)
class LocalModel:
    """A running server."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """What clients take as their base URL."""
        return f"{base_url('ws', self.host, self.port)}/v1"


@asynccontextmanager
async def serve(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    max_connections: int | None = None,
    max_session_s: float = _MAX_SESSION_S,
    listen_only: bool = False,
    parts: Ears | None = None,
) -> AsyncIterator[LocalModel]:
    """Serve the embedded model while the context lasts. Port 0 takes any that is free.

    There may be as many sessions as the agents of a server need, unless `max_connections` says.
    With `listen_only` no voice and no brain is loaded, and only transcription sessions are accepted. `parts` replaces
    what would be loaded, ears alone or all parts; it is closed with the server.

    Raises:
        ConfigError: the `local` extra is not installed, or a setting names a model that isn't there.
        OSError: the port is taken.
    """
    if parts is None:
        parts = await asyncio.to_thread(load_ears if listen_only else load_parts, settings)
    try:
        if max_connections is None:
            max_connections = max(_MIN_SESSIONS, settings.max_agents * _SESSIONS_OF_AN_AGENT)
        handler = _Handler(parts, settings, max_connections, max_session_s)
        async with serve_websocket(
            handler.serve,
            host,
            port,
            process_request=handler.admit,
            origins=[None],  # a browser sends its page's origin: no page that the user visits may use this model
            compression=None,
            max_size=_MAX_MESSAGE,
        ) as server:
            yield LocalModel(host, _port(server))
    finally:
        await asyncio.to_thread(parts.close)


class _Handler:
    def __init__(self, parts: Ears, settings: Settings, max_connections: int, max_session_s: float) -> None:
        self._parts = parts
        self._voice = settings.default_voice
        self._max_connections = max_connections
        self._max_session_s = max_session_s
        self._connections = 0

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        url = urlsplit(request.path)
        if url.path == "/health":
            return connection.respond(HTTPStatus.OK, "ok\n")
        if url.path != "/v1/realtime":
            return connection.respond(HTTPStatus.NOT_FOUND, "The model is at /v1/realtime.\n")
        if not isinstance(self._parts, Parts) and not _wants_transcription(url.query):
            words = "This model only listens: its sessions are at /v1/realtime?intent=transcription.\n"
            return connection.respond(HTTPStatus.BAD_REQUEST, words)
        if self._connections >= self._max_connections:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "Too many sessions.\n")
        return None

    async def serve(self, connection: ServerConnection) -> None:
        self._connections += 1
        try:
            request = connection.request
            assert request is not None, "the handshake is over"
            if any("realtime=v1" in value for value in request.headers.get_all("OpenAI-Beta")):
                await _refuse_beta(connection)
                return
            await self._hold_session(connection, urlsplit(request.path).query)
        except TimeoutError:
            minutes = round(self._max_session_s / 60)
            await connection.close(1001, f"Your session hit the maximum duration of {minutes} minutes.")
        finally:
            self._connections -= 1

    async def _hold_session(self, connection: ServerConnection, query: str) -> None:
        outbox = Outbox()
        session = self._new_session(query, outbox)
        async with asyncio.timeout(self._max_session_s), asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(outbox.send_all(connection.send))
            await session.run(_messages(connection))
            writer.cancel()

    def _new_session(self, query: str, outbox: Outbox) -> Dialogue | Dictation:
        expires_at = int(time.time() + self._max_session_s)
        if _wants_transcription(query):
            return Dictation(self._parts, TranscriptionSettings(expires_at), outbox)
        assert isinstance(self._parts, Parts), "without, only transcription sessions are admitted"
        model = parse_qs(query).get("model", ["local"])[0]
        return Dialogue(self._parts, SessionSettings(model, self._voice, expires_at), outbox)


def _wants_transcription(query: str) -> bool:
    return parse_qs(query).get("intent", [""])[0] == "transcription"


async def _messages(connection: ServerConnection) -> AsyncIterator[str | bytes]:
    try:
        async for message in connection:
            yield message
    except ConnectionClosed as closed:
        logger.info("a client went away: %s", closed)


async def _refuse_beta(connection: ServerConnection) -> None:
    message = "The Realtime Beta API is not supported: remove the OpenAI-Beta header to use the GA API."
    detail = ErrorDetail(type="invalid_request_error", code="beta_api_shape_disabled", message=message)
    await connection.send(ErrorEvent(event_id=new_id("event"), error=detail).to_json())
    await connection.close(4000, "beta_api_shape_disabled")


def _port(server: Server) -> int:
    port: int = next(iter(server.sockets)).getsockname()[1]
    return port
