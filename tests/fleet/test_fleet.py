from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from realtime_agent.config import Settings
from realtime_agent.control.commands import CommitAudioBuffer
from realtime_agent.control.events import Ended, Load, UsageChanged
from realtime_agent.control.life import EndReason, State
from realtime_agent.control.usage import TotalUsage
from realtime_agent.errors import (
    AgentExists,
    AgentNotFound,
    ChannelError,
    ControlTimeout,
    FleetClosed,
    FleetFull,
    NotReady,
    StartFailed,
    StartStopped,
    StartTimeout,
)
from realtime_agent.fleet import fleet as module
from realtime_agent.fleet.fleet import Fleet
from realtime_agent.fleet.model_process import Model
from tests.fake_launcher import FakeLauncher
from tests.specs import agent_spec


@pytest.fixture
def launcher() -> FakeLauncher:
    return FakeLauncher()


@pytest.fixture
def fleet(launcher: FakeLauncher, settings: Settings) -> Fleet:
    return Fleet(launcher, settings)


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not met():
            await asyncio.sleep(0)


async def gone(awaitable: Awaitable[Any]) -> None:
    async with asyncio.timeout(30):
        await awaitable


async def test_a_started_agent_is_found_until_it_is_stopped(fleet: Fleet) -> None:
    agent = await fleet.start(agent_spec())
    assert fleet.find("room") is fleet.find_running("room") is agent
    assert fleet.list() == [agent]
    assert agent.state is State.WAITING
    assert await fleet.stop("room") is agent
    assert fleet.list() == []
    assert fleet.find("room") is agent
    with pytest.raises(AgentNotFound, match="the last one ended: stopped"):
        fleet.find_running("room")
    assert (agent.state, agent.ended, agent.generation) == (State.ENDED, Ended(reason=EndReason.STOPPED), 1)


