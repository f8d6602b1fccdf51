"""What runs in a worker process: one agent, its command queue and its event queue."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from realtime_agent.agent import Agent
from realtime_agent.assembly import assemble, get_ready
from realtime_agent.config import Settings
from realtime_agent.control.commands import MAX_COMMANDS, command_adapter
from realtime_agent.control.events import AgentEvent, AgentTranscript, Ended, ErrorReported, Load, StateChanged
from realtime_agent.control.life import EndReason
from realtime_agent.control.spec import AgentSpec
from realtime_agent.errors import QueueFull, RealtimeAgentError
from realtime_agent.fleet.link import Link, receive_connection
from realtime_agent.fleet.rehearsal import rehearse
from realtime_agent.logs import configure_logging
from realtime_agent.loop_lag import WatchedLoop
from realtime_agent.realtime.endpoint import realtime_endpoint
from realtime_agent.realtime.opening import tls_context
from realtime_agent.rtc.web import WebChannel

__all__ = ["prepare", "run_worker"]

logger = logging.getLogger(__name__)

_ORPHAN_GRACE_S = 5.0
"""How long a worker whose server died may take to leave its channel."""


def prepare(settings: Settings) -> None:
    """Make what workers share, in the process that they are forked from."""
    if urlsplit(realtime_endpoint(settings, "").url).scheme == "wss":
        # Whoever can't read the certificates hears of it when they connect.
        with suppress(OSError):
            tls_context()


def run_worker(
    settings: Settings, link: socket.socket, connections: socket.socket, lifeline: int, is_idle: bool
) -> None:
    """The process's main function: waits on the link for its agent, and runs it.

    Args:
        settings: The deployment's.
        link: Our end of the link.
        connections: Our end of the pair by which connections are handed over.
        lifeline: A descriptor that can be read once the server is gone.
        is_idle: Whether there is time to get ready before the agent comes; then the server is told when that is done.
    """
    configure_logging(settings.log_level)
    # Ctrl-C reaches the whole process group; the server decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_server, args=(lifeline,), name="lifeline", daemon=True).start()
    with asyncio.Runner(loop_factory=WatchedLoop) as runner:
        runner.run(_Worker(settings).run(link, connections, is_idle=is_idle))


def _die_with_server(lifeline: int) -> None:
    """End this process if the server is gone and the event loop did not manage to."""
    os.read(lifeline, 1)
    time.sleep(_ORPHAN_GRACE_S)
    os._exit(1)


class _Worker:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lost = 0

    async def run(self, link_end: socket.socket, connections: socket.socket, *, is_idle: bool = False) -> None:
        with connections:
            self._link = await Link.open(link_end)
            if is_idle:
                get_ready(self._settings)
                await rehearse(self._settings)
                self._link.send({"idle": True})
            first = await self._link.receive()
            # Without one the server has no use for it any more.
            if first is not None and "spec" in first:
                self._link.send({"taken": True})
                await self._live(AgentSpec.model_validate_json(first["spec"]), connections)
            await self._link.close()

    async def _live(self, spec: AgentSpec, connections: socket.socket) -> None:
        agent, channel = assemble(spec, self._settings, self._notify)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, agent.stop)
        helpers: list[Coroutine[Any, Any, None]] = [self._read_queue(agent)]
        if isinstance(channel, WebChannel):
            helpers.append(_adopt_connections(connections, channel))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(helper) for helper in helpers]
            try:
                await agent.run()
            except Exception:
                # The agent has reported that it crashed; the reason is for whoever reads the log.
                logger.exception("the agent in %r crashed", spec.channel_name)
            for task in tasks:
                task.cancel()

    def _notify(self, event: AgentEvent) -> None:
        """Tell the server; one that does not keep up loses words first, and learns how many events it has lost."""
        if self._lost:
            lost = ErrorReported(of="stream", code="events_lost", message=f"{self._lost} events were lost")
            self._lost = 0 if self._send(lost, can_be_spared=True) else self._lost
        if not self._send(event, can_be_spared=isinstance(event, AgentTranscript | Load)):
            self._lost += 1

    def _send(self, event: AgentEvent, *, can_be_spared: bool) -> bool:
        told = event.model_dump(mode="json", exclude_none=True)
        # Without these the server would never know that the agent is ready, nor why it ended.
        is_vital = isinstance(event, StateChanged | Ended)
        try:
            self._link.send({"event": told}, can_be_spared=can_be_spared, is_vital=is_vital)
        except QueueFull:
            return False
        return True

    async def _read_queue(self, agent: Agent) -> None:
        """Take in commands until the server is gone; then leave too."""
        obeying: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            async for message in self._link.messages():
                if "stop" in message:
                    agent.stop(EndReason(message["stop"]))
                elif len(obeying) >= MAX_COMMANDS:
                    self._refuse(message["id"], QueueFull("the agent has too many commands waiting"))
                else:
                    task = group.create_task(self._obey(agent, message["id"], message["command"]))
                    obeying.add(task)
                    task.add_done_callback(obeying.discard)
            agent.stop(EndReason.DRAINED, "the server is gone")

    async def _obey(self, agent: Agent, number: int, command: dict[str, Any]) -> None:
        """Carry out a command; each begins in its turn, and none waits for the model's answer to another one."""
        try:
            result = await agent.control(command_adapter.validate_python(command))
        except RealtimeAgentError as error:
            self._refuse(number, error)
        except Exception:
            # It is this command's end, and not the agent's.
            logger.exception("a command failed")
            self._refuse(number, RealtimeAgentError("an error in the agent; see its log"))
        else:
            self._reply(number, {"result": result.model_dump(mode="json", exclude_none=True)})

    def _refuse(self, number: int, error: RealtimeAgentError) -> None:
        self._reply(number, {"error": {"name": type(error).__name__, "message": str(error)}})

    def _reply(self, number: int, answer: dict[str, Any]) -> None:
        # A server that reads none of these has given up on them.
        with suppress(QueueFull):
            self._link.send({"reply": number, **answer})


async def _adopt_connections(pipe: socket.socket, channel: WebChannel) -> None:
    """Take in the websockets of users that the server hands over."""
    pipe.setblocking(False)
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(pipe, readable.set)
    try:
        while True:
            await readable.wait()
            readable.clear()
            try:
                while True:
                    await channel.adopt(*receive_connection(pipe))
            except BlockingIOError:
                continue
            except OSError as error:
                logger.warning("a user's connection is lost: %s", error)
    finally:
        loop.remove_reader(pipe)
