"""What the fleet needs of whatever runs its agents: processes of this machine today, another engine tomorrow."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Protocol

from realtime_agent.control.commands import Command, CommandResult
from realtime_agent.control.events import AgentEvent
from realtime_agent.control.life import EndReason
from realtime_agent.control.spec import AgentSpec

__all__ = ["Launcher", "Worker"]


class Worker(Protocol):
    """One agent that was launched."""

    @property
    def pid(self) -> int:
        """The process it runs in."""
        ...

    @property
    def commands_waiting(self) -> int:
        """How many commands it has not answered."""
        ...

    def events(self) -> AsyncIterator[AgentEvent]:
        """Its life, in order; the last event is `Ended`, also when its process died. One reader."""
        ...

    async def control(self, command: Command, *, timeout: float) -> CommandResult:
        """Let it do something; returns when it did, with what came of it.

        Raises:
            AgentNotFound: it is gone.
            QueueFull: it has too many commands waiting.
            ControlTimeout: it did not answer in time.
        """
        ...

    def hand_over(self, connection: socket.socket, uid: int, answer: bytes) -> None:
        """Give it a user's connection; it sends `answer`, the end of the opening handshake of a websocket.

        The caller closes its own copy.

        Raises:
            ChannelError: it takes no connections now.
        """
        ...

    async def stop(self, reason: EndReason = EndReason.STOPPED, *, timeout: float) -> None:
        """Let it leave cleanly; end it by force after `timeout` seconds. Returns when it is gone."""
        ...


class Launcher(Protocol):
    """Starts workers."""

    async def open(self) -> None:
        """Get ready, so that the first launch is as fast as the next."""
        ...

    async def close(self) -> None:
        """Free what `open` took; every worker is gone by now."""
        ...

    async def launch(self, spec: AgentSpec) -> Worker:
        """Start an agent; returns at once, its events tell how it goes."""
        ...
