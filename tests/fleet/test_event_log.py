"""The events of one agent, kept for those who read them."""

from __future__ import annotations

import asyncio
import json

import pytest

from realtime_agent.control.events import AgentTranscript, Ended, StateChanged, ToolReturned
from realtime_agent.control.life import EndReason, State
from realtime_agent.fleet.event_log import EventLog

WAITING = StateChanged(state=State.WAITING)


@pytest.fixture
def log() -> EventLog:
    return EventLog("a1", "room", 3, 5, lambda: 1000.12345)


def fill(log: EventLog, count: int) -> None:
    for _ in range(count):
        log.append(WAITING)


def numbers(log: EventLog, after: int) -> list[int]:
    return [event.number for event in log.after(after)]


def test_an_event_is_told_whole_with_whose_it_is_and_when(log: EventLog) -> None:
    logged = log.append(StateChanged(state=State.PAUSED, by="voice"))
    assert (logged.number, logged.id, logged.type) == (1, "a1-1", "state")
    assert json.loads(logged.text) == {
        "id": "a1-1", "at": 1000.123, "channel_name": "room", "generation": 3, "type": "state", "state": "paused",
        "by": "voice",
    }  # fmt: skip


def test_what_an_event_does_not_have_is_left_out(log: EventLog) -> None:
    assert "cause" not in json.loads(log.append(Ended(reason=EndReason.STOPPED)).text)


def test_words_with_half_a_character_are_told_too(log: EventLog) -> None:
    logged = log.append(AgentTranscript(role="user", item_id="i", place=1, delta="\ud83d"))
    assert json.loads(logged.text.encode().decode())["delta"] == "\ud83d"


def test_who_has_had_some_gets_the_rest(log: EventLog) -> None:
    fill(log, 4)
    assert [numbers(log, after) for after in (0, 1, 3, 4)] == [[1, 2, 3, 4], [2, 3, 4], [4], []]


def test_the_oldest_give_way_and_are_missed(log: EventLog) -> None:
    fill(log, 8)
    assert numbers(log, 0) == [4, 5, 6, 7, 8]
    assert [log.missed(after) for after in (0, 2, 3, 4, 8)] == [3, 1, 0, 0, 0]


def test_what_is_kept_is_kept_also_when_no_more_will_come() -> None:
    """Nobody who reads loses at the end what they had not come to."""
    log = EventLog("a1", "room", 1, 1000, lambda: 0)
    fill(log, 500)
    assert not log.is_complete
    log.complete()
    assert log.is_complete
    assert numbers(log, 0) == list(range(1, 501))
    assert log.missed(0) == 0


def test_of_large_events_fewer_are_kept_and_the_newest_in_any_case() -> None:
    """What functions give may be a hundred times what other events have."""
    log = EventLog("a1", "room", 1, 100, lambda: 0)
    for number in range(100):
        log.append(ToolReturned(call_id=str(number), name="f", output="ä" * 32_000, took_ms=1))
    assert numbers(log, 0) == [99, 100]
    fill(log, 99)
    assert numbers(log, 0) == list(range(100, 200))
    log.append(ToolReturned(call_id="c", name="f", output="x" * 500_000, took_ms=1))
    assert numbers(log, 0) == [200]


def test_as_many_are_given_at_once_as_fit_and_one_at_least(log: EventLog) -> None:
    size = len(log.append(WAITING).text)
    fill(log, 4)
    found = [[event.number for event in log.after(1, max_bytes)] for max_bytes in (0, size, 3 * size, 99 * size)]
    assert found == [[2], [2], [2, 3, 4], [2, 3, 4, 5]]


async def test_every_reader_waits_at_its_own_place(log: EventLog) -> None:
    fill(log, 2)
    async with asyncio.timeout(10):
        await log.wait(1)
    readers = [asyncio.create_task(log.wait(number)) for number in (2, 2, 3)]
    await asyncio.sleep(0)
    log.append(WAITING)
    async with asyncio.timeout(10):
        await asyncio.gather(*readers[:2])
    assert not readers[2].done()
    log.complete()
    async with asyncio.timeout(10):
        await readers[2]
        await log.wait(99)
