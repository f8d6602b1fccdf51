"""Playout with an injected clock: pacing, and what was heard."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime_agent.audio.playout import Heard, Playout

# A busy machine is no failure.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

RATE = 24_000
FRAME_MS = 20
FRAME = RATE * FRAME_MS // 1000
FRAME_BYTES = 2 * FRAME
FRAME_S = FRAME_MS / 1000


def speech(ms: float, first: int = 1) -> bytes:
    """Audio in which no sample is silent and neighbours differ."""
    count = round(ms * RATE / 1000)
    return struct.pack(f"<{count}h", *((first + number) % 30_000 + 1 for number in range(count)))


def at(ms: float) -> int:
    """The position that many milliseconds from the start."""
    return round(ms * RATE / 1000)


def new(*, lead_ms: int = 0, far_end_delay_ms: int = 0, frame_ms: int = FRAME_MS, max_buffer_s: float = 600) -> Playout:
    return Playout(
        frame_ms=frame_ms,
        lead_ms=lead_ms,
        far_end_delay_ms=far_end_delay_ms,
        max_buffer_s=max_buffer_s,
    )


def take_all(playout: Playout, now: float) -> list[bytes]:
    frames = []
    while (frame := playout.take(now)) is not None:
        frames.append(frame)
    return frames


def pace(playout: Playout, start: float, end: float) -> list[bytes]:
    """Take every frame when it is due, as the agent does, until `end`."""
    frames = take_all(playout, start)
    while (due := playout.next_due()) is not None and due <= end:
        frames += take_all(playout, max(start, due))
    return frames


# Pacing.


def test_nothing_is_due_without_audio() -> None:
    playout = new()
    assert playout.next_due() is None
    assert playout.take(100) is None
    assert playout.heard_position(100) == playout.position == 0


def test_the_first_frame_is_due_at_once_and_the_others_as_long_as_frames_last() -> None:
    playout = new()
    playout.add("a", 0, speech(100))
    assert playout.next_due() == float("-inf")
    assert len(take_all(playout, 50)) == 1
    assert playout.next_due() == pytest.approx(50 + FRAME_S)
    assert take_all(playout, 50 + FRAME_S * 0.99) == []
    assert len(take_all(playout, 50 + FRAME_S * 1.01)) == 1


def test_frames_are_given_out_a_lead_ahead_of_the_clock() -> None:
    playout = new(lead_ms=60)
    playout.add("a", 0, speech(1000))
    assert len(take_all(playout, 0)) == 4
    assert playout.next_due() == pytest.approx(FRAME_S)
    assert len(pace(playout, 0, 0.5)) == 25
    assert playout.position == at(80 + 500)


@pytest.mark.parametrize("frame_ms", [10, 20])
def test_pacing_does_not_drift_over_minutes(frame_ms: int) -> None:
    playout = new(lead_ms=60, frame_ms=frame_ms)
    now, second = 1e6, speech(1000)
    for _ in range(600):
        playout.add("a", 0, second)
    for tick in range(600 * 50):
        take_all(playout, now + tick * FRAME_S * 0.9999)
    elapsed_ms = 599.98 * 1000 * 0.9999
    assert abs(playout.position - at(elapsed_ms + 60)) <= at(frame_ms)
    pace(playout, now, now + 700)
    assert playout.position == at(600_000)


def test_a_late_tick_is_caught_up_with() -> None:
    playout = new(lead_ms=60)
    playout.add("a", 0, speech(1000))
    take_all(playout, 0)
    assert len(take_all(playout, 0.09)) == 4
    assert playout.next_due() == pytest.approx(0.1)


def test_a_stall_is_not_hurried_after() -> None:
    playout = new(lead_ms=60)
    playout.add("a", 0, speech(2000))
    take_all(playout, 0)
    assert len(take_all(playout, 1.0)) == 4
    assert playout.next_due() == pytest.approx(1.0 + FRAME_S)


def test_output_is_exactly_what_came_in() -> None:
    playout, pcm = new(), speech(200)
    for begin in range(0, len(pcm), 1234):
        playout.add("a", 0, pcm[begin : begin + 1234])
    assert b"".join(pace(playout, 0, 10)) == pcm


def test_a_tail_shorter_than_a_frame_waits_for_more_until_its_part_is_finished() -> None:
    playout, pcm = new(), speech(30)
    playout.add("a", 0, pcm)
    assert pace(playout, 0, 10) == [pcm[:FRAME_BYTES]]
    assert playout.next_due() is None
    playout.finish("a", 0)
    assert pace(playout, 10, 20) == [pcm[FRAME_BYTES:].ljust(FRAME_BYTES, b"\0")]
    playout.finish("a", 0)
    assert playout.next_due() is None


def test_every_part_begins_on_a_frame_s_edge() -> None:
    playout, one, two = new(), speech(30), speech(20, first=9000)
    playout.add("a", 0, one)
    playout.add("b", 0, two)
    playout.add("b", 1, one)
    playout.finish("b", 1)
    frames = pace(playout, 0, 10)
    assert b"".join(frames) == one + bytes(FRAME_BYTES // 2) + two + one + bytes(FRAME_BYTES // 2)


def test_finishing_what_is_not_being_said_does_nothing() -> None:
    playout = new()
    playout.finish("a", 0)
    playout.add("a", 0, speech(10))
    playout.finish("b", 0)
    playout.finish("a", 1)
    assert playout.next_due() is None


def test_deltas_that_split_a_sample_keep_it_whole() -> None:
    playout, pcm = new(), speech(100)
    for begin in range(0, len(pcm), 101):
        playout.add("a", 0, pcm[begin : begin + 101])
    assert playout.flush(0) == [Heard("a", 0, 0)]
    for begin in range(0, len(pcm), 101):
        playout.add("a", 0, pcm[begin : begin + 101])
    assert b"".join(pace(playout, 0, 1)) == pcm
    assert playout.flush(1) == [Heard("a", 0, 100)]


def test_an_empty_delta_is_nothing_to_say() -> None:
    playout = new()
    playout.add("a", 0, b"")
    assert playout.take(0) is None
    assert playout.flush(0) == []


def test_what_exceeds_the_bound_is_dropped_and_counted() -> None:
    playout = new(max_buffer_s=0.1)
    playout.add("a", 0, speech(80))
    playout.add("a", 0, speech(80))
    playout.add("b", 0, speech(80))
    assert playout.dropped_bytes == 2 * at(60 + 80)
    pace(playout, 0, 10)
    assert playout.position == at(100)
    playout.add("c", 0, speech(80))
    pace(playout, 10, 20)
    assert playout.position == at(180)


# What was heard, by the clock alone.


def test_audio_is_heard_as_it_is_due_and_not_as_it_comes() -> None:
    playout = new(lead_ms=60)
    playout.add("a", 0, speech(10_000))
    take_all(playout, 0)
    assert playout.position == at(80)
    assert playout.heard_position(0) == 0
    pace(playout, 0, 1.0)
    assert playout.heard_position(1.0) == at(1000)
    assert playout.position >= at(1060)


def test_the_far_end_hears_later() -> None:
    playout = new(lead_ms=60, far_end_delay_ms=150)
    playout.add("a", 0, speech(1000))
    pace(playout, 5, 6)
    assert playout.heard_position(5.1) == 0
    assert playout.heard_position(5.15) == 0
    assert playout.heard_position(5.4) == at(250)
    assert playout.heard_position(99) == at(1000)


def test_nothing_more_is_heard_than_was_given_out() -> None:
    playout = new()
    playout.add("a", 0, speech(1000))
    take_all(playout, 0)
    assert playout.heard_position(0.5) == FRAME


def test_the_pause_of_an_underrun_is_not_heard() -> None:
    playout = new(far_end_delay_ms=100)
    playout.add("a", 0, speech(200))
    pace(playout, 0, 1)
    assert playout.heard_position(5) == at(200)
    playout.add("a", 0, speech(200))
    pace(playout, 5, 5.1)
    assert playout.heard_position(5.09) == at(200)
    assert playout.heard_position(5.15) == at(250)
    assert playout.flush(5.15) == [Heard("a", 0, 250)]


def test_the_end_of_one_stretch_is_still_heard_while_the_next_begins() -> None:
    playout = new(far_end_delay_ms=150)
    playout.add("a", 0, speech(200))
    pace(playout, 0, 0.2)
    playout.add("a", 0, speech(200))
    pace(playout, 0.25, 0.3)
    # The first stretch is heard from 0.15 to 0.35 s, the second from 0.4 s on.
    heard = {ms: playout.heard_position(ms / 1000) for ms in (250, 300, 350, 400, 410)}
    assert heard == {250: at(100), 300: at(150), 350: at(200), 400: at(200), 410: at(210)}


# What was heard, by the far end's word.


def speaking(far_end_delay_ms: int = 150) -> Playout:
    """Ten seconds of one item, of which one second was given out from 0 to 1 s."""
    playout = new(far_end_delay_ms=far_end_delay_ms)
    playout.add("a", 0, speech(10_000))
    pace(playout, 0, 1 - FRAME_S)
    assert playout.position == at(1000)
    return playout


def test_a_report_is_the_truth_and_the_clock_carries_it_on() -> None:
    playout = speaking()
    playout.report_played(at(500), 1.0)
    assert playout.heard_position(1.0) == at(500)
    assert playout.heard_position(1.1) == at(600)
    assert playout.heard_position(9.0) == at(1000)


def test_a_report_that_repeats_itself_is_a_stall_of_the_far_end() -> None:
    playout = speaking()
    playout.report_played(at(500), 1.0)
    playout.report_played(at(500), 1.3)
    assert playout.heard_position(1.4) == at(600)


def test_a_report_corrects_a_clock_that_ran_ahead() -> None:
    playout = speaking()
    playout.report_played(at(500), 1.0)
    playout.report_played(at(550), 1.3)
    assert playout.heard_position(1.3) == at(550)


def test_a_report_that_goes_back_is_late_and_ignored() -> None:
    playout = speaking()
    playout.report_played(at(500), 1.0)
    playout.report_played(at(400), 1.1)
    assert playout.heard_position(1.1) == at(600)


def test_a_report_of_more_than_was_given_out_means_all_of_it() -> None:
    playout = speaking()
    playout.report_played(at(5000), 1.0)
    assert playout.heard_position(1.0) == at(1000)
    playout.report_played(-5, 1.0)
    assert playout.heard_position(1.0) == at(1000)


def test_a_report_before_anything_was_said_is_harmless() -> None:
    playout = new(far_end_delay_ms=100)
    playout.report_played(0, 0.0)
    playout.report_played(77, 0.1)
    playout.add("a", 0, speech(200))
    pace(playout, 5, 6)
    assert playout.heard_position(5.1) == 0
    assert playout.heard_position(5.15) == at(50)


def test_a_report_after_a_flush_speaks_of_audio_that_is_gone() -> None:
    playout = speaking()
    assert playout.flush(1.0) == [Heard("a", 0, 850)]
    playout.report_played(at(860), 1.1)
    assert playout.heard_position(1.1) == at(1000)
    assert playout.next_due() is None
    playout.add("b", 0, speech(1000))
    pace(playout, 2, 2.5)
    playout.report_played(at(860), 2.2)
    assert playout.heard_position(2.25) == at(1100)
    playout.report_played(at(1050), 2.25)
    assert playout.flush(2.3) == [Heard("b", 0, 100)]


def test_until_the_far_end_reports_of_a_new_stretch_its_start_is_estimated() -> None:
    playout = new(far_end_delay_ms=100)
    playout.add("a", 0, speech(200))
    pace(playout, 0, 1)
    playout.report_played(at(200), 1)
    playout.add("a", 0, speech(400))
    pace(playout, 5, 5.2)
    playout.report_played(at(200), 5.05)
    assert playout.heard_position(5.1) == at(200)
    assert playout.heard_position(5.15) == at(250)
    # It is sooner than was thought:
    playout.report_played(at(290), 5.15)
    assert playout.heard_position(5.16) == at(300)


def test_a_far_end_that_is_faster_than_thought_is_believed() -> None:
    playout = new(far_end_delay_ms=1000)
    playout.add("a", 0, speech(400))
    pace(playout, 5, 5.2)
    playout.report_played(at(100), 5.2)
    assert playout.heard_position(5.25) == at(150)


# Flush.


def test_flush_tells_how_much_of_every_part_was_heard() -> None:
    playout = new(lead_ms=60)
    playout.add("a", 0, speech(1000))
    playout.add("b", 0, speech(1000))
    playout.add("c", 1, speech(1000))
    pace(playout, 0, 1.5)
    assert playout.flush(1.5) == [Heard("b", 0, 500), Heard("c", 1, 0)]
    assert playout.next_due() is None
    assert playout.heard_position(1.5) == playout.position
    assert playout.flush(1.5) == []
    playout.add("d", 0, speech(FRAME_MS))
    assert take_all(playout, 1.5) == [speech(FRAME_MS)]


def test_what_was_heard_to_its_end_was_not_cut() -> None:
    playout = new(lead_ms=60, far_end_delay_ms=150)
    playout.add("a", 0, speech(1000))
    playout.finish("a", 0)
    pace(playout, 0, 2)
    assert playout.flush(1.16) == []


def test_the_end_that_the_far_end_has_not_heard_yet_is_cut() -> None:
    playout = new(lead_ms=60, far_end_delay_ms=150)
    playout.add("a", 0, speech(1000))
    playout.finish("a", 0)
    pace(playout, 0, 1)
    assert playout.next_due() is None
    assert playout.flush(1.1) == [Heard("a", 0, 950)]


def test_a_part_that_is_still_coming_is_cut_after_all_that_came() -> None:
    playout = new()
    playout.add("a", 0, speech(100))
    pace(playout, 0, 1)
    assert playout.flush(1) == [Heard("a", 0, 100)]


def test_the_silence_that_fills_a_frame_is_nobody_s_speech() -> None:
    playout = new()
    playout.add("a", 0, speech(30))
    playout.finish("a", 0)
    pace(playout, 0, 1)
    assert playout.position == 2 * FRAME
    assert playout.flush(0.03) == []


def test_a_report_of_less_than_was_thought_brings_back_what_should_have_been_heard() -> None:
    playout = new()
    playout.add("a", 0, speech(1000))
    playout.finish("a", 0)
    pace(playout, 0, 1.2)
    playout.add("b", 0, speech(1000))
    pace(playout, 1.2, 1.3)
    playout.report_played(at(100), 1.3)
    assert playout.flush(1.3) == [("a", 0, 100), ("b", 0, 0)]


def test_a_part_that_comes_in_stretches_is_counted_from_its_beginning() -> None:
    playout = new()
    for item_id in ("a", "b", "a"):
        playout.add(item_id, 0, speech(1000))
    pace(playout, 0, 2.5)
    assert playout.flush(2.5) == [("a", 0, 1500)]


def test_of_a_part_in_stretches_the_first_that_was_not_heard_tells_where_it_was_cut() -> None:
    playout = new()
    for item_id in ("a", "b", "a"):
        playout.add(item_id, 0, speech(1000))
    pace(playout, 0, 0.5)
    assert playout.flush(0.5) == [("a", 0, 500), ("b", 0, 0)]


def test_audio_that_comes_after_its_end_belongs_to_the_same_part() -> None:
    playout = new()
    playout.add("a", 0, speech(1000))
    playout.finish("a", 0)
    playout.add("a", 0, speech(1000))
    pace(playout, 0, 1.5)
    assert playout.flush(1.5) == [("a", 0, 1500)]


def test_what_was_heard_long_ago_is_not_kept() -> None:
    playout = new()
    for number in range(100):
        playout.add(f"i{number}", 0, speech(20))
        playout.finish(f"i{number}", 0)
        pace(playout, number, number + 1)
    assert len(playout._parts) <= 17


def test_after_a_flush_the_next_reply_begins_at_once() -> None:
    playout = new(lead_ms=60)
    playout.add("a", 0, speech(1000))
    pace(playout, 0, 0.5)
    playout.flush(0.5)
    reached = playout.position
    playout.add("b", 0, speech(1000))
    assert len(take_all(playout, 0.51)) == 4
    assert playout.heard_position(0.51) == reached
    assert playout.flush(0.56) == [Heard("b", 0, 50)]


# Whatever happens.


@dataclass
class Model:
    """A playout, all that should have come out of it, and an ideal far end."""

    playout: Playout
    delay_s: float
    now: float = 100.0
    expected: bytearray = field(default_factory=bytearray)
    output: bytearray = field(default_factory=bytearray)
    received: list[int] = field(default_factory=lambda: [0])
    heard_until: list[float] = field(default_factory=list)
    """For each frame given out, when the far end has heard it."""

    def add(self, count: int) -> None:
        pcm = speech(count * 1000 / RATE, first=len(self.expected))
        self.playout.add(str(len(self.received)), 0, pcm)
        self.expected += pcm
        self.received[-1] += len(pcm) // 2

    def finish(self) -> None:
        self.playout.finish(str(len(self.received)), 0)
        self.expected += bytes(-len(self.expected) % FRAME_BYTES)
        self.received.append(0)

    def tick(self, ms: int) -> None:
        self.now += ms / 1000
        for frame in take_all(self.playout, self.now):
            assert len(frame) == FRAME_BYTES
            self.output += frame
            begin = max(self.now + self.delay_s, self.heard_until[-1] if self.heard_until else 0)
            self.heard_until.append(begin + FRAME_S)

    def flush(self) -> list[Heard]:
        self.expected = bytearray(self.output)
        self.received.append(0)
        return self.playout.flush(self.now)

    def truth(self) -> float:
        """The position that the ideal far end hears."""
        return FRAME * sum(min(1, max(0, 1 - (end - self.now) / FRAME_S)) for end in self.heard_until)

    def check(self) -> None:
        heard = self.playout.heard_position(self.now)
        assert 0 <= heard <= self.playout.position == len(self.output) // 2
        assert self.output == self.expected[: len(self.output)]


adds = st.tuples(st.just("add"), st.integers(0, 5 * FRAME))
finishes = st.tuples(st.just("finish"), st.just(0))
ticks = st.tuples(st.just("tick"), st.integers(0, 40) | st.integers(0, 400))
reports = st.tuples(st.just("report"), st.integers(-10 * FRAME, 2 * FRAME))
flushes = st.tuples(st.just("flush"), st.just(0))
Steps = list[tuple[str, int]]
models = st.builds(
    lambda lead_ms, delay_ms: Model(new(lead_ms=lead_ms, far_end_delay_ms=delay_ms), delay_ms / 1000),
    st.sampled_from([0, 20, 60]),
    st.sampled_from([0, 30, 150, 500]),
)


@patient
@given(models, st.lists(adds | finishes | ticks | reports | flushes, max_size=60))
def test_no_sequence_of_events_tells_of_more_than_came(model: Model, steps: Steps) -> None:
    for step, value in steps:
        match step:
            case "add":
                model.add(value)
            case "finish":
                model.finish()
            case "tick":
                model.tick(value)
            case "report":
                model.playout.report_played(model.playout.position + value, model.now)
            case "flush":
                heard = model.flush()
                ids = [int(part.item_id) for part in heard]
                assert ids == sorted(set(ids))
                for part in heard:
                    assert 0 <= part.audio_end_ms * RATE <= model.received[int(part.item_id) - 1] * 1000
                assert model.playout.next_due() is None
                assert model.playout.heard_position(model.now) == model.playout.position
        model.check()


@patient
@given(models, st.lists(adds | finishes | ticks, max_size=60))
def test_all_that_came_goes_out_and_what_is_heard_is_known_to_a_frame(model: Model, steps: Steps) -> None:
    heard_before = 0
    for step, value in steps:
        match step:
            case "add":
                model.add(value)
            case "finish":
                model.finish()
            case "tick":
                model.tick(value)
        model.check()
        heard = model.playout.heard_position(model.now)
        assert heard >= heard_before
        assert abs(heard - model.truth()) <= FRAME + 1
        heard_before = heard
    model.finish()
    while model.playout.next_due() is not None:
        model.tick(FRAME_MS)
    assert model.output == model.expected
    model.tick(10_000)
    assert model.playout.flush(model.now) == []
