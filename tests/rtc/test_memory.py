from __future__ import annotations

import pytest

from realtime_agent.errors import ChannelError
from realtime_agent.rtc.channel import ChannelEvent, ChannelLost, Flushed, Message, UserJoined, UserLeft
from realtime_agent.rtc.memory import MemoryChannel, MemoryRoom


async def gather(channel: MemoryChannel) -> list[ChannelEvent]:
    channel.inbox.close()
    return [event async for event in channel.inbox.events()]


async def test_who_joins_is_told_who_is_there() -> None:
    room = MemoryRoom()
    first, second = room.channel(1), room.channel(2)
    await first.join()
    await second.join()
    assert await gather(first) == [UserJoined(2)]
    assert await gather(second) == [UserJoined(1)]


async def test_everyone_but_the_sender_gets_what_is_sent() -> None:
    room = MemoryRoom()
    members = [room.channel(uid) for uid in (1, 2, 3)]
    for member in members:
        await member.join()
    members[0].send({"type": "wave"})
    members[0].flush(480)
    found = [await gather(member) for member in members]
    sent = [Message(1, {"type": "wave"}), Flushed(480)]
    assert [[event for event in events if event in sent] for events in found] == [[], sent, sent]


async def test_a_uid_is_in_the_room_once_and_the_loser_cannot_throw_the_other_out() -> None:
    room = MemoryRoom()
    first, same, other = room.channel(1), room.channel(1), room.channel(2)
    await first.join()
    await other.join()
    with pytest.raises(ChannelError, match="uid 1"):
        await same.join()
    same.send({"type": "intruder"})
    await same.leave()
    first.send({"type": "still here"})
    assert await gather(other) == [UserJoined(1), Message(1, {"type": "still here"})]


async def test_a_lost_connection_is_the_last_event() -> None:
    room = MemoryRoom()
    first, second = room.channel(1), room.channel(2)
    await first.join()
    await second.join()
    room.lose(1, "no network")
    assert [event async for event in first.inbox.events()] == [UserJoined(2), ChannelLost("no network")]
    first.send({"type": "too late"})
    await first.leave()
    assert await gather(second) == [UserJoined(1), UserLeft(1)]


async def test_leaving_twice_is_one_leave() -> None:
    room = MemoryRoom()
    first, second = room.channel(1), room.channel(2)
    await first.join()
    await second.join()
    await first.leave()
    await first.leave()
    assert await gather(second) == [UserJoined(1), UserLeft(1)]
