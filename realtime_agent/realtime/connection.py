"""One websocket to a Realtime server: events in, events out."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from typing import Self
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from realtime_agent.addresses import is_loopback
from realtime_agent.errors import InvalidEvent, SessionError, SessionTimeout
from realtime_agent.realtime.events import ClientEvent, ServerEvent, UnknownEvent, parse_server_event

__all__ = ["Connection"]

logger = logging.getLogger(__name__)

_MAX_MESSAGE = 16 * 2**20
"""Bytes: above the 15 MiB that the Realtime API allows for one event."""

_CLOSE_TIMEOUT_S = 1.0
_PING_S = 20.0


class Connection:
    """An open websocket; `open` makes one."""

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket

    @classmethod
    async def open(cls, url: str, headers: Mapping[str, str], *, timeout: float) -> Self:
        """Connect to `wss://…/realtime?model=…`; `headers` carry the key, `timeout` is in seconds.

        Raises:
            SessionError: the server can't be reached, refused, or did not answer in time.
        """
        try:
            websocket = await connect(
                url,
                additional_headers=dict(headers),
                # Base64 of audio hardly shrinks, and compressing it costs more than all the rest.
                compression=None,
                max_size=_MAX_MESSAGE,
                # No proxy reaches this machine for us, whatever the environment says.
                proxy=None if is_loopback(urlsplit(url).hostname or "") else True,
                open_timeout=timeout,
                close_timeout=_CLOSE_TIMEOUT_S,
                ping_interval=_PING_S,
                ping_timeout=_PING_S,
            )
        except TimeoutError:
            raise SessionTimeout(f"the model did not accept the connection within {timeout:g} s") from None
        except InvalidStatus as error:
            raise SessionError(f"the model refused the connection: HTTP {error.response.status_code}") from None
        except (OSError, ValueError, ImportError, WebSocketException) as error:
            # A ValueError is a malformed address; an ImportError a proxy of a kind that needs another package.
            raise SessionError(f"the model can't be reached: {error}") from None
        return cls(websocket)

    async def close(self) -> None:
        """Close it; waits a second at most for the server's goodbye."""
        await self._websocket.close()

    async def send(self, event: ClientEvent) -> None:
        """Send one event; waits while the network is slower than we are.

        Raises:
            SessionError: the connection is closed.
        """
        await self.send_json(event.to_json())

    async def send_json(self, message: str) -> None:
        """Send an event that is JSON already; for the hot path."""
        try:
            await self._websocket.send(message)
        except ConnectionClosed as error:
            raise _closed(error) from None

    async def receive(self) -> ServerEvent:
        """The next event.

        Raises:
            SessionError: the connection is closed.
        """
        while True:
            try:
                message = await self._websocket.recv(decode=False)
            except ConnectionClosed as error:
                raise _closed(error) from None
            try:
                event = parse_server_event(message)
            except InvalidEvent as error:
                logger.warning("ignored a message of %d bytes that is no event: %s", len(message), error)
                continue
            if isinstance(event, UnknownEvent):
                logger.debug("an event of a type that is not known, or without what it must have: %s", event.type)
            return event

    async def events(self) -> AsyncIterator[ServerEvent]:
        """Every event until the connection closes.

        Raises:
            SessionError: it closed.
        """
        while True:
            yield await self.receive()


def _closed(error: ConnectionClosed) -> SessionError:
    if error.rcvd is None:
        return SessionError("the connection to the model was lost")
    reason = f": {error.rcvd.reason}" if error.rcvd.reason else ""
    return SessionError(f"the model closed the connection with {error.rcvd.code}{reason}")
