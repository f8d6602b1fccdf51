"""Who hears the user: the model, and the ear that listens for phrases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from realtime_agent.bridge.hearing import Hearing
from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime.session import Utterance
from tests.scene import FakeSession, in_virtual_time


class FakeEar:
    """Remembers what it heard."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.clears = 0

    def append(self, pcm: bytes) -> None:
        self.heard += pcm

    def clear(self) -> None:
        self.clears += 1

    async def run(self, handle: Callable[[Utterance], None]) -> None:
        await asyncio.Event().wait()


def second(value: int) -> bytes:
    return bytes([value]) * 1000 * BYTES_PER_MS


def new(ear: FakeEar | None) -> tuple[Hearing, FakeSession]:
    session = FakeSession()
    return Hearing(session, ear, asyncio.get_running_loop().time), session


async def test_without_an_ear_the_model_hears_on_in_a_pause() -> None:
    hearing, session = new(None)
    hearing.hear(second(1))
    hearing.pause()
    hearing.hear(second(2))
    hearing.resume(1000)
    assert session.heard == second(1) + second(2)
    assert session.asked == []


async def test_with_an_ear_both_hear_and_in_a_pause_the_ear_alone() -> None:
    ear = FakeEar()
    hearing, session = new(ear)
    hearing.hear(second(1))
    hearing.pause()
    hearing.hear(second(2))
    assert session.heard == second(1)
    assert session.of("clear") == [None]
    hearing.resume()
    hearing.hear(second(3))
    assert session.heard == second(1) + second(3)
    assert ear.heard == second(1) + second(2) + second(3)


async def test_after_the_phrase_that_resumes_the_model_hears_what_came_behind_it() -> None:
    hearing, session = new(FakeEar())
    hearing.pause()
    hearing.hear(second(1) + second(2))
    hearing.resume(1500)
    assert session.heard == second(1)[: 500 * BYTES_PER_MS] + second(2)


async def test_of_a_long_pause_only_its_end_is_kept() -> None:
    hearing, session = new(FakeEar())
    hearing.pause()
    for value in range(1, 6):
        hearing.hear(second(value))
    hearing.resume(60_000)
    assert session.heard == second(3) + second(4) + second(5)


async def test_what_one_pause_kept_is_not_heard_after_the_next() -> None:
    hearing, session = new(FakeEar())
    hearing.pause()
    hearing.hear(second(1))
    hearing.resume()
    hearing.pause()
    hearing.resume(5000)
    hearing.resume(5000)
    assert session.heard == b""


@in_virtual_time
async def test_a_voice_that_stops_coming_is_followed_by_silence_in_the_middle_of_a_turn_only() -> None:
    hearing, session = new(None)
    filling = asyncio.create_task(hearing.fill_gaps())
    hearing.hear(second(1))
    await asyncio.sleep(2)
    assert session.heard == second(1)
    hearing.user_speaks(True)
    await asyncio.sleep(0.95)
    assert session.heard == second(1) + bytes(900 * BYTES_PER_MS)
    hearing.user_speaks(False)
    await asyncio.sleep(5)
    assert session.heard == second(1) + bytes(900 * BYTES_PER_MS)
    filling.cancel()


@in_virtual_time
async def test_an_ear_hears_enough_silence_to_end_any_utterance_and_no_more() -> None:
    ear = FakeEar()
    hearing, session = new(ear)
    hearing.pause()
    hearing.user_speaks(True)
    filling = asyncio.create_task(hearing.fill_gaps())
    for _ in range(2):
        hearing.hear(second(1))
        await asyncio.sleep(10)
    assert ear.heard == (second(1) + bytes(1200 * BYTES_PER_MS)) * 2
    assert session.heard == b""
    filling.cancel()


@in_virtual_time
async def test_where_the_voice_stops_behind_the_phrase_nothing_from_before_its_end_is_told() -> None:
    ear = FakeEar()
    hearing, session = new(ear)
    hearing.pause()
    filling = asyncio.create_task(hearing.fill_gaps())
    hearing.hear(second(7))
    hearing.hear(second(8))
    said = len(ear.heard)
    await asyncio.sleep(1.25)
    # The ear has found its turn to end after half a second of silence.
    turn_end = said + 500 * BYTES_PER_MS
    hearing.resume((len(ear.heard) - turn_end) // BYTES_PER_MS)
    filling.cancel()
    assert session.heard == bytes(len(ear.heard) - turn_end)
    assert hearing.ear_heard_ms == len(ear.heard) // BYTES_PER_MS


async def test_when_the_user_has_gone_nothing_that_they_said_is_kept() -> None:
    ear = FakeEar()
    hearing, session = new(ear)
    hearing.pause()
    hearing.hear(second(1))
    hearing.forget()
    hearing.hear(second(2))
    hearing.resume(5000)
    assert session.heard == second(2)
    assert session.of("clear") == [None, None]
    assert ear.clears == 1


async def test_without_an_ear_the_model_alone_forgets_who_has_gone() -> None:
    hearing, session = new(None)
    hearing.hear(second(1))
    hearing.forget()
    assert session.of("clear") == [None]
    assert hearing.ear_heard_ms == 0
