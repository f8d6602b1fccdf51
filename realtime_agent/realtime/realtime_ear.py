"""Hears what a user says, in words: a transcription session that outlives its connection.

It is for what must be understood whatever the agent's model does, such as "hey agent, stop". Nothing is answered, so
nothing is to be remembered: another connection simply goes on with the audio that comes.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from contextlib import suppress

from realtime_agent.errors import SessionError
from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime.connection import Connection
from realtime_agent.realtime.events import (
    ErrorEvent,
    InputAudioBufferClear,
    InputAudioBufferCleared,
    ServerEvent,
    SpeechStarted,
    SpeechStopped,
    TranscriptionCompleted,
    TranscriptionFailed,
)
from realtime_agent.realtime.handshake import Connector, connect
from realtime_agent.realtime.renewal import Renewal
from realtime_agent.realtime.session import Lost, Restored, Utterance
from realtime_agent.realtime.types import ServerVad, TranscriptionSessionConfig

__all__ = ["RealtimeEar"]

logger = logging.getLogger(__name__)

_MAX_WAITING = 2000 * BYTES_PER_MS
"""What is said while nobody hears is of little use later."""

_ROTATE_S = 55 * 60.0
"""The embedded model ends a session after an hour."""

_MAX_TURNS = 64
"""Turns that may have begun and not been written down; a server that writes down none would let them pile up."""


class RealtimeEar:
    """An `Ear` over OpenAI's Realtime protocol: a transcription session that outlives its connections.

    Args:
        connector: Opens them, with `intent=transcription`.
        config: The session's settings. Without turn detection there are no turns, so nothing would be heard.
        renewal: When it gets another connection; it should never give up.
    """

    def __init__(
        self, connector: Connector, config: TranscriptionSessionConfig, *, renewal: Renewal | None = None
    ) -> None:
        self._connector = connector
        self._config = config
        self._silence_ms = _silence_ms(config)
        self._renewal = renewal or Renewal(rotate_s=_ROTATE_S, reconnect_timeout_s=math.inf)
        self._connection: Connection | None = None
        # Since when there is none.
        self._lost_at: float | None = None
        # Positions are bytes of all audio that ever came.
        self._end = 0
        self._waiting = bytearray()
        # Where the present connection began to hear; later by what it was not sent.
        self._start = 0
        # Where the turns began that are not written down yet, and where they ended, by their items.
        self._turns: dict[str, int] = {}
        self._ends: dict[str, int] = {}

    @property
    def is_connected(self) -> bool:
        """Whether somebody hears."""
        return self._connection is not None and self._connection.is_open

    def append(self, pcm: bytes) -> None:
        """Hear more of the user's audio, PCM as everywhere.

        It never waits. Audio that can't be sent now is kept, but for the newest 2 s it is dropped.
        """
        self._end += len(pcm)
        self._waiting += pcm
        self._send()

    def clear(self) -> None:
        """Forget what was heard since the last turn ended."""
        self._start += len(self._waiting)
        self._waiting.clear()
        if self._connection is not None:
            self._connection.send(InputAudioBufferClear())

    async def run(self, handle: Callable[[Utterance | Lost | Restored], None]) -> None:
        """Pass on each utterance that has words, and each outage; keep a connection, until cancelled.

        Nothing that the server does ends it; what `handle` raises does.
        """
        while True:
            try:
                connection = await connect(self._connector, self._config)
                try:
                    self._use(connection)
                    if self._lost_at is not None:
                        handle(Restored(_now() - self._lost_at))
                        self._lost_at = None
                    await self._hear(connection, handle)
                finally:
                    self._connection = None
                    await connection.close()
            except SessionError as error:
                await self._miss(error, handle)

    def _use(self, connection: Connection) -> None:
        self._renewal.opened(_now())
        self._connection = connection
        self._start = self._end - len(self._waiting)
        self._turns.clear()
        self._ends.clear()
        self._send()

    async def _hear(self, connection: Connection, handle: Callable[[Utterance], None]) -> None:
        """Pass on what comes over one connection, until it has grown old and nobody is in the middle of a turn.

        Raises:
            SessionError: it is lost.
        """

        def take(event: ServerEvent) -> None:
            if utterance := self._take(event):
                handle(utterance)
            if old.expired() and not self._turns:
                raise _Quiet

        with suppress(_Quiet):
            try:
                async with asyncio.timeout(self._renewal.rotate_in(_now())) as old:
                    await connection.run(take)
            except TimeoutError:
                if not old.expired():
                    raise
            if self._turns:
                await connection.run(take)

    def _take(self, event: ServerEvent) -> Utterance | None:
        match event:
            case SpeechStarted():
                self._turns[event.item_id] = self._start + event.audio_start_ms * BYTES_PER_MS
                if len(self._turns) > _MAX_TURNS:
                    self._forget(next(iter(self._turns)))
            case SpeechStopped() if event.item_id in self._turns:
                self._ends[event.item_id] = self._start + event.audio_end_ms * BYTES_PER_MS
            case InputAudioBufferCleared():
                for item_id in self._turns.keys() - self._ends.keys():
                    self._forget(item_id)
            case TranscriptionCompleted():
                began, ended = self._forget(event.item_id)
                if text := event.transcript.strip():
                    return Utterance(text, self._ms_ago(began), self._ms_ago(ended), self._silence_ms)
            case TranscriptionFailed():
                self._forget(event.item_id)
                logger.warning("what the user said could not be written down")
            case ErrorEvent():
                logger.warning("the model that hears the user reports an error: %s", event.error.message)
        return None

    def _forget(self, item_id: str) -> tuple[int, int]:
        """A turn is written down, or never will be; gives where it began and ended, as far as that is known."""
        return self._turns.pop(item_id, self._end), self._ends.pop(item_id, self._end)

    def _ms_ago(self, position: int) -> int:
        return max(0, self._end - position) // BYTES_PER_MS

    async def _miss(self, error: SessionError, handle: Callable[[Lost], None]) -> None:
        """There is no connection: say so once, and wait until it is time for another try."""
        if self._lost_at is None:
            self._lost_at = _now()
            handle(Lost(str(error)))
        delay = self._renewal.lost(_now())
        assert delay is not None, "it never gives up"
        await asyncio.sleep(delay)

    def _send(self) -> None:
        """Send what waits, if it can be; else drop what is too much."""
        connection = self._connection
        if self._waiting and connection is not None and connection.is_open and not connection.is_behind:
            connection.send_audio(bytes(self._waiting))
            self._waiting.clear()
        elif (excess := len(self._waiting) - _MAX_WAITING) > 0:
            del self._waiting[:excess]
            self._start += excess


class _Quiet(Exception):
    """Nobody is in the middle of a turn."""


def _silence_ms(config: TranscriptionSessionConfig) -> int:
    """How long a silence ends a turn, if the settings say."""
    listening = config.audio.input if config.audio else None
    detection = listening.turn_detection if listening else None
    return detection.silence_duration_ms if isinstance(detection, ServerVad) else 0


def _now() -> float:
    """The loop's own clock, by which it also sleeps."""
    return asyncio.get_running_loop().time()
