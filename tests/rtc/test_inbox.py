from __future__ import annotations

import asyncio

import pytest

from realtime_agent.rtc.channel import AudioFrame, ChannelEvent, Message, Played, UserJoined, UserLeft
from realtime_agent.rtc.inbox import Inbox


def frame(number: int) -> AudioFrame:
    return AudioFrame(1, bytes([number]))


async def read_all(inbox: Inbox) -> list[ChannelEvent]:
    inbox.close()
    return [event async for event in inbox.events()]


async def test_events_come_in_order() -> None:
    inbox = Inbox()
    events: list[ChannelEvent] = [UserJoined(1), frame(1), Played(1, 5), Message(1, {}), UserLeft(1)]
    for event in events:
        inbox.put(event)
    assert await read_all(inbox) == events


async def test_the_oldest_audio_gives_way_when_the_reader_is_behind() -> None:
    inbox = Inbox(max_waiting=2)
    for number in range(5):
        inbox.put(frame(number))
    assert await read_all(inbox) == [frame(3), frame(4)]


async def test_losses_are_logged_at_the_first_and_in_total_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    inbox = Inbox(max_waiting=2)
    inbox.put(frame(0))
    inbox.put(frame(1))
    assert caplog.messages == []
    inbox.put(frame(2))
    assert caplog.messages == ["the agent is behind: what its users sent first is dropped"]
    inbox.put(frame(3))
    inbox.close()
    inbox.close()
    assert caplog.messages[1:] == ["2 events from users were dropped, because the agent was behind"]


async def test_an_inbox_that_lost_nothing_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    inbox = Inbox(max_waiting=1)
    inbox.put(frame(0))
    inbox.put(UserLeft(1))
    inbox.close()
    assert caplog.messages == []


async def test_messages_and_positions_are_bounded_too_and_crowd_out_no_voice() -> None:
    inbox = Inbox(max_waiting=2)
    inbox.put(frame(1))
    for number in range(10):
        inbox.put(Message(2, {"n": number}))
        inbox.put(Played(2, number))
    expected = [Message(2, {"n": 8}), Played(2, 8), Message(2, {"n": 9}), Played(2, 9)]
    assert await read_all(inbox) == [frame(1), *expected]


async def test_who_comes_and_goes_is_never_dropped() -> None:
    inbox = Inbox(max_waiting=1)
    for number in range(3):
        inbox.put(UserJoined(number))
        inbox.put(frame(number))
        inbox.put(UserLeft(number))
    found = await read_all(inbox)
    assert [event for event in found if not isinstance(event, AudioFrame)] == [
        event for number in range(3) for event in (UserJoined(number), UserLeft(number))
    ]
    assert [event for event in found if isinstance(event, AudioFrame)] == [frame(2)]


async def test_what_was_read_makes_room() -> None:
    inbox = Inbox(max_waiting=1)
    events = inbox.events()
    for number in range(10):
        inbox.put(frame(number))
        assert await anext(events) == frame(number)


async def test_a_waiting_reader_is_woken() -> None:
    inbox = Inbox()

    async def read() -> ChannelEvent:
        return await anext(inbox.events())

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        reading = group.create_task(read())
        await asyncio.sleep(0)
        inbox.put(frame(1))
    assert reading.result() == frame(1)


async def test_closing_ends_a_waiting_reader_and_takes_no_more() -> None:
    inbox = Inbox()

    async def read() -> list[ChannelEvent]:
        return [event async for event in inbox.events()]

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        reading = group.create_task(read())
        await asyncio.sleep(0)
        inbox.close()
        inbox.put(frame(1))
    assert reading.result() == []


async def test_a_handler_is_told_what_waited_and_then_each_event_where_it_happens() -> None:
    inbox = Inbox()
    inbox.put(frame(1))
    told: list[ChannelEvent] = []
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(inbox.run(told.append))
        await asyncio.sleep(0)
        assert told == [frame(1)]
        inbox.put(frame(2))
        assert told == [frame(1), frame(2)]
        inbox.close()
    inbox.put(frame(3))
    assert told == [frame(1), frame(2)]


async def test_what_happens_while_a_handler_is_told_of_something_comes_after_it() -> None:
    inbox = Inbox()
    told: list[ChannelEvent] = []

    def handle(event: ChannelEvent) -> None:
        if event == frame(1):
            inbox.put(frame(2))
        told.append(event)
        if event == frame(2):
            inbox.close()

    inbox.put(frame(1))
    async with asyncio.timeout(30):
        await inbox.run(handle)
    assert told == [frame(1), frame(2)]


async def test_what_a_handler_raises_ends_it_and_nobody_else() -> None:
    inbox = Inbox()
    told: list[ChannelEvent] = []

    def handle(event: ChannelEvent) -> None:
        told.append(event)
        if event == frame(2):
            raise ValueError("no more")

    async with asyncio.timeout(30):
        running = asyncio.create_task(inbox.run(handle))
        await asyncio.sleep(0)
        for number in (1, 2, 3):
            inbox.put(frame(number))
        with pytest.raises(ValueError, match="no more"):
            await running
    assert told == [frame(1), frame(2)]
    assert await read_all(inbox) == [frame(3)]


async def test_a_handler_that_gives_up_leaves_the_rest_to_the_next() -> None:
    inbox = Inbox()
    running = asyncio.create_task(inbox.run(lambda _: None))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    inbox.put(frame(1))
    assert await read_all(inbox) == [frame(1)]
