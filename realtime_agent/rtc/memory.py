"""Channels inside one process, for tests and benchmarks: a room is a set of participants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from realtime_agent.errors import ChannelError
from realtime_agent.rtc.channel import (
    AudioFrame,
    ChannelEvent,
    ChannelLost,
    Flushed,
    Message,
    Played,
    UserJoined,
    UserLeft,
)
from realtime_agent.rtc.inbox import Inbox

__all__ = ["MemoryChannel", "MemoryRoom"]


class MemoryRoom:
    """A named room's participants."""

    def __init__(self) -> None:
        self._members: dict[int, MemoryChannel] = {}

    def channel(self, uid: int, *, frame_ms: int = 20) -> MemoryChannel:
        """A participant's side; it is in the room once it has joined."""
        return MemoryChannel(self, uid, frame_ms)

    def enter(self, member: MemoryChannel) -> None:
        """Let a participant in, and tell everybody who is there."""
        if member.uid in self._members:
            raise ChannelError(f"uid {member.uid} is in the channel already")
        for other in self._members.values():
            member.inbox.put(UserJoined(other.uid))
        self._members[member.uid] = member
        self.tell(member, UserJoined(member.uid))

    def exit(self, member: MemoryChannel) -> None:
        """Let a participant go; harmless when it is not there."""
        if self._members.get(member.uid) is member:
            self.tell(member, UserLeft(member.uid))
            del self._members[member.uid]

    def tell(self, sender: MemoryChannel, event: ChannelEvent) -> None:
        """Bring an event to everyone but its sender, who must be there."""
        if self._members.get(sender.uid) is sender:
            for member in tuple(self._members.values()):
                if member is not sender:
                    member.receive(event)

    def lose(self, uid: int, cause: str) -> None:
        """Break a participant's connection, as a network would."""
        member = self._members[uid]
        self.exit(member)
        member.inbox.put(ChannelLost(cause))
        member.inbox.close()


class MemoryChannel:
    """One participant's presence in a `MemoryRoom`.

    Attributes:
        inbox: What happened in the room and nobody was told yet.
    """

    def __init__(self, room: MemoryRoom, uid: int, frame_ms: int) -> None:
        self.uid = uid
        self.frame_ms = frame_ms
        self.inbox = Inbox()
        self._room = room
        self._heard: int | None = None

    def hear(self, uid: int | None) -> None:
        """Bring the audio of this participant only."""
        self._heard = uid

    async def join(self) -> None:
        """Enter the room."""
        self._room.enter(self)

    async def leave(self) -> None:
        """Leave the room."""
        self._room.exit(self)
        self.inbox.close()

    async def run(self, handle: Callable[[ChannelEvent], None]) -> None:
        """Tell what happens in the room."""
        await self.inbox.run(handle)

    def push(self, frame: bytes) -> None:
        """Let everyone hear a frame."""
        self._room.tell(self, AudioFrame(self.uid, frame))

    def flush(self, position: int) -> None:
        """Let everyone drop what they have not played."""
        self._room.tell(self, Flushed(position))

    def send(self, body: Mapping[str, Any]) -> None:
        """Send everyone a message."""
        self._room.tell(self, Message(self.uid, body))

    def report_played(self, position: int) -> None:
        """Tell the others how much of their audio was played here."""
        self._room.tell(self, Played(self.uid, position))

    def receive(self, event: ChannelEvent) -> None:
        """Take what another participant sent."""
        if isinstance(event, AudioFrame) and self._heard not in (None, event.uid):
            return
        self.inbox.put(event)
