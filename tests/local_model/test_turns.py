"""Turns over made-up probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from realtime_agent.local_model.turns import (
    MAX_TURN_MS,
    WINDOW_MS,
    IdleTimeout,
    TurnEnded,
    TurnEvent,
    TurnPaused,
    TurnResumed,
    Turns,
    TurnStarted,
)
from realtime_agent.realtime.types import SemanticVad, ServerVad

VAD = ServerVad(prefix_padding_ms=64, silence_duration_ms=320)


def hear(turns: Turns, *runs: tuple[float, int]) -> list[TurnEvent]:
    """Give runs of (probability, milliseconds) to the turns."""
    windows: list[float] = [probability for probability, ms in runs for _ in range(ms // WINDOW_MS)]
    return [event for probability in windows if (event := turns.hear(probability))]


def kinds(events: Sequence[TurnEvent]) -> list[type[TurnEvent]]:
    return [type(event) for event in events]


def test_a_turn_begins_before_its_first_speech_and_ends_after_the_silence() -> None:
    events = hear(Turns(VAD), (0, 640), (1, 960), (0, 640))
    assert events == [TurnStarted(576), TurnPaused(576, 1824), TurnEnded(576, 1920)]


def test_the_prefix_does_not_reach_before_the_first_audio() -> None:
    assert hear(Turns(VAD), (1, 320)) == [TurnStarted(0)]


def test_the_prefix_does_not_reach_into_the_turn_before() -> None:
    turns = Turns(ServerVad(prefix_padding_ms=2000, silence_duration_ms=0))
    events = hear(turns, (1, 320), (0, 32), (1, 320))
    assert events == [TurnStarted(0), TurnEnded(0, 352), TurnStarted(352)]


def test_a_click_is_not_a_turn() -> None:
    assert hear(Turns(VAD), (0, 320), (1, 64), (0, 640)) == []


def test_speech_below_the_threshold_does_not_begin_a_turn() -> None:
    assert hear(Turns(ServerVad(threshold=0.8)), (0.75, 3200)) == []


def test_speech_a_little_below_the_threshold_keeps_a_turn_going() -> None:
    assert kinds(hear(Turns(VAD), (1, 320), (0.4, 3200))) == [TurnStarted]


def test_a_short_silence_does_not_end_a_turn() -> None:
    assert kinds(hear(Turns(VAD), (1, 320), (0, 192), (1, 320))) == [TurnStarted]


def test_speech_after_a_pause_goes_on_with_the_turn() -> None:
    events = hear(Turns(VAD), (1, 320), (0, 256), (1, 320), (0, 224), (1, 32), (0, 320))
    assert events == [
        TurnStarted(0),
        TurnPaused(0, 544),
        TurnResumed(),
        TurnPaused(0, 1120),
        TurnResumed(),
        TurnPaused(0, 1376),
        TurnEnded(0, 1472),
    ]


def test_a_turn_that_never_pauses_ends_at_the_limit() -> None:
    events = hear(Turns(VAD), (1, MAX_TURN_MS + 320))
    assert kinds(events) == [TurnStarted, TurnEnded, TurnStarted]
    assert events[1] == TurnEnded(0, MAX_TURN_MS)


@pytest.mark.parametrize(("eagerness", "longest"), [("high", 400), ("medium", 700), ("auto", 700), ("low", 1200)])
def test_an_eager_model_waits_for_a_shorter_silence(eagerness: str, longest: int) -> None:
    turns = Turns(SemanticVad.model_validate({"eagerness": eagerness}))
    hear(turns, (1, 640))
    (ended,) = (event for event in hear(turns, (0, 2000)) if isinstance(event, TurnEnded))
    assert longest <= ended.end_ms - 640 < longest + WINDOW_MS


def test_without_turn_detection_nothing_happens_but_time_passes() -> None:
    turns = Turns(None)
    assert hear(turns, (1, 640), (0, 2000)) == []
    assert turns.position_ms == 640 + 2000 // WINDOW_MS * WINDOW_MS


def test_turning_detection_off_forgets_the_turn() -> None:
    turns = Turns(VAD)
    hear(turns, (1, 640))
    turns.configure(None)
    assert turns.start_ms is None
    turns.configure(VAD)
    assert hear(turns, (0, 3200)) == []


def test_other_settings_do_not_disturb_a_turn() -> None:
    turns = Turns(VAD)
    hear(turns, (1, 640))
    turns.configure(ServerVad(silence_duration_ms=64))
    assert hear(turns, (0, 64)) == [TurnEnded(0, 704)]


def test_after_a_reset_the_next_turn_begins_later() -> None:
    turns = Turns(VAD)
    hear(turns, (1, 640))
    turns.reset()
    assert hear(turns, (1, 96)) == [TurnStarted(640)]


def test_the_idle_timeout_comes_once_after_the_response_was_played() -> None:
    turns = Turns(ServerVad(idle_timeout_ms=5000))
    turns.expect_speech(1000)
    assert hear(turns, (0, 20_000)) == [IdleTimeout(1000, 6016)]


def test_speech_stops_the_idle_timeout() -> None:
    turns = Turns(ServerVad(idle_timeout_ms=5000))
    turns.expect_speech(0)
    assert kinds(hear(turns, (0, 3200), (1, 320), (0, 20_000))) == [TurnStarted, TurnPaused, TurnEnded]


def test_without_an_idle_timeout_silence_is_for_ever() -> None:
    turns = Turns(VAD)
    turns.expect_speech(0)
    assert hear(turns, (0, 60_000)) == []
