"""A virtual loudspeaker, sans-I/O: what a listener would have heard of the audio that came, and when.

It plays by the clock that its callers pass in: a stretch of audio begins a little after its first samples came, goes
on as long as more comes in time, and ends in silence when it does not. Since nothing has to be played for that, how
much was heard is a function of the time asked for.

Positions count samples of the far end's output since it began; a flush moves to a new one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from realtime_agent.audio.wav import rms
from realtime_agent.pcm import BYTES_PER_SAMPLE, SAMPLE_RATE

__all__ = ["Speaker"]

_START_S = 0.04
"""How much must have come before a stretch begins; what is shorter begins this long after it came."""
_REPORT_S = 0.1
"""How often the position is to be reported while playing."""
_AUDIBLE_RMS = 100.0
"""-50 dB of full scale: over the noise that a voice model or a codec makes of silence, under any speech."""
_AUDIBLE_WINDOW = 240
"""Samples in 10 ms."""


@dataclass(slots=True)
class _Stretch:
    """Unbroken audio: its place in the output and on the clock."""

    position: int
    begins: float
    pcm: bytearray = field(default_factory=bytearray)
    audible: int | None = None
    """The first audible sample, counted from the stretch's own beginning."""

    @property
    def samples(self) -> int:
        return len(self.pcm) // BYTES_PER_SAMPLE

    def find_audible(self, since: int) -> None:
        """Look for the first audible 10 ms from sample `since` on, unless it is known."""
        for start in range(since, self.samples, _AUDIBLE_WINDOW):
            if self.audible is not None:
                return
            window = self.pcm[start * BYTES_PER_SAMPLE : (start + _AUDIBLE_WINDOW) * BYTES_PER_SAMPLE]
            if rms(window) >= _AUDIBLE_RMS:
                self.audible = start


class Speaker:
    """Plays what comes and keeps account of it. Times are seconds of any monotonic clock.

    Args:
        position: The position of the first sample that will come.
        record: Keep all that was heard, for `render`. Else only the present stretch is kept.
    """

    def __init__(self, position: int = 0, *, record: bool = True) -> None:
        self._record = record
        self._next = position
        self._playing: _Stretch | None = None
        self._stretches: list[_Stretch] = []
        self._forgotten = 0
        self._reported: tuple[float, int] | None = None

    def add(self, pcm: bytes, now: float) -> None:
        """Take the samples that follow the last ones; nothing is not the beginning of anything."""
        if not pcm:
            return
        stretch = self._playing
        if stretch is None or now > self._end(stretch):
            stretch = self._playing = self._begin(now)
        before = stretch.samples
        stretch.pcm += pcm
        stretch.find_audible(before)
        self._next += stretch.samples - before
        if now < stretch.begins and stretch.samples >= _START_S * SAMPLE_RATE:
            stretch.begins = now

    def flush(self, position: int, now: float) -> int:
        """Drop what was not played; the next sample to come is at `position`.

        Returns:
            The position that was really reached.
        """
        reached = self.position(now)
        stretch, self._playing = self._playing, None
        if stretch is not None:
            del stretch.pcm[(reached - stretch.position) * BYTES_PER_SAMPLE :]
            if stretch.audible is not None and stretch.audible >= stretch.samples:
                stretch.audible = None
        self._next = position
        self._reported = None
        return reached

    def position(self, now: float) -> int:
        """The position that is being heard."""
        stretch = self._playing
        return self._next if stretch is None else stretch.position + self._played(stretch, now)

    def report_due(self, now: float) -> int | None:
        """The position to tell the far end, when it is time to: while playing, and once when playing stops."""
        position = self.position(now)
        if self._reported is None:
            # Nothing to tell before something was heard.
            due = self._playing is not None and position > self._playing.position
        else:
            at, told = self._reported
            due = position > told and (now - at >= _REPORT_S or not self.is_playing(now))
        if not due:
            return None
        self._reported = (now, position)
        return position

    def is_playing(self, now: float) -> bool:
        """Whether samples that came are not heard to their end yet."""
        return self._playing is not None and now < self._end(self._playing)

    def quiet_since(self) -> float | None:
        """When the last sample that came is heard to its end, or will be; `None` before any came."""
        stretch = self._stretches[-1] if self._stretches else None
        return None if stretch is None else self._end(stretch)

    def first_audible(self, since: float, now: float) -> float | None:
        """The first moment up to `now` when something audible was heard, in a stretch that began after `since`.

        A stretch that was under way at `since` is not counted: it began as something else.
        """
        for stretch in self._stretches:
            if stretch.begins > since and stretch.audible is not None:
                moment = stretch.begins + stretch.audible / SAMPLE_RATE
                return moment if moment <= now else None
        return None

    def heard_s(self, now: float) -> float:
        """How many seconds of audio were played, silence between stretches not counted."""
        samples = self._forgotten + sum(self._played(stretch, now) for stretch in self._stretches)
        return samples / SAMPLE_RATE

    def render(self, since: float, until: float) -> bytes:
        """What was heard in a span of time, as PCM: the stretches in their places, silence around them."""
        total = round((until - since) * SAMPLE_RATE)
        rendered = bytearray(max(0, total) * BYTES_PER_SAMPLE)
        for stretch in self._stretches:
            at = round((stretch.begins - since) * SAMPLE_RATE)
            first, last = max(at, 0), min(at + stretch.samples, total)
            if first < last:
                heard = stretch.pcm[(first - at) * BYTES_PER_SAMPLE : (last - at) * BYTES_PER_SAMPLE]
                rendered[first * BYTES_PER_SAMPLE : last * BYTES_PER_SAMPLE] = heard
        return bytes(rendered)

    def _begin(self, now: float) -> _Stretch:
        if not self._record:
            self._forgotten += sum(stretch.samples for stretch in self._stretches)
            self._stretches.clear()
        stretch = _Stretch(self._next, now + _START_S)
        self._stretches.append(stretch)
        return stretch

    def _end(self, stretch: _Stretch) -> float:
        return stretch.begins + stretch.samples / SAMPLE_RATE

    def _played(self, stretch: _Stretch, now: float) -> int:
        return max(0, min(stretch.samples, round((now - stretch.begins) * SAMPLE_RATE)))
