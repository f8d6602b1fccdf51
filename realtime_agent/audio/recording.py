"""Both sides of a conversation on one timeline, sans-I/O: as the user's end heard it, at the agent's clock.

Left is the user, right the agent. What comes over a network comes late by turns, so nothing is placed before the window
has passed in which it can be seen what was merely late. Positions on the timeline are samples since the beginning.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from realtime_agent.pcm import BYTES_PER_SAMPLE, SAMPLE_RATE

__all__ = ["Recording"]

_WINDOW = 2 * SAMPLE_RATE
"""Until then a late frame or report may come. A network that stalls for longer loses some of the recording."""

_SLACK = SAMPLE_RATE // 100
"""So little is no gap, but jitter or the drift of clocks: audio goes on without a click."""

_MAX_FRAMES = 1000
"""Frames of one side that may wait to be placed: 10 s of 10 ms ones. The oldest give way."""

_MAX_STRETCHES = 16


class _Heard(NamedTuple):
    """A frame of the user's, and when it had come."""

    pcm: bytes
    arrival: int


class _Said(NamedTuple):
    """A frame of the agent's: its position in the output, and when a far end without delay would play it."""

    pcm: bytes
    position: int
    due: int


class _Track:
    """One side, placed and not written yet."""

    def __init__(self) -> None:
        self._ready = bytearray()
        self.written = 0

    @property
    def end(self) -> int:
        """Up to where there is audio or silence."""
        return self.written + len(self._ready) // BYTES_PER_SAMPLE

    def place(self, start: int, pcm: bytes) -> None:
        """Put audio where it belongs; nearly there, it goes on where the last one ended."""
        late = self.end - start
        if late < -_SLACK:
            self._ready += bytes(-late * BYTES_PER_SAMPLE)
        elif late > _SLACK:
            pcm = pcm[late * BYTES_PER_SAMPLE :]
        self._ready += pcm

    def take(self, end: int) -> bytes:
        """Everything up to here, with silence where there is nothing."""
        size = (end - self.written) * BYTES_PER_SAMPLE
        self._ready += bytes(max(0, size - len(self._ready)))
        taken = bytes(self._ready[:size])
        del self._ready[:size]
        self.written = end
        return taken


class Recording:
    """A conversation from its beginning. Times are seconds of one monotonic clock.

    Args:
        began: When the timeline begins.
        far_end_delay_s: From a frame's due time until it is heard, as long as the far end does not report.
    """

    def __init__(self, began: float, *, far_end_delay_s: float = 0.0) -> None:
        self._began = began
        self._user, self._agent = _Track(), _Track()
        self._heard: deque[_Heard] = deque(maxlen=_MAX_FRAMES)
        self._said: deque[_Said] = deque(maxlen=_MAX_FRAMES)
        # Where stretches of unbroken output begin, and when they are due.
        self._stretches: deque[tuple[int, int]] = deque(maxlen=_MAX_STRETCHES)
        # What the far end has reported: a position, and how much later than due it was played.
        self._reports: deque[tuple[int, int]] = deque(maxlen=_MAX_FRAMES)
        self._delay = round(far_end_delay_s * SAMPLE_RATE)

    def user_spoke(self, pcm: bytes, now: float) -> None:
        """A frame of the user's has come."""
        self._heard.append(_Heard(pcm, self._at(now)))

    def agent_spoke(self, frame: bytes, position: int, due: float) -> None:
        """A frame was given to the channel: its place in the output in samples, and when it is to be heard."""
        due_at = self._at(due)
        if not self._stretches or abs(self._due(position) - due_at) > _SLACK:
            self._stretches.append((position, due_at))
        self._said.append(_Said(frame, position, self._due(position)))

    def played(self, position: int, now: float) -> None:
        """The far end says that it has played up to this position."""
        if self._stretches and (not self._reports or position > self._reports[-1][0]):
            self._reports.append((position, self._at(now) - self._due(position)))

    def cut(self, position: int) -> None:
        """Nothing behind this position of the output was heard, or will be."""
        while self._said and self._said[-1].position >= position:
            self._said.pop()
        if self._said:
            last = self._said.pop()
            self._said.append(last._replace(pcm=last.pcm[: (position - last.position) * BYTES_PER_SAMPLE]))

    def take(self, now: float) -> bytes:
        """What is settled since the last time: interleaved PCM, left the user."""
        return self._take(self._at(now) - _WINDOW)

    def finish(self, now: float) -> bytes:
        """All the rest."""
        return self._take(self._at(now))

    def _take(self, end: int) -> bytes:
        if end <= self._user.written:
            return b""
        for start, pcm in self._user_starts(end):
            self._user.place(start, pcm)
        while self._said and (start := self._said[0].due + self._delay_at(self._said[0].position)) < end:
            self._agent.place(start, self._said.popleft().pcm)
        return _interleave(self._user.take(end), self._agent.take(end))

    def _user_starts(self, end: int) -> Iterator[tuple[int, bytes]]:
        """The user's frames that begin before `end`, each with where.

        None of them ended later than it came, nor later than what followed it came, less what lies between: the
        earliest of these bounds is where it was spoken.
        """
        behind: list[int] = []
        start = None
        for frame in reversed(self._heard):
            bound = frame.arrival - len(frame.pcm) // BYTES_PER_SAMPLE
            start = bound if start is None else min(bound, start - len(frame.pcm) // BYTES_PER_SAMPLE)
            behind.append(start)
        while behind and behind[-1] < end:
            yield behind.pop(), self._heard.popleft().pcm

    def _delay_at(self, position: int) -> int:
        """How much later than due this position was heard, by what the far end reported in the second behind it."""
        while self._reports and self._reports[0][0] < position:
            self._reports.popleft()
        near = [delay for at, delay in self._reports if at - position < SAMPLE_RATE]
        if near:
            self._delay = min(near)
        return self._delay

    def _due(self, position: int) -> int:
        """When this position of the output is due."""
        for start, due in reversed(self._stretches):
            if start <= position:
                return due + position - start
        start, due = self._stretches[0]
        return due + position - start

    def _at(self, time: float) -> int:
        return round((time - self._began) * SAMPLE_RATE)


def _interleave(left: bytes, right: bytes) -> bytes:
    both = array("h", bytes(len(left) + len(right)))
    both[0::2] = array("h", left)
    both[1::2] = array("h", right)
    return both.tobytes()
