"""Files of what was said: a stereo recording, a transcript, and the audio as it came and went."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import ExitStack
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from realtime_agent.audio.recording import Recording
from realtime_agent.audio.wav_file import StereoWavFile
from realtime_agent.control.events import AgentEvent, AgentTranscript, ErrorReported, RecordingBegun
from realtime_agent.control.transcript_log import TranscriptLog
from realtime_agent.errors import AudioFileError
from realtime_agent.pcm import BYTES_PER_MS, SAMPLE_RATE

__all__ = ["Kept", "Recorder", "file_name"]

logger = logging.getLogger(__name__)

_EVERY_S = 1.0
"""A crash loses so much, and what was not settled."""

_AT_ONCE_S = 10.0
"""What is written at a time, where more is due: after a disk hung, or the machine slept."""

_MAX_RAW = 60_000 * BYTES_PER_MS
"""Of the audio as it is, what may wait for a disk that hangs."""


class Kept(NamedTuple):
    """What is to be kept of a conversation."""

    conversation: bool
    user_pcm: bool
    agent_pcm: bool


class _Batch(NamedTuple):
    conversation: bytes
    lines: list[str]
    user_pcm: bytes
    agent_pcm: bytes


def file_name(channel_name: str, began: datetime) -> str:
    """What the files of an agent are called, without their endings: its channel and when it was ready, in UTC."""
    return f"{quote(channel_name, safe='')}-{began:%Y%m%dT%H%M%S.%f}Z"


class Recorder:
    """Records one agent.

    Args:
        folder: Where the files are made; it is made too, if need be.
        name: What they are called, without their endings.
        kept: Which of them.
        far_end_delay_s: From a frame's due time until it is heard, as long as the far end does not report.
        notify: Is told that it records, or why it can't.
        clock: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        folder: Path,
        name: Callable[[], str],
        kept: Kept,
        *,
        far_end_delay_s: float,
        notify: Callable[[AgentEvent], None],
        clock: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._name = name
        self._kept = kept
        self._far_end_delay_s = far_end_delay_s
        self._notify = notify
        self._clock = clock
        self._began = clock()
        self._recording = Recording(self._began, far_end_delay_s=far_end_delay_s)
        self._transcript = TranscriptLog()
        self._user_pcm, self._agent_pcm = bytearray(), bytearray()
        self._lost_raw = 0
        # Until when the recording was taken.
        self._until = self._began
        self._opening: asyncio.Future[_Files] | None = None
        self._files: _Files | None = None
        self._writing: asyncio.Future[None] | None = None
        self._has_failed = False

    def user_spoke(self, pcm: bytes) -> None:
        """A frame of the user's has come."""
        if self._kept.conversation and not self._has_failed:
            self._recording.user_spoke(pcm, self._clock())
        if self._kept.user_pcm:
            self._keep(self._user_pcm, pcm)

    def agent_spoke(self, frame: bytes, position: int, due: float) -> None:
        """A frame was given to the channel: its place in the output in samples, and when it is to be heard."""
        if self._kept.conversation and not self._has_failed:
            self._recording.agent_spoke(frame, position, due)
        if self._kept.agent_pcm:
            self._keep(self._agent_pcm, frame)

    def speaks(self, item_id: str) -> None:
        """Audio of this item has come, to be spoken."""
        self._transcript.speaks(item_id)

    def played(self, position: int) -> None:
        """The far end says that it has played up to this position."""
        self._recording.played(position, self._clock())

    def cut(self, position: int) -> None:
        """Nothing behind this position was heard, or will be."""
        self._recording.cut(position)

    def note(self, event: AgentEvent) -> None:
        """Something has happened."""
        if isinstance(event, AgentTranscript) and self._kept.conversation and not self._has_failed:
            self._transcript.note(event, self._clock() - self._began)

    async def run(self, unheard: Callable[[], Collection[str]]) -> None:
        """Write every second what is settled, until cancelled or until it can't be written any more.

        Args:
            unheard: Tells the items whose audio was not heard to its end.
        """
        self._began = self._until = self._clock()
        self._recording = Recording(self._began, far_end_delay_s=self._far_end_delay_s)
        try:
            self._opening = asyncio.ensure_future(asyncio.to_thread(_Files, self._folder, self._name(), self._kept))
            self._files = await asyncio.shield(self._opening)
            logger.info("recording as %s", self._files.name)
            self._notify(RecordingBegun(file=self._files.name))
            while True:
                await asyncio.sleep(_EVERY_S)
                now = self._clock()
                await self._catch_up(now)
                lines = self._transcript.take(self._clock() - self._began, unheard())
                await self._write(self._recording.take(now), lines)
        except AudioFileError as error:
            self._fail(error)

    async def close(self) -> None:
        """Write the rest, and close the files."""
        if self._opening is None:
            return
        try:
            # Whoever opened them may have been cancelled; the thread went on.
            self._files = await asyncio.shield(self._opening)
            self._opening = None
            if not self._has_failed:
                now = self._clock()
                await self._catch_up(now)
                await self._write(self._recording.finish(now), self._transcript.finish())
        except AudioFileError as error:
            self._fail(error)
        if self._files is not None:
            await self._close(self._files)
            self._files = None
        self._tell_what_is_lost()

    async def _close(self, files: _Files) -> None:
        try:
            await asyncio.to_thread(files.close)
        except AudioFileError as error:
            self._fail(error)

    async def _catch_up(self, now: float) -> None:
        """Leave no more to be written than is written at a time."""
        while now - self._until > _AT_ONCE_S:
            self._until += _AT_ONCE_S
            await self._write(self._recording.take(self._until), [])
        self._until = now

    async def _write(self, conversation: bytes, lines: list[str]) -> None:
        batch = _Batch(conversation, lines, bytes(self._user_pcm), bytes(self._agent_pcm))
        self._user_pcm.clear()
        self._agent_pcm.clear()
        if self._writing is not None and not self._writing.done():
            # Whoever waited for it was cancelled; the thread goes on.
            await asyncio.wait([self._writing])
        assert self._files is not None, "they are open"
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._files.write, batch))
        await asyncio.shield(self._writing)

    def _keep(self, kept: bytearray, pcm: bytes) -> None:
        if self._has_failed:
            return
        kept += pcm
        if (excess := len(kept) - _MAX_RAW) > 0:
            del kept[:excess]
            self._lost_raw += excess

    def _fail(self, error: AudioFileError) -> None:
        if self._has_failed:
            return
        self._has_failed = True
        logger.error("no more is recorded: %s", error)
        self._notify(ErrorReported(of="recording", code="recording_failed", message=str(error)))

    def _tell_what_is_lost(self) -> None:
        lost_s, lost_raw_s = self._recording.lost / SAMPLE_RATE, self._lost_raw / (1000 * BYTES_PER_MS)
        if lost_s or lost_raw_s:
            logger.warning(
                "the disk was too slow: %.1f s of speech are not in the recording, %.1f s not in the raw audio",
                lost_s,
                lost_raw_s,
            )


