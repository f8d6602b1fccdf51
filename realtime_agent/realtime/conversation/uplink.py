"""The user's audio on its way to the model, sans-I/O.

A connection may break, or be too slow for a while. So what was not sent yet waits here, and what was sent stays until
the model has made a message of it: on another connection it is sent again, and no word of the user is lost.

Positions are bytes of audio since the beginning of the present connection; a model counts in milliseconds from there.
"""

from __future__ import annotations

from realtime_agent.pcm import BYTES_PER_MS

__all__ = ["Uplink"]

_LISTENED_BACK_MS = 2000
"""What is kept of silence: a model tells that speech began only after it did."""

_FORGOTTEN_MS = 1000
"""So much at a time: what is no longer needed is forgotten when there is that much more."""

_HEARD_AGAIN_MS = 3000
"""So much must be sent behind what is sent again until the model would have told what it heard in it."""


class Uplink:
    """A bounded stretch of the newest audio, with what was sent in front and what was not behind.

    Args:
        max_kept_s: The bound; the oldest gives way.

    Attributes:
        dropped_bytes: Audio that was never sent, since more than the bound waited.
    """

    def __init__(self, *, max_kept_s: float = 30) -> None:
        self._max_kept = int(max_kept_s * 1000) * BYTES_PER_MS
        self._kept = bytearray()
        # How long it may become until it is looked what of it is needed.
        self._looked_at = 0
        # Where what is kept begins, how far it was sent, and how far the model is known to have it.
        self._start = 0
        self._sent = 0
        self._confirmed = 0
        # As long as less was sent, nothing of what was sent again is forgotten.
        self._heard_again = 0
        # Where what the model has made no message of begins, and where the turn that it hears begins and ends.
        self._open = 0
        self._turn: int | None = None
        self._turn_end: int | None = None
        # Where each commit is that was asked for, by its command.
        self._commits: dict[int, int] = {}
        self._keeps_all = False
        self.dropped_bytes = 0

    @property
    def holds_turn(self) -> bool:
        """Whether the user's turn has begun and the model has not made a message of it: it would be sent again."""
        return self._turn is not None

    @property
    def holds_all(self) -> bool:
        """Whether nothing that may be of the user's turn would be missing if it were sent again."""
        return not self._keeps_all or self._start <= self._open

    def keep_all(self, keeps_all: bool) -> None:
        """Whether to keep everything since the last commit: without turn detection all of it may be the user's turn."""
        if keeps_all and not self._keeps_all:
            self._forget()
            self._open = self._start
        self._keeps_all = keeps_all

    @property
    def unsent_bytes(self) -> int:
        """How much waits to be sent."""
        return self._start + len(self._kept) - self._sent

    @property
    def sent(self) -> int:
        """The position up to which audio was sent."""
        return self._sent

    def append(self, pcm: bytes) -> None:
        """Take more audio."""
        self._kept += pcm
        if len(self._kept) > self._looked_at:
            self._forget()

    def pass_on(self, pcm: bytes) -> None:
        """Take more audio, which has just been sent; nothing may wait in front of it."""
        self._sent += len(pcm)
        self._kept += pcm
        if len(self._kept) > self._looked_at:
            self._forget()

    def take(self, command: int | None = None) -> bytes:
        """The audio that is to be sent now, or as much as this command commits; it counts as sent."""
        end = self._end if command is None else self._commits.get(command, self._end)
        audio = bytes(self._kept[self._sent - self._start : max(0, end - self._start)])
        self._sent += len(audio)
        return audio

    def confirm(self, position: int) -> None:
        """The model has had everything up to this position; what was sent after may have gone into a dead network."""
        self._confirmed = position

    def reconnected(self) -> None:
        """Another connection has been opened, which knows nothing of the audio that is kept here."""
        self._forget()
        self._commits = {command: max(0, at - self._start) for command, at in self._commits.items()}
        self._start = self._sent = self._confirmed = self._open = 0
        self._heard_again = len(self._kept) + _HEARD_AGAIN_MS * BYTES_PER_MS
        self._turn = self._turn_end = None

    def speech_started(self, start_ms: int) -> None:
        """The model heard the user begin at this position: keep everything from there on."""
        start = start_ms * BYTES_PER_MS
        # Beyond what it was sent is no position of ours.
        self._turn = max(self._start, start) if start <= self._sent else self._start
        self._turn_end = None

    def speech_stopped(self, end_ms: int) -> None:
        """The model heard the user finish at this position; not every server tells it."""
        end = end_ms * BYTES_PER_MS
        self._turn_end = end if end > (self._turn or 0) else None

    def commit(self, command: int) -> None:
        """The model is to be asked to make a message of all that is kept here."""
        self._commits[command] = self._end

    def withdraw(self, command: int) -> None:
        """The model did not do what `commit` tells of, or is not to be asked; harmless when repeated."""
        self._commits.pop(command, None)

    def committed(self, command: int | None) -> bytes:
        """The model has made a message of a turn, by this command if by one.

        Returns:
            The turn's audio, which is no longer kept here.
        """
        self._forget()
        end = self._commits.pop(command, None) if command is not None else self._turn_end
        if end is None:
            end = self._sent
        begin = self._turn if self._turn is not None else self._start
        audio = bytes(self._kept[max(0, begin - self._start) : max(0, end - self._start)])
        self._turn = self._turn_end = None
        self._drop(min(end, self._sent) - self._start)
        self._open = max(self._start, end)
        return audio

    def clear(self) -> None:
        """The model was told to forget what was sent; what was not is forgotten too."""
        self._kept.clear()
        self._start = self._open = self._sent
        self._turn = None
        # What is a message all the same was said before.
        self._turn_end = None if self._turn_end is None else self._start
        self._commits = dict.fromkeys(self._commits, self._start)

    @property
    def _end(self) -> int:
        return self._start + len(self._kept)

    def _forget(self) -> None:
        if self._turn is not None:
            needed = self._turn
        elif self._keeps_all or self._sent <= self._heard_again:
            needed = self._start
        else:
            needed = min(self._end, self._confirmed) - _LISTENED_BACK_MS * BYTES_PER_MS
        self._drop(min(needed, self._sent) - self._start)
        self._drop(len(self._kept) - self._max_kept)
        self._looked_at = min(len(self._kept) + _FORGOTTEN_MS * BYTES_PER_MS, self._max_kept)

    def _drop(self, count: int) -> None:
        """Forget the first bytes. Those that were never sent have no position: the next ones take theirs."""
        if count <= 0:
            return
        sent = self._sent - self._start
        del self._kept[:count]
        self._start += min(count, sent)
        lost = max(0, count - sent)
        self.dropped_bytes += lost
        if lost:
            self._commits = {command: max(self._start, at - lost) for command, at in self._commits.items()}
