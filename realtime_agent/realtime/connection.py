"""One websocket to a Realtime server: events in, events out."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Self
from urllib.parse import parse_qsl, urlsplit

import pybase64

from realtime_agent.errors import InvalidEvent, SessionError, SessionLost
from realtime_agent.realtime.events import ClientEvent, ErrorEvent, ServerEvent, UnknownEvent, parse_server_event
from realtime_agent.realtime.failures import closed, without_secrets
from realtime_agent.realtime.opening import open_transport
from realtime_agent.realtime.websocket import WebSocket
from realtime_agent.text import one_line

__all__ = ["Connection"]

logger = logging.getLogger(__name__)

_MAX_UNSENT = 16 * 2**20
"""Bytes that may wait to be sent: one event of any size. A server that leaves more than that has stopped to read."""

_BEHIND = 64 * 2**10
"""Bytes: more than a second of audio."""

_MAX_WAITING = 16
"""Messages that may wait for whoever takes them; further ones wait in the network."""

_APPEND = b'{"type":"input_audio_buffer.append","audio":"%b"}'

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

    Events are handled as they come, in the callback of the socket, and what is sent waits in the transport's own
    buffer, which the event loop empties: no task has to be woken for either.

    Attributes:
        unknown: How many events came of each type that this version does not know, or that lacked what they must have.
        malformed: How many messages came that are no event at all.
    """

    def __init__(self, transport: asyncio.Transport, received: bytes = b"", secrets: Collection[str] = ()) -> None:
        self.unknown: Counter[str] = Counter()
        self.malformed = 0
        self._secrets = secrets
        self._overflowed = False
        self._is_closed = False
        self._has_ended = False
        # What came before somebody took it, as it came, and whether it was text.
        self._waiting: deque[tuple[bytes, bool]] = deque()
        self._handle: Callable[[ServerEvent], None] | None = None
        # Whoever waits for a message, or for the end.
        self._taker: asyncio.Future[None] | None = None
        self._websocket = WebSocket(self, transport)
        self._websocket.begin(received)

    @classmethod
    async def open(cls, url: str, headers: Mapping[str, str], *, timeout: float) -> Self:
        """Connect to `wss://…/realtime?model=…`; `headers` carry the key, `timeout` is in seconds.

        Raises:
            SessionLost: the server can't be reached, is not able to serve now, or did not answer in time.
            SessionError: it refused, its certificate is not trusted, or the address is none.
        """
        secrets = _secrets(url, headers)
        return cls(*await open_transport(url, headers, secrets, timeout=timeout), secrets)

    async def close(self) -> None:
        """Send what waits and hang up, which takes a second at most; harmless when repeated."""
        if not self._is_closed:
            self._is_closed = True
            self._log_ignored()
        self._waiting.clear()
        await self._websocket.close()

    @property
    def is_open(self) -> bool:
        """Whether nobody has hung up yet, as far as is known."""
        return self._websocket.is_open

    @property
    def is_behind(self) -> bool:
        """Whether so much waits to be sent that audio had better wait."""
        return self._websocket.unsent > _BEHIND

    def send(self, event: ClientEvent) -> None:
        """Send one event, after those before it. Once the connection is closed it is lost, which `run` tells."""
        self.send_json(event.to_json())

    def send_json(self, message: str) -> None:
        """Send an event that is JSON already."""
        self._send(message.encode("utf-8", "replace"))

    def send_audio(self, pcm: bytes) -> None:
        """Let the model hear more of the user."""
        self._send(_APPEND % pybase64.b64encode(pcm))

    async def ping(self) -> None:
        """Return when the other side has had all that was sent before; it is seen that it does not take for ever.

        Raises:
            SessionLost, SessionError: as `receive`.
        """
        if not await self._websocket.ping():
            raise self._closed()

    async def receive(self) -> ServerEvent:
        """The next event. What an error says is one line, without the key.

        Raises:
            SessionLost: the connection broke, or was closed; another one may do.
            SessionError: the server closed it, and would close another one.
        """
        while True:
            while self._waiting:
                if (event := self._next_event()) is not None:
                    return event
            await self._more()

    async def run(self, handle: Callable[[ServerEvent], None]) -> None:
        """Pass on what waits, and then each event at the moment when it comes, until the connection ends.

        Raises:
            SessionLost, SessionError: as `receive`.
            Exception: what `handle` raised; it gets no more.
        """
        while self._waiting:
            if (event := self._next_event()) is not None:
                handle(event)
        self._handle = handle
        try:
            await self._more()
        finally:
            self._handle = None

    def message_received(self, message: bytes, *, is_text: bool) -> None:
        """The websocket has got a message."""
        if self._handle is None:
            self._waiting.append((message, is_text))
            if len(self._waiting) > _MAX_WAITING:
                self._websocket.pause_reading()
            self._wake(None)
            return
        try:
            event = self._read(message, is_text=is_text)
            if event is not None:
                self._handle(event)
        except Exception as error:  # noqa: BLE001 - whoever runs it is told
            self._handle = None
            self._wake(error)

    def ended(self) -> None:
        """The websocket is at its end."""
        self._has_ended = True
        self._wake(self._closed())

    def _send(self, message: bytes) -> None:
        websocket = self._websocket
        if len(message) + websocket.unsent <= _MAX_UNSENT:
            websocket.send(message)
        elif websocket.is_open:
            self._overflowed = True
            websocket.abort()

    def _next_event(self) -> ServerEvent | None:
        """What has waited longest, if it is an event."""
        event = self._read(*self._waiting.popleft())
        if len(self._waiting) == _MAX_WAITING:
            self._websocket.resume_reading()
        return event

    async def _more(self) -> None:
        """Wait until there is more to take. Raises as `run`."""
        if self._has_ended:
            raise self._closed()
        self._taker = asyncio.get_running_loop().create_future()
        try:
            await self._taker
        finally:
            self._taker = None

    def _wake(self, error: Exception | None) -> None:
        if self._taker is None or self._taker.done():
            return
        if error is None:
            self._taker.set_result(None)
        else:
            self._taker.set_exception(error)

    def _read(self, message: bytes, is_text: bool) -> ServerEvent | None:
        try:
            event = parse_server_event(message)
        except InvalidEvent as error:
            if is_text and not _is_utf8(message):
                self._websocket.fail(1007, "a text that is not UTF-8")
            self._count_malformed(len(message), error)
            return None
        if isinstance(event, UnknownEvent):
            self._count_unknown(event)
        elif isinstance(event, ErrorEvent):
            event.error.message = self._without_secrets(event.error.message)
        return event

    def _closed(self) -> SessionError:
        if self._overflowed:
            return SessionLost("the connection to the model was cut: the model does not read what it is sent")
        if self._is_closed:
            return SessionLost("the connection to the model is closed")
        if self._websocket.goodbye is None:
            # Where it was given up here: a word of ours is never final.
            return closed(None, self._websocket.failure)
        code, reason = self._websocket.goodbye
        return closed(code, self._without_secrets(reason))

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


def _secrets(url: str, headers: Mapping[str, str]) -> set[str]:
    """What no message may repeat: what the headers say, each whole and in words, and what an address has of a key."""
    told = {part for value in headers.values() for part in (value, *value.split()) if len(part) >= _SHORTEST_KEY}
    with suppress(ValueError):  # an address that is none, as whoever opens it is told
        parts = urlsplit(url)
        told |= {value for name, value in parse_qsl(parts.query) if name not in _NO_SECRETS}
        told |= {parts.password} if parts.password else set()
    return told


def _is_utf8(message: bytes) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True
