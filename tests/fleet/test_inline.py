"""Agents inside this process, with a scripted model and a real connection."""

from __future__ import annotations

import asyncio
import os
from functools import partial

import pytest

from realtime_agent.agent import Agent
from realtime_agent.config import Settings
from realtime_agent.control.commands import Command, SendSystemText
from realtime_agent.control.events import AgentEvent, Ended, StateChanged
from realtime_agent.control.life import EndReason, State
from realtime_agent.errors import AgentNotFound, ControlTimeout, QueueFull
from realtime_agent.fleet.fleet import Fleet
from realtime_agent.fleet.inline import InlineLauncher
from realtime_agent.fleet.launcher import Worker
from realtime_agent.testing import RefuseSettings, ScriptedServer
from tests.specs import agent_spec
from tests.web_user import WirePage


async def gather(worker: Worker) -> list[AgentEvent]:
    async with asyncio.timeout(30):
        return [event async for event in worker.events()]


async def test_an_agent_lives_and_leaves(scripted: Settings) -> None:
    fleet = Fleet(InlineLauncher(scripted), scripted)
    agent = await fleet.start(agent_spec())
    assert agent.pid == os.getpid()
    await fleet.stop("room")
    assert agent.ended == Ended(reason=EndReason.STOPPED)
    await fleet.close()


async def test_events_end_with_the_reason(scripted: Settings, script: ScriptedServer) -> None:
    script.fail(RefuseSettings())
    events = await gather(await InlineLauncher(scripted).launch(agent_spec()))
    assert events[0] == StateChanged(state=State.CONNECTING)
    assert isinstance(events[-1], Ended)
    assert events[-1].reason is EndReason.MODEL_FAILED
    assert "no such model" in (events[-1].cause or "")


async def test_a_user_who_is_handed_over_is_let_in(scripted: Settings, script: ScriptedServer) -> None:
    fleet = Fleet(InlineLauncher(scripted), scripted)
    agent = await fleet.start(agent_spec())
    page = await WirePage.let_in(partial(fleet.hand_over, "room"), 5)
    await page.send(b"\1\0" * 480)
    await script.expect("input_audio_buffer.append")
    stopping = asyncio.create_task(fleet.stop("room"))
    assert await page.receive_close() == (4002, "stopped")
    page.hang_up()
    await stopping
    assert agent.ended is not None
    await fleet.close()


async def test_a_command_is_carried_out_or_times_out(
    scripted: Settings, script: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(InlineLauncher(scripted), scripted)
    agent = await fleet.start(agent_spec())
    command = SendSystemText(channel_name="room", command="send_system_text", input_text="hi")
    await fleet.control(command)
    await script.expect("conversation.item.create")

    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("realtime_agent.agent.Agent.control", hang)
    assert agent.worker is not None
    with pytest.raises(ControlTimeout):
        await agent.worker.control(command, timeout=0.01)
    await fleet.close()


async def test_commands_begin_in_order_and_none_waits_for_the_answer_to_another(
    scripted: Settings, script: ScriptedServer
) -> None:
    fleet = Fleet(InlineLauncher(scripted), scripted)
    agent = await fleet.start(agent_spec())
    script.silent_on("conversation.item.create")
    commands = [
        SendSystemText(channel_name="room", command="send_system_text", input_text=words) for words in ("one", "two")
    ]
    assert agent.worker is not None
    with pytest.raises(ControlTimeout):
        await agent.worker.control(commands[0], timeout=0.01)
    with pytest.raises(ControlTimeout):
        await agent.worker.control(commands[1], timeout=0.01)
    await script.expect("conversation.item.create", 2)
    said = [event["item"]["content"][0]["text"] for event in script.received if "item" in event]
    assert said == ["one", "two"]
    await fleet.close()


async def with_a_deaf_agent(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> tuple[Fleet, Command]:
    """A fleet whose agent never carries out a command, and one to ask of it."""

    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    fleet = Fleet(InlineLauncher(settings), settings)
    await fleet.start(agent_spec())
    monkeypatch.setattr(Agent, "control", hang)
    return fleet, SendSystemText(channel_name="room", command="send_system_text", input_text="hi")


async def test_too_many_commands_are_refused(scripted: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet, command = await with_a_deaf_agent(scripted, monkeypatch)
    asking = [asyncio.create_task(fleet.control(command)) for _ in range(65)]
    done, _ = await asyncio.wait(asking, timeout=30, return_when=asyncio.FIRST_COMPLETED)
    (refused,) = done
    assert isinstance(refused.exception(), QueueFull)
    await fleet.stop("room")
    assert {type(result) for result in await asyncio.gather(*asking, return_exceptions=True)} == {
        QueueFull, AgentNotFound
    }  # fmt: skip
    await fleet.close()


async def test_a_command_that_waits_when_the_agent_ends_has_no_agent(
    scripted: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet, command = await with_a_deaf_agent(scripted, monkeypatch)
    asking = asyncio.create_task(fleet.control(command))
    await asyncio.sleep(0)
    await fleet.stop("room")
    with pytest.raises(AgentNotFound):
        await asking
    await fleet.close()


async def test_an_agent_that_crashes_is_reported(
    scripted: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def crash(_self: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("realtime_agent.agent.Agent.run", crash)
    events = await gather(await InlineLauncher(scripted).launch(agent_spec()))
    assert [type(event) for event in events] == [Ended]
    assert events[0] == Ended(reason=EndReason.CRASHED, cause="an error in the agent; see the log")
    assert "the agent crashed" in caplog.text


async def test_an_agent_that_does_not_leave_is_cancelled(scripted: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(_self: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("realtime_agent.agent.Agent.run", hang)
    worker = await InlineLauncher(scripted).launch(agent_spec())
    reading = asyncio.create_task(gather(worker))
    await worker.stop(timeout=0.02)
    assert isinstance((await reading)[-1], Ended)
