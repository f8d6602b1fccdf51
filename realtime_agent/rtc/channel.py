"""The interface of a channel: one participant's presence in a named room.

A participant joins, is told what happens, pushes paced frames of PCM (`pcm.py` says which), sends small messages,
leaves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

__all__ = [
    "AudioFrame",
    "Channel",
    "ChannelEvent",
    "ChannelLost",
    "Flushed",
    "Message",
    "Played",
    "Reconnected",
    "Reconnecting",
    "UserChannel",
    "UserJoined",
    "UserLeft",
]


@dataclass(frozen=True, slots=True)
class UserJoined:
    """A participant came, or came back."""

    uid: int


@dataclass(frozen=True, slots=True)
class UserLeft:
    """A participant went, by its own word or because its connection broke."""

    uid: int


class AudioFrame(NamedTuple):
    """PCM heard from one participant; a tuple, as there are fifty a second."""

    uid: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class Played:
    """The far end says that it has played our audio up to `position` samples since we joined."""

    uid: int
    position: int


@dataclass(frozen=True, slots=True)
class Flushed:
    """The far end was told to drop the audio it has not played; the next frame begins at `position` samples."""

    position: int


@dataclass(frozen=True, slots=True)
class Message:
    """A small message from another participant."""

    uid: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """The channel's connection is interrupted: nobody hears us, nobody is heard."""

    cause: str


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The connection is there again."""


@dataclass(frozen=True, slots=True)
class ChannelLost:
    """The channel broke and will bring no more; the last event."""

    cause: str


ChannelEvent = (
    UserJoined | UserLeft | AudioFrame | Played | Flushed | Message | Reconnecting | Reconnected | ChannelLost
)


class Channel(Protocol):
    """One participant's presence in a named room."""

    @property
    def frame_ms(self) -> int:
        """The length in milliseconds of the frames that `push` takes."""
        ...

    def hear(self, uid: int | None) -> None:
        """Bring the audio of this participant only; `None`, as at first, is everyone's."""
        ...

    async def join(self) -> None:
        """Enter the room.

        Raises:
            ChannelError: it refused, or did not answer in time.
        """
        ...

    async def leave(self) -> None:
        """Leave the room and free everything; harmless when repeated."""
        ...

    async def run(self, handle: Callable[[ChannelEvent], None]) -> None:
        """Tell `handle` what happens in the room, in order, until `leave`: where it happens, so that it may not block.

        Raises:
            Exception: what `handle` raised.
        """
        ...

    def push(self, frame: bytes) -> None:
        """Hand over one frame of `frame_ms` for the far end to play now. Never blocks."""
        ...

    def flush(self, position: int) -> None:
        """Drop what the far end has not played yet; the next frame pushed begins at `position` samples."""
        ...

    def send(self, body: Mapping[str, Any]) -> None:
        """Send a small message to every other participant. Never blocks; whoever is far behind misses it."""
        ...


class UserChannel(Protocol):
    """A user's presence in a channel, as a program has it: the other side of `Channel`. Joins once."""

    @property
    def uid(self) -> int:
        """The user's number."""
        ...

    @property
    def is_heard(self) -> bool:
        """Whether the agent listens to this user, or to whoever comes first."""
        ...

    @property
    def position(self) -> int:
        """The position of the first sample of the agent that came after `join`."""
        ...

    @property
    def dropped_frames(self) -> int:
        """How many frames of the user's speech the network was too slow for."""
        ...

    async def join(self) -> None:
        """Enter the channel and find the agent there.

        Raises:
            ChannelError: there is none, or we are not let in.
        """
        ...

    async def leave(self) -> None:
        """Say goodbye and free everything; harmless when repeated. `events` ends."""
        ...

    def events(self) -> AsyncIterator[ChannelEvent]:
        """What the agent does, in order, until `leave` or `ChannelLost`. One reader at a time."""
        ...

    def push(self, frame: bytes) -> None:
        """Hand over 20 ms of microphone. Never blocks."""
        ...

    def report_played(self, position: int) -> None:
        """Tell the agent that its audio was played up to `position` samples since it joined."""
        ...
