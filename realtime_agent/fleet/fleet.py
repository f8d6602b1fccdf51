"""The fleet: a channel name maps to exactly one running agent.

A name belongs to a generation, not to a process: what an old worker still reports never touches its successor.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any, Literal

from realtime_agent.config import Settings
from realtime_agent.control.commands import Command, CommandResult
from realtime_agent.control.events import AgentEvent, ConnectionChanged, Ended, Load, StateChanged, UsageChanged
from realtime_agent.control.life import EndReason, State
from realtime_agent.control.spec import AgentSpec
from realtime_agent.control.usage import TotalUsage
from realtime_agent.errors import (
    AgentExists,
    AgentNotFound,
    ControlTimeout,
    FleetClosed,
    FleetError,
    FleetFull,
    NotReady,
    StartFailed,
    StartStopped,
    StartTimeout,
)
from realtime_agent.fleet.event_log import EventLog, LoggedEvent
from realtime_agent.fleet.launcher import Launcher, Worker
from realtime_agent.fleet.model_process import Model
from realtime_agent.recent import Recent

__all__ = ["AgentRecord", "Fleet", "Observer"]

logger = logging.getLogger(__name__)

_LEVELS = {
    EndReason.CRASHED: logging.ERROR,
    EndReason.MODEL_FAILED: logging.WARNING,
    EndReason.RTC_FAILED: logging.WARNING,
}
"""How loud the log tells of an end; others are ordinary."""

_REMEMBERED = 100
"""Agents that have ended and can still be asked about."""


def _new_log_id() -> str:
    return token_hex(4)


@dataclass
class AgentRecord:
    """One agent as its server knows it.

    Attributes:
        generation: Which agent of this server it is, counted from 1.
        since: When it came into its state, in Unix seconds.
        log: What has happened to it.
        usage: What its model has cost so far.
        lost: The connections that it has not at the moment: to its `model`, its `channel`, its `ear`.
        load: How its worker keeps up, as it last told; and `load_before` that, so that what grows can be counted.
        ended: Why it ended, once it has.
        pid: The process it runs in, or ran in.
        worker: What runs it, from its launch to its end; nothing of it is kept longer.
    """

    spec: AgentSpec
    generation: int
    log: EventLog
    state: State = State.STARTING
    since: float = field(default_factory=time.time)
    usage: TotalUsage = field(default_factory=TotalUsage)
    lost: set[Literal["model", "channel", "ear"]] = field(default_factory=set)
    load: Load | None = None
    load_before: Load | None = None
    ended: Ended | None = None
    pid: int | None = None
    worker: Worker | None = None
    launched: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)


Observer = Callable[[AgentRecord, AgentEvent, LoggedEvent | None], None]
"""Is told every event of every agent as it comes, and as it is logged unless it is for this server alone."""


def _not_ready(ended: Ended) -> FleetError:
    """Why an agent was never ready."""
    match ended.reason:
        case EndReason.STOPPED:
            return StartStopped("the agent was stopped before it was ready")
        case EndReason.DRAINED:
            return FleetClosed("the server ended before the agent was ready")
        case _:
            return StartFailed(ended.cause or f"the agent ended before it was ready: {ended.reason}")


class Fleet:
    """All agents of this server.

    Args:
        launcher: What runs them.
        settings: The limits and deadlines.
        model: What agents talk to, if it is known here.
        new_log_id: Gives ids for the agents' event logs, of which none may come again: readers resume by them.

    Attributes:
        usage: What all agents have cost since the server started, ended ones included.
        untold: Of each sum in it the tokens that the models did not tell the kind of.
        ends: How many agents ended since then, by reason.
        starts: How many were started since then, by what came of it.
    """

    def __init__(
        self,
        launcher: Launcher,
        settings: Settings,
        model: Model | None = None,
        *,
        new_log_id: Callable[[], str] = _new_log_id,
    ) -> None:
        self.usage = TotalUsage()
        self.untold: Counter[str] = Counter()
        self.ends: Counter[EndReason] = Counter()
        self.starts: Counter[str] = Counter()
        self._observers: list[Observer] = []
        self._launcher = launcher
        self._settings = settings
        self._model = model
        self._new_log_id = new_log_id
        self._running: dict[str, AgentRecord] = {}
        self._ended: Recent[str, AgentRecord] = Recent(_REMEMBERED)
        self._tasks: set[asyncio.Task[None]] = set()
        self._generation = 0
        self._closing = False

    def observe(self, observer: Observer) -> None:
        """Tell this one what happens; it must not block."""
        self._observers.append(observer)

    async def open(self) -> None:
        """Get ready to start agents."""
        await self._launcher.open()

    async def drain(self) -> None:
        """Stop every agent, and start no more; harmless when repeated."""
        if not self._closing:
            self._closing = True
            logger.info("ending; agents that leave their channels: %d", len(self._running))
        ends = [self._end(agent, EndReason.DRAINED) for agent in self._running.values()]
        await asyncio.gather(*ends, return_exceptions=True)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.stop_timeout_s)

    async def close(self) -> None:
        """Free what `open` took, once every agent is gone."""
        await self.drain()
        await self._launcher.close()

    def check_ready(self) -> None:
        """See whether a new agent could be started now.

        Raises:
            FleetClosed, NotReady, FleetFull: it could not.
        """
        if self._closing:
            raise FleetClosed("the server is ending")
        if self._model is not None and not self._model.is_running:
            raise NotReady("the embedded model is being started again")
        if len(self._running) >= self._settings.max_agents:
            raise FleetFull(f"{self._settings.max_agents} agents are running, which is MAX_AGENTS")

    def list(self) -> list[AgentRecord]:
        """The running agents, oldest first."""
        return list(self._running.values())

    def find(self, channel_name: str) -> AgentRecord:
        """The channel's agent: the running one, or else the last one that ended.

        Raises:
            AgentNotFound: there is none.
        """
        agent = self._running.get(channel_name) or self._ended.get(channel_name)
        if agent is None:
            raise AgentNotFound(f"no agent runs in channel {channel_name!r}")
        return agent

    def find_running(self, channel_name: str) -> AgentRecord:
        """The channel's running agent.

        Raises:
            AgentNotFound: there is none.
        """
        agent = self._running.get(channel_name)
        if agent is None:
            last = self._ended.get(channel_name)
            why = f"; the last one ended: {last.ended.reason}" if last and last.ended else ""
            raise AgentNotFound(f"no agent runs in channel {channel_name!r}{why}")
        return agent

    async def start(self, spec: AgentSpec) -> AgentRecord:
        """Start an agent; returns when it has joined its channel and its model is configured.

        Raises:
            AgentExists: the channel has one already.
            FleetFull, FleetClosed, NotReady: there is no room for it, or no model.
            StartFailed, StartTimeout: it could not get ready; it is gone again.
            StartStopped, FleetClosed: somebody has stopped it meanwhile, or the server has ended.
        """
        agent = self._admit(spec)
        timeout = self._settings.start_timeout_s
        outcome = "failed"
        try:
            async with asyncio.timeout(timeout):
                await self._launch(agent)
                await agent.ready.wait()
            if agent.ended is not None:
                failure = _not_ready(agent.ended)
                if isinstance(failure, StartStopped | FleetClosed):
                    outcome = "stopped"
                raise failure
            outcome = "ready"
        except TimeoutError:
            state = agent.ended.cause if agent.ended else agent.state
            with suppress(TimeoutError):
                await asyncio.shield(self._begin_end(agent))
            raise StartTimeout(f"the agent was not ready within {timeout:g} s ({state})") from None
        except (OSError, EOFError) as error:
            # No descriptors or memory left, or a fork server that died meanwhile.
            raise StartFailed(f"the agent's worker could not be started: {error or type(error).__name__}") from error
        except asyncio.CancelledError:
            # Nobody will hear that it runs; an agent that nobody knows of must not stay.
            outcome = "stopped"
            self._begin_end(agent)
            raise
        finally:
            self.starts[outcome] += 1
        return agent

    async def stop(self, channel_name: str) -> AgentRecord:
        """Let the channel's agent leave; returns when it is gone.

        Raises:
            AgentNotFound: none runs.
            ControlTimeout: it is still there.
        """
        agent = self.find_running(channel_name)
        try:
            # Whoever asked may hang up; what was begun goes on, to the kill if need be.
            await asyncio.shield(self._begin_end(agent))
        except TimeoutError:
            raise ControlTimeout(f"the agent in channel {channel_name!r} could not be ended in time") from None
        return agent

    async def control(self, command: Command) -> CommandResult:
        """Let the channel's agent do something; returns what came of it.

        Raises:
            AgentNotFound: none runs.
            QueueFull, ControlTimeout, SessionError: as the worker says.
        """
        return await self._worker(command.channel_name).control(command, timeout=self._settings.control_timeout_s)

    def hand_over(self, channel_name: str, connection: socket.socket, uid: int, answer: bytes) -> None:
        """Give the channel's agent a user's connection; it sends `answer`, the end of the opening handshake.

        Raises:
            AgentNotFound: none runs.
            ChannelError: it takes no connections now.
        """
        self._worker(channel_name).hand_over(connection, uid, answer)

    def _worker(self, channel_name: str) -> Worker:
        agent = self.find_running(channel_name)
        if agent.worker is None:
            raise AgentNotFound(f"the agent in channel {channel_name!r} is only starting")
        return agent.worker

    def _admit(self, spec: AgentSpec) -> AgentRecord:
        if spec.channel_name in self._running:
            raise AgentExists(f"an agent runs in channel {spec.channel_name!r} already")
        self.check_ready()
        self._generation += 1
        max_events = self._settings.event_buffer
        log = EventLog(self._new_log_id(), spec.channel_name, self._generation, max_events, time.time)
        agent = AgentRecord(spec, self._generation, log)
        self._running[spec.channel_name] = agent
        return agent

    async def _launch(self, agent: AgentRecord) -> None:
        name = agent.spec.channel_name
        try:
            agent.worker = await self._launcher.launch(agent.spec)
        except BaseException:
            self._release(agent, Ended(reason=EndReason.CRASHED, cause="its worker could not be started"))
            raise
        agent.pid = agent.worker.pid
        self._own(self._follow(agent, agent.worker), f"follow {name}")
        agent.launched.set()

    def _own(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Do something that outlives whoever asked for it; `close` waits for it."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("%s failed", task.get_name(), exc_info=error)

    def _begin_end(self, agent: AgentRecord) -> asyncio.Task[None]:
        return self._own(self._end(agent), f"end {agent.spec.channel_name}")

    async def _end(self, agent: AgentRecord, reason: EndReason = EndReason.STOPPED) -> None:
        """Let an agent leave; returns when it is gone."""
        timeout = self._settings.stop_timeout_s
        async with asyncio.timeout(timeout):
            await agent.launched.wait()
        if agent.worker is not None:
            await agent.worker.stop(reason, timeout=timeout)
        async with asyncio.timeout(timeout):
            await agent.gone.wait()

    async def _follow(self, agent: AgentRecord, worker: Worker) -> None:
        """Keep our picture of an agent true until it is gone."""
        ended = Ended(reason=EndReason.CRASHED, cause="it went without a word")
        try:
            async for event in worker.events():
                if isinstance(event, Ended):
                    ended = event
                else:
                    self._note(agent, event)
                # Many may be here at once: who watches takes them as they come.
                await asyncio.sleep(0)
        except Exception:
            logger.exception("agent %d in %r can't be followed any longer", agent.generation, agent.spec.channel_name)
            ended = Ended(reason=EndReason.CRASHED, cause="it can't be followed any longer; see the log")
            # Its name is free only when it is gone.
            await worker.stop(timeout=self._settings.stop_timeout_s)
        finally:
            self._release(agent, ended)

    def _note(self, agent: AgentRecord, event: AgentEvent) -> None:
        match event:
            case StateChanged(state=state):
                agent.state, agent.since = state, time.time()
                if state is State.WAITING:
                    agent.ready.set()
            case UsageChanged(usage=usage):
                spent = usage - agent.usage
                self.usage += spent
                # Added up: what one response tells too much of takes nothing from what another does not tell.
                self.untold.update(spent.untold())
                agent.usage = usage
            case ConnectionChanged(to=end, status="lost"):
                agent.lost.add(end)
            case ConnectionChanged(to=end):
                agent.lost.discard(end)
            case Load():
                agent.load_before, agent.load = agent.load, event
        self._tell(agent, event)

    def _tell(self, agent: AgentRecord, event: AgentEvent) -> None:
        logged = None if isinstance(event, Load) else agent.log.append(event)
        for observer in self._observers:
            try:
                observer(agent, event, logged)
            except Exception:
                # Whoever watches must not end what they watch.
                logger.exception("an event of %r could not be told", agent.spec.channel_name)

    def _release(self, agent: AgentRecord, ended: Ended) -> None:
        agent.state, agent.since, agent.ended = State.ENDED, time.time(), ended
        agent.worker = agent.load = None
        self._tell(agent, ended)
        agent.log.complete()
        self.ends[ended.reason] += 1
        name = agent.spec.channel_name
        if self._running.get(name) is agent:
            del self._running[name]
        self._ended[name] = agent
        for event in (agent.launched, agent.ready, agent.gone):
            event.set()
        level = _LEVELS.get(ended.reason, logging.INFO)
        cause = f" ({ended.cause})" if ended.cause else ""
        logger.log(level, "agent %d in %r is gone: %s%s", agent.generation, name, ended.reason, cause)
