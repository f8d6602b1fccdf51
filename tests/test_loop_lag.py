"""How late a loop is; where it is told, by a clock that only passes where a test lets it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from realtime_agent.loop_lag import LoopLag, WatchedLoop, running_lag


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_of_which_nothing_was_told_is_not_late() -> None:
    lag = LoopLag()
    assert (lag.lately(), lag.take()) == (0, 0)


def test_the_longest_is_told_once_to_who_takes_it() -> None:
    lag = LoopLag()
    for late_s in (0.1, 0.4, 0.2):
        lag.note(late_s)
    assert (lag.take(), lag.take()) == (0.4, 0)


def test_whoever_asks_is_told_of_the_last_minute() -> None:
    clock = Clock()
    lag = LoopLag(clock)
    lag.note(0.3)
    for _ in range(550):
        clock.now += 0.1
        lag.note(0.001)
    lag.take()
    assert (lag.lately(), lag.lately()) == (0.3, 0.3)
    clock.now += 6
    assert lag.lately() == 0.001
    clock.now += 60
    assert lag.lately() == 0


def watched(main: Callable[[], Coroutine[Any, Any, float]]) -> float:
    with asyncio.Runner(loop_factory=WatchedLoop) as runner:
        return runner.run(main())


@pytest.mark.parametrize("waits", ["for a timer", "for the next turn"])
def test_what_blocks_a_loop_is_seen(waits: str) -> None:
    async def main() -> float:
        await asyncio.sleep(0)
        running_lag().take()
        time.sleep(0.3)  # noqa: ASYNC251 - the loop hangs
        await asyncio.sleep(0.001 if waits == "for a timer" else 0)
        return running_lag().take()

    assert watched(main) >= 0.3


def test_sleeping_is_not_being_late_but_sleeping_longer_is() -> None:
    async def main() -> float:
        await asyncio.sleep(0)
        running_lag().take()
        began = time.monotonic()
        await asyncio.sleep(0.2)
        longer_s = time.monotonic() - began - 0.2
        return running_lag().take() - longer_s

    # To the resolution of the clock of the loop.
    assert watched(main) < 0.01


async def test_of_a_loop_that_is_not_watched_nothing_is_known() -> None:
    assert running_lag().take() == 0
