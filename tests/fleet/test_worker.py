"""The worker's side of the queues, run in this process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from functools import partial
from http import HTTPStatus
from typing import Any

import pytest

from realtime_agent.config import Settings
from realtime_agent.control.commands import MAX_COMMANDS, CommandResult
from realtime_agent.control.events import AgentTranscript, Ended, StateChanged, ToolReturned
from realtime_agent.control.life import EndReason, State
from realtime_agent.fleet.link import Link, send_connection
from realtime_agent.fleet.worker import _Worker
from realtime_agent.testing import Refuse, ScriptedServer
from tests.specs import agent_spec
from tests.web_user import WirePage

TEXT = {"channel_name": "room", "command": "send_system_text", "input_text": "hi"}


class Server:
    """The server's end of both wires."""

    def __init__(self, link: Link, connections: socket.socket, running: asyncio.Task[None], worker: _Worker) -> None:
        self.worker = worker
        self.link = link
        self.connections = connections
        self.running = running
        self._messages = link.messages()

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(30):
            return await anext(self._messages)

    async def reply(self) -> dict[str, Any]:
        """The next answer to a command."""
        while "reply" not in (message := await self.next()):
            pass
        return message

    async def until(self, state: str) -> None:
        while (await self.next())["event"].get("state") != state:
            pass

    async def end(self) -> dict[str, Any]:
        """Hang up nothing, read to the end; gives the last event."""
        async with asyncio.timeout(30):
            last = [message async for message in self._messages][-1]
        event: dict[str, Any] = last["event"]
        return event


@pytest.fixture
async def server(scripted: Settings) -> AsyncIterator[Server]:
    link, link_theirs = socket.socketpair()
    connections, connections_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    connections.setblocking(False)
    worker = _Worker(scripted)
    running = asyncio.create_task(worker.run(link_theirs, connections_theirs))
    with connections:
        server = Server(await Link.open(link), connections, running, worker)
        server.link.send({"spec": agent_spec().model_dump_json(exclude_unset=True)})
        assert await server.next() == {"taken": True}
        await server.until("waiting")
        yield server
        await server.link.close()
        async with asyncio.timeout(30):
            await running


async def test_a_stop_ends_it_with_its_reason(server: Server) -> None:
    server.link.send({"stop": "stopped"})
    assert await server.end() == {"type": "ended", "reason": "stopped"}
    await server.running


async def test_a_server_that_is_gone_ends_it(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    await server.link.close()
    async with asyncio.timeout(30):
        await server.running


async def test_commands_are_carried_out_in_order_and_answered(server: Server, script: ScriptedServer) -> None:
    for number in range(5):
        server.link.send({"id": number, "command": {**TEXT, "input_text": str(number)}})
    replies = [await server.reply() for _ in range(5)]
    assert [reply["reply"] for reply in replies] == list(range(5))
    assert all(reply["result"]["item_id"] for reply in replies)
    await script.expect("conversation.item.create", 5)
    items = [event["item"] for event in script.received if event["type"] == "conversation.item.create"]
    assert [item["content"][0]["text"] for item in items] == ["0", "1", "2", "3", "4"]


async def test_commands_beyond_the_queue_are_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    may_go_on = asyncio.Event()

    async def hang(*_: object) -> CommandResult:
        await may_go_on.wait()
        return CommandResult()

    monkeypatch.setattr("realtime_agent.agent.Agent.control", hang)
    for number in range(MAX_COMMANDS + 2):
        server.link.send({"id": number, "command": TEXT})
    for number in (MAX_COMMANDS, MAX_COMMANDS + 1):
        refused = await server.next()
        assert (refused["reply"], refused["error"]["name"]) == (number, "QueueFull")
    may_go_on.set()
    replies = [await server.next() for _ in range(MAX_COMMANDS)]
    assert replies == [{"reply": number, "result": {}} for number in range(MAX_COMMANDS)]


async def test_a_command_to_a_model_that_is_gone_says_so(server: Server, script: ScriptedServer) -> None:
    script.fail(Refuse(HTTPStatus.UNAUTHORIZED))
    await script.close(1011, "out of order")
    assert (await server.end())["reason"] == "model_failed"


async def test_users_are_let_in_and_a_connection_that_got_lost_does_no_harm(server: Server) -> None:
    # A message whose descriptor did not fit, as when this process has no more of them.
    server.connections.send(b"\0\0\0\5" + WirePage.ANSWER)
    pages = [await WirePage.let_in(partial(send_connection, server.connections), uid) for uid in (5, 6)]
    for page in pages:
        page.hang_up()


async def test_a_crash_is_reported_and_logged(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, script: ScriptedServer
) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("realtime_agent.realtime.conversation.Conversation.handle", crash)
    await script.send("rate_limits.updated", rate_limits=[])
    event = await server.end()
    assert event["reason"] == "crashed"
    assert "crashed" in caplog.text


async def test_a_server_that_is_behind_loses_words_first_and_learns_how_many(server: Server) -> None:
    words = AgentTranscript(role="user", item_id="i", place=1, delta="x" * 10_000)
    for _ in range(500):
        server.worker._notify(words)
    server.worker._notify(StateChanged(state=State.PAUSED, by="command"))
    came = 0
    while (event := (await server.next())["event"])["type"] == "transcript":
        came += 1
    assert 0 < came < 500
    assert event == {"type": "state", "state": "paused", "by": "command"}
    server.worker._notify(words)
    lost = (await server.next())["event"]
    assert (lost["code"], lost["message"]) == ("events_lost", f"{500 - came} events were lost")
    assert (await server.next())["event"]["type"] == "transcript"


async def test_the_end_reaches_a_server_that_is_far_behind(server: Server) -> None:
    """Also where all is full of what can't be spared, and the state that it ended in."""
    output = ToolReturned(call_id="c", name="f", output="x" * 10_000, took_ms=1)
    for _ in range(500):
        server.worker._notify(output)
    server.worker._notify(StateChanged(state=State.ACTIVE))
    server.worker._notify(Ended(reason=EndReason.USER_LEFT))
    while (event := (await server.next())["event"])["type"] == "tool_output":
        pass
    assert event == {"type": "state", "state": "active"}
    assert (await server.next())["event"] == {"type": "ended", "reason": "user_left"}
