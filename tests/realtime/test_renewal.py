"""When a session gets another connection."""

from __future__ import annotations

import math

import pytest

from realtime_agent.realtime.renewal import Renewal


def renewal(*, rotate_s: float = 3300, reconnect_timeout_s: float = 30, jitter: float = 1.0) -> Renewal:
    return Renewal(rotate_s=rotate_s, reconnect_timeout_s=reconnect_timeout_s, jitter=lambda: jitter)


def test_the_first_try_comes_at_once_and_each_further_one_later() -> None:
    policy = renewal()
    policy.opened(0)
    now, delays = 100.0, []
    while (delay := policy.lost(now)) is not None:
        delays.append(delay)
        now += delay
    assert delays[:7] == [0, 0.25, 0.5, 1, 2, 4, 5]
    assert now - 100 == 30


def test_agents_do_not_come_back_together() -> None:
    delays = []
    for jitter in (0.0, 0.5, 1.0):
        policy = renewal(jitter=jitter)
        policy.opened(0)
        policy.lost(100)
        delays.append(policy.lost(100))
    assert delays == [0.125, 0.1875, 0.25]


def test_a_server_that_accepts_and_then_closes_is_not_asked_for_ever() -> None:
    policy = renewal()
    now = tries = 0.0
    policy.opened(now)
    while (delay := policy.lost(now)) is not None:
        now += delay + 0.5
        policy.opened(now)
        tries += 1
    assert 5 < tries < 20
    assert now < 40


def test_an_outage_may_last_for_ever() -> None:
    policy = renewal(reconnect_timeout_s=math.inf)
    assert [policy.lost(now) for now in range(3000)][-1] == 5


def test_a_connection_that_held_ends_the_outage() -> None:
    policy = renewal()
    now = 0.0
    for _ in range(100):
        policy.opened(now)
        now += 60
        assert policy.lost(now) == 0


def test_the_life_of_a_connection_that_was_replaced_counts_too() -> None:
    policy = renewal()
    policy.opened(0)
    assert policy.lost(100) == 0
    policy.opened(100)
    policy.opened(3400)  # rotation
    # The outage of an hour ago is over.
    assert policy.lost(3405) == 0


def test_the_time_in_which_there_was_a_connection_is_no_outage() -> None:
    policy = renewal()
    policy.opened(0)
    policy.lost(1000)
    policy.opened(1025)
    assert policy.lost(1034.9) is not None


def test_the_age_of_a_connection_is_counted_from_when_it_was_made() -> None:
    policy = renewal()
    policy.opened(1000, age=300)
    assert policy.rotate_in(1000) == 3000


def test_a_connection_is_replaced_when_it_is_old() -> None:
    policy = renewal()
    policy.opened(1000)
    assert policy.rotate_in(1000) == 3300
    assert policy.rotate_in(4400) == -100
    policy.rotation_failed(4400)
    assert policy.rotate_in(4400) == 60


def test_while_there_is_none_nothing_is_replaced() -> None:
    policy = renewal()
    policy.opened(0)
    policy.lost(3400)
    rest = policy.rotate_in(3400)
    assert rest is not None
    assert rest > 0


@pytest.mark.parametrize("now", [0.0, 1e9])
def test_it_can_be_left_to_the_model_to_end_a_session(now: float) -> None:
    policy = renewal(rotate_s=0)
    policy.opened(0)
    assert policy.rotate_in(now) is None
