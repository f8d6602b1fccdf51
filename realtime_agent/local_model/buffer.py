"""The input audio buffer: what the client appended and nobody committed yet. No I/O."""

from __future__ import annotations

import base64
import binascii

from realtime_agent.errors import InvalidEvent
from realtime_agent.local_model.turns import MAX_TURN_MS
from realtime_agent.pcm import BYTES_PER_MS

__all__ = ["MAX_BUFFER_MS", "InputBuffer", "decode_pcm"]

MAX_BUFFER_MS = MAX_TURN_MS + 60_000
"""Five minutes, 14.4 MB: what is older is forgotten. Turn detection ends a turn before that; without it, a client may
stream silence for hours before somebody speaks."""

_MIN_COMMIT_MS = 100


class InputBuffer:
    """PCM16 mono at 24 kHz, addressed in milliseconds since the session's first audio."""

    def __init__(self) -> None:
        self._audio = bytearray()
        self._start = 0

    @property
    def start_ms(self) -> int:
        """The oldest audio that is still held."""
        return self._start // BYTES_PER_MS

    @property
    def end_ms(self) -> int:
        """All audio that was ever appended."""
        return (self._start + len(self._audio)) // BYTES_PER_MS

    @property
    def duration_ms(self) -> float:
        """How much is held."""
        return len(self._audio) / BYTES_PER_MS

    def append(self, pcm: bytes) -> None:
        """Add audio; the oldest gives way when more than five minutes are held."""
        self._audio += pcm
        self.forget(self.end_ms - MAX_BUFFER_MS)

    def check_commit(self) -> None:
        """Refuse to commit what is too short to be a message.

        Raises:
            InvalidEvent: less than 100 ms are held.
        """
        if self.duration_ms < _MIN_COMMIT_MS:
            raise InvalidEvent(
                f"Error committing input audio buffer: buffer too small. Expected at least {_MIN_COMMIT_MS}ms of "
                f"audio, but buffer only has {self.duration_ms:.2f}ms of audio.",
                "input_audio_buffer_commit_empty",
            )

    def peek(self, start_ms: int, end_ms: int) -> bytes:
        """Copy what is held of this span."""
        first, last = (max(0, ms * BYTES_PER_MS - self._start) for ms in (start_ms, end_ms))
        return bytes(self._audio[first:last])

    def take(self, start_ms: int, end_ms: int) -> bytes:
        """Copy this span and forget all audio before its end."""
        audio = self.peek(start_ms, end_ms)
        self.forget(end_ms)
        return audio

    def forget(self, before_ms: int) -> None:
        """Drop the audio before a moment."""
        dropped = min(max(0, before_ms * BYTES_PER_MS - self._start), len(self._audio))
        del self._audio[:dropped]
        self._start += dropped

    def clear(self) -> None:
        """Drop all audio."""
        self._start += len(self._audio)
        self._audio.clear()


def decode_pcm(audio: str | None, param: str) -> bytes:
    """Decode base64 audio that a client sent in the field `param`.

    Raises:
        InvalidEvent: it is missing, not base64, or not whole 16-bit samples.
    """
    if audio is None:
        raise InvalidEvent.missing(param)
    try:
        pcm = base64.b64decode(audio, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidEvent("The audio is not valid base64.", "invalid_value", param) from None
    if len(pcm) % 2:
        raise InvalidEvent("The audio is not whole 16-bit samples.", "invalid_value", param)
    return pcm
