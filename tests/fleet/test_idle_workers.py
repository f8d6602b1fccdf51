"""Workers that wait for their agents: in real processes, and how often they are forked, in virtual time."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from realtime_agent.config import Settings
from realtime_agent.fleet.fleet import Fleet
from realtime_agent.fleet.idle_workers import IdleWorkers
from realtime_agent.fleet.process import ProcessLauncher
from realtime_agent.fleet.worker_process import WorkerProcess
from realtime_agent.testing import ScriptedServer
from tests.e2e.program import post, running
from tests.processes import alive, descendants, until_dead
from tests.specs import agent_spec
from tests.virtual_time import run_in_virtual_time


class Warm:
    """A fleet with workers that wait."""

    def __init__(self, launcher: ProcessLauncher, fleet: Fleet) -> None:
        self.launcher = launcher
        self.fleet = fleet

    @property
    def waiting(self) -> list[int]:
        """The processes that wait for an agent."""
        return [worker.pid for worker in self.launcher._idle._ready]

    @property
    def processes(self) -> int:
        """All that were forked and run."""
        return len(self.launcher._forks)

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not is_so():
                await asyncio.sleep(0.02)

    async def until_one_waits(self, *, other_than: int = 0) -> int:
        await self.until(lambda: any(pid != other_than for pid in self.waiting))
        return self.waiting[0]

    async def start(self, name: str) -> int:
        pid = (await self.fleet.start(agent_spec(channel_name=name))).pid
        assert pid is not None
        return pid


@asynccontextmanager
async def warm(settings: Settings, **changes: object) -> AsyncIterator[Warm]:
    settings = settings.model_copy(update=changes)
    launcher = ProcessLauncher(settings)
    fleet = Fleet(launcher, settings)
    await fleet.open()
    try:
        yield Warm(launcher, fleet)
    finally:
        await fleet.close()


async def test_an_agent_gets_the_worker_that_waited_and_another_one_waits_for_the_next(scripted: Settings) -> None:
    async with warm(scripted) as service:
        first = await service.until_one_waits()
        assert service.fleet.list() == []
        assert await service.start("a") == first
        second = await service.until_one_waits()
        assert await service.start("b") == second
        assert [agent.pid for agent in service.fleet.list()] == [first, second]
        await service.fleet.stop("a")
        await until_dead(first)


async def test_the_model_does_not_hear_of_a_worker_that_waits(scripted: Settings, script: ScriptedServer) -> None:
    async with warm(scripted) as service:
        await service.until_one_waits()
        assert script.connections == []


async def test_no_worker_waits_where_none_is_wanted(scripted: Settings) -> None:
    async with warm(scripted, warm_workers=0) as service:
        await service.start("a")
        assert (service.waiting, service.processes) == ([], 1)


async def test_a_burst_of_starts_takes_those_that_wait_and_forks_the_rest(scripted: Settings) -> None:
    async with warm(scripted, warm_workers=2) as service:
        await service.until(lambda: len(service.waiting) == 2)
        waiting = set(service.waiting)
        pids = await asyncio.gather(*(service.start(str(number)) for number in range(6)))
        assert len(set(pids)) == 6
        assert waiting < set(pids)
        await service.until(lambda: len(service.waiting) == 2)
        assert service.processes == 8


async def test_a_worker_that_dies_while_it_waits_is_replaced(
    scripted: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with warm(scripted) as service:
        dead = await service.until_one_waits()
        os.kill(dead, signal.SIGKILL)
        other = await service.until_one_waits(other_than=dead)
        assert f"is gone: process {dead}" in caplog.text
        assert await service.start("a") == other


async def test_a_worker_that_hangs_while_it_waits_is_ended_and_its_agent_gets_another_one(
    scripted: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_agent.fleet.process._TAKE_TIMEOUT_S", 0.3)
    async with warm(scripted) as service:
        stuck = await service.until_one_waits()
        os.kill(stuck, signal.SIGSTOP)
        pid = await service.start("a")
        assert pid != stuck
        await until_dead(stuck)
        assert alive(pid)
        await service.until_one_waits(other_than=stuck)


async def test_a_start_that_is_given_up_while_its_worker_hangs_leaves_nothing_behind(scripted: Settings) -> None:
    async with warm(scripted) as service:
        stuck = await service.until_one_waits()
        os.kill(stuck, signal.SIGSTOP)
        starting = asyncio.create_task(service.start("a"))
        await asyncio.sleep(0.05)
        starting.cancel()
        await asyncio.wait([starting])
        await until_dead(stuck)
        assert service.fleet.list() == []


async def test_a_worker_that_waits_is_replaced_when_its_fork_server_dies(scripted: Settings) -> None:
    async with warm(scripted) as service:
        orphan = await service.until_one_waits()
        process = service.launcher._forks._process
        assert process is not None
        process.kill()
        await until_dead(orphan)
        other = await service.until_one_waits(other_than=orphan)
        assert await service.start("a") == other


async def test_no_more_processes_run_than_there_may_be_agents(scripted: Settings) -> None:
    async with warm(scripted, max_agents=2, warm_workers=2) as service:
        await service.until(lambda: len(service.waiting) == 2)
        await service.start("a")
        await asyncio.sleep(0.5)
        assert service.processes == 2
        await service.start("b")
        await service.fleet.stop("a")
        await service.until_one_waits()
        assert service.processes == 2


async def test_the_end_of_the_service_ends_those_that_wait(
    scripted: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with warm(scripted, warm_workers=2) as service:
        await service.until(lambda: len(service.waiting) == 2)
        waiting = service.waiting
    await until_dead(*waiting)
    assert "is gone" not in caplog.text


async def test_a_server_that_is_killed_leaves_nothing_behind(tmp_path: Path, script: ScriptedServer) -> None:
    async with running(tmp_path, "server", REALTIME_API_BASE_URI=script.url) as (process, address):
        assert (await post(address, "/start_agent", channel_name="a", uid=1))[0] == 200
        async with asyncio.timeout(60):
            # The fork server, the agent's worker, and one that waits.
            while len(found := descendants(process.pid)) < 3:
                await asyncio.sleep(0.02)
        process.kill()
        await process.wait()
        await until_dead(*found)


class Doomed:
    """Dies before it is ready, or as soon as it is."""

    pid = 1

    def __init__(self, *, gets_ready: bool) -> None:
        self._gets_ready = gets_ready

    async def wait_until_idle(self) -> bool:
        await asyncio.sleep(0.1)
        return self._gets_ready

    def watch(self, on_change: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(0.1, on_change)

    async def discard(self) -> None:
        pass


@pytest.mark.parametrize("gets_ready", [False, True])
def test_workers_that_die_at_once_are_not_forked_for_ever(gets_ready: bool) -> None:
    async def ten_minutes() -> int:
        forked = 0

        async def fork() -> WorkerProcess:
            nonlocal forked
            forked += 1
            return cast("WorkerProcess", Doomed(gets_ready=gets_ready))

        await keep(IdleWorkers(3, fork, has_room=lambda: True), 600)
        return forked

    assert 10 < run_in_virtual_time(ten_minutes()) < 20


def test_workers_that_cannot_be_forked_are_tried_again_ever_later() -> None:
    async def ten_minutes() -> int:
        tries = 0

        async def fork() -> WorkerProcess:
            nonlocal tries
            tries += 1
            raise OSError("no memory")

        await keep(IdleWorkers(1, fork, has_room=lambda: True), 600)
        return tries

    assert 10 < run_in_virtual_time(ten_minutes()) < 20


def test_one_that_hangs_before_it_is_ready_is_not_waited_for_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck(Doomed):
        async def wait_until_idle(self) -> bool:
            await asyncio.sleep(10_000)
            return True

    async def a_minute() -> int:
        forked = 0

        async def fork() -> WorkerProcess:
            nonlocal forked
            forked += 1
            return cast("WorkerProcess", Stuck(gets_ready=False))

        await keep(IdleWorkers(1, fork, has_room=lambda: True), 60)
        return forked

    assert run_in_virtual_time(a_minute()) == 2
    assert "was not ready" in caplog.text


async def keep(workers: IdleWorkers, seconds: float) -> None:
    """Let them be kept for so long."""
    keeping = asyncio.create_task(workers.run())
    await asyncio.sleep(seconds)
    keeping.cancel()
    await asyncio.wait([keeping])
    await workers.close()
