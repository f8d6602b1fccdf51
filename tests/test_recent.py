"""A memory of the newest few."""

from __future__ import annotations

from realtime_agent.recent import Recent


def test_the_oldest_gives_way() -> None:
    recent: Recent[str, int] = Recent(2)
    recent["a"], recent["b"], recent["c"] = 1, 2, 3
    assert list(recent.items()) == [("b", 2), ("c", 3)]


def test_what_is_set_again_is_the_newest() -> None:
    recent: Recent[str, int] = Recent(2)
    recent["a"], recent["b"], recent["a"] = 1, 2, 3
    recent["c"] = 4
    assert list(recent.items()) == [("a", 3), ("c", 4)]
