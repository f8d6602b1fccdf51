"""One websocket to a Realtime server: events in, events out."""

from __future__ import annotations

import logging
import socket
import ssl
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import broadcast
from websockets.exceptions import (
    ConnectionClosed,
    InvalidMessage,
    InvalidProxy,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidURI,
    ProxyError,
    WebSocketException,
)
from websockets.protocol import State

from realtime_agent.addresses import is_loopback
from realtime_agent.errors import InvalidEvent, SessionError, SessionLost, SessionTimeout
from realtime_agent.realtime.events import ClientEvent, ErrorEvent, ServerEvent, UnknownEvent, parse_server_event
from realtime_agent.realtime.failures import closed, refused, without_secrets
from realtime_agent.text import one_line

__all__ = ["Connection"]

logger = logging.getLogger(__name__)

_MAX_MESSAGE = 16 * 2**20
"""Bytes: above the 15 MiB that the Realtime API allows for one event."""

_MAX_UNSENT = 16 * 2**20
"""Bytes that may wait to be sent: one event of any size. A server that leaves more than that has stopped to read."""

_BEHIND = 64 * 2**10
"""Bytes: more than a second of audio."""

_CLOSE_TIMEOUT_S = 1.0

_PING_S = 5.0
_PONG_TIMEOUT_S = 9.0
"""With the ping and the close timeout: a dead network is known within 15 s."""

_MAX_WORDS = 500
"""Characters of an error that are passed on."""

_SHORTEST_KEY = 8
"""Characters; a word that is shorter is no key, and would only make messages unreadable."""

_NO_SECRETS = ("model", "api-version", "deployment")
"""What an address may say that anybody may know."""

_MAX_UNKNOWN_TYPES = 50
_MAX_TYPE = 100
_OTHER_TYPES = "…"
"""Where the types beyond so many are counted together."""


class Connection:
    """An open websocket; `open` makes one.

    What is sent waits in the transport's own buffer, which the event loop empties: no task has to be woken for it.

    Attributes:
        unknown: How many events came of each type that this version does not know, or that lacked what they must have.
        malformed: How many messages came that are no event at all.
    """

    def __init__(self, websocket: ClientConnection, secrets: Collection[str] = ()) -> None:
        self.unknown: Counter[str] = Counter()
        self.malformed = 0
        self._websocket = websocket
        self._secrets = secrets
        self._overflowed = False
        self._is_closed = False

    @classmethod
    async def open(cls, url: str, headers: Mapping[str, str], *, timeout: float) -> Self:
        """Connect to `wss://…/realtime?model=…`; `headers` carry the key, `timeout` is in seconds.

        Raises:
            SessionLost: the server can't be reached, is not able to serve now, or did not answer in time.
            SessionError: it refused, its certificate is not trusted, or the address is none.
        """
        secrets = _secrets(url, headers)
        try:
            websocket = await _Connect(
                url,
                additional_headers=dict(headers),
                # Base64 of audio hardly shrinks, and compressing it costs more than all the rest.
                compression=None,
                max_size=_MAX_MESSAGE,
                # Never reached: above it the library's pings and its goodbye would first wait for the server to read,
                # and their timeouts begin only then.
                write_limit=2 * _MAX_UNSENT,
                # No proxy reaches this machine for us, whatever the environment says.
                proxy=None if is_loopback(urlsplit(url).hostname or "") else True,
                open_timeout=timeout,
                close_timeout=_CLOSE_TIMEOUT_S,
                ping_interval=_PING_S,
                ping_timeout=_PONG_TIMEOUT_S,
            )
        except TimeoutError:
            raise SessionTimeout(f"the model did not accept the connection within {timeout:g} s") from None
        except socket.gaierror as error:
            # Its words name no host.
            raise SessionLost(f"the model can't be reached at {urlsplit(url).hostname}: {error.strerror}") from None
        except (OSError, ValueError, ImportError, WebSocketException) as error:
            raise _not_opened(error, secrets) from None
        return cls(websocket, secrets)

    async def close(self) -> None:
        """Send what waits and hang up, which takes a second at most; harmless when repeated."""
        if not self._is_closed:
            self._is_closed = True
            self._log_ignored()
        try:
            await self._websocket.close()
        finally:
            # Where the close was cancelled.
            self._websocket.transport.abort()

    @property
    def is_open(self) -> bool:
        """Whether nobody has hung up yet, as far as is known."""
        return self._websocket.state is State.OPEN

    @property
    def is_behind(self) -> bool:
        """Whether so much waits to be sent that audio had better wait."""
        return self._websocket.transport.get_write_buffer_size() > _BEHIND

    def send(self, event: ClientEvent) -> None:
        """Send one event, after those before it. Once the connection is closed it is lost, which `receive` tells."""
        self.send_json(event.to_json())

    def send_json(self, message: str) -> None:
        """Send an event that is JSON already; for the hot path."""
        transport = self._websocket.transport
        if transport.is_closing():
            return
        data = message.encode("utf-8", "replace")
        if len(data) + transport.get_write_buffer_size() > _MAX_UNSENT:
            self._overflowed = True
            transport.abort()
        else:
            # The library's way to send without waiting, to one as to many.
            broadcast((self._websocket,), data, text=True)

    async def ping(self) -> None:
        """Return when the other side has had all that was sent before; the library sees that it does not take for ever.

        Raises:
            SessionLost, SessionError: as `receive`.
        """
        try:
            pong = await self._websocket.ping()
            await pong
        except ConnectionClosed as error:
            raise self._closed(error) from None

    async def receive(self) -> ServerEvent:
        """The next event. What an error says is one line, without the key.

        Raises:
            SessionLost: the connection broke, or was closed; another one may do.
            SessionError: the server closed it, and would close another one.
        """
        while True:
            try:
                message = await self._websocket.recv(decode=False)
            except ConnectionClosed as error:
                raise self._closed(error) from None
            try:
                event = parse_server_event(message)
            except InvalidEvent as error:
                self._count_malformed(len(message), error)
                continue
            if isinstance(event, UnknownEvent):
                self._count_unknown(event)
            elif isinstance(event, ErrorEvent):
                event.error.message = self._without_secrets(event.error.message)
            return event

    def _closed(self, error: ConnectionClosed) -> SessionError:
        if self._overflowed:
            return SessionLost("the connection to the model was cut: the model does not read what it is sent")
        if self._is_closed:
            return SessionLost("the connection to the model is closed")
        if error.rcvd is None:
            # What the library gave up for: no pong, or a message that is none. A word of ours is never final.
            return closed(None, error.sent.reason if error.sent else "")
        return closed(error.rcvd.code, self._without_secrets(error.rcvd.reason))

    def _without_secrets(self, words: str) -> str:
        return one_line(without_secrets(words, self._secrets), _MAX_WORDS)

    def _count_unknown(self, event: UnknownEvent) -> None:
        kind = one_line(event.type, _MAX_TYPE)
        if kind not in self.unknown and len(self.unknown) >= _MAX_UNKNOWN_TYPES:
            kind = _OTHER_TYPES
        self.unknown[kind] += 1
        level = logging.INFO if self.unknown[kind] == 1 else logging.DEBUG
        logger.log(level, "an event of a type that is not known, or without what it must have: %s", kind)

    def _count_malformed(self, size: int, error: InvalidEvent) -> None:
        self.malformed += 1
        level = logging.WARNING if self.malformed == 1 else logging.DEBUG
        logger.log(level, "ignored a message of %d bytes that is no event: %s", size, one_line(str(error)))

    def _log_ignored(self) -> None:
        if self.unknown or self.malformed:
            logger.info(
                "the model sent %d events of %d types that are not known, and %d messages that are no event",
                self.unknown.total(),
                len(self.unknown),
                self.malformed,
            )


