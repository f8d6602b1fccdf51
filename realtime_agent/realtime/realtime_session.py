"""A `Session` over OpenAI's Realtime protocol, which outlives its websockets.

The conversation decides what is to be said; here it is sent, and a connection is replaced when it is lost, or in good
time before the model would end it.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from realtime_agent.errors import ModelRefused, SessionError, SessionLost, SessionTimeout
from realtime_agent.realtime.actions import Action, Answer, Send, SendAudio
from realtime_agent.realtime.connection import Connection
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.events import ErrorEvent, ServerEvent, SessionCreated, SessionUpdate, SessionUpdated
from realtime_agent.realtime.renewal import Renewal
from realtime_agent.realtime.session import FunctionOutput, Lost, Report, Restored, Rotated, SessionEvent
from realtime_agent.realtime.types import ErrorDetail, ResponseConfig, SessionConfig

__all__ = ["Connector", "RealtimeSession"]

logger = logging.getLogger(__name__)

_EXPIRED = "session_expired"

_TRANSIENT = ("server_error", "rate_limit_exceeded", _EXPIRED)
"""Errors for an answer to the settings that another try may be spared."""


class Connector(Protocol):
    """Where the model is."""

    @property
    def timeout(self) -> float:
        """Seconds for each step of getting a session."""
        ...

    async def connect(self) -> Connection:
        """Open a connection.

        Raises:
            SessionLost: it can't be had now.
            SessionError: it can't be had.
        """
        ...


class RealtimeSession:
    """A session that outlives its websockets.

    Args:
        connector: Opens its connections.
        conversation: What is said in it.
        renewal: When it gets another connection.
    """

    def __init__(self, connector: Connector, conversation: Conversation, renewal: Renewal) -> None:
        self._connector = connector
        self._conversation = conversation
        self._renewal = renewal
        self._timeout = connector.timeout
        self._connection: Connection | None = None
        # A connection that replaces the present one at the next quiet moment, and one that was replaced.
        self._fresh: Connection | None = None
        self._old: Connection | None = None
        self._replaced = asyncio.Event()
        self._readers: asyncio.TaskGroup | None = None
        self._handle: Callable[[SessionEvent], None] = _ignore
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[ErrorDetail | None]] = {}

    @property
    def is_responding(self) -> bool:
        """Whether the model was asked for a response, or makes one."""
        return self._conversation.is_responding

    async def open(self) -> None:
        """Connect, and wait until the model has taken the settings."""
        self._connection = await self._connect()
        self._renewal.opened(_now())

    async def run(self, handle: Callable[[SessionEvent], None]) -> None:
        """Pass on what the model does, and keep a connection, until cancelled."""
        assert self._connection is not None, "it is open"
        self._handle = handle
        async with asyncio.TaskGroup() as self._readers:
            self._use(self._connection)
            self._readers.create_task(self._rotate())

    async def close(self) -> None:
        """Hang up."""
        for connection in (self._connection, self._fresh):
            if connection is not None:
                await connection.close()
        self._connection = self._fresh = None

    def append(self, pcm: bytes) -> None:
        """Let the model hear more of the user; while there is no connection, it is kept."""
        self._conversation.uplink.append(pcm)
        # Until it runs, the conversation has not begun: it sends what is kept when it does.
        if self._readers is not None and self._connection is not None and not self._connection.is_behind:
            self._send_audio(self._connection)

    def clear(self) -> None:
        """Let the model forget what it heard since the last turn ended."""
        self._perform(self._conversation.clear())

    def user_joined(self) -> None:
        """Somebody is there to hear."""
        self._perform(self._conversation.user_joined())

    def user_left(self) -> None:
        """Nobody is there."""
        self._perform(self._conversation.user_left())

    def interrupted(self, heard: Iterable[tuple[str, int, int]]) -> None:
        """The agent's speech was cut."""
        self._perform(self._conversation.interrupted(heard))

    def answer(self, outputs: Sequence[FunctionOutput]) -> None:
        """The calls have been made."""
        self._perform(self._conversation.answer(outputs))

    def request(self, config: ResponseConfig) -> None:
        """Ask for a response."""
        self._perform(self._conversation.create_response(None, config))

    async def update(self, config: SessionConfig) -> None:
        """Change settings."""
        await self._ask(lambda command: self._conversation.update(command, config))

    async def tell(self, text: str) -> None:
        """Add a text message of the system."""
        await self._ask(lambda command: self._conversation.tell(command, text))

    async def say(self, text: str) -> None:
        """Add a text message of the user, to be answered."""
        await self._ask(lambda command: self._conversation.say(command, text))

    async def create_response(self, config: ResponseConfig) -> None:
        """Ask for a response."""
        await self._ask(lambda command: self._conversation.create_response(command, config))

    async def commit(self) -> None:
        """Make what the user said so far a message."""
        await self._ask(self._conversation.commit)

    async def _ask(self, ask: Callable[[int], list[Action]]) -> None:
        """Let the conversation carry out a command, and wait for what comes of it."""
        command = next(self._numbers)
        answer = self._answers[command] = asyncio.get_running_loop().create_future()
        try:
            self._perform(ask(command))
            async with asyncio.timeout(self._timeout):
                error = await answer
        except TimeoutError:
            raise SessionTimeout(f"the model did not answer the command within {self._timeout:g} s") from None
        finally:
            del self._answers[command]
        if error is not None:
            raise ModelRefused(error.message, error.code)

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Send(event):
                    if self._connection is not None:
                        self._connection.send(event)
                case SendAudio():
                    if self._connection is not None:
                        self._send_audio(self._connection)
                case Answer(command, error):
                    answer = self._answers.get(command)
                    if answer is not None and not answer.done():
                        answer.set_result(error)
                case _:
                    self._handle(action)

    def _send_audio(self, connection: Connection) -> None:
        pcm = self._conversation.uplink.take()
        if pcm:
            audio = base64.b64encode(pcm).decode("ascii")
            connection.send_json('{"type":"input_audio_buffer.append","audio":"' + audio + '"}')

    def _use(self, connection: Connection) -> None:
        """Go on with this connection."""
        assert self._readers is not None, "it runs"
        self._connection = connection
        self._readers.create_task(self._read(connection))
        self._perform(self._conversation.connected())

    async def _read(self, connection: Connection) -> None:
        """Take in what comes over one connection, until another one takes its place."""
        try:
            while connection is self._connection:
                event = await connection.receive()
                if connection is not self._connection:
                    break
                _check_open(event)
                self._perform(self._conversation.handle(event))
                if self._fresh is not None:
                    self._replace_if_quiet()
        except SessionLost as lost:
            if connection is self._connection:
                await self._reconnect(lost)
        await connection.close()

    async def _reconnect(self, lost: SessionLost) -> None:
        """Get another connection for one that is lost.

        Raises:
            SessionError: none can be had.
        """
        began = _now()
        self._handle(Lost(str(lost)))
        dead, self._connection = self._connection, None
        self._perform(self._conversation.disconnected())
        if dead is not None:
            await dead.close()
        connection, self._fresh = self._fresh, None
        self._replaced.set()
        while connection is None:
            delay = self._renewal.lost(_now())
            if delay is None:
                raise SessionError(f"the model was lost and did not come back: {lost}")
            await asyncio.sleep(delay)
            try:
                connection = await self._connect()
            except SessionLost as again:
                lost = again
        self._renewal.opened(_now())
        self._use(connection)
        self._handle(Restored(_now() - began))

    async def _rotate(self) -> None:
        """Replace each connection in good time, at a quiet moment."""
        while (delay := self._renewal.rotate_in(_now())) is not None:
            if delay > 0:
                await asyncio.sleep(delay)
                continue
            try:
                fresh = await self._connect()
            except SessionError as error:
                self._handle(Report(ErrorDetail(type="rotation_failed", message=str(error))))
                self._renewal.rotation_failed(_now())
                continue
            self._replaced.clear()
            self._fresh = fresh
            self._replace_if_quiet()
            await self._replaced.wait()
            old, self._old = self._old, None
            if old is not None:
                await old.close()

    def _replace_if_quiet(self) -> None:
        fresh, old = self._fresh, self._connection
        if fresh is None or old is None or not self._conversation.is_quiet:
            return
        self._fresh, self._old = None, old
        self._perform(self._conversation.disconnected())
        self._renewal.opened(_now())
        self._use(fresh)
        self._replaced.set()
        self._handle(Rotated())

    async def _connect(self) -> Connection:
        """A connection on which the model has taken the settings.

        Raises:
            SessionLost, SessionError: as the connector, and when the model does not take them.
        """
        connection = await self._connector.connect()
        try:
            async with asyncio.timeout(self._timeout):
                await _expect(connection, SessionCreated)
                connection.send(SessionUpdate(session=self._conversation.config))
                await _expect(connection, SessionUpdated)
        except BaseException as error:
            await connection.close()
            if isinstance(error, TimeoutError):
                raise SessionTimeout(f"the model did not take its settings within {self._timeout:g} s") from None
            raise
        return connection


def _check_open(event: ServerEvent) -> None:
    """Some servers tell that a session is over, and let its connection be.

    Raises:
        SessionLost: this is such a word.
    """
    if isinstance(event, ErrorEvent) and event.error.code == _EXPIRED:
        raise SessionLost(event.error.message)


async def _expect(connection: Connection, kind: type[ServerEvent]) -> None:
    """Wait for the one event; what comes before it is of no use yet.

    Raises:
        ModelRefused: the model sent an error instead.
        SessionLost: it sent one that may pass.
    """
    while True:
        event = await connection.receive()
        if isinstance(event, kind):
            return
        if isinstance(event, ErrorEvent):
            error = event.error
            message = f"the model refused its settings: {error.message}"
            if error.code in _TRANSIENT or error.type in _TRANSIENT:
                raise SessionLost(message)
            raise ModelRefused(message, error.code)
        logger.debug("before %s came %s", kind.__name__, event.type)


def _now() -> float:
    """The loop's own clock, by which it also sleeps."""
    return asyncio.get_running_loop().time()


def _ignore(_event: SessionEvent) -> None:
    """Before it runs, nobody listens."""