class _Files:
    """The files of one agent. Blocking."""

    def __init__(self, folder: Path, name: str, kept: Kept) -> None:
        self.name = name
        self._folder = folder
        self._kept = kept
        self._parts = 0
        self._wav: StereoWavFile | None = None
        self._open_files = ExitStack()
        self._open_files.callback(self._close_wav)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if kept.conversation:
                self._next_part()
            self._lines = self._new("jsonl") if kept.conversation else None
            self._user = self._new("user.pcm") if kept.user_pcm else None
            self._agent = self._new("agent.pcm") if kept.agent_pcm else None
        except OSError as error:
            self.close()
            raise AudioFileError(f"{folder} cannot be written: {error.strerror}") from None

    def write(self, batch: _Batch) -> None:
        """Add to each file."""
        try:
            if self._wav is not None and batch.conversation:
                if self._wav.is_full:
                    self._next_part()
                self._wav.append(batch.conversation)
            # Half a character can't be written.
            text = "".join(f"{line}\n" for line in batch.lines).encode(errors="replace")
            for file, data in ((self._lines, text), (self._user, batch.user_pcm), (self._agent, batch.agent_pcm)):
                if file is not None and data:
                    _write_all(file, data)
        except OSError as error:
            raise self._failure(error) from None

    def close(self) -> None:
        """Nothing more will come; whatever one of them does, the others are closed too."""
        try:
            self._open_files.close()
        except OSError as error:
            raise self._failure(error) from None

    def _next_part(self) -> None:
        self._close_wav()
        self._parts += 1
        number = f".{self._parts}" if self._parts > 1 else ""
        self._wav = StereoWavFile(self._folder / f"{self.name}{number}.wav")

    def _close_wav(self) -> None:
        if self._wav is not None:
            self._wav.close()

    def _new(self, ending: str) -> FileIO:
        # Without a buffer: what the disk refuses would be tried again when the file is closed.
        path = self._folder / f"{self.name}.{ending}"
        file = self._open_files.enter_context(path.open("xb", buffering=0))
        path.chmod(0o600)
        return file

    def _failure(self, error: OSError) -> AudioFileError:
        return AudioFileError(f"{self._folder / self.name} cannot be written: {error.strerror}")


def _write_all(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