async def test_of_fifty_starts_at_once_one_agent_comes(fleet: Fleet, launcher: FakeLauncher) -> None:
    results = await asyncio.gather(*(fleet.start(agent_spec()) for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(result, AgentExists) for result in results) == 49
    assert len(launcher.workers) == 1
    assert len(fleet.list()) == 1


async def test_an_unknown_channel_has_no_agent(fleet: Fleet) -> None:
    with pytest.raises(AgentNotFound, match="'nowhere'"):
        fleet.find("nowhere")
    with pytest.raises(AgentNotFound):
        await fleet.stop("nowhere")
    with pytest.raises(AgentNotFound):
        await fleet.control(CommitAudioBuffer(channel_name="nowhere", command="commit_audio_buffer"))


async def test_an_old_workers_late_end_does_not_touch_its_successor(fleet: Fleet, launcher: FakeLauncher) -> None:
    first = await fleet.start(agent_spec())
    old = launcher.worker
    # The name is free as soon as the agent's record is released, whatever its worker still says.
    fleet._release(first, Ended(reason=EndReason.CRASHED))
    second = await fleet.start(agent_spec())
    old.become(State.PAUSED)
    old.end(EndReason.IDLE)
    await until(lambda: first.ended is not None and first.ended.reason is EndReason.IDLE)
    assert fleet.find_running("room") is second
    assert second.state is State.WAITING
    assert (first.generation, second.generation) == (1, 2)


async def test_no_event_has_the_id_of_another_not_of_a_server_before_either(settings: Settings) -> None:
    fleets = [Fleet(FakeLauncher(), settings) for _ in range(2)]
    agents = [await fleet.start(agent_spec(channel_name=name)) for fleet in fleets for name in ("a", "b")]
    ids = [event.id for agent in agents for event in agent.log.after(0)]
    assert len(set(ids)) == len(ids) == 8


async def test_a_fleet_is_ready_while_its_model_runs(launcher: FakeLauncher, settings: Settings) -> None:
    model = Model(settings)
    fleet = Fleet(launcher, settings, model)
    fleet.check_ready()
    model.is_running = False
    with pytest.raises(NotReady, match="started again"):
        fleet.check_ready()
    with pytest.raises(NotReady):
        await fleet.start(agent_spec())
    assert fleet.list() == []


async def test_no_more_than_max_agents_run(launcher: FakeLauncher) -> None:
    fleet = Fleet(launcher, Settings(max_agents=2))
    await fleet.start(agent_spec(channel_name="a"))
    fleet.check_ready()
    await fleet.start(agent_spec(channel_name="b"))
    with pytest.raises(FleetFull, match="2 agents"):
        fleet.check_ready()
    with pytest.raises(FleetFull, match="2 agents"):
        await fleet.start(agent_spec(channel_name="c"))
    with pytest.raises(AgentExists):
        await fleet.start(agent_spec(channel_name="a"))
    await fleet.stop("a")
    fleet.check_ready()
    await fleet.start(agent_spec(channel_name="c"))


async def test_states_and_usage_are_followed(fleet: Fleet, launcher: FakeLauncher) -> None:
    agent = await fleet.start(agent_spec())
    launcher.worker.become(State.ACTIVE)
    spent = TotalUsage(responses=1, input_tokens=2, output_tokens=3, total_tokens=5)
    launcher.worker.report(UsageChanged(usage=spent))
    await until(lambda: agent.usage.total_tokens == 5)
    assert agent.usage == fleet.usage == spent
    assert agent.state is State.ACTIVE


async def test_the_fleet_counts_what_every_agent_cost_exactly_once(
    launcher: FakeLauncher, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 1)
    fleet = Fleet(launcher, settings)
    for name in ("a", "b", "a", "c"):
        agent = await fleet.start(agent_spec(channel_name=name))
        for responses in (1, 2, 3):
            launcher.worker.report(UsageChanged(usage=TotalUsage(responses=responses, transcription_seconds=0.5)))
        await until(lambda agent=agent: agent.usage.responses == 3)  # type: ignore[misc] # mypy can't tell its type
        if name != "c":
            await fleet.stop(name)
    assert fleet.usage == TotalUsage(responses=12, transcription_seconds=2)
    await fleet.close()
    assert fleet.usage == TotalUsage(responses=12, transcription_seconds=2)


async def test_what_an_old_worker_still_reports_counts_for_its_own_agent(fleet: Fleet, launcher: FakeLauncher) -> None:
    first = await fleet.start(agent_spec())
    old = launcher.worker
    old.report(UsageChanged(usage=TotalUsage(responses=1)))
    await until(lambda: first.usage.responses == 1)
    fleet._release(first, Ended(reason=EndReason.CRASHED))
    second = await fleet.start(agent_spec())
    old.report(UsageChanged(usage=TotalUsage(responses=2)))
    await until(lambda: first.usage.responses == 2)
    assert second.usage == TotalUsage()
    assert fleet.usage == TotalUsage(responses=2)


async def test_ends_are_counted_by_reason(fleet: Fleet, launcher: FakeLauncher) -> None:
    for reason in (EndReason.IDLE, EndReason.CRASHED, EndReason.IDLE):
        agent = await fleet.start(agent_spec())
        launcher.worker.end(reason)
        await gone(agent.gone.wait())
    launcher.error = OSError("no more processes")
    with pytest.raises(StartFailed):
        await fleet.start(agent_spec())
    assert fleet.ends == {EndReason.IDLE: 2, EndReason.CRASHED: 2}


async def test_an_agent_that_ends_by_itself_frees_its_name(fleet: Fleet, launcher: FakeLauncher) -> None:
    agent = await fleet.start(agent_spec())
    launcher.worker.end(EndReason.CRASHED, "its process was ended by SIGKILL")
    await gone(agent.gone.wait())
    ended = fleet.find("room").ended
    assert ended is not None
    assert ended.cause == "its process was ended by SIGKILL"
    await fleet.start(agent_spec())


async def test_a_launch_that_fails_leaves_nothing_behind(fleet: Fleet, launcher: FakeLauncher) -> None:
    launcher.error = OSError("no more processes")
    with pytest.raises(StartFailed, match="no more processes"):
        await fleet.start(agent_spec())
    assert fleet.list() == []
    launcher.error = None
    await fleet.start(agent_spec())


async def test_an_agent_that_ends_before_it_is_ready_says_why(fleet: Fleet, launcher: FakeLauncher) -> None:
    launcher.slow = True
    starting = asyncio.create_task(fleet.start(agent_spec()))
    await until(lambda: bool(launcher.workers))
    launcher.worker.end(EndReason.MODEL_FAILED, "the model refused its settings: no such model")
    with pytest.raises(StartFailed, match="no such model"):
        await starting
    assert fleet.list() == []


async def test_an_agent_that_does_not_get_ready_is_stopped(launcher: FakeLauncher, settings: Settings) -> None:
    launcher.slow = True
    fleet = Fleet(launcher, Settings(start_timeout_s=0.05))
    with pytest.raises(StartTimeout, match=r"within 0\.05 s \(connecting\)"):
        await fleet.start(agent_spec())
    assert launcher.worker.stops == 1
    assert fleet.list() == []
    launcher.slow = False
    fleet._settings = settings
    await fleet.start(agent_spec())


async def test_a_start_that_is_given_up_leaves_nothing_behind(fleet: Fleet, launcher: FakeLauncher) -> None:
    launcher.slow = True
    starting = asyncio.create_task(fleet.start(agent_spec()))
    await until(lambda: bool(launcher.workers))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await until(lambda: not fleet.list())
    assert launcher.worker.stops == 1


async def test_a_start_that_timed_out_is_ended_also_when_whoever_asked_has_gone(launcher: FakeLauncher) -> None:
    launcher.slow = True
    launcher.answer_stop = False
    fleet = Fleet(launcher, Settings(start_timeout_s=0.05, stop_timeout_s=30))
    starting = asyncio.create_task(fleet.start(agent_spec()))
    await until(lambda: bool(launcher.workers) and launcher.worker.stops == 1)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    launcher.worker.end()
    await until(lambda: not fleet.list())


async def test_a_stop_goes_on_when_whoever_asked_has_gone(fleet: Fleet, launcher: FakeLauncher) -> None:
    await fleet.start(agent_spec())
    launcher.worker.answers_stop = False
    stopping = asyncio.create_task(fleet.stop("room"))
    await until(lambda: launcher.worker.stops == 1)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    launcher.worker.end()
    await until(lambda: not fleet.list())


async def test_a_launch_that_takes_too_long_leaves_nothing_behind(launcher: FakeLauncher, settings: Settings) -> None:
    launcher.may_launch.clear()
    fleet = Fleet(launcher, Settings(start_timeout_s=0.05))
    with pytest.raises(StartTimeout, match=r"within 0\.05 s \(its worker could not be started\)"):
        await asyncio.wait_for(fleet.start(agent_spec()), 30)
    assert fleet.list() == []
    launcher.may_launch.set()
    fleet._settings = settings
    await fleet.start(agent_spec())
    assert len(launcher.workers) == 1


async def test_an_agent_that_cannot_be_followed_is_stopped_before_its_name_is_free(
    fleet: Fleet, launcher: FakeLauncher
) -> None:
    agent = await fleet.start(agent_spec())
    launcher.worker.answers_stop = False
    launcher.worker.stop_error = ControlTimeout("it does not stop")
    names: list[str] = []
    launcher.worker.on_stop = lambda: names.extend(found.spec.channel_name for found in fleet.list())
    launcher.worker.garble()
    await gone(agent.gone.wait())
    assert names == ["room"]
    assert fleet.list() == []
    assert agent.worker is None
    assert agent.ended is not None
    assert agent.ended.reason is EndReason.CRASHED


async def test_a_launch_that_is_given_up_leaves_nothing_behind(fleet: Fleet, launcher: FakeLauncher) -> None:
    launcher.may_launch.clear()
    starting = asyncio.create_task(fleet.start(agent_spec()))
    await until(lambda: bool(fleet.list()))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert fleet.list() == []


async def test_an_agent_that_is_still_being_launched_can_be_stopped(fleet: Fleet, launcher: FakeLauncher) -> None:
    launcher.slow = True
    launcher.may_launch.clear()
    starting = asyncio.create_task(fleet.start(agent_spec()))
    await until(lambda: bool(fleet.list()))
    with pytest.raises(AgentNotFound, match="only starting"):
        await fleet.control(CommitAudioBuffer(channel_name="room", command="commit_audio_buffer"))
    stopping = asyncio.create_task(fleet.stop("room"))
    await asyncio.sleep(0)
    launcher.may_launch.set()
    await gone(stopping)
    with pytest.raises(StartStopped, match="stopped"):
        await starting


async def test_an_agent_that_cannot_be_ended_is_a_timeout(launcher: FakeLauncher) -> None:
    fleet = Fleet(launcher, Settings(stop_timeout_s=0.05))
    await fleet.start(agent_spec())
    launcher.worker.answers_stop = False
    with pytest.raises(ControlTimeout, match="could not be ended"):
        await fleet.stop("room")
    launcher.worker.end()


async def test_two_stops_at_once_are_both_served(fleet: Fleet) -> None:
    agent = await fleet.start(agent_spec())
    assert all(found is agent for found in await asyncio.gather(fleet.stop("room"), fleet.stop("room")))


async def test_ended_agents_are_remembered_up_to_a_bound(
    launcher: FakeLauncher, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 2)
    fleet = Fleet(launcher, settings)
    for name in ("a", "b", "a", "c"):
        await fleet.start(agent_spec(channel_name=name))
        await fleet.stop(name)
    with pytest.raises(AgentNotFound):
        fleet.find("b")
    assert (fleet.find("a").generation, fleet.find("c").generation) == (3, 4)


async def test_commands_and_connections_go_to_the_worker(fleet: Fleet, launcher: FakeLauncher) -> None:
    await fleet.start(agent_spec())
    command = CommitAudioBuffer(channel_name="room", command="commit_audio_buffer")
    await fleet.control(command)
    assert launcher.worker.commands == [command]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        fleet.hand_over("room", ours, 5, b"answer")
        launcher.worker.takes_connections = False
        with pytest.raises(ChannelError):
            fleet.hand_over("room", ours, 6, b"answer")
    assert launcher.worker.handed_over == [(5, b"answer")]


async def test_close_stops_all_and_starts_no_more(fleet: Fleet, launcher: FakeLauncher) -> None:
    await fleet.open()
    for name in ("a", "b", "c"):
        await fleet.start(agent_spec(channel_name=name))
    launcher.slow = True
    starting = asyncio.create_task(fleet.start(agent_spec(channel_name="d")))
    await until(lambda: len(launcher.workers) == 4)
    await gone(fleet.close())
    assert fleet.list() == []
    assert {worker.stop_reason for worker in launcher.workers} == {EndReason.DRAINED}
    assert not launcher.is_open
    with pytest.raises(FleetClosed):
        fleet.check_ready()
    with pytest.raises(FleetClosed, match="before the agent was ready"):
        await starting
    with pytest.raises(FleetClosed):
        await fleet.start(agent_spec(channel_name="e"))
    assert not fleet._tasks


async def test_close_ends_an_agent_that_is_still_being_launched(fleet: Fleet, launcher: FakeLauncher) -> None:
    launcher.may_launch.clear()
    starting = asyncio.create_task(fleet.start(agent_spec()))
    await until(lambda: bool(fleet.list()))
    closing = asyncio.create_task(fleet.close())
    await asyncio.sleep(0)
    launcher.may_launch.set()
    await gone(closing)
    await asyncio.gather(starting, return_exceptions=True)
    assert launcher.worker.stops == 1
    assert fleet.list() == []


async def test_who_watches_learns_everything_and_can_break_nothing(
    fleet: Fleet, launcher: FakeLauncher, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[tuple[str, int | None]] = []

    def break_down(*_: object) -> None:
        raise RuntimeError("a bug")

    fleet.observe(break_down)
    fleet.observe(lambda _agent, event, logged: seen.append((event.type, logged.number if logged else None)))
    agent = await fleet.start(agent_spec())
    launcher.worker.report(Load(loop_lag_ms=1, uplink_ms=0, downlink_ms=0))
    await fleet.stop(agent.spec.channel_name)
    assert seen == [("state", 1), ("state", 2), ("load", None), ("ended", 3)]
    assert "an event of 'room' could not be told" in caplog.text
    assert agent.log.is_complete
