"""Both sides of a conversation on one timeline, sans-I/O: as the user's end heard it, at the agent's clock.

Left is the user, right the agent. What comes over a network comes late by turns, so nothing is placed before the window
has passed in which it can be seen what was merely late. Positions on the timeline are samples since the beginning.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple, TypeVar

from realtime_agent.pcm import BYTES_PER_SAMPLE, SAMPLE_RATE

__all__ = ["Recording"]

_WINDOW = 2 * SAMPLE_RATE
"""Until then a late frame or report may come. A network that stalls for longer loses some of the recording."""

_SLACK = SAMPLE_RATE // 100
"""So little is no gap, but jitter or the drift of clocks: audio goes on without a click."""

_STALL = SAMPLE_RATE
"""Reports that are late for no longer move nothing."""

_APART = SAMPLE_RATE // 12
"""Reports that are nearer to one another tell no more, and cost as much."""

_MAX_FRAMES = 6000
"""Frames of one side that may wait to be placed, as while a disk hangs: a minute of 10 ms ones. The oldest give way."""

_MAX_REPORTS = 3000

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
    stretch: int


class _Report(NamedTuple):
    """The far end has played a stretch up to a position, and told so this much later than that was due."""

    position: int
    delay: int
    stretch: int


@dataclass(slots=True)
class _Stretch:
    """Unbroken output: the position where it begins, when that is due, and the position from where it was cut off."""

    start: int
    due: int
    end: int | None = None

    def due_at(self, position: int) -> int:
        """When this position of it is due."""
        return self.due + position - self.start


F = TypeVar("F", _Heard, _Said)


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

    Attributes:
        lost: Samples of either side that were more than could wait.
    """

    def __init__(self, began: float, *, far_end_delay_s: float = 0.0) -> None:
        self._began = began
        self._user, self._agent = _Track(), _Track()
        self._heard: deque[_Heard] = deque()
        self._said: deque[_Said] = deque()
        self._given = 0
        self._stretches: deque[_Stretch] = deque(maxlen=_MAX_STRETCHES)
        self._reports: deque[_Report] = deque(maxlen=_MAX_REPORTS)
        self._delay = round(far_end_delay_s * SAMPLE_RATE)
        self.lost = 0

    def user_spoke(self, pcm: bytes, now: float) -> None:
        """A frame of the user's has come."""
        self._keep(self._heard, _Heard(pcm, self._at(now)))

    def agent_spoke(self, frame: bytes, position: int, due: float) -> None:
        """A frame was given to the channel: its place in the output in samples, and when it is to be heard."""
        due_at = self._at(due)
        stretch = self._stretches[-1] if self._stretches else None
        if stretch is None or stretch.end is not None or abs(stretch.due_at(position) - due_at) > _SLACK:
            stretch = _Stretch(position, due_at)
            self._stretches.append(stretch)
        self._given = position + len(frame) // BYTES_PER_SAMPLE
        self._keep(self._said, _Said(frame, position, stretch.due_at(position), stretch.start))

    def played(self, position: int, now: float) -> None:
        """The far end says that it has played up to this position; what it can't have played tells nothing."""
        # It is about what lies before, also where the next stretch begins.
        stretch = next((each for each in reversed(self._stretches) if each.start < position), None)
        if stretch is None or position > self._given or (stretch.end is not None and position > stretch.end):
            return
        if not self._reports or position >= self._reports[-1].position + _APART:
            self._reports.append(_Report(position, self._at(now) - stretch.due_at(position), stretch.start))

    def cut(self, position: int) -> None:
        """Nothing behind this position of the output was heard, or will be."""
        for stretch in self._stretches:
            stretch.end = position if stretch.end is None else stretch.end
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
        while self._said and (start := self._said[0].due + self._delay_of(self._said[0])) < end:
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

    def _delay_of(self, frame: _Said) -> int:
        """How much later than due this frame was heard, by what the far end reported of its stretch."""
        while self._reports and self._reports[0].position <= frame.position - _STALL:
            self._reports.popleft()
        near = takewhile(lambda report: report.position < frame.position + 2 * _STALL, self._reports)
        if reports := [report for report in near if report.stretch == frame.stretch]:
            self._delay = _delay_at(frame.position, reports)
        return self._delay

    def _keep(self, waiting: deque[F], frame: F) -> None:
        if len(waiting) == _MAX_FRAMES:
            self.lost += len(waiting.popleft().pcm) // BYTES_PER_SAMPLE
        waiting.append(frame)

    def _at(self, time: float) -> int:
        return round((time - self._began) * SAMPLE_RATE)


def _delay_at(position: int, reports: Sequence[_Report]) -> int:
    """What the delay was where the first report behind this position was made, or the last one of all.

    No report comes before what it tells of was played, but many come late. So the least of a second counts, and of all
    the seconds around the position the one where that is the greatest: a delay that changes, changes there and not a
    second before or after, and one that only seemed greater for less than a second never was.
    """
    here = next((at for at, report in enumerate(reports) if report.position > position), len(reports) - 1)
    least: list[int] = []
    for first, begin in enumerate(reports[: here + 1]):
        second = [report.delay for report in reports[first:] if report.position - begin.position < _STALL]
        if first + len(second) > here:
            least.append(min(second))
        if first + len(second) == len(reports):
            break
    return max(least)


def _interleave(left: bytes, right: bytes) -> bytes:
    both = array("h", bytes(len(left) + len(right)))
    both[0::2] = array("h", left)
    both[1::2] = array("h", right)
    return both.tobytes()
