"""How long a user waits for an answer."""

from __future__ import annotations

import pytest

from realtime_agent.control.events import TurnMeasured
from realtime_agent.control.turn_timer import TurnTimer


@pytest.fixture
def timer() -> TurnTimer:
    return TurnTimer()


def test_it_counts_from_the_last_word_to_the_answer_s_first_audio_and_first_frame(timer: TurnTimer) -> None:
    timer.user_stopped(10.5, silence_ms=500)
    timer.audio_came("i1", 0, 10.7)
    assert timer.frame_given(480, 10.72) == TurnMeasured(first_audio_ms=700, first_frame_ms=720, silence_ms=500)


def test_a_turn_is_measured_once(timer: TurnTimer) -> None:
    timer.user_stopped(10)
    timer.audio_came("i1", 0, 11)
    assert timer.frame_given(480, 11) is not None
    timer.audio_came("i1", 4800, 11.1)
    assert timer.frame_given(960, 11.2) is None


def test_what_the_agent_had_begun_to_say_is_no_answer(timer: TurnTimer) -> None:
    timer.audio_came("i1", 0, 9)
    timer.user_stopped(10)
    timer.audio_came("i1", 24_000, 10.1)
    assert timer.frame_given(24_480, 10.2) is None
    timer.audio_came("i2", 48_000, 10.6)
    measured = timer.frame_given(48_480, 11.5)
    assert measured is not None
    assert (measured.first_audio_ms, measured.first_frame_ms) == (600, 1500)


def test_the_first_frame_is_one_of_the_answer_itself(timer: TurnTimer) -> None:
    timer.user_stopped(10)
    timer.audio_came("i2", 96_000, 10.5)
    assert timer.frame_given(95_520, 13.9) is None
    assert timer.frame_given(96_000, 13.95) is None
    measured = timer.frame_given(96_480, 14)
    assert measured is not None
    assert measured.first_frame_ms == 4000


def test_a_turn_that_goes_on_is_measured_from_its_end(timer: TurnTimer) -> None:
    timer.user_stopped(10)
    timer.audio_came("i1", 0, 10.5)
    timer.forget()
    assert timer.frame_given(480, 10.6) is None
    timer.user_stopped(12)
    timer.audio_came("i2", 480, 12.5)
    measured = timer.frame_given(960, 12.5)
    assert measured is not None
    assert measured.first_audio_ms == 500


def test_what_comes_after_a_minute_is_no_answer(timer: TurnTimer) -> None:
    timer.user_stopped(10)
    timer.audio_came("i1", 0, 70.1)
    assert timer.frame_given(480, 70.1) is None
