"""Workers that are forked before anybody asks for them, so that an agent starts sooner."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

from realtime_agent.fleet.worker_process import WorkerProcess

__all__ = ["IdleWorkers"]

logger = logging.getLogger(__name__)

_QUIET_S = 0.25
"""How long no agent may have been started before a worker is forked, which would compete with that start.

While agents are started all the time none is forked here: they fork their own, which costs as much.
"""

_READY_TIMEOUT_S = 30.0

_DELAYS_S = (0, 0.5, 2, 10, 60)
"""Before the next one, after so many in a row that failed; the last one repeats."""

_STEADY_S = 60.0
"""One that has waited for so long does not count as failed when it dies."""


class IdleWorkers:
    """Keeps so many of them ready; `run` forks them, one at a time.

    Args:
        count: How many.
        fork: Starts one.
        has_room: Whether another process may be started.
    """

    def __init__(
        self, count: int, fork: Callable[[], Awaitable[WorkerProcess]], *, has_room: Callable[[], bool]
    ) -> None:
        self._count = count
        self._fork = fork
        self._has_room = has_room
        self._ready: deque[WorkerProcess] = deque()
        self._rejected: list[WorkerProcess] = []
        self._failures = 0
        self._clock = asyncio.get_running_loop().time
        self._last_start = self._clock() - _QUIET_S
        self._changed = asyncio.Event()
        self._changed.set()

    def __len__(self) -> int:
        """How many are ready."""
        return len(self._ready)

    def take(self) -> WorkerProcess | None:
        """One that is ready, the oldest; `None` if there is none."""
        self._last_start = self._clock()
        self.look()
        if not self._ready:
            return None
        self._failures = 0
        return self._ready.popleft()

    def reject(self, worker: WorkerProcess) -> None:
        """One that was taken is of no use: end it."""
        self._failures += 1
        self._rejected.append(worker)
        self.look()

    def look(self) -> None:
        """Something has changed: see whether another one is needed."""
        self._changed.set()

    async def run(self) -> None:
        """Replace those that were taken, or died, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._rejected:
                await self._rejected.pop().discard()
            if len(self._ready) < self._count and self._has_room():
                await self._wait()
                await self._add()
                self.look()

    async def close(self) -> None:
        """End them all, once `run` has been cancelled."""
        workers = [*self._ready, *self._rejected]
        self._ready.clear()
        self._rejected.clear()
        await asyncio.gather(*(worker.discard() for worker in workers))

    async def _wait(self) -> None:
        """Let agents start first; and wait for longer the more often it went wrong."""
        await asyncio.sleep(_DELAYS_S[min(self._failures, len(_DELAYS_S) - 1)])
        while True:
            left = self._last_start + _QUIET_S - self._clock()
            if left <= 0:
                return
            await asyncio.sleep(left)

    async def _add(self) -> None:
        try:
            worker = await self._fork()
        except OSError as error:
            self._failures += 1
            logger.warning("no worker can be forked to wait for an agent: %s", error)
            return
        is_ready = False
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S):
                is_ready = await worker.wait_until_idle()
        except TimeoutError:
            logger.warning("a worker was not ready for an agent within %g s", _READY_TIMEOUT_S)
        finally:
            if not is_ready:
                self.reject(worker)
        if is_ready:
            self._ready.append(worker)
            worker.watch(partial(self._lost, worker, self._clock()))

    def _lost(self, worker: WorkerProcess, since: float) -> None:
        if worker not in self._ready:
            return
        logger.warning("a worker that waited for an agent is gone: process %d", worker.pid)
        self._ready.remove(worker)
        if self._clock() - since >= _STEADY_S:
            self._failures = 0
        self.reject(worker)
