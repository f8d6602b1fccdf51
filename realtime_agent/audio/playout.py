"""Playout: paced output and the played-ms clock, sans-I/O.

A model sends audio faster than it is heard. Playout holds the difference: it gives out whole frames a small lead
ahead of the clock, and knows for every item how much of it the far end has heard, which is what a truncation must say.

Positions count samples of the output since the start. What was heard is what was paced out, a stated far-end delay
later; where the far end reports what it has played, that is the truth, carried on by the clock until the next report.
The wall clock since the first delta is never used: a stall in the network is not hearing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from realtime_agent.pcm import BYTES_PER_MS, BYTES_PER_SAMPLE, SAMPLE_RATE

__all__ = ["Heard", "Playout"]

_KEPT_PARTS = 16
"""Parts that are kept though they should have been heard: the far end may tell that it has played less."""


class Heard(NamedTuple):
    """How much of an item's audio was heard, in ms, when its output was cut."""

    item_id: str
    content_index: int
    audio_end_ms: int


@dataclass(slots=True)
class _Part:
    """A stretch of one content part's audio.

    Attributes:
        start: Where it begins in the output, in samples.
        before: How many bytes of the content part came before this stretch.
        size: How many bytes of it came.
        finished: Whether nothing more of it will come.
    """

    item_id: str
    content_index: int
    start: int
    before: int = 0
    size: int = 0
    finished: bool = False

    @property
    def length(self) -> int:
        """How many samples of it came."""
        return self.size // BYTES_PER_SAMPLE

    def heard_ms(self, position: int) -> int:
        """How much of the content part lies before `position`."""
        samples = self.before // BYTES_PER_SAMPLE + max(0, min(position - self.start, self.length))
        return samples * 1000 // SAMPLE_RATE

    def was_heard(self, position: int) -> bool:
        """Whether all of it lies before `position`, and nothing more will come."""
        return self.finished and position >= self.start + self.length


