"""How late the loop is, by a clock that only passes where a test lets it."""

from __future__ import annotations

import asyncio

import pytest

from realtime_agent.loop_lag import LoopLag
from tests.scene import in_virtual_time


def block(seconds: float) -> None:
    """Let the loop do nothing else for so long."""
    asyncio.get_running_loop()._virtual.now += seconds  # type: ignore[attr-defined]


async def beating(lag: LoopLag, beats: int) -> None:
    for _ in range(beats):
        await lag.beat()


@in_virtual_time
async def test_a_loop_that_nothing_blocks_is_not_late() -> None:
    lag = LoopLag()
    await beating(lag, 3)
    assert asyncio.get_running_loop().time() == pytest.approx(1.5)
    assert [lag.lately(), lag.take()] == pytest.approx([0, 0])


@in_virtual_time
async def test_what_blocks_the_loop_is_seen_wherever_in_a_beat_it_comes() -> None:
    for after_ms in range(0, 500, 20):
        lag = LoopLag()
        beats = asyncio.create_task(beating(lag, 2))
        await asyncio.sleep(after_ms / 1000 + 0.001)
        block(0.3)
        await beats
        assert 0.2 <= lag.lately() <= 0.3


@in_virtual_time
async def test_the_longest_is_told_once_to_who_takes_it() -> None:
    lag = LoopLag()
    beats = asyncio.create_task(beating(lag, 3))
    for seconds in (0.1, 0.4, 0.2):
        await asyncio.sleep(0.001)
        block(seconds)
    await beats
    assert lag.take() == pytest.approx(0.4, abs=0.1)
    assert lag.take() == 0


@in_virtual_time
async def test_whoever_asks_is_told_of_the_last_minute() -> None:
    lag = LoopLag()
    beats = asyncio.create_task(beating(lag, 200))
    await asyncio.sleep(0.001)
    block(0.3)
    await asyncio.sleep(55)
    lag.take()
    assert [lag.lately(), lag.lately()] == pytest.approx([0.3, 0.3], abs=0.1)
    await asyncio.sleep(6)
    assert lag.lately() == pytest.approx(0)
    await beats
