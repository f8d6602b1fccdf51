"""The server's side of one worker process."""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

from realtime_agent.control.commands import Command, CommandResult
from realtime_agent.control.events import AgentEvent, Ended, agent_event_adapter
from realtime_agent.control.life import EndReason
from realtime_agent.control.spec import AgentSpec
from realtime_agent.errors import (
    AgentNotFound,
    ChannelError,
    ControlTimeout,
    ModelBusy,
    ModelConflict,
    ModelRefused,
    QueueFull,
    RealtimeAgentError,
    SessionError,
    SessionTimeout,
)
from realtime_agent.fleet.forks import Child, Forks
from realtime_agent.fleet.link import Link, send_connection

__all__ = ["WorkerProcess"]

_KILL_TIMEOUT_S = 5.0

_EXIT_TIMEOUT_S = 2.0
"""How long a worker that has said its last word may take to end. A thread that looks up a name would hold it."""

_COMMAND_ERRORS: Mapping[str, Callable[[str], RealtimeAgentError]] = {
    error.__name__: error
    for error in (QueueFull, ModelBusy, ModelConflict, ModelRefused, SessionTimeout, RealtimeAgentError)
}
"""What a worker's answer to a command can be, but for an error of its model that has no name of its own."""


class WorkerProcess:
    """One worker process: it waits for its agent, runs it, and ends with it."""

    def __init__(self, child: Child, link: Link, connections: socket.socket, orphan_timeout_s: float) -> None:
        self._child = child
        self._link = link
        self._connections = connections
        self._orphan_timeout_s = orphan_timeout_s
        self._orphan_killer: asyncio.TimerHandle | None = None
        self._link_ended = False
        self._numbers = itertools.count(1)
        self._replies: dict[int, asyncio.Future[CommandResult]] = {}
        self._unanswered: set[int] = set()
        self._exited = asyncio.Event()
        child.watch(self._on_change)

    @classmethod
    async def fork(cls, forks: Forks, orphan_timeout_s: float, *, is_idle: bool) -> WorkerProcess:
        """Start one.

        Args:
            forks: What starts it.
            orphan_timeout_s: How long its agent may take to leave when the fork server has died.
            is_idle: Whether it should get ready before its agent comes.

        Raises:
            OSError: it could not be started.
        """
        link_ours, link_theirs = socket.socketpair()
        connections_ours, connections_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        connections_ours.setblocking(False)
        try:
            with link_theirs, connections_theirs:
                child = await forks.fork(link_theirs, connections_theirs, is_idle=is_idle)
            link = await Link.open(link_ours)
        except BaseException:
            # A worker that was started after all finds nobody at the other end, and ends.
            link_ours.close()
            connections_ours.close()
            raise
        return cls(child, link, connections_ours, orphan_timeout_s)

    def watch(self, on_change: Callable[[], None]) -> None:
        """Call this when the process has ended, or when its fork server has."""
        self._child.watch(on_change)

    async def wait_until_idle(self) -> bool:
        """Wait until it is ready for an agent; returns whether it is, or else is gone."""
        return await self._link.receive() is not None

    def give(self, spec: AgentSpec) -> None:
        """Let it run this agent. One that is gone does not."""
        self._link.send({"spec": spec.model_dump_json(exclude_unset=True)}, is_vital=True)

    async def wait_until_taken(self) -> bool:
        """Wait until it has the agent that it was given; returns whether it does, or else is gone."""
        return await self._link.receive() is not None

    async def discard(self) -> None:
        """End one that runs no agent."""
        self._link_ended = True
        self._child.kill()
        await self._link.close()
        if self._child.is_orphan:
            self._finish()
        # Only the fork server can tell that it is gone, and that may hang.
        with suppress(TimeoutError):
            async with asyncio.timeout(_KILL_TIMEOUT_S):
                await self._exited.wait()

    @property
    def pid(self) -> int:
        """The worker's process."""
        return self._child.pid

    @property
    def commands_waiting(self) -> int:
        """How many commands it has not answered, whether or not somebody waits for that still."""
        return len(self._unanswered)

    async def events(self) -> AsyncIterator[AgentEvent]:
        """The agent's events; a process that dies without a word has crashed."""
        ended: Ended | None = None
        async for message in self._link.messages():
            if "reply" in message:
                self._settle(message)
                continue
            if "event" not in message:
                continue  # it has told that it has taken the agent
            event = agent_event_adapter.validate_python(message["event"])
            if isinstance(event, Ended):
                ended = event
            else:
                yield event
        self._link_ended = True
        await self._link.close()
        if self._orphan_killer is not None:
            self._orphan_killer.cancel()
            self._child.kill()
            self._finish()
            if ended is not None and ended.reason is EndReason.DRAINED:
                ended = None  # It went because we asked it to; what made us ask is the cause.
        # Only the fork server can tell that the process is gone; one that hangs does not change why it went.
        with suppress(TimeoutError):
            await self._wait_for_exit(_EXIT_TIMEOUT_S)
        yield ended or Ended(reason=EndReason.CRASHED, cause=self._exit_in_words())

    async def control(self, command: Command, *, timeout: float) -> CommandResult:
        """Queue a command and wait until the agent has carried it out."""
        if self._exited.is_set():
            raise AgentNotFound("the agent has just ended")
        number = next(self._numbers)
        reply: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        self._replies[number] = reply
        try:
            self._link.send({"id": number, "command": command.model_dump(mode="json", exclude_unset=True)})
            self._unanswered.add(number)
            async with asyncio.timeout(timeout):
                return await reply
        except TimeoutError:
            raise ControlTimeout(f"the agent did not answer within {timeout:g} s") from None
        finally:
            del self._replies[number]

    def hand_over(self, connection: socket.socket, uid: int, answer: bytes) -> None:
        """Give the worker a user's connection."""
        try:
            send_connection(self._connections, connection, uid, answer)
        except OSError as error:
            raise ChannelError(f"the agent takes no connection now: {error.strerror}") from None

    async def stop(self, reason: EndReason = EndReason.STOPPED, *, timeout: float) -> None:
        """Ask the agent to leave; kill its process after `timeout` seconds."""
        with suppress(QueueFull):
            self._link.send({"stop": reason})
        await self._wait_for_exit(timeout)

    async def _wait_for_exit(self, timeout: float) -> None:
        """Wait until the process is gone; kill it after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._exited.wait()
        except TimeoutError:
            self._child.kill()
            async with asyncio.timeout(_KILL_TIMEOUT_S):
                await self._exited.wait()

    def _settle(self, message: Mapping[str, Any]) -> None:
        self._unanswered.discard(message["reply"])
        reply = self._replies.get(message["reply"])
        if reply is None or reply.done():
            return
        if (error := message.get("error")) is not None:
            reply.set_exception(_COMMAND_ERRORS.get(error["name"], SessionError)(error["message"]))
        else:
            reply.set_result(CommandResult.model_validate(message["result"]))

    def _on_change(self) -> None:
        if not self._child.is_orphan or self._link_ended:
            self._finish()
            return
        # It lives on, but nobody could tell how it ends: from here its link says when it is gone.
        with suppress(QueueFull):
            self._link.send({"stop": EndReason.DRAINED})
        self._orphan_killer = asyncio.get_running_loop().call_later(self._orphan_timeout_s, self._child.kill)

    def _finish(self) -> None:
        """It is gone: free what it had here."""
        self._connections.close()
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(AgentNotFound("the agent ended before it answered"))
        self._exited.set()

    def _exit_in_words(self) -> str:
        if self._child.is_orphan:
            return "the fork server died, and it had to be ended"
        code = self._child.code
        if code is None:
            return "the fork server hangs, and its process had to be ended"
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        return f"its process ended with code {code}"
