"""How much of what came a far end has heard."""

from __future__ import annotations

import pytest

from bench import far_end, marks
from bench.far_end import FarEnd
from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.rtc.channel import AudioFrame, Flushed
from realtime_agent.rtc.memory import MemoryRoom


class Clock:
    """In the place of the `time` that a far end reads."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def monotonic_ns(self) -> int:
        return int(self.now * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(far_end, "time", clock)
    return clock


def frame(*, is_first: bool = False) -> AudioFrame:
    """20 ms of speech."""
    pcm = bytes(20 * BYTES_PER_MS)
    return AudioFrame(1, marks.mark(0, is_first=True) + pcm[marks.LENGTH :] if is_first else pcm)


def cut(far: FarEnd) -> float:
    """Milliseconds heard of what is cut now."""
    far.receive(Flushed(0))
    return far.noted.cuts[-1][1]


@pytest.mark.parametrize("delay_ms", [0, 150])
def test_it_hears_what_it_got_as_much_later_as_it_is_late(clock: Clock, delay_ms: int) -> None:
    far = FarEnd(MemoryRoom(), 2, delay_ms)
    for n in range(10):
        far.receive(frame(is_first=n == 0))
    clock.now += (delay_ms + 70) / 1000
    assert cut(far) == pytest.approx(70)


def test_it_hears_no_more_than_came(clock: Clock) -> None:
    far = FarEnd(MemoryRoom(), 2, 0)
    far.receive(frame(is_first=True))
    clock.now += 5
    assert cut(far) == pytest.approx(20)


def test_only_the_last_that_was_begun_counts(clock: Clock) -> None:
    far = FarEnd(MemoryRoom(), 2, 0)
    far.receive(frame(is_first=True))
    far.receive(frame(is_first=True))
    clock.now += 0.03
    assert cut(far) == pytest.approx(10)


def test_after_a_cut_it_begins_anew(clock: Clock) -> None:
    far = FarEnd(MemoryRoom(), 2, 0)
    far.receive(frame(is_first=True))
    cut(far)
    clock.now += 1
    far.receive(frame(is_first=True))
    clock.now += 0.005
    assert cut(far) == pytest.approx(5)
