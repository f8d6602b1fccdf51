"""Both sides on one timeline: what was simultaneous is simultaneous in the recording, to 20 ms."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from realtime_agent.audio.recording import Recording
from realtime_agent.pcm import SAMPLE_RATE

FRAME = 480
FRAME_S = 0.02
MARK = (np.random.default_rng(7).normal(0, 8000, 2400)).astype("<i2")
"""A tenth of a second that is like nothing but itself."""
TOLERANCE = SAMPLE_RATE // 50

Samples = NDArray[np.int16]


def with_marks(seconds: float, *at: float) -> Samples:
    """Silence with marks in it."""
    sound = np.zeros(int(seconds * SAMPLE_RATE), "<i2")
    for time in at:
        start = int(time * SAMPLE_RATE)
        sound[start : start + len(MARK)] = MARK
    return sound


def frames(sound: Samples) -> list[bytes]:
    return [sound[start : start + FRAME].tobytes() for start in range(0, len(sound), FRAME)]


def sides(pcm: bytes) -> tuple[Samples, Samples]:
    both = np.frombuffer(pcm, "<i2")
    return both[0::2], both[1::2]


def marks_in(side: Samples) -> list[int]:
    """Where the marks are, found by correlation."""
    size = 1 << int(np.ceil(np.log2(len(side) + len(MARK))))
    spectrum = np.fft.rfft(side, size) * np.conj(np.fft.rfft(MARK, size))
    likeness = np.fft.irfft(spectrum)[: len(side)] / float(np.dot(MARK.astype(float), MARK.astype(float)))
    found: list[int] = []
    while likeness.max() > 0.5:
        at = int(likeness.argmax())
        found.append(at)
        likeness[max(0, at - 2400) : at + 2400] = 0
    return sorted(found)


class Scene:
    """A recording, and those who speak in it by a clock of their own."""

    def __init__(self, *, far_end_delay_s: float = 0.0) -> None:
        self.recording = Recording(100.0, far_end_delay_s=far_end_delay_s)
        self.events: list[tuple[float, Callable[[float], None]]] = []
        self.position = 0

    def at(self, time: float, happens: Callable[[float], None]) -> None:
        self.events.append((time, happens))

    def user_says(self, sound: Samples, late: Callable[[float], float], begin: float = 0.0, rate: float = 1.0) -> None:
        """Each frame comes so much later than it was said, and none before another; `rate` is the user's clock's."""
        came = 0.0
        for index, pcm in enumerate(frames(sound)):
            said = begin + (index + 1) * FRAME_S * rate
            came = max(came, said + late(said))
            self.at(came, lambda now, pcm=pcm: self.recording.user_spoke(pcm, now))  # type: ignore[misc]

    def agent_says(
        self,
        sound: Samples,
        begin: float,
        *,
        delay: float | Callable[[float], float] | None,
        lead: float = 0.06,
        late: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Frames are given a lead ahead; a far end that reports says each 100 ms what it has played, so much later.

        A delay that changes is a function of the time since the beginning.
        """
        for index, pcm in enumerate(frames(sound)):
            due, position = begin + index * FRAME_S, self.position
            self.at(max(begin, due - lead), lambda _, p=pcm, at=position, d=due: self.speak(p, at, d))  # type: ignore[misc]
            self.position += FRAME
            if delay is not None and index % 5 == 4:
                end = self.position
                behind = delay if isinstance(delay, float) else delay(due - begin)
                self.at(due + FRAME_S + behind + late(), lambda now, end=end: self.recording.played(end, now))  # type: ignore[misc]

    def speak(self, pcm: bytes, position: int, due: float) -> None:
        self.recording.agent_spoke(pcm, position, 100 + due)

    def record(self, seconds: float) -> tuple[Samples, Samples]:
        """Let all happen in its order; the recording is taken every second."""
        for second in range(1, int(seconds) + 1):
            self.at(float(second), self._take)
        self.written = bytearray()
        for time, happens in sorted(self.events, key=lambda event: event[0]):
            happens(100 + time)
        self.written += self.recording.finish(100 + seconds)
        assert len(self.written) == int(seconds * SAMPLE_RATE) * 4
        return sides(bytes(self.written))

    def _take(self, now: float) -> None:
        self.written += self.recording.take(now)


