"""One process per agent, by multiprocessing's forkserver: modules are loaded once, every worker is a fork of that."""

from __future__ import annotations

import asyncio
import itertools
import logging
import multiprocessing
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from typing import Any

from realtime_agent.config import Settings
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
from realtime_agent.fleet.link import Link, send_connection
from realtime_agent.fleet.worker import run_worker

__all__ = ["ProcessLauncher"]

logger = logging.getLogger(__name__)

_KILL_TIMEOUT_S = 5.0

_EXIT_TIMEOUT_S = 2.0
"""How long a worker that has said its last word may take to end. A thread that looks up a name would hold it."""

_FORK_SERVER_LOST = 255
"""What multiprocessing takes for a child's exit code when the fork server died before it could tell."""

_WARM_UP_TIMEOUT_S = 60.0


class ProcessLauncher:
    """Starts each agent in a process of its own.

    Args:
        settings: What the workers are given; secrets in it travel over a pipe, never in arguments or environment.
        preload: Modules that every worker finds loaded. What the program's main module imports belongs to them,
            because multiprocessing imports that module again in each child.
    """

    def __init__(self, settings: Settings, *, preload: Sequence[str] = ()) -> None:
        self._settings = settings
        self._preload = ["realtime_agent.fleet.worker", *preload]
        self._context = multiprocessing.get_context("forkserver")
        # multiprocessing counts its children without locks: one thread starts them all and takes their exit codes.
        self._thread = ThreadPoolExecutor(1, "fork")

    async def open(self) -> None:
        """Start the fork server, and wait until it has loaded the worker's modules."""
        self._context.set_forkserver_preload(self._preload)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._warm_up)

    async def close(self) -> None:
        """The fork server ends with this process; it holds nothing."""
        # One that hangs would hold this process when it exits: it is asked for a last child.
        answer = asyncio.get_running_loop().run_in_executor(self._thread, self._warm_up)
        _, silent = await asyncio.wait([answer], timeout=_KILL_TIMEOUT_S)
        if silent:
            logger.error("the fork server hangs, and is ended")
            _kill_fork_server()
        await asyncio.to_thread(self._thread.shutdown)
        with suppress(OSError, EOFError):
            await answer

    async def launch(self, spec: AgentSpec) -> _ProcessWorker:
        """Fork a worker."""
        link_ours, link_theirs = socket.socketpair()
        connections_ours, connections_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        connections_ours.setblocking(False)
        process = self._context.Process(
            target=run_worker,
            args=(spec, self._settings, link_theirs, connections_theirs),
            name=f"agent in {spec.channel_name}",
            daemon=True,
        )

        def start() -> None:
            with link_theirs, connections_theirs:
                process.start()

        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, start)
            link = await Link.open(link_ours)
        except BaseException:
            # A worker that was started after all finds nobody at the other end, and ends.
            link_ours.close()
            connections_ours.close()
            raise
        return _ProcessWorker(process, link, connections_ours, self._thread, self._settings.stop_timeout_s)

    def _warm_up(self) -> None:
        process = self._context.Process(target=_do_nothing, daemon=True)
        process.start()
        process.join(_WARM_UP_TIMEOUT_S)


def _do_nothing() -> None:
    """The first process, forked as soon as everything is loaded, and the last one."""


def _kill_fork_server() -> None:
    # multiprocessing offers no other way to reach it.
    pid = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined] # noqa: SLF001
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


_COMMAND_ERRORS: Mapping[str, Callable[[str], RealtimeAgentError]] = {
    error.__name__: error
    for error in (QueueFull, ModelBusy, ModelConflict, ModelRefused, SessionTimeout, RealtimeAgentError)
}
"""What a worker's answer to a command can be, but for an error of its model that has no name of its own."""


class _ProcessWorker:
    """The server's side of one worker process."""

    def __init__(
        self,
        process: ForkServerProcess,
        link: Link,
        connections: socket.socket,
        thread: ThreadPoolExecutor,
        orphan_timeout_s: float,
    ) -> None:
        self._pid = process.pid or 0
        self._process = process
        self._link = link
        self._connections = connections
        self._thread = thread
        self._orphan_timeout_s = orphan_timeout_s
        self._orphan_killer: asyncio.TimerHandle | None = None
        self._link_ended = False
        self._exit_code: int | None = None
        self._numbers = itertools.count(1)
        self._replies: dict[int, asyncio.Future[CommandResult]] = {}
        self._unanswered: set[int] = set()
        self._exited = asyncio.Event()
        asyncio.get_running_loop().add_reader(process.sentinel, self._on_exit)

    @property
    def pid(self) -> int:
        """The worker's process."""
        return self._pid

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
            event = agent_event_adapter.validate_python(message["event"])
            if isinstance(event, Ended):
                ended = event
            else:
                yield event
        self._link_ended = True
        await self._link.close()
        if self._orphan_killer is not None:
            self._orphan_killer.cancel()
            self._kill()
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
            self._kill()
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

    def _on_exit(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._process.sentinel)
        # After `close`, which comes first only where the fork server hung, nobody asks any more.
        with suppress(RuntimeError):
            loop.run_in_executor(self._thread, self._process.join).add_done_callback(self._on_joined)

    def _on_joined(self, _joined: asyncio.Future[None]) -> None:
        self._exit_code = self._process.exitcode
        if self._exit_code != _FORK_SERVER_LOST or self._link_ended:
            self._finish()
            return
        # It lives on, but nobody could start it again or tell how it ends: from here its link says when it is gone.
        with suppress(QueueFull):
            self._link.send({"stop": EndReason.DRAINED})
        self._orphan_killer = asyncio.get_running_loop().call_later(self._orphan_timeout_s, self._kill)

    def _kill(self) -> None:
        # Not by multiprocessing, which takes an orphan for dead.
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)

    def _finish(self) -> None:
        """It is gone: free what it had here."""
        self._process.close()
        self._connections.close()
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(AgentNotFound("the agent ended before it answered"))
        self._exited.set()

    def _exit_in_words(self) -> str:
        code = self._exit_code
        if code == _FORK_SERVER_LOST:
            return "the fork server died, and it had to be ended"
        if code is None:
            return "the fork server hangs, and its process had to be ended"
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        return f"its process ended with code {code}"
