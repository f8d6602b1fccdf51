"""An agent inside this process, for the foreground command: no worker, the same interface."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator

from realtime_agent.assembly import assemble
from realtime_agent.config import Settings
from realtime_agent.control.commands import MAX_COMMANDS, Command, CommandResult
from realtime_agent.control.events import AgentEvent, Ended
from realtime_agent.control.life import EndReason
from realtime_agent.control.spec import AgentSpec
from realtime_agent.errors import AgentNotFound, ChannelError, ControlTimeout, QueueFull
from realtime_agent.rtc.web import WebChannel

__all__ = ["InlineLauncher"]

logger = logging.getLogger(__name__)


class InlineLauncher:
    """Runs agents as tasks of this event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def open(self) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to free."""

    async def launch(self, spec: AgentSpec) -> _InlineWorker:
        """Start the agent's task."""
        return _InlineWorker(spec, self._settings)


class _InlineWorker:
    def __init__(self, spec: AgentSpec, settings: Settings) -> None:
        # Read at once by the fleet, in this same loop: no bound is ever met.
        self._events: asyncio.Queue[AgentEvent] = asyncio.Queue()
        self._agent, self._channel = assemble(spec, settings, self._events.put_nowait)
        self._task = asyncio.create_task(self._agent.run(), name=f"agent in {spec.channel_name}")
        self._task.add_done_callback(self._on_done)
        self._adopting: set[asyncio.Task[None]] = set()
        self._obeying: set[asyncio.Task[CommandResult]] = set()

    @property
    def pid(self) -> int:
        """This process."""
        return os.getpid()

    @property
    def commands_waiting(self) -> int:
        """How many commands it has not answered."""
        return len(self._obeying)

    async def events(self) -> AsyncIterator[AgentEvent]:
        """The agent's events."""
        while not isinstance(event := await self._events.get(), Ended):
            yield event
        await asyncio.wait([self._task])
        for task in self._obeying:
            task.cancel()
        yield event

    async def control(self, command: Command, *, timeout: float) -> CommandResult:
        """Let the agent carry out a command; whoever asked may give up, the command goes on."""
        if len(self._obeying) >= MAX_COMMANDS:
            raise QueueFull("the agent has too many commands waiting")
        task = asyncio.create_task(self._agent.control(command))
        self._obeying.add(task)
        task.add_done_callback(self._on_obeyed)
        await asyncio.wait([task], timeout=timeout)
        if not task.done():
            raise ControlTimeout(f"the agent did not answer within {timeout:g} s")
        if task.cancelled():
            raise AgentNotFound("the agent ended before it answered")
        return task.result()

    def _on_obeyed(self, task: asyncio.Task[CommandResult]) -> None:
        self._obeying.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also where nobody waits for it any more

    def hand_over(self, connection: socket.socket, uid: int, answer: bytes) -> None:
        """Let a user in."""
        if not isinstance(self._channel, WebChannel):
            raise ChannelError("the agent is in a channel of another kind")
        task = asyncio.create_task(self._channel.adopt(connection.dup(), uid, answer))
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)

    async def stop(self, reason: EndReason = EndReason.STOPPED, *, timeout: float) -> None:
        """Let the agent leave; cancel it after `timeout` seconds."""
        self._agent.stop(reason)
        _, late = await asyncio.wait([self._task], timeout=timeout)
        for task in late:
            task.cancel()
            await asyncio.wait([task], timeout=timeout)

    def _on_done(self, task: asyncio.Task[Ended]) -> None:
        """The agent may have ended without a word."""
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the agent crashed", exc_info=error)
        self._events.put_nowait(Ended(reason=EndReason.CRASHED, cause="an error in the agent; see the log"))
