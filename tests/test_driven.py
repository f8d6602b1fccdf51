from __future__ import annotations

import asyncio

import pytest

from realtime_agent.driven import Driven


async def begun(driven: Driven) -> asyncio.Task[None]:
    running = asyncio.create_task(driven.run())
    await asyncio.sleep(0)
    return running


async def test_it_lasts_from_run_to_end() -> None:
    driven = Driven()
    driven.end()
    assert not driven.is_running
    running = await begun(driven)
    assert driven.is_running
    done: list[int] = []
    driven.do(done.append, 1)
    driven.end()
    driven.end()
    assert not driven.is_running
    await running
    assert done == [1]


async def test_what_its_work_raises_is_for_whoever_awaits_it() -> None:
    driven = Driven()
    running = await begun(driven)
    driven.do(int, "one")
    driven.do(int, "two")
    with pytest.raises(ValueError, match="one"):
        await running
    assert not driven.is_running


async def test_it_can_be_cancelled_and_run_again() -> None:
    driven = Driven()
    running = await begun(driven)
    running.cancel()
    await asyncio.wait([running])
    assert not driven.is_running
    running = await begun(driven)
    driven.end()
    await running
