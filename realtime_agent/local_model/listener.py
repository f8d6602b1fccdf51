"""The user's side of a session: audio in, turns found, messages committed and written down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from realtime_agent.local_model.buffer import InputBuffer
from realtime_agent.local_model.context import Context
from realtime_agent.local_model.items import Entry, new_id
from realtime_agent.local_model.parts import Ears
from realtime_agent.local_model.session import AnySettings
from realtime_agent.local_model.turns import (
    IdleTimeout,
    TurnEnded,
    TurnEvent,
    TurnPaused,
    TurnResumed,
    Turns,
    TurnStarted,
)
from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime.events import (
    InputAudioBufferCleared,
    InputAudioBufferCommitted,
    InputAudioBufferTimeoutTriggered,
    SpeechStarted,
    SpeechStopped,
    TranscriptionCompleted,
    TranscriptionDelta,
    TranscriptionFailed,
)
from realtime_agent.realtime.types import ContentPart, Item, Transcription, TranscriptionUsage

__all__ = ["Listener"]

logger = logging.getLogger(__name__)

_SLICE = 200 * BYTES_PER_MS
"""A long append is heard in slices, so that other sessions get their turn in between."""

_IDLE_KEEP_MS = 6_000
"""What is kept of silence: the longest prefix padding, and the time it takes to notice speech."""

_MAX_EARLY_MS = 15_000
"""Longer turns are written down only at their end: at every pause anew it would keep the others' words waiting."""

_TRANSCRIBE_TIMEOUT_S = 60
_MAX_PENDING = 8
"""Utterances of one session that may wait to be written down before its input waits too."""


