"""A launcher without processes: its workers do what a test says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

from realtime_agent.control.commands import Command, CommandResult
from realtime_agent.control.events import AgentEvent, Ended, StateChanged
from realtime_agent.control.life import EndReason, State
from realtime_agent.control.spec import AgentSpec
from realtime_agent.errors import ChannelError

__all__ = ["FakeLauncher", "FakeWorker"]


class FakeWorker:
    """One agent that a test plays."""

    def __init__(self, spec: AgentSpec, pid: int, *, answers_stop: bool = True) -> None:
        self.spec = spec
        self.pid = pid
        self.commands: list[Command] = []
        self.commands_waiting = 0
        self.handed_over: list[tuple[int, bytes]] = []
        self.stops = 0
        self.stop_reason: EndReason | None = None
        self.answers_stop = answers_stop
        self.stop_error: Exception | None = None
        self.on_stop: Callable[[], None] = lambda: None
        self.control_error: Exception | None = None
        self.result = CommandResult()
        self.takes_connections = True
        self._events: asyncio.Queue[AgentEvent | Exception] = asyncio.Queue()

    def report(self, event: AgentEvent) -> None:
        """Let the fleet hear of an event."""
        self._events.put_nowait(event)

    async def heard(self) -> None:
        """Wait until the fleet has heard of all events."""
        async with asyncio.timeout(30):
            while not self._events.empty():
                await asyncio.sleep(0)

    def garble(self) -> None:
        """Say what can't be understood."""
        self._events.put_nowait(ValueError("this is no event"))

    def become(self, state: State) -> None:
        """Come into a state."""
        self.report(StateChanged(state=state))

    def end(self, reason: EndReason = EndReason.STOPPED, cause: str | None = None) -> None:
        """Be gone."""
        self.report(Ended(reason=reason, cause=cause))

    async def events(self) -> AsyncIterator[AgentEvent]:
        while True:
            event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            yield event
            if isinstance(event, Ended):
                return

    async def control(self, command: Command, *, timeout: float) -> CommandResult:
        if self.control_error is not None:
            raise self.control_error
        self.commands.append(command)
        return self.result

    def hand_over(self, connection: socket.socket, uid: int, answer: bytes) -> None:
        if not self.takes_connections:
            raise ChannelError("the agent takes no connection now")
        self.handed_over.append((uid, answer))

    async def stop(self, reason: EndReason = EndReason.STOPPED, *, timeout: float) -> None:
        self.stops += 1
        self.stop_reason = reason
        self.on_stop()
        if self.stop_error is not None:
            raise self.stop_error
        if self.answers_stop:
            self.end(reason)


class FakeLauncher:
    """Starts `FakeWorker`s, which are ready at once unless `slow`, and answer a stop while `answer_stop`."""

    def __init__(self, *, slow: bool = False) -> None:
        self.slow = slow
        self.answer_stop = True
        self.workers: list[FakeWorker] = []
        self.error: Exception | None = None
        self.may_launch = asyncio.Event()
        self.may_launch.set()
        self.is_open = False

    @property
    def worker(self) -> FakeWorker:
        """The worker launched last."""
        return self.workers[-1]

    async def open(self) -> None:
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    async def launch(self, spec: AgentSpec) -> FakeWorker:
        await self.may_launch.wait()
        if self.error is not None:
            raise self.error
        worker = FakeWorker(spec, 1000 + len(self.workers), answers_stop=self.answer_stop)
        self.workers.append(worker)
        worker.become(State.CONNECTING)
        if not self.slow:
            worker.become(State.WAITING)
        return worker
