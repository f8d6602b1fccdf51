"""The user's side of a channel in memory: gives frames, and notes when the agent's come and how much was heard."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bench import marks
from realtime_agent.pcm import BYTES_PER_MS, BYTES_PER_SAMPLE
from realtime_agent.rtc.channel import AudioFrame, ChannelEvent, Flushed
from realtime_agent.rtc.memory import MemoryChannel, MemoryRoom

__all__ = ["FarEnd", "Noted", "Source"]

_REPORT_S = 0.1
"""How often a far end tells what it has played, as the page does."""


@dataclass
class Noted:
    """What was noted at one agent in a while.

    Attributes:
        downlink_ns: From a delta's mark to its audio being there, for each delta.
        first_ns: From the mark of a response's first delta to its first frame in the channel.
        cuts: The (time in ns, milliseconds heard of what was cut) of each flush.
        cpu_s: What the process cost.
    """

    downlink_ns: list[int] = field(default_factory=list)
    first_ns: list[int] = field(default_factory=list)
    cuts: list[tuple[int, float]] = field(default_factory=list)
    cpu_s: float = 0.0


class Source:
    """Gives a marked frame whenever one is due.

    Args:
        frame_ms: How long the frames are.
        give: Takes them.
    """

    def __init__(self, frame_ms: int, give: Callable[[bytes], None]) -> None:
        self._frame_s = frame_ms / 1000
        self._rest = bytes(frame_ms * BYTES_PER_MS - marks.LENGTH)
        self._give = give
        self._numbers = itertools.count()
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def start(self, phase: float) -> None:
        """Give the first one in so many seconds."""
        self._due += phase
        self._timer = self._loop.call_at(self._due, self._tick)

    def stop(self) -> None:
        """Give no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        self._due += self._frame_s
        self._timer = self._loop.call_at(self._due, self._tick)
        self._give(marks.mark(next(self._numbers)) + self._rest)


class FarEnd(MemoryChannel):
    """Hears the agent a while after it spoke.

    Args:
        delay_ms: How much later it plays what it gets; `None` does not keep count, and tells nobody.

    Attributes:
        noted: What it has noted; to be replaced at will.
    """

    def __init__(self, room: MemoryRoom, uid: int, delay_ms: int | None) -> None:
        super().__init__(room, uid, frame_ms=20)
        self.noted = Noted()
        self._delay_s = None if delay_ms is None else delay_ms / 1000
        # Of what came since the last cut: when each frame is played, and how long it is.
        self._playing: list[tuple[float, float]] = []
        self._item_begins = 0
        self._base = 0
        self._end = 0.0

    def receive(self, event: ChannelEvent) -> None:
        """The agent did something."""
        if isinstance(event, AudioFrame):
            mark = marks.read_mark(event.pcm)
            if mark is not None and mark.is_first:
                self.noted.first_ns.append(time.monotonic_ns() - mark.sent_ns)
                self._item_begins = len(self._playing)
            if self._delay_s is not None:
                self._play(len(event.pcm), self._delay_s)
        elif isinstance(event, Flushed):
            self.noted.cuts.append((time.monotonic_ns(), self._heard_s(self._item_begins) * 1000))
            self._playing.clear()
            self._item_begins = 0
            self._base, self._end = event.position, 0.0

    async def report(self) -> None:
        """Tell the agent again and again what was played, until cancelled."""
        while self._delay_s is not None:
            await asyncio.sleep(_REPORT_S)
            self.report_played(self._base + int(self._heard_s(0) * 1000) * BYTES_PER_MS // BYTES_PER_SAMPLE)

    def _play(self, size: int, delay_s: float) -> None:
        begins = max(self._end, time.monotonic() + delay_s)
        self._end = begins + size / BYTES_PER_MS / 1000
        self._playing.append((begins, self._end - begins))

    def _heard_s(self, since: int) -> float:
        now = time.monotonic()
        return sum(min(length, max(0.0, now - begins)) for begins, length in self._playing[since:])