def aligned(found: list[int], *wanted: float) -> bool:
    return len(found) == len(wanted) and all(
        abs(at - time * SAMPLE_RATE) <= TOLERANCE for at, time in zip(found, wanted, strict=True)
    )


def on_time(_: float) -> float:
    return 0.0


@pytest.mark.parametrize("seed", range(5))
def test_jitter_moves_nothing(seed: int) -> None:
    chance = random.Random(seed)
    scene = Scene()
    scene.user_says(with_marks(20, 2, 9.5, 17), lambda _: chance.choice([0, 0.002, 0.01, 0.06]))
    left, _ = scene.record(21)
    assert aligned(marks_in(left), 2, 9.5, 17)


@pytest.mark.parametrize("stall", [0.3, 1.0, 1.8])
def test_what_comes_in_a_burst_after_a_stall_is_where_it_was_said(stall: float) -> None:
    scene = Scene()
    scene.user_says(with_marks(12, 4.1, 4.6, 9), lambda said: max(0.0, 4 + stall - said) if said > 4 else 0.0)
    left, _ = scene.record(13)
    assert aligned(marks_in(left), 4.1, 4.6, 9)


def test_a_gap_in_which_nothing_was_sent_is_silence() -> None:
    scene = Scene()
    scene.user_says(with_marks(3, 1), on_time)
    scene.user_says(with_marks(3, 1), on_time, begin=7.013)
    left, _ = scene.record(12)
    assert aligned(marks_in(left), 1, 8.013)
    assert not left[4 * SAMPLE_RATE : 7 * SAMPLE_RATE].any()


@pytest.mark.parametrize("rate", [0.9993, 1.0007])
def test_a_user_whose_clock_is_wrong_stays_aligned(rate: float) -> None:
    scene = Scene()
    scene.user_says(with_marks(180, 5, 90, 175), on_time, rate=rate)
    left, _ = scene.record(182)
    assert aligned(marks_in(left), 5 * rate, 90 * rate, 175 * rate)


@pytest.mark.parametrize("delay", [0.0, 0.04, 0.15, 0.4])
def test_the_agent_is_where_the_far_end_reports_to_have_played_it(delay: float) -> None:
    scene = Scene(far_end_delay_s=0.15)
    scene.agent_says(with_marks(4, 0.02, 2, 3.5), 3, delay=delay)
    scene.agent_says(with_marks(2, 1), 9.007, delay=delay)
    _, right = scene.record(14)
    assert aligned(marks_in(right), *(time + delay for time in (3.02, 5, 6.5, 10.007)))


@pytest.mark.parametrize("delay", [0.0, 0.15])
def test_without_reports_the_agent_is_where_it_should_have_been_heard(delay: float) -> None:
    scene = Scene(far_end_delay_s=delay)
    scene.agent_says(with_marks(4, 0.02, 3.5), 3, delay=None)
    _, right = scene.record(9)
    assert aligned(marks_in(right), 3.02 + delay, 6.5 + delay)


def test_reports_that_are_late_themselves_move_nothing() -> None:
    chance = random.Random(3)
    scene = Scene()
    scene.agent_says(with_marks(6, 0.5, 3, 5.5), 1, delay=0.1, late=lambda: chance.choice([0, 0, 0.02, 0.3]))
    _, right = scene.record(10)
    assert aligned(marks_in(right), 1.6, 4.1, 6.6)


def test_a_report_of_a_stretch_s_end_that_comes_after_the_next_has_begun_moves_neither() -> None:
    scene = Scene()
    scene.agent_says(with_marks(2, 0.5, 1.7), 1, delay=0.4)
    scene.agent_says(with_marks(2, 0.0, 1.0), 3.25, delay=0.4)
    _, right = scene.record(9)
    assert aligned(marks_in(right), 1.9, 3.1, 3.65, 4.65)


