"""The user's audio on its way to the model, sans-I/O.

A connection may break, or be too slow for a while. So what was not sent yet waits here, and what was sent stays until
the model has made a message of it: on another connection it is sent again, and no word of the user is lost.

Positions are milliseconds of audio since the beginning of the present connection, which is how a model counts them.
"""

from __future__ import annotations

from collections import deque

from realtime_agent.pcm import BYTES_PER_MS

__all__ = ["Uplink"]

_LISTENED_BACK_MS = 2000
"""What is kept of silence: a model tells that speech began only after it did."""


class Uplink:
    """A bounded stretch of the newest audio, with what was sent in front and what was not behind.

    Args:
        max_kept_s: The bound; the oldest gives way.
    """

    def __init__(self, *, max_kept_s: float = 30) -> None:
        self._max_kept = int(max_kept_s * 1000) * BYTES_PER_MS
        self._kept = bytearray()
        # Positions in bytes: of the first byte that is kept, and of the first that was not sent.
        self._start = 0
        self._sent = 0
        self._turn: int | None = None
        self._turn_end: int | None = None
        self._commits: deque[int] = deque()
        self.keeps_all = False
        """Whether everything since the last commit is kept: without turn detection all of it may be the user's turn."""
        self.dropped_bytes = 0
        """Audio that was never sent, since more than the bound waited."""

    @property
    def holds_turn(self) -> bool:
        """Whether the user's turn has begun and the model has not made a message of it: it would be sent again."""
        return self._turn is not None

    def append(self, pcm: bytes) -> None:
        """Take more audio."""
        self._kept += pcm
        self._forget()

    def take(self) -> bytes:
        """The audio that is to be sent now; it counts as sent."""
        audio = bytes(self._kept[self._sent - self._start :])
        self._sent += len(audio)
        return audio

    def reconnected(self) -> None:
        """Another connection has been opened, which knows nothing of the audio that is kept here."""
        self._start = self._sent = 0
        self._turn = self._turn_end = None
        self._commits.clear()

    def speech_started(self, start_ms: int) -> None:
        """The model heard the user begin at this position: keep everything from there on."""
        self._turn = max(self._start, start_ms * BYTES_PER_MS)
        self._turn_end = None

    def speech_stopped(self, end_ms: int) -> None:
        """The model heard the user finish at this position."""
        self._turn_end = end_ms * BYTES_PER_MS

    def commit(self) -> None:
        """The model is asked to make a message of all that is kept here; what was not sent is sent before."""
        self._commits.append(self._start + len(self._kept))

    def commit_refused(self) -> None:
        """The model did not do what `commit` tells of."""
        if self._commits:
            self._commits.popleft()

    def committed(self, *, by_command: bool) -> bytes:
        """The model has made a message of a turn: the turn's audio, which is no longer kept here."""
        end = self._commits.popleft() if by_command and self._commits else self._turn_end
        if end is None:
            end = self._sent
        begin = self._turn if self._turn is not None else self._start
        audio = bytes(self._kept[max(0, begin - self._start) : max(0, end - self._start)])
        self._turn = self._turn_end = None
        self._drop(min(end, self._sent) - self._start)
        return audio

    def clear(self) -> None:
        """The model was told to forget what was sent; what was not is forgotten too."""
        self._kept.clear()
        self._start = self._sent
        self._turn = self._turn_end = None
        self._commits.clear()

    def _forget(self) -> None:
        end = self._start + len(self._kept)
        if self._turn is not None:
            needed = self._turn
        elif self.keeps_all:
            needed = self._start
        else:
            needed = end - _LISTENED_BACK_MS * BYTES_PER_MS
        self._drop(min(needed, self._sent) - self._start)
        self._drop(len(self._kept) - self._max_kept)

    def _drop(self, count: int) -> None:
        """Forget the first bytes. Those that were never sent have no position: the next ones take theirs."""
        if count <= 0:
            return
        sent = self._sent - self._start
        del self._kept[:count]
        self._start += min(count, sent)
        self.dropped_bytes += max(0, count - sent)
