"""One process per agent, forked from one that has everything loaded; some are forked before anybody asks for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from realtime_agent.config import Settings
from realtime_agent.control.spec import AgentSpec
from realtime_agent.fleet.fork_server import ForkOrder
from realtime_agent.fleet.forks import Forks
from realtime_agent.fleet.idle_workers import IdleWorkers
from realtime_agent.fleet.worker import prepare, run_worker
from realtime_agent.fleet.worker_process import WorkerProcess

__all__ = ["ProcessLauncher"]

logger = logging.getLogger(__name__)

_TAKE_TIMEOUT_S = 2.0
"""How long an idle worker may take to see that it has an agent. One that takes longer hangs."""


class ProcessLauncher:
    """Starts each agent in a process of its own.

    Args:
        settings: What the workers are given; secrets in it travel over a pipe, never in arguments or environment.
        preload: More modules that every worker finds loaded.
    """

    def __init__(self, settings: Settings, *, preload: Sequence[str] = ()) -> None:
        self._settings = settings
        self._preload = ["realtime_agent.fleet.worker", *preload]

    async def open(self) -> None:
        """Start the fork server, and wait until it has loaded the worker's modules."""
        self._forks = Forks(ForkOrder(self._preload, prepare, run_worker, self._settings))
        self._idle = IdleWorkers(
            self._settings.warm_workers,
            lambda: self._fork(is_idle=True),
            has_room=lambda: len(self._forks) < self._settings.max_agents,
        )
        await self._forks.open()
        self._keeper = asyncio.create_task(self._idle.run(), name="idle workers")

    async def close(self) -> None:
        """End the idle workers, and the fork server."""
        self._keeper.cancel()
        with suppress(asyncio.CancelledError):
            await self._keeper
        await self._idle.close()
        await self._forks.close()

    async def launch(self, spec: AgentSpec) -> WorkerProcess:
        """Give the agent to an idle worker, or to a new one where there is none."""
        while (worker := self._idle.take()) is not None:
            if await self._has_taken(worker, spec):
                return worker
        worker = await self._fork(is_idle=False)
        worker.give(spec)
        return worker

    async def _has_taken(self, worker: WorkerProcess, spec: AgentSpec) -> bool:
        has_taken = False
        try:
            worker.give(spec)
            async with asyncio.timeout(_TAKE_TIMEOUT_S):
                has_taken = await worker.wait_until_taken()
        except TimeoutError:
            logger.warning("an idle worker hangs, and is ended; its agent gets another one")
        finally:
            if not has_taken:
                self._idle.reject(worker)
        return has_taken

    async def _fork(self, *, is_idle: bool) -> WorkerProcess:
        worker = await WorkerProcess.fork(self._forks, self._settings.stop_timeout_s, is_idle=is_idle)
        worker.watch(self._idle.look)
        return worker
