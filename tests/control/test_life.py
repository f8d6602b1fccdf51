"""An agent's life with injected time."""

from __future__ import annotations

from functools import partial

import pytest

from realtime_agent.control.life import EndReason, Life, Remark, State
from realtime_agent.control.spec import Limits

BORN = 1000.0


def new(
    *remarks: Remark, wait: float = 120, grace: float = 15, ask: float = 0, idle: float = 600, most: float = 7200
) -> Life:
    limits = Limits(
        user_wait_timeout_s=wait, user_left_grace_s=grace, idle_prompt_s=ask, idle_timeout_s=idle, max_duration_s=most
    )
    return Life(limits, BORN, remarks)


def active(*remarks: Remark, **limits: float) -> Life:
    """A life whose user came at 1010."""
    life = new(*remarks, **limits)
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


# Paused.


def test_a_pause_is_a_state_be_the_user_there_or_away() -> None:
    life = active()
    life.pause()
    assert (life.state, life.is_paused) == (State.PAUSED, True)
    life.user_left(1020)
    assert life.state is State.PAUSED
    assert life.deadline() == (1035, EndReason.USER_LEFT)
    life.user_joined(1025)
    assert life.state is State.PAUSED
    life.resume(1030)
    assert (life.state, life.is_paused) == (State.ACTIVE, False)


def test_silence_does_not_end_a_pause_and_counts_anew_after_it() -> None:
    life = active(Remark.IDLE_PROMPT, ask=30, idle=60)
    life.pause()
    assert life.deadline() == (8200, EndReason.MAX_DURATION)
    life.resume(2000)
    assert life.deadline() == (2030, Remark.IDLE_PROMPT)


def test_a_pause_before_it_is_ready_shows_when_it_is() -> None:
    life = new()
    life.pause()
    seen = [life.state]
    for step in (partial(life.ready, 1001), life.ended):
        step()
        seen.append(life.state)
    assert seen == [State.STARTING, State.PAUSED, State.ENDED]


# What it says into a silence.


def test_it_asks_into_a_silence_once_and_then_says_goodbye() -> None:
    life = active(*Remark, ask=30, idle=60)
    assert life.deadline() == (1040, Remark.IDLE_PROMPT)
    life.remarks(Remark.IDLE_PROMPT, 1040)
    life.agent_speaks(1041)
    life.agent_stopped(1043)
    assert life.deadline() == (1070, Remark.GOODBYE)
    life.remarks(Remark.GOODBYE, 1070)
    assert life.deadline() == (1085, EndReason.IDLE)
    life.agent_speaks(1071)
    life.agent_stopped(1072)
    assert life.deadline() == (1073, EndReason.IDLE)


def test_without_words_it_is_silent_to_the_end() -> None:
    assert active(ask=30, idle=60).deadline() == (1070, EndReason.IDLE)
    assert active(Remark.GOODBYE, ask=30, idle=60).deadline() == (1070, Remark.GOODBYE)


def test_a_user_who_speaks_ends_the_silence() -> None:
    life = active(*Remark, ask=30, idle=60)
    life.remarks(Remark.IDLE_PROMPT, 1040)
    life.user_speaks(True, 1042)
    assert life.deadline() == (8200, EndReason.MAX_DURATION)
    life.user_speaks(False, 1044)
    assert life.deadline() == (1074, Remark.IDLE_PROMPT)


def test_a_user_who_speaks_keeps_an_agent_that_says_goodbye() -> None:
    life = active(*Remark, idle=60)
    life.remarks(Remark.GOODBYE, 1070)
    life.user_speaks(True, 1071)
    life.user_speaks(False, 1072)
    assert life.deadline() == (1132, Remark.GOODBYE)


def test_another_reply_after_it_asked_ends_the_silence_too() -> None:
    life = active(*Remark, ask=30, idle=60)
    life.remarks(Remark.IDLE_PROMPT, 1040)
    life.agent_stopped(1042)
    life.agent_speaks(1050)
    assert life.deadline() == (1080, Remark.IDLE_PROMPT)


def test_a_goodbye_that_does_not_begin_is_not_waited_for() -> None:
    life = active(*Remark, idle=60)
    life.remarks(Remark.GOODBYE, 1070)
    assert life.deadline() == (1085, EndReason.IDLE)


def test_a_long_goodbye_is_heard_to_its_end() -> None:
    life = active(*Remark, idle=60)
    life.remarks(Remark.GOODBYE, 1070)
    for now in range(1072, 1132):
        life.agent_speaks(now)
    life.agent_stopped(1132)
    assert life.deadline() == (1133, EndReason.IDLE)


def test_a_goodbye_without_an_end_is_cut() -> None:
    life = active(*Remark, idle=60)
    life.remarks(Remark.GOODBYE, 1070)
    for now in range(1072, 1250):
        life.agent_speaks(now)
    assert life.deadline() == (1250, EndReason.IDLE)


def test_what_is_said_where_the_model_did_not_ask_ends_the_silence() -> None:
    life = active(*Remark, ask=30, idle=60)
    life.remarks(Remark.IDLE_PROMPT, 1040)
    life.agent_speaks(1056)
    assert life.deadline() == (1086, Remark.IDLE_PROMPT)


def test_a_long_question_into_a_silence_does_not_end_it() -> None:
    life = active(*Remark, ask=30, idle=60)
    life.remarks(Remark.IDLE_PROMPT, 1040)
    for now in range(1041, 1066):
        life.agent_speaks(now)
    life.agent_stopped(1066)
    assert life.deadline() == (1070, Remark.GOODBYE)


def test_nobody_is_asked_while_nobody_is_there() -> None:
    life = active(*Remark, ask=30, idle=60)
    life.user_left(1020)
    assert life.deadline() == (1035, EndReason.USER_LEFT)