class Listener:
    """Hears one user. `on_start` is called when the user begins to speak, `on_turn` when a turn was committed."""

    def __init__(
        self,
        context: Context,
        ears: Ears,
        settings: AnySettings,
        *,
        on_start: Callable[[], None] = lambda: None,
        on_turn: Callable[[], None] = lambda: None,
    ) -> None:
        self._context = context
        self._transcriber = ears.transcriber
        self._settings = settings
        self._on_start = on_start
        self._on_turn = on_turn
        self._detector = ears.new_detector()
        self._turns = Turns(settings.input.turn_detection)
        self._buffer = InputBuffer()
        self._item_id = ""
        self._early: asyncio.Task[str | None] | None = None
        self._pending: dict[Entry, asyncio.Task[None]] = {}

    def configure(self) -> None:
        """Follow the session's settings, which changed."""
        self._turns.configure(self._settings.input.turn_detection)

    def expect_speech(self, within_ms: float | None) -> None:
        """Start the idle timeout behind `within_ms` of audio that is still to be played; None stops it."""
        self._turns.expect_speech(None if within_ms is None else self._buffer.end_ms + int(within_ms))

    async def append(self, pcm: bytes) -> None:
        """Hear more audio."""
        for start in range(0, len(pcm), _SLICE):
            part = pcm[start : start + _SLICE]
            self._buffer.append(part)
            for probability in self._detector.feed(part):
                if event := self._turns.hear(probability):
                    self._follow(event)
            if self._settings.input.turn_detection and self._turns.start_ms is None:
                self._buffer.forget(self._buffer.end_ms - _IDLE_KEEP_MS)
            await asyncio.sleep(0)

    def commit(self) -> None:
        """Make all buffered audio a message, because the client says so; a turn that is going on ends.

        Raises:
            InvalidEvent: there is less than 100 ms of it.
        """
        self._buffer.check_commit()
        if self._turns.start_ms is None:
            item_id = new_id("item")
        else:
            item_id = self._item_id
            self._context.emit(SpeechStopped(audio_end_ms=self._buffer.end_ms, item_id=item_id))
        self._turns.reset()
        self._drop_early()
        self._commit(item_id, self._buffer.take(self._buffer.start_ms, self._buffer.end_ms))

    def clear(self) -> None:
        """Forget all buffered audio."""
        self._turns.reset()
        self._drop_early()
        self._buffer.clear()
        self._context.emit(InputAudioBufferCleared())

    def transcribe(self, entry: Entry, pcm: bytes, *, announce: bool = True) -> None:
        """Write a message's audio down; events tell the client, if it wants that and `announce` says so."""
        entry.audio_ms = len(pcm) / BYTES_PER_MS
        self._write_down(entry, self._context.spawn(self._recognise(pcm)), announce=announce)

    async def settled(self, entries: list[Entry]) -> None:
        """Wait until these entries are written down."""
        if pending := [task for entry in entries if (task := self._pending.get(entry))]:
            await asyncio.wait(pending)

    async def keep_up(self) -> None:
        """Wait while too many utterances wait to be written down."""
        while len(self._pending) >= _MAX_PENDING:
            await asyncio.wait(self._pending.values(), return_when=asyncio.FIRST_COMPLETED)

    def _follow(self, event: TurnEvent) -> None:
        emit = self._context.emit
        match event:
            case TurnStarted():
                self._drop_early()  # of a turn that was given up, when detection was turned off
                self._item_id = new_id("item")
                emit(SpeechStarted(audio_start_ms=event.start_ms, item_id=self._item_id))
                self._on_start()
            case TurnPaused():
                # The user may be done: what is written down during the silence is ready when the turn ends.
                if event.end_ms - event.start_ms <= _MAX_EARLY_MS:
                    speech = self._buffer.peek(event.start_ms, event.end_ms)
                    self._early = self._context.spawn(self._recognise(speech))
            case TurnResumed():
                self._drop_early()
            case TurnEnded():
                emit(SpeechStopped(audio_end_ms=event.end_ms, item_id=self._item_id))
                pcm = self._buffer.take(event.start_ms, event.end_ms)
                early, self._early = self._early, None
                self._commit(self._item_id, pcm, early)
                self._on_turn()
            case IdleTimeout():
                item_id = new_id("item")
                emit(
                    InputAudioBufferTimeoutTriggered(
                        audio_start_ms=event.start_ms, audio_end_ms=event.end_ms, item_id=item_id
                    )
                )
                self._commit(item_id, self._buffer.take(event.start_ms, event.end_ms))
                self._on_turn()

    def _commit(self, item_id: str, pcm: bytes, text: asyncio.Task[str | None] | None = None) -> None:
        part = ContentPart(type="input_audio", transcript=None)
        item = Item(id=item_id, object="realtime.item", type="message", status="completed", role="user", content=[part])
        entry = Entry(item, audio_ms=len(pcm) / BYTES_PER_MS)
        previous = self._context.conversation.last_id
        self._context.emit(InputAudioBufferCommitted(item_id=item_id, previous_item_id=previous))
        self._context.add(entry)
        self._write_down(entry, text or self._context.spawn(self._recognise(pcm)))

    def _drop_early(self) -> None:
        """Forget what was written down at the last pause; if it still waits for its turn, nobody waits for it."""
        if self._early is not None:
            self._early.cancel()
            self._early = None

    def _write_down(self, entry: Entry, text: asyncio.Task[str | None], *, announce: bool = True) -> None:
        task = self._context.spawn(self._await_transcript(entry, text, announce=announce))
        self._pending[entry] = task
        task.add_done_callback(lambda _: self._pending.pop(entry))

    async def _recognise(self, pcm: bytes) -> str | None:
        """The words in some audio; None if they could not be had."""
        hints = self._settings.input.transcription or Transcription()
        try:
            async with asyncio.timeout(_TRANSCRIBE_TIMEOUT_S):
                return await self._transcriber.transcribe(pcm, hints.language, hints.keywords or ())
        except Exception:
            logger.exception("speech could not be written down")
            return None

    async def _await_transcript(self, entry: Entry, text: asyncio.Task[str | None], *, announce: bool) -> None:
        transcript = await text
        entry.hear(transcript or "")
        if not announce or self._settings.input.transcription is None:
            return
        if transcript is None:
            error = {"type": "server_error", "code": "transcription_failed", "message": "The audio was not understood."}
            self._context.emit(TranscriptionFailed(item_id=entry.id, content_index=0, error=error))
            return
        if transcript:
            self._context.emit(TranscriptionDelta(item_id=entry.id, content_index=0, delta=transcript))
        usage = TranscriptionUsage(type="duration", seconds=round(entry.audio_ms / 1000, 3))
        self._context.emit(
            TranscriptionCompleted(item_id=entry.id, content_index=0, transcript=transcript, usage=usage)
        )
