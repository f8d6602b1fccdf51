"""An agent's life with injected time."""

from __future__ import annotations

import pytest

from realtime_agent.control.life import EndReason, Life, State
from realtime_agent.control.spec import Limits

BORN = 1000.0


def new(*, wait: float = 120, grace: float = 15, idle: float = 600, most: float = 7200) -> Life:
    limits = Limits(user_wait_timeout_s=wait, user_left_grace_s=grace, idle_timeout_s=idle, max_duration_s=most)
    return Life(limits, BORN)


def active(**limits: float) -> Life:
    """A life whose user came at 1010."""
    life = new(**limits)
    life.connecting()
    life.ready(1005)
    life.user_joined(1010)
    return life


def test_it_goes_from_start_to_end() -> None:
    life = new()
    seen = [life.state]
    steps = [
        life.connecting,
        lambda: life.ready(1001),
        lambda: life.user_joined(1002),
        lambda: life.user_left(1003),
        lambda: life.user_joined(1004),
        life.ended,
    ]
    for step in steps:
        step()
        seen.append(life.state)
    assert seen == [
        State.STARTING,
        State.CONNECTING,
        State.WAITING,
        State.ACTIVE,
        State.WAITING,
        State.ACTIVE,
        State.ENDED,
    ]


def test_before_it_is_ready_only_its_whole_life_is_limited() -> None:
    life = new()
    assert life.deadline() == (8200, EndReason.MAX_DURATION)
    life.connecting()
    assert life.deadline() == (8200, EndReason.MAX_DURATION)


def test_it_waits_for_its_user_from_when_it_is_ready() -> None:
    life = new()
    life.connecting()
    life.ready(1005)
    assert life.deadline() == (1125, EndReason.USER_NEVER_CAME)


def test_while_the_user_is_there_only_silence_ends_it() -> None:
    assert active().deadline() == (1610, EndReason.IDLE)


def test_speech_puts_off_the_end_by_silence() -> None:
    life = active()
    life.agent_speaks(1300)
    assert life.deadline() == (1900, EndReason.IDLE)


def test_nobody_is_idle_while_the_user_speaks() -> None:
    life = active()
    life.user_speaks(True, 1300)
    assert life.deadline() != (1900, EndReason.IDLE)
    life.user_speaks(False, 5000)
    assert life.deadline() == (5600, EndReason.IDLE)


def test_a_user_who_left_in_the_middle_of_a_sentence_does_not_keep_the_next_from_being_idle() -> None:
    life = active()
    life.user_speaks(True, 1300)
    life.user_joined(1400)
    assert life.deadline() == (2000, EndReason.IDLE)


def test_speech_does_not_put_off_the_wait_for_a_user() -> None:
    life = new()
    life.ready(1005)
    life.agent_speaks(1100)
    assert life.deadline() == (1125, EndReason.USER_NEVER_CAME)


def test_a_user_who_left_has_a_grace_to_come_back() -> None:
    life = active()
    life.user_left(1200)
    assert life.deadline() == (1215, EndReason.USER_LEFT)
    life.user_joined(1210)
    assert life.deadline() == (1810, EndReason.IDLE)
    life.user_left(1300)
    assert life.deadline() == (1315, EndReason.USER_LEFT)


def test_the_earliest_end_counts() -> None:
    life = active(most=300)
    assert life.deadline() == (1300, EndReason.MAX_DURATION)
    life.user_left(1200)
    assert life.deadline() == (1215, EndReason.USER_LEFT)
    life.user_joined(1210)
    life.agent_speaks(1299)
    assert life.deadline() == (1300, EndReason.MAX_DURATION)


@pytest.mark.parametrize("stage", ["starting", "waiting", "active", "left"])
def test_zero_is_for_ever(stage: str) -> None:
    life = new(wait=0, grace=0, idle=0, most=0)
    if stage != "starting":
        life.ready(1005)
    if stage in ("active", "left"):
        life.user_joined(1010)
    if stage == "left":
        life.user_left(1020)
    assert life.deadline() is None


def test_one_limit_of_zero_leaves_the_others() -> None:
    assert active(idle=0).deadline() == (8200, EndReason.MAX_DURATION)
    assert active(most=0).deadline() == (1610, EndReason.IDLE)


def test_its_words_are_those_of_the_api() -> None:
    assert [str(state) for state in State] == ["starting", "connecting", "waiting", "active", "paused", "ended"]
    assert {str(reason) for reason in EndReason} == {
        "stopped", "user_left", "user_never_came", "idle", "max_duration",
        "model_failed", "rtc_failed", "crashed", "drained",
    }  # fmt: skip