def test_an_underrun_that_the_far_end_s_buffer_covers_moves_nothing_before_it() -> None:
    scene = Scene(far_end_delay_s=0.15)
    # No report tells of the very end.
    scene.agent_says(with_marks(1.96, 0.5, 1.7), 1, delay=0.25)
    scene.agent_says(with_marks(2, 1.0), 2.96 + 0.15, delay=0.10)
    _, right = scene.record(9)
    assert aligned(marks_in(right), 1.75, 2.95, 4.21)


@pytest.mark.parametrize(("before", "after"), [(0.4, 0.1), (0.1, 0.4)])
def test_a_delay_that_changes_while_the_agent_speaks_changes_there(before: float, after: float) -> None:
    scene = Scene()
    scene.agent_says(with_marks(6, 0.0, 2.5, 3.5, 5.5), 1, delay=lambda at: before if at < 3 else after)
    _, right = scene.record(10)
    assert aligned(marks_in(right), 1 + before, 3.5 + before, 4.5 + after, 6.5 + after)


@pytest.mark.parametrize("seed", range(5))
def test_a_delay_that_changes_is_found_among_reports_that_are_late(seed: int) -> None:
    chance = random.Random(seed)
    delays = [chance.choice([0.05, 0.1, 0.2, 0.35]) for _ in range(4)]
    scene = Scene()
    scene.agent_says(
        with_marks(12, 2.5, 5.5, 8.5, 11.5),
        1,
        delay=lambda at: delays[min(3, int(at // 3))],
        late=lambda: chance.choice([0, 0, 0.005, 0.25]),
    )
    _, right = scene.record(16)
    assert aligned(marks_in(right), *(3.5 + 3 * number + delay for number, delay in enumerate(delays)))


def test_reports_that_a_stall_of_the_network_holds_up_move_nothing() -> None:
    scene = Scene()
    sound = with_marks(6, 0.5, 2.5, 5.5)
    scene.agent_says(sound, 1, delay=lambda at: 0.1 + (2.8 - at if 2 < at < 2.8 else 0))
    _, right = scene.record(10)
    assert aligned(marks_in(right), 1.6, 3.6, 6.6)


def test_a_far_end_that_says_to_have_played_what_it_was_not_given_is_not_believed() -> None:
    scene = Scene(far_end_delay_s=0.15)
    scene.agent_says(with_marks(4, 0.02, 0.5, 3.5), 1, delay=0.6)
    scene.at(1.05, lambda now: scene.recording.played(10**9, now))
    _, right = scene.record(9)
    assert aligned(marks_in(right), 1.62, 2.1, 5.1)


def test_a_far_end_that_stands_where_a_cut_has_sent_it_has_not_played_that() -> None:
    scene = Scene(far_end_delay_s=0.15)
    scene.agent_says(with_marks(3, 0.5, 1.2), 1, delay=0.15)
    cut_at = 2.5
    scene.events = [(time, happens) for time, happens in scene.events if time < cut_at]
    scene.position = int((cut_at - 1 + 0.06) * SAMPLE_RATE) // FRAME * FRAME
    end = scene.position
    scene.at(cut_at, lambda _: scene.recording.cut(int((cut_at - 1 - 0.15) * SAMPLE_RATE)))
    scene.at(cut_at + 0.02, lambda now: scene.recording.played(end, now))
    scene.agent_says(with_marks(2, 0.0, 1), 6, delay=0.15)
    _, right = scene.record(10)
    assert aligned(marks_in(right), 1.65, 2.35, 6.15, 7.15)
    next_reply = right[5 * SAMPLE_RATE :]
    assert abs(int(np.flatnonzero(next_reply)[0]) - 1.15 * SAMPLE_RATE) <= TOLERANCE


def test_both_sides_are_aligned_with_one_another() -> None:
    chance = random.Random(1)
    scene = Scene(far_end_delay_s=0.15)
    scene.user_says(with_marks(20, 3, 7, 16), lambda _: chance.choice([0, 0.01, 0.05]))
    scene.agent_says(with_marks(6, 0, 4), 3 - 0.05, delay=0.05)
    scene.agent_says(with_marks(2, 1), 15 - 0.05, delay=0.05)
    left, right = (marks_in(side) for side in scene.record(22))
    assert len(left) == len(right) == 3
    assert all(abs(one - other) <= TOLERANCE for one, other in zip(left, right, strict=True))


@pytest.mark.parametrize("delay", [None, 0.0, 0.15])
def test_what_a_barge_in_cut_off_was_not_heard(delay: float | None) -> None:
    scene = Scene(far_end_delay_s=0.15)
    sound = np.full(10 * SAMPLE_RATE, 1000, "<i2")
    scene.agent_says(sound, 1, delay=delay)
    actual = 0.15 if delay is None else delay
    cut_at = 4.5
    scene.events = [(time, happens) for time, happens in scene.events if time < cut_at]
    scene.at(cut_at, lambda _: scene.recording.cut(int((cut_at - 1 - actual) * SAMPLE_RATE)))
    scene.position = int(10 * SAMPLE_RATE)
    scene.agent_says(with_marks(1, 0.5), 6, delay=delay)
    _, right = scene.record(10)
    heard = np.flatnonzero(right[: 6 * SAMPLE_RATE])
    assert abs(heard[0] - (1 + actual) * SAMPLE_RATE) <= TOLERANCE
    assert abs(heard[-1] - cut_at * SAMPLE_RATE) <= TOLERANCE
    assert aligned(marks_in(right), 6.5 + actual)


def test_speech_of_the_agent_is_one_piece() -> None:
    scene = Scene()
    ramp = (np.arange(3 * SAMPLE_RATE) % 30_000 + 1).astype("<i2")
    scene.agent_says(ramp, 1, delay=0.08)
    _, right = scene.record(8)
    first = int(np.flatnonzero(right)[0])
    assert (right[first : first + len(ramp)] == ramp).all()


def test_nothing_is_given_twice_nor_before_it_is_settled() -> None:
    recording = Recording(0)
    assert recording.take(1.5) == b""
    assert len(recording.take(3)) == 4 * SAMPLE_RATE
    assert recording.take(3) == recording.take(2.5) == b""
    assert len(recording.finish(3)) == 4 * 2 * SAMPLE_RATE
    assert recording.finish(3) == b""


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("uapct"), st.floats(0, 5), st.integers(0, 200_000)), max_size=60))
def test_nothing_that_happens_breaks_it(happens: list[tuple[str, float, int]]) -> None:
    recording, now, written = Recording(0), 0.0, 0
    for kind, later, number in happens:
        now += later
        match kind:
            case "u":
                recording.user_spoke(bytes(2 * (number % 1000)), now)
            case "a":
                recording.agent_spoke(bytes(960), number, now + later)
            case "p":
                recording.played(number, now)
            case "c":
                recording.cut(number)
            case "t":
                written += len(recording.take(now))
    written += len(recording.finish(now))
    assert written == round(now * SAMPLE_RATE) * 4