class _Connect(connect):
    """A connect that follows no redirect: the library would take all headers but Authorization to another host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def _secrets(url: str, headers: Mapping[str, str]) -> set[str]:
    """What no message may repeat: what the headers say, each whole and in words, and what an address has of a key."""
    told = {part for value in headers.values() for part in (value, *value.split()) if len(part) >= _SHORTEST_KEY}
    with suppress(ValueError):  # an address that is none, as whoever opens it is told
        parts = urlsplit(url)
        told |= {value for name, value in parse_qsl(parts.query) if name not in _NO_SECRETS}
        told |= {parts.password} if parts.password else set()
    return told


def _not_opened(error: Exception, secrets: Collection[str]) -> SessionError:
    """Why there is no connection."""
    match error:
        case InvalidStatus(response=response) | InvalidProxyStatus(response=response):
            who = "model" if isinstance(error, InvalidStatus) else "proxy"
            content_type = ", ".join(response.headers.get_all("Content-Type"))
            return refused(who, response.status_code, content_type, bytes(response.body), secrets)
        case ssl.SSLCertVerificationError():
            return SessionError(f"the model's certificate is not trusted: {one_line(error.verify_message)}")
        case InvalidURI():
            # All of it would show the query, which may have a key in it.
            words, kind = error.msg, SessionError
        case InvalidProxy():
            # The same of its password.
            words, kind = f"the proxy's address is wrong: {error.msg}", SessionError
        case ConnectionResetError():
            words, kind = "it hung up; is it the right port, and the right one of ws:// and wss://?", SessionLost
        case InvalidMessage() | ProxyError() | OSError():
            # What took the connection hung up again, or nothing is there to take it.
            words, kind = str(error), SessionLost
        case _:
            # A ValueError is a malformed address; an ImportError a proxy of a kind that needs another package.
            words, kind = str(error), SessionError
    return kind(f"the model can't be reached: {one_line(without_secrets(words, secrets))}")
