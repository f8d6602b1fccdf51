"""Who is in a channel, and whom the agent hears."""

from __future__ import annotations

from realtime_agent.control.audience import Audience


def test_the_first_who_comes_is_the_user() -> None:
    audience = Audience(None)
    assert audience.user is None
    assert audience.join(5)
    assert not audience.join(6)
    assert audience.user == 5


def test_only_the_one_who_is_wanted_is_the_user() -> None:
    audience = Audience(7)
    assert not audience.join(5)
    assert audience.user is None
    assert audience.join(7)
    assert audience.user == 7


def test_when_the_user_goes_the_next_one_is_it() -> None:
    audience = Audience(None)
    for uid in (5, 6, 8):
        audience.join(uid)
    assert audience.leave(5)
    assert audience.user == 6
    assert not audience.leave(8)
    assert audience.leave(6)
    assert audience.user is None


def test_who_comes_back_is_the_last_in_the_row_again() -> None:
    audience = Audience(None)
    for uid in (5, 6):
        audience.join(uid)
    audience.leave(5)
    assert not audience.join(5)
    assert audience.user == 6


def test_somebody_who_was_never_there_may_go() -> None:
    audience = Audience(None)
    audience.join(5)
    assert not audience.leave(9)
    assert audience.user == 5


def test_the_user_may_join_twice() -> None:
    audience = Audience(None)
    assert audience.join(5)
    assert not audience.join(5)
    assert audience.leave(5)
    assert audience.user is None