def test_what_nobody_takes_for_a_minute_is_kept() -> None:
    recording = Recording(0)
    for number in range(5000):
        recording.user_spoke(b"\1\0" * 240, (number + 1) * 0.01)
        recording.agent_spoke(b"\2\0" * 240, number * 240, number * 0.01)
        if number % 10 == 9:
            recording.played((number + 1) * 240, (number + 1) * 0.01)
    for side in sides(recording.take(53)):
        assert np.count_nonzero(side) == 50 * SAMPLE_RATE
    assert recording.lost == 0


def test_what_waits_is_bounded_and_what_is_lost_is_counted() -> None:
    recording = Recording(0)
    for number in range(20_000):
        recording.user_spoke(bytes(960), 1)
        recording.agent_spoke(bytes(960), number * FRAME, 1 + number)
        recording.played(number * FRAME, 1)
    assert max(len(recording._heard), len(recording._said)) == 6000
    assert len(recording._reports) == 3000
    assert len(recording._stretches) <= 16
    assert recording.lost == 2 * 14_000 * FRAME


def test_no_far_end_reports_so_much_that_it_takes_long() -> None:
    recording = Recording(0)
    for number in range(200):
        recording.agent_spoke(bytes(960), number * FRAME, number * FRAME_S)
        for position in range(number * FRAME, (number + 1) * FRAME, 10):
            recording.played(position + 10, number * FRAME_S)
    # 4 s of speech, and no two reports nearer than 83 ms to one another.
    assert len(recording._reports) == 48
