"""Events from other threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable

import pytest

from realtime_agent.rtc.agora.mailbox import Mailbox


class Frame(int):
    """Droppable."""


class Word(int):
    """Not droppable."""


async def settled() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def mailbox(came: list[int], max_waiting: int = 3) -> Mailbox[int]:
    return Mailbox(came.append, droppable=(Frame,), max_waiting=max_waiting)


def put_all(box: Mailbox[int], numbers: Iterable[int]) -> None:
    for number in numbers:
        box.put(number)


async def test_events_come_in_their_order_in_the_loop_s_thread() -> None:
    came: list[tuple[int, threading.Thread]] = []
    box: Mailbox[int] = Mailbox(
        lambda event: came.append((event, threading.current_thread())), droppable=(Frame,), max_waiting=100
    )
    await asyncio.to_thread(put_all, box, range(50))
    await settled()
    assert came == [(number, threading.current_thread()) for number in range(50)]


async def test_many_threads_lose_nothing() -> None:
    came: list[int] = []
    box = mailbox(came, 10_000)
    async with asyncio.TaskGroup() as group:
        for thread in range(8):
            group.create_task(asyncio.to_thread(put_all, box, range(thread * 1000, thread * 1000 + 500)))
    await settled()
    assert sorted(came) == [thread * 1000 + n for thread in range(8) for n in range(500)]
    for thread in range(8):
        own = [each for each in came if each // 1000 == thread]
        assert own == sorted(own)


async def test_each_droppable_kind_has_a_bound_of_its_own() -> None:
    came: list[int] = []
    box: Mailbox[int] = Mailbox(came.append, droppable=(Frame, Word), max_waiting=3)
    put_all(box, map(Frame, range(3)))
    put_all(box, map(Word, range(10, 20)))
    await settled()
    assert came == [0, 1, 2, 17, 18, 19]
    assert box.dropped == 7


async def test_the_oldest_frames_give_way_and_words_never_do() -> None:
    came: list[int] = []
    box = mailbox(came)
    for number in range(10):
        box.put(Word(100 + number))
        box.put(Frame(number))
    await settled()
    assert [each for each in came if each >= 100] == [100 + number for number in range(10)]
    assert [each for each in came if each < 100] == [7, 8, 9]
    assert box.dropped == 7


async def test_a_loop_that_keeps_up_loses_nothing() -> None:
    came: list[int] = []
    box = mailbox(came)
    for number in range(10):
        box.put(Frame(number))
        await settled()
    assert came == list(range(10))
    assert box.dropped == 0


async def test_nothing_comes_once_it_is_closed() -> None:
    came: list[int] = []
    box = mailbox(came)
    box.put(1)
    box.close()
    box.put(2)
    await settled()
    assert came == []


async def test_what_closes_it_is_the_last_that_comes() -> None:
    came: list[int] = []

    def take(event: int) -> None:
        came.append(event)
        box.close()

    box: Mailbox[int] = Mailbox(take, droppable=(), max_waiting=3)
    box.put(1)
    box.put(2)
    await settled()
    assert came == [1]


def test_a_loop_that_is_closed_is_no_error() -> None:
    async def make() -> Mailbox[int]:
        return mailbox([])

    box = asyncio.run(make())
    box.put(1)
    box.put(2)


@pytest.mark.parametrize("count", [1, 1000])
async def test_one_wake_up_brings_all_that_waits(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    came: list[int] = []
    box = mailbox(came, 2000)
    loop, woken = asyncio.get_running_loop(), 0
    call = loop.call_soon_threadsafe

    def counted(*arguments: object) -> object:
        nonlocal woken
        woken += 1
        return call(*arguments)  # type: ignore[arg-type] # whatever it is called with

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    for number in range(count):
        box.put(number)
    await settled()
    assert (woken, len(came)) == (1, count)
