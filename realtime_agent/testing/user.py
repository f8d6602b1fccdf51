"""The user's side of a channel in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.rtc.channel import AudioFrame, ChannelEvent, Flushed, Message
from realtime_agent.rtc.memory import MemoryChannel
from realtime_agent.testing.received import matches

__all__ = ["User"]

_POLL_S = 0.005


class User:
    """Somebody who talks to an agent and keeps all that they hear of it.

    Attributes:
        uid: Their number in the channel.
        events: What happened in the channel since they joined, in order.
    """

    def __init__(self, channel: MemoryChannel, timeout_s: float) -> None:
        self.uid = channel.uid
        self.events: list[ChannelEvent] = []
        self._channel = channel
        self._timeout_s = timeout_s

    @property
    def heard(self) -> bytes:
        """The agent's audio, also what it dropped later."""
        return b"".join(event.pcm for event in self.events if isinstance(event, AudioFrame))

    @property
    def flushes(self) -> int:
        """How often the agent stopped in the middle of its speech."""
        return sum(isinstance(event, Flushed) for event in self.events)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What the agent sent besides audio: its states and the transcript."""
        return [dict(event.body) for event in self.events if isinstance(event, Message)]

    async def join(self) -> None:
        """Enter the channel."""
        await self._channel.join()

    async def leave(self) -> None:
        """Leave the channel, for good."""
        await self._channel.leave()

    def push(self, frame: bytes) -> None:
        """Let the agent hear a frame."""
        self._channel.push(frame)

    def say(self, pcm: bytes) -> None:
        """Let the agent hear this audio, frame by frame, at once; the last frame is filled with silence.

        An agent that is more than 100 frames behind drops the oldest.
        """
        size = self._channel.frame_ms * BYTES_PER_MS
        for start in range(0, len(pcm), size):
            self.push(pcm[start : start + size].ljust(size, b"\0"))

    def report_played(self, position: int) -> None:
        """Tell the agent that its audio was played up to `position` samples."""
        self._channel.report_played(position)

    async def expect(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Wait for the first message of this type with these fields, such as `transcript` with `final=True`.

        Raises:
            AssertionError: it did not come; says what did.
        """
        wanted = {"type": kind, **fields}

        def found() -> list[dict[str, Any]]:
            return [message for message in self.messages if matches(message, wanted)]

        await self.until(found, f"no message {wanted}")
        return found()[0]

    async def hears(self, pcm: bytes) -> None:
        """Wait until the agent has said this.

        Raises:
            AssertionError: it did not.
        """
        await self.until(lambda: pcm in self.heard, f"{len(pcm)} bytes of audio were not heard")

    async def until(self, condition: Callable[[], object], otherwise: str = "it is not so") -> None:
        """Wait until this is so.

        Raises:
            AssertionError: it did not become so.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                while not condition():  # noqa: ASYNC110  # what a test waits for may not signal
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            heard = f"{len(self.heard)} bytes of audio and {self.messages}"
            raise AssertionError(f"{otherwise}; what came: {heard}") from None

    async def listen(self) -> None:
        """Take in what happens in the channel, until they have left it."""
        await self._channel.run(self.events.append)
