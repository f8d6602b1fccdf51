"""The server's side of the fork server: asks it for processes, and hears how they end."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from realtime_agent.fleet.fork_server import FORK, FORK_IDLE, MAX_MESSAGE, ForkOrder

__all__ = ["Child", "Forks"]

logger = logging.getLogger(__name__)

_START = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from realtime_agent.fleet.fork_server import main; main(sys.stdin.buffer, *map(int, sys.argv[1:]))"
)
"""Modules are found where this process finds them."""

_LOAD_TIMEOUT_S = 60.0
_ANSWER_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 5.0


class Child:
    """One forked process.

    Attributes:
        pid: Its number, which is its alone until it has ended.
        code: How it ended: its exit code, less than 0 for a signal; `None` while it runs, or if nobody can tell.
        is_orphan: Whether the fork server died before it did: how it ends will not be known.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.code: int | None = None
        self.is_orphan = False
        self._watchers: list[Callable[[], None]] = []

    def watch(self, on_change: Callable[[], None]) -> None:
        """Call this when it has ended or has become an orphan; soon, if it has already."""
        if self.code is not None or self.is_orphan:
            asyncio.get_running_loop().call_soon(on_change)
        else:
            self._watchers.append(on_change)

    def kill(self) -> None:
        """End it by force."""
        if self.code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def ended(self, code: int) -> None:
        """It is gone."""
        self.code = code
        self._changed()

    def orphaned(self) -> None:
        """Nobody will tell how it ends."""
        self.is_orphan = True
        self._changed()

    def _changed(self) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher()


class Forks:
    """A fork server, started again when one is asked for and it has died."""

    def __init__(self, order: ForkOrder) -> None:
        self._order = order
        self._starting = asyncio.Lock()
        self._process: Process | None = None
        self._control: socket.socket | None = None
        self._ready = asyncio.Event()
        self._asked: deque[asyncio.Future[Child]] = deque()
        self._children: dict[int, Child] = {}
        self._lifeline: tuple[int, int] | None = None

    def __len__(self) -> int:
        """How many of its processes run."""
        return len(self._children)

    async def open(self) -> None:
        """Start the fork server, and wait until it has loaded everything; harmless when it runs.

        Raises:
            OSError: it did not start.
        """
        async with self._starting:
            if self._control is None:
                await self._start()

    async def close(self) -> None:
        """End it, by force where it hangs; every process that it has forked is gone by now."""
        process = self._process
        if self._control is not None:
            self._control.shutdown(socket.SHUT_RDWR)
        if process is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_TIMEOUT_S):
                    await process.wait()
            if process.returncode is None:
                logger.error("the fork server hangs, and is ended")
                process.kill()
                await process.wait()
        self._lost()
        for end in self._lifeline or ():
            os.close(end)
        self._lifeline = None

    async def fork(self, link: socket.socket, connections: socket.socket, *, is_idle: bool) -> Child:
        """A new worker, at the other ends of these wires; the caller closes its own copies of them.

        Raises:
            OSError: there is none: no memory or descriptors are left, or the fork server died meanwhile.
        """
        await self.open()
        assert self._control is not None
        answer: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
        try:
            socket.send_fds(self._control, [FORK_IDLE if is_idle else FORK], [link.fileno(), connections.fileno()])
        except BlockingIOError:
            raise OSError("the fork server does not keep up") from None
        self._asked.append(answer)
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                return await answer
        except TimeoutError:
            raise OSError("the fork server does not answer") from None

    async def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._ready.clear()
        # Every worker has the reading end, and nobody else the other: it ends with this process, however that ends.
        self._lifeline = self._lifeline or os.pipe()
        fds = (theirs.fileno(), self._lifeline[0])
        try:
            with theirs:
                self._process = process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-c", _START, *map(str, fds)), stdin=PIPE, pass_fds=fds
                )
            assert process.stdin is not None
            process.stdin.write(pickle.dumps(sys.path) + pickle.dumps(self._order))
            process.stdin.close()
        except BaseException:
            ours.close()
            raise
        self._control = ours
        asyncio.get_running_loop().add_reader(ours, self._hear)
        try:
            async with asyncio.timeout(_LOAD_TIMEOUT_S):
                await self._ready.wait()
        except BaseException as error:
            process.kill()
            self._lost()
            if isinstance(error, TimeoutError):
                raise OSError("the fork server did not start") from None
            raise
        if self._control is None:
            raise ConnectionError("the fork server died while it started")

    def _hear(self) -> None:
        assert self._control is not None
        try:
            while told := self._control.recv(MAX_MESSAGE):
                self._handle(*told.decode().split(" ", 1))
        except BlockingIOError:
            return
        except ConnectionError:
            pass
        self._lost()

    def _handle(self, kind: str, words: str = "") -> None:
        match kind:
            case "ready":
                self._ready.set()
            case "forked":
                child = self._children[int(words)] = Child(int(words))
                answer = self._asked.popleft()
                # One that nobody waits for any more finds nobody at the other end of its link, and ends.
                if not answer.done():
                    answer.set_result(child)
            case "failed":
                answer = self._asked.popleft()
                if not answer.done():
                    answer.set_exception(OSError(words))
            case "ended":
                pid, code = map(int, words.split())
                self._children.pop(pid).ended(code)

    def _lost(self) -> None:
        """The fork server is gone."""
        if self._control is None:
            return
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        self._control = None
        self._ready.set()
        for answer in self._asked:
            if not answer.done():
                answer.set_exception(ConnectionError("the fork server died"))
        self._asked.clear()
        children, self._children = self._children, {}
        for child in children.values():
            child.orphaned()
