"""Agents in real processes, with a scripted model and a real connection."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from realtime_agent.config import Settings
from realtime_agent.control.commands import command_adapter
from realtime_agent.control.events import Ended
from realtime_agent.control.life import EndReason, State
from realtime_agent.errors import (
    AgentNotFound,
    ChannelError,
    ControlTimeout,
    ModelRefused,
    QueueFull,
    RealtimeAgentError,
    StartFailed,
    StartTimeout,
)
from realtime_agent.fleet.fleet import AgentRecord, Fleet
from realtime_agent.fleet.process import ProcessLauncher
from realtime_agent.testing import Event, Mute, RefuseSettings, ScriptedConnection, ScriptedServer
from tests.processes import alive, descendants, descriptors, parent, until_dead
from tests.specs import agent_spec
from tests.web_user import WirePage, loopback


@pytest.fixture
def scripted(scripted: Settings) -> Settings:
    """Each agent is forked when it is asked for; tests/fleet/test_idle_workers.py has those that are there before."""
    return scripted.model_copy(update={"warm_workers": 0})


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Fleet]:
    fleet = Fleet(ProcessLauncher(settings), settings)
    await fleet.open()
    yield fleet
    await fleet.close()


@pytest.fixture
async def fleet(scripted: Settings) -> AsyncIterator[Fleet]:
    async with running(scripted) as fleet:
        yield fleet


def pid_of(agent: AgentRecord) -> int:
    assert agent.pid is not None
    return agent.pid


def change(fleet: Fleet, **settings: Any) -> None:
    fleet._settings = fleet._settings.model_copy(update=settings)


def text(words: str) -> Any:
    body = {"channel_name": "room", "command": "send_system_text", "input_text": words}
    return command_adapter.validate_python(body)


async def test_each_agent_is_a_process_that_is_gone_after_stop(fleet: Fleet) -> None:
    agents = [await fleet.start(agent_spec(channel_name=name)) for name in ("a", "b")]
    pids = [pid_of(agent) for agent in agents]
    assert len({os.getpid(), *pids}) == 3
    assert all(alive(pid) for pid in pids)
    stopped = await fleet.stop("a")
    assert stopped.ended is not None
    assert (stopped.ended.reason, stopped.ended.cause) == (EndReason.STOPPED, None)
    await until_dead(pids[0])
    assert alive(pids[1])


async def test_a_worker_that_is_killed_frees_its_name_and_the_signal_is_named(fleet: Fleet) -> None:
    agent = await fleet.start(agent_spec())
    os.kill(pid_of(agent), signal.SIGKILL)
    async with asyncio.timeout(60):
        await agent.gone.wait()
    assert fleet.find("room") is agent
    assert agent.state is State.ENDED
    assert agent.ended == Ended(reason=EndReason.CRASHED, cause="its process was ended by SIGKILL")
    again = await fleet.start(agent_spec())
    assert again.generation == 2


async def test_a_worker_that_is_told_to_end_leaves_cleanly(fleet: Fleet) -> None:
    agent = await fleet.start(agent_spec())
    os.kill(pid_of(agent), signal.SIGTERM)
    async with asyncio.timeout(60):
        await agent.gone.wait()
    assert agent.ended is not None
    assert agent.ended.reason is EndReason.STOPPED


async def test_a_worker_that_is_stuck_is_killed_after_the_deadline(fleet: Fleet) -> None:
    agent = await fleet.start(agent_spec())
    pid = pid_of(agent)
    os.kill(pid, signal.SIGSTOP)
    change(fleet, stop_timeout_s=0.3)
    await fleet.stop("room")
    await until_dead(pid)
    assert agent.ended == Ended(reason=EndReason.CRASHED, cause="its process was ended by SIGKILL")


async def test_a_worker_that_is_stuck_answers_no_command_and_takes_no_more(fleet: Fleet) -> None:
    agent = await fleet.start(agent_spec())
    pid = pid_of(agent)
    os.kill(pid, signal.SIGSTOP)
    change(fleet, control_timeout_s=0.3)
    with pytest.raises(ControlTimeout):
        await fleet.control(text("hello?"))
    results = await asyncio.gather(*(fleet.control(text("x" * 32_000)) for _ in range(60)), return_exceptions=True)
    assert {type(result) for result in results} == {ControlTimeout, QueueFull}
    ours, theirs = await loopback()

    def hand_over_too_many() -> None:
        for uid in range(100_000):
            fleet.hand_over("room", theirs, uid, b"")

    with ours, theirs, pytest.raises(ChannelError, match="takes no connection now"):
        hand_over_too_many()
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(60):
        await agent.gone.wait()


async def test_commands_that_nobody_waits_for_any_more_still_wait(fleet: Fleet, script: ScriptedServer) -> None:
    """The worker holds them, and takes no more than so many."""
    change(fleet, control_timeout_s=0.3)
    script.fail(Mute())
    starting = asyncio.create_task(fleet.start(agent_spec()))
    async with asyncio.timeout(30):
        while not fleet.list() or fleet.list()[0].state is not State.CONNECTING:
            await asyncio.sleep(0.01)
    worker = fleet.list()[0].worker
    assert worker is not None
    results = await asyncio.gather(*(fleet.control(text("hi")) for _ in range(70)), return_exceptions=True)
    assert [type(result) for result in results].count(QueueFull) == 6
    assert worker.commands_waiting == 64
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)


async def test_a_command_that_meets_an_error_in_the_agent_is_its_error(fleet: Fleet) -> None:
    agent = await fleet.start(agent_spec())
    answer = {"reply": 1, "error": {"name": "RealtimeAgentError", "message": "an error in the agent; see its log"}}
    controlling = asyncio.create_task(fleet.control(text("hi")))
    await asyncio.sleep(0)
    agent.worker._settle(answer)  # type: ignore[union-attr]
    with pytest.raises(RealtimeAgentError, match="an error in the agent") as caught:
        await controlling
    assert caught.type is RealtimeAgentError


async def test_a_command_to_a_worker_that_dies_has_no_agent(fleet: Fleet) -> None:
    agent = await fleet.start(agent_spec())
    pid = pid_of(agent)
    os.kill(pid, signal.SIGSTOP)
    worker = agent.worker
    assert worker is not None
    asking = asyncio.create_task(fleet.control(text("hello?")))
    await asyncio.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(AgentNotFound):
        await asking
    with pytest.raises(AgentNotFound):
        await worker.control(text("anyone?"), timeout=60)
    ours, theirs = await loopback()
    with ours, theirs, pytest.raises(ChannelError):
        worker.hand_over(theirs, 5, b"")


async def test_agents_that_are_gone_hold_no_descriptors(fleet: Fleet) -> None:
    await fleet.start(agent_spec())
    await fleet.stop("room")
    before = descriptors()
    for name in ("a", "b", "c"):
        agent = await fleet.start(agent_spec(channel_name=name))
        if name == "c":
            os.kill(pid_of(agent), signal.SIGKILL)
            async with asyncio.timeout(60):
                await agent.gone.wait()
        else:
            await fleet.stop(name)
    async with asyncio.timeout(60):
        # The model's ends close when it has noticed.
        while descriptors() > before:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("stuck", [False, True])
async def test_agents_whose_fork_server_dies_are_ended_and_new_ones_can_be_started(fleet: Fleet, stuck: bool) -> None:
    fleet._launcher._settings = fleet._settings.model_copy(  # type: ignore[attr-defined] # it is a ProcessLauncher
        update={"stop_timeout_s": 0.5 if stuck else 60}
    )
    agent = await fleet.start(agent_spec())
    pid = pid_of(agent)
    server = parent(pid)
    if stuck:
        os.kill(pid, signal.SIGSTOP)
    os.kill(server, signal.SIGKILL)
    async with asyncio.timeout(60):
        await agent.gone.wait()
    await until_dead(pid)
    # Its descriptors are closed, by which the agent's end is noticed, before it can be waited for.
    await until_dead(server)
    cause = "the fork server died, and it had to be ended"
    assert agent.ended == Ended(reason=EndReason.CRASHED, cause=cause)
    again = await fleet.start(agent_spec())
    await fleet.control(text("hello?"))
    assert (await fleet.stop("room")) is again


async def test_an_agent_can_be_stopped_though_its_fork_server_has_died(fleet: Fleet) -> None:
    agent = await fleet.start(agent_spec())
    pid = pid_of(agent)
    os.kill(pid, signal.SIGSTOP)
    os.kill(parent(pid), signal.SIGKILL)
    change(fleet, stop_timeout_s=0.5)
    await fleet.stop("room")
    await until_dead(pid)
    assert fleet.list() == []


async def test_a_fork_server_that_is_stuck_fails_the_start_and_leaves_nothing_behind(fleet: Fleet) -> None:
    agent = await fleet.start(agent_spec())
    server = parent(pid_of(agent))
    change(fleet, start_timeout_s=0.3)
    os.kill(server, signal.SIGSTOP)
    try:
        with pytest.raises(StartTimeout):
            await asyncio.wait_for(fleet.start(agent_spec(channel_name="late")), 30)
        assert fleet.list() == [agent]
    finally:
        os.kill(server, signal.SIGCONT)
    change(fleet, start_timeout_s=60)
    again = await fleet.start(agent_spec(channel_name="late"))
    pids = {pid_of(agent), pid_of(again)}
    async with asyncio.timeout(60):
        while {pid for pid in descendants(server) if alive(pid)} != pids:
            await asyncio.sleep(0.02)


async def test_closing_ends_a_fork_server_that_hangs(
    scripted: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("realtime_agent.fleet.forks._END_TIMEOUT_S", 0.3)
    fleet = Fleet(ProcessLauncher(scripted), scripted)
    await fleet.open()
    agent = await fleet.start(agent_spec())
    server = parent(pid_of(agent))
    await fleet.stop("room")
    os.kill(server, signal.SIGSTOP)
    await asyncio.wait_for(fleet.close(), 60)
    await until_dead(server)
    assert "the fork server hangs" in caplog.text


async def test_an_agent_that_leaves_while_its_fork_server_hangs_has_still_left(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_agent.fleet.worker_process._EXIT_TIMEOUT_S", 0.2)
    monkeypatch.setattr("realtime_agent.fleet.worker_process._KILL_TIMEOUT_S", 0.2)
    agent = await fleet.start(agent_spec())
    server = parent(pid_of(agent))
    os.kill(server, signal.SIGSTOP)
    try:
        os.kill(pid_of(agent), signal.SIGTERM)
        async with asyncio.timeout(60):
            await agent.gone.wait()
    finally:
        os.kill(server, signal.SIGCONT)
    assert agent.ended == Ended(reason=EndReason.STOPPED)


async def test_a_worker_that_lingers_is_killed_though_its_fork_server_has_died(
    scripted: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_agent.fleet.process.run_worker", orphaned_worker)
    async with running(scripted) as fleet:
        agent = await fleet.start(agent_spec())
        pid = pid_of(agent)
        os.kill(parent(pid), signal.SIGKILL)
        async with asyncio.timeout(60):
            await agent.gone.wait()
        await until_dead(pid)


def orphaned_worker(_settings: Settings, link: socket.socket, *_: object) -> None:
    """Hangs up when it is told to stop, and stays."""
    message = json.dumps({"event": {"type": "state", "state": "waiting"}}).encode()
    link.sendall(len(message).to_bytes(4, "big") + message)
    read_until(b'"stop"', link)
    link.close()
    time.sleep(600)


def read_until(word: bytes, link: socket.socket) -> None:
    """Take what the server sends, until this has come."""
    came = b""
    while word not in came and (more := link.recv(1 << 16)):
        came += more


async def test_a_worker_that_does_not_end_after_its_last_word_is_killed_and_its_word_counts(
    scripted: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_agent.fleet.worker_process._EXIT_TIMEOUT_S", 0.2)
    monkeypatch.setattr("realtime_agent.fleet.process.run_worker", lingering_worker)
    async with running(scripted) as fleet:
        with pytest.raises(StartFailed, match="the model is silent"):
            await fleet.start(agent_spec())
        assert fleet.list() == []
        await until_dead(pid_of(fleet.find("room")))


def lingering_worker(_settings: Settings, link: socket.socket, *_: object) -> None:
    """Says how its agent ended, and stays, as when a thread waits for a name server."""
    event = {"type": "ended", "reason": "model_failed", "cause": "the model is silent"}
    message = json.dumps({"event": event}).encode()
    read_until(b'"spec"', link)
    link.sendall(len(message).to_bytes(4, "big") + message)
    link.close()
    time.sleep(600)


async def test_a_model_that_refuses_is_the_cause_of_the_failure(fleet: Fleet, script: ScriptedServer) -> None:
    script.fail(RefuseSettings())
    with pytest.raises(StartFailed, match="no such model"):
        await fleet.start(agent_spec())
    assert fleet.list() == []


async def test_a_model_that_is_silent_is_a_timeout_and_its_worker_is_gone(fleet: Fleet, script: ScriptedServer) -> None:
    script.fail(Mute())
    # One start is given longer than the last until its worker was there in time, as none may be on a busy machine.
    pid, timeout = None, 0.5
    while pid is None:
        change(fleet, start_timeout_s=timeout)
        with pytest.raises(StartTimeout):
            await fleet.start(agent_spec())
        assert fleet.list() == []
        pid, timeout = fleet.find("room").pid, 2 * timeout
    await until_dead(pid)


async def test_huge_texts_reach_the_model(fleet: Fleet, script: ScriptedServer) -> None:
    await fleet.start(agent_spec())
    words = "\N{WAVING HAND SIGN}" * 32_000
    await fleet.control(text(words))
    item = (await script.expect("conversation.item.create"))["item"]
    assert item["content"][0]["text"] == words


VAD = {
    "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500,
    "idle_timeout_ms": None, "create_response": True, "interrupt_response": True,
}  # fmt: skip
SEMANTIC = {"type": "semantic_vad", "eagerness": "low", "create_response": True, "interrupt_response": True}


def item(role: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": "hi"}]
    return {"type": "conversation.item.create", "item": {"type": "message", "role": role, "content": content}}


def turn_detection(value: Any) -> dict[str, Any]:
    session = {"type": "realtime", "audio": {"input": {"turn_detection": value}}}
    return {"type": "session.update", "session": session}


async def speak(connection: ScriptedConnection, _: Event) -> None:
    await connection.speak()


async def commit(connection: ScriptedConnection, _: Event) -> None:
    await connection.send("input_audio_buffer.committed", item_id="u1", previous_item_id=None)


def without_marks(event: dict[str, Any]) -> dict[str, Any]:
    """An event without what our client knows its answer by."""
    marks = ("event_id", "id", "metadata")
    kept = {name: without_marks(value) if isinstance(value, dict) else value for name, value in event.items()}
    return {name: value for name, value in kept.items() if name not in marks and (name, value) != ("response", {})}


@pytest.mark.parametrize(
    ("command", "events"),
    [
        (
            {"command": "update_instruction", "new_instruction": "Be brief."},
            [{"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}}],
        ),
        ({"command": "update_turn_detection", "new_turn_detection": True}, [turn_detection(VAD)]),
        ({"command": "update_turn_detection", "new_turn_detection": False}, [turn_detection(None)]),
        ({"command": "update_turn_detection", "new_turn_detection": SEMANTIC}, [turn_detection(SEMANTIC)]),
        ({"command": "send_system_text", "input_text": "hi"}, [item("system")]),
        ({"command": "send_user_text", "input_text": "hi"}, [item("user"), {"type": "response.create"}]),
        (
            {"command": "create_response", "new_instruction": "Say hi."},
            [{"type": "response.create", "response": {"instructions": "Say hi."}}],
        ),
        ({"command": "commit_audio_buffer"}, [{"type": "input_audio_buffer.commit"}]),
    ],
)
async def test_each_command_is_exactly_these_events(
    fleet: Fleet, script: ScriptedServer, command: dict[str, Any], events: list[dict[str, Any]]
) -> None:
    script.on("response.create", speak)
    script.on("input_audio_buffer.commit", commit)
    await fleet.start(agent_spec())
    page = await WirePage.let_in(partial(fleet.hand_over, "room"), 5)
    before = len(script.received)
    await fleet.control(command_adapter.validate_python({"channel_name": "room", **command}))
    # What comes after shows that nothing else came before it.
    await fleet.control(text("end"))
    await script.expect("conversation.item.create", 1 + sum(e["type"] == "conversation.item.create" for e in events))
    *found, _ = script.received[before:]
    assert [without_marks(event) for event in found] == events
    page.hang_up()


async def test_a_command_that_the_model_refuses_gets_its_error(fleet: Fleet, script: ScriptedServer) -> None:
    async def refuse(connection: ScriptedConnection, event: Event) -> None:
        await connection.error("input_audio_buffer_commit_empty", "there is no audio", event_id=event["event_id"])

    script.on("input_audio_buffer.commit", refuse)
    await fleet.start(agent_spec())
    commit = command_adapter.validate_python({"channel_name": "room", "command": "commit_audio_buffer"})
    with pytest.raises(ModelRefused, match="there is no audio"):
        await fleet.control(commit)


async def test_a_worker_calls_the_functions_of_the_module_that_the_settings_name(
    scripted: Settings, script: ScriptedServer
) -> None:
    settings = scripted.model_copy(update={"agent_tools": "examples.tools"})
    fleet = Fleet(ProcessLauncher(settings), settings)
    await fleet.open()
    try:
        await fleet.start(agent_spec())
        told = (await script.expect("session.update"))["session"]["tools"]
        assert [tool["name"] for tool in told] == ["current_time", "order_status"]
        page = await WirePage.let_in(partial(fleet.hand_over, "room"), 5)
        call = await script.call_function("order_status", {"number": 1002})
        assert "on its way" in await script.output_of(call)
        await script.expect("response.create")
        page.hang_up()
    finally:
        await fleet.close()


async def test_a_worker_goes_on_when_its_model_was_lost(fleet: Fleet, script: ScriptedServer) -> None:
    agent = await fleet.start(agent_spec())
    await fleet.control(text("Ada is the user's name."))
    script.cut()
    again = await script.connected(2)
    told = await again.expect("conversation.item.create")
    assert told["item"]["content"][0]["text"] == "Ada is the user's name."
    assert agent.state is State.WAITING


async def test_a_user_who_is_handed_over_talks_to_the_worker(fleet: Fleet, script: ScriptedServer) -> None:
    await fleet.start(agent_spec())
    page = await WirePage.let_in(partial(fleet.hand_over, "room"), 5)
    await page.send(b"\1\0" * 480)
    await script.expect("input_audio_buffer.append")
    stopping = asyncio.create_task(fleet.stop("room"))
    assert await page.receive_close() == (4002, "stopped")
    page.hang_up()
    await stopping
