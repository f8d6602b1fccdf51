"""The agent's speech on its way into the channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from realtime_agent.audio.playout import Playout
from realtime_agent.bridge.recorder import Recorder
from realtime_agent.bridge.voice import Voice
from realtime_agent.rtc.channel import Channel
from tests.scene import in_virtual_time

FRAME = bytes(960)
HALF_A_SECOND = bytes(24_000)


class Heard:
    """Whom the voice speaks to and who is told: a channel, a listener and a recorder in one."""

    def __init__(self) -> None:
        self.frames = 0
        self.flushes: list[int] = []
        self.speaking: list[bool] = []
        self.given: list[float] = []
        self.recorded: list[tuple[Any, ...]] = []

    # The channel.

    def push(self, frame: bytes) -> None:
        self.frames += 1

    def flush(self, position: int) -> None:
        self.flushes.append(position)

    # The listener.

    def frame_given(self, now: float) -> None:
        self.given.append(now)

    def agent_speaks(self, speaking: bool) -> None:
        self.speaking.append(speaking)

    # The recorder.

    def speaks(self, item_id: str) -> None:
        self.recorded.append(("speaks", item_id))

    def agent_spoke(self, frame: bytes, position: int, due: float) -> None:
        self.recorded.append(("spoke", position, round(due, 3)))

    def played(self, position: int) -> None:
        self.recorded.append(("played", position))

    def cut(self, position: int) -> None:
        self.recorded.append(("cut", position))


@asynccontextmanager
async def speaking() -> AsyncIterator[tuple[Voice, Heard]]:
    heard = Heard()
    playout = Playout(frame_ms=20, lead_ms=60, far_end_delay_ms=100)
    clock = asyncio.get_running_loop().time
    voice = Voice(cast("Channel", heard), playout, heard, clock, cast("Recorder", heard))
    running = asyncio.create_task(voice.run())
    for _ in range(3):
        await asyncio.sleep(0)
    try:
        yield voice, heard
    finally:
        running.cancel()


@in_virtual_time
async def test_it_tells_when_it_begins_and_when_it_has_nothing_more_to_say() -> None:
    async with speaking() as (voice, heard):
        voice.add("i1", 0, HALF_A_SECOND)
        await asyncio.sleep(2)
        # More of it may come.
        assert (heard.frames, heard.speaking, voice.is_silent) == (25, [True], False)
        voice.add("i1", 0, HALF_A_SECOND)
        voice.finish("i1", 0)
        await asyncio.sleep(2)
        assert (heard.frames, heard.speaking, voice.is_silent) == (50, [True, False], True)
        assert len(heard.given) == 50


@in_virtual_time
async def test_a_cut_is_told_at_once_and_once() -> None:
    async with speaking() as (voice, heard):
        voice.add("i1", 0, HALF_A_SECOND * 10)
        await asyncio.sleep(1)
        ((item_id, _, heard_ms),) = voice.cut()
        assert (item_id, heard.speaking) == ("i1", [True, False])
        assert 850 <= heard_ms <= 950
        assert heard.flushes == [voice.position]
        assert voice.cut() == []
        assert heard.speaking == [True, False]


@in_virtual_time
async def test_what_is_held_waits_and_goes_on() -> None:
    async with speaking() as (voice, heard):
        voice.hold(True)
        voice.add("i1", 0, HALF_A_SECOND)
        voice.finish("i1", 0)
        await asyncio.sleep(5)
        assert heard.frames == 0
        voice.hold(False)
        await asyncio.sleep(2)
        assert heard.frames == 25


@in_virtual_time
async def test_a_recorder_learns_what_is_due_when_and_where_it_was_cut() -> None:
    async with speaking() as (voice, heard):
        voice.add("i1", 0, HALF_A_SECOND)
        begin = asyncio.get_running_loop().time()
        await asyncio.sleep(0.2)
        voice.report_played(2400)
        voice.cut()
        spoke = [each for each in heard.recorded if each[0] == "spoke"]
        assert spoke[:3] == [("spoke", number * 480, round(begin + number * 0.02, 3)) for number in range(3)]
        assert heard.recorded[0] == ("speaks", "i1")
        assert heard.recorded[-2:] == [("played", 2400), ("cut", 2400)]


@in_virtual_time
async def test_an_item_is_unheard_until_the_far_end_has_played_all_of_it() -> None:
    async with speaking() as (voice, _):
        assert voice.unheard() == set()
        voice.add("i1", 0, HALF_A_SECOND)
        await asyncio.sleep(5)
        # More of it may come.
        assert voice.unheard() == {"i1"}
        voice.finish("i1", 0)
        assert voice.unheard() == set()
        voice.add("i2", 0, HALF_A_SECOND)
        voice.finish("i2", 0)
        voice.add("i3", 0, HALF_A_SECOND)
        await asyncio.sleep(0.59)
        assert voice.unheard() == {"i2", "i3"}
        await asyncio.sleep(0.05)
        assert voice.unheard() == {"i3"}
        voice.cut()
        assert voice.unheard() == set()


@in_virtual_time
async def test_frames_are_given_out_when_there_is_occasion_or_a_little_later() -> None:
    async with speaking() as (voice, heard):
        voice.add("i1", 0, HALF_A_SECOND)
        # Those of the lead, at once, and one more; the next is due 40 ms later.
        assert heard.frames == 5
        await asyncio.sleep(0.039)
        voice.speak()
        assert heard.frames == 5
        await asyncio.sleep(0.002)
        voice.speak()
        assert heard.frames == 7
        # There is no occasion: the next one, due at 80 ms, is given out 20 ms later, with those until then.
        await asyncio.sleep(0.058)
        assert heard.frames == 7
        await asyncio.sleep(0.002)
        assert heard.frames == 10


@in_virtual_time
async def test_what_is_said_behind_a_cut_is_said_at_once() -> None:
    async with speaking() as (voice, heard):
        voice.add("i1", 0, HALF_A_SECOND)
        await asyncio.sleep(0.1)
        voice.cut()
        before = heard.frames
        voice.add("i2", 0, HALF_A_SECOND)
        assert heard.frames > before


@in_virtual_time
async def test_what_came_before_it_runs_is_said_then() -> None:
    heard = Heard()
    voice = Voice(cast("Channel", heard), Playout(), heard, asyncio.get_running_loop().time)
    voice.add("i1", 0, HALF_A_SECOND)
    voice.speak()
    assert heard.frames == 0
    running = asyncio.create_task(voice.run())
    await asyncio.sleep(0.001)
    assert heard.frames == 5
    running.cancel()
    await asyncio.sleep(1)
    voice.speak()
    assert heard.frames == 5


@in_virtual_time
async def test_a_channel_that_fails_ends_it() -> None:
    class Broken(Heard):
        def push(self, frame: bytes) -> None:
            raise OSError("no channel")

    heard = Broken()
    voice = Voice(cast("Channel", heard), Playout(), heard, asyncio.get_running_loop().time)
    running = asyncio.create_task(voice.run())
    voice.add("i1", 0, HALF_A_SECOND)
    with pytest.raises(OSError, match="no channel"):
        await running