class Playout:
    """Paces PCM to a channel. Times are seconds of any monotonic clock.

    Args:
        frame_ms: The length of the frames given out.
        lead_ms: How far ahead of the clock frames are given out.
        far_end_delay_ms: From a frame's due time until it is heard, as long as the far end does not report.
        max_buffer_s: The bound on audio that waits; what exceeds it is dropped and counted.
    """

    def __init__(
        self,
        *,
        frame_ms: int = 20,
        lead_ms: int = 60,
        far_end_delay_ms: int = 0,
        max_buffer_s: float = 600,
    ) -> None:
        self._frame_bytes = frame_ms * BYTES_PER_MS
        self._frame_s = frame_ms / 1000
        self._lead_s = lead_ms / 1000
        self._far_end_delay_s = far_end_delay_ms / 1000
        self._max_buffer = int(max_buffer_s * SAMPLE_RATE) * BYTES_PER_SAMPLE

        self._waiting = bytearray()
        self._parts: deque[_Part] = deque()
        self._position = 0
        # The current stretch of unbroken output: when it began to be due, and at which position.
        self._stretch: tuple[float, int] | None = None
        # What the far end hears: from each time on, from each position on, as far as the next entry's position.
        self._hearing: deque[tuple[float, int]] = deque()
        # Below it the far end has played or dropped everything, so that a report of less is late.
        self._settled = 0
        self.dropped_bytes = 0

    @property
    def position(self) -> int:
        """Samples given out since the start."""
        return self._position

    @property
    def end(self) -> int:
        """Where that ends which came so far, in samples since the start."""
        return self._position + len(self._waiting) // BYTES_PER_SAMPLE

    @property
    def waiting_ms(self) -> int:
        """How much waits to be given out."""
        return len(self._waiting) // BYTES_PER_MS

    @property
    def is_finished(self) -> bool:
        """Whether all of what came was given out, and nothing more of it will come."""
        return not self._waiting and (not self._parts or self._parts[-1].finished)

    def due(self, position: int) -> float:
        """When a position that was given out is to be heard at a far end without delay."""
        began, at = self._stretch or (0.0, position)
        return began + (position - at) / SAMPLE_RATE

    def add(self, item_id: str, content_index: int, pcm: bytes) -> None:
        """Take more of an item's audio."""
        if not pcm:
            return
        room = max(0, self._max_buffer - len(self._waiting))
        if len(pcm) > room:
            self.dropped_bytes += len(pcm) - room
            pcm = pcm[:room]
        part = self._parts[-1] if self._parts else None
        if part is None or part.finished or (part.item_id, part.content_index) != (item_id, content_index):
            self._finish_last()
            # What waits is whole frames now, so that a part begins on a frame's edge.
            start = self.end
            same = [p for p in self._parts if (p.item_id, p.content_index) == (item_id, content_index)]
            part = _Part(item_id, content_index, start, before=same[-1].before + same[-1].size if same else 0)
            self._parts.append(part)
        part.size += len(pcm)
        self._waiting += pcm

    def finish(self, item_id: str, content_index: int) -> None:
        """No more of this part will come: its last samples need not wait for a full frame."""
        last = self._parts[-1] if self._parts else None
        if last is not None and (last.item_id, last.content_index) == (item_id, content_index):
            self._finish_last()

    def next_due(self) -> float | None:
        """When `take` will have a frame; `None` while there is nothing to say. May lie in the past."""
        if len(self._waiting) < self._frame_bytes:
            return None
        if self._stretch is None:
            return float("-inf")
        began, at = self._stretch
        return began + (self._position - at) / SAMPLE_RATE - self._lead_s

    def take(self, now: float, early_s: float = 0.0) -> bytes | None:
        """The next frame if it is due, or will be in so many seconds. Call until `None`."""
        if len(self._waiting) < self._frame_bytes:
            return None
        heard = float("-inf") if self._stretch is None else self.due(self._position)
        if heard - self._lead_s > now + early_s:
            return None
        # A new stretch begins at the start, and again after an underrun: what was late is not hurried after.
        if heard < now - self._frame_s:
            self._stretch = (now, self._position)
            self._hearing.append((now + self._far_end_delay_s, self._position))
        frame = bytes(self._waiting[: self._frame_bytes])
        del self._waiting[: self._frame_bytes]
        self._position += len(frame) // BYTES_PER_SAMPLE
        self._forget(now)
        return frame

    def report_played(self, position: int, now: float) -> None:
        """The far end says that it has played up to `position`. A late report, of less than is known, is ignored."""
        position = min(position, self._position)
        if position < self._settled:
            return
        self._settled = position
        to_come = [(at, start) for at, start in self._hearing if at > now and start >= position]
        self._hearing = deque([(now, position), *to_come])

    def heard_position(self, now: float) -> int:
        """The position that the far end is hearing now."""
        end = self._position
        for at, start in reversed(self._hearing):
            if at <= now:
                return min(end, start + round((now - at) * SAMPLE_RATE))
            end = start
        return end

    def unheard(self, now: float) -> set[str]:
        """The items of which more is to be heard, or more may come."""
        position = self.heard_position(now)
        return {part.item_id for part in self._parts if not part.was_heard(position)}

    def flush(self, now: float) -> list[Heard]:
        """Drop everything that was not heard.

        Returns:
            Every part that was not heard to its end, in order; empty when nothing was cut.
        """
        position = self.heard_position(now)
        cut: dict[tuple[str, int], Heard] = {}
        for part in self._parts:
            if not part.was_heard(position):
                heard = Heard(part.item_id, part.content_index, part.heard_ms(position))
                cut.setdefault((part.item_id, part.content_index), heard)
        self._waiting.clear()
        self._parts.clear()
        self._stretch = None
        self._hearing.clear()
        self._settled = self._position
        return list(cut.values())

    def _finish_last(self) -> None:
        """Close the last part; silence fills its last frame so that the next part begins on a frame's edge."""
        if not self._parts or self._parts[-1].finished:
            return
        self._parts[-1].finished = True
        self._waiting += bytes(-len(self._waiting) % self._frame_bytes)

    def _forget(self, now: float) -> None:
        """Drop what has been heard to its end, but for the last few."""
        while len(self._hearing) > 1 and self._hearing[1][0] <= now:
            self._hearing.popleft()
        if len(self._parts) > _KEPT_PARTS:
            position = self.heard_position(now)
            while len(self._parts) > _KEPT_PARTS and self._parts[0].was_heard(position):
                self._parts.popleft()
