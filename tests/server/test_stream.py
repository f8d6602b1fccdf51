"""The live stream of an agent's events."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import ClientResponse

from realtime_agent.config import Settings
from realtime_agent.control.events import AgentTranscript, Load, StateChanged
from realtime_agent.control.life import EndReason, State
from realtime_agent.server import stream
from tests.fake_launcher import FakeLauncher
from tests.server.conftest import Client, Post

EVENTS = "/agents/room/events"
KEPT = 20


@pytest.fixture
def kept() -> int:
    """How many events are."""
    return KEPT


@pytest.fixture
def settings(settings: Settings, kept: int) -> Settings:
    return settings.model_copy(update={"event_buffer": kept})


class Reader:
    """A client that understands server-sent events."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response
        self.heartbeats = 0

    async def next(self) -> tuple[str | None, str, dict[str, Any]] | None:
        """The next event: its id, its name and its data; `None` at the end."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(60):
            while line := (await self.response.content.readline()).decode():
                name, _, value = line.rstrip("\n").partition(":")
                if line == "\n" and "data" in fields:
                    return fields.get("id"), fields["event"], json.loads(fields["data"])
                self.heartbeats += line == ":\n"
                fields[name] = value.removeprefix(" ")
        return None

    async def take(self, count: int) -> list[dict[str, Any]]:
        """So many events."""
        events = [await self.next() for _ in range(count)]
        return [event[2] for event in events if event is not None]

    async def rest(self) -> list[tuple[str | None, str, dict[str, Any]]]:
        events = []
        while (event := await self.next()) is not None:
            events.append(event)
        return events


@asynccontextmanager
async def reading(client: Client, last: str | None = None, path: str = EVENTS) -> AsyncIterator[Reader]:
    headers = {"Last-Event-ID": last} if last is not None else {}
    async with client.get(path, headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        yield Reader(response)


def words(text: str, number: int = 1) -> AgentTranscript:
    return AgentTranscript(role="user", item_id=f"i{number}", place=number, delta=text)


@pytest.fixture
async def agent(post: Post) -> None:
    await post("/start_agent", channel_name="room", uid=7)


@pytest.mark.usefixtures("agent")
async def test_what_has_happened_is_told_and_then_what_happens(client: Client, launcher: FakeLauncher) -> None:
    async with reading(client) as reader:
        assert [event["state"] for event in await reader.take(2)] == ["connecting", "waiting"]
        launcher.worker.report(words("Hello"))
        assert await reader.next() == (
            "1-3",
            "transcript",
            {
                "id": "1-3", "at": pytest.approx(0, abs=1e11), "channel_name": "room", "generation": 1,
                "type": "transcript", "role": "user", "item_id": "i1", "place": 1, "delta": "Hello",
            },
        )  # fmt: skip


@pytest.mark.usefixtures("agent")
async def test_the_stream_ends_with_the_agent(client: Client, launcher: FakeLauncher) -> None:
    async with reading(client) as reader:
        await reader.take(2)
        launcher.worker.end(EndReason.USER_LEFT)
        ((event_id, name, event),) = await reader.rest()
        assert (event_id, name, event["reason"]) == ("1-3", "ended", "user_left")


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("kept", [500])
async def test_a_reader_has_all_that_came_at_once_with_the_end(client: Client, launcher: FakeLauncher) -> None:
    async with reading(client, last="1-2") as reader:
        for number in range(300):
            launcher.worker.report(words("w", number))
        launcher.worker.end(EndReason.USER_LEFT)
        assert [event_id for event_id, _, _ in await reader.rest()] == [f"1-{number}" for number in range(3, 304)]
    async with reading(client) as late:
        assert [event_id for event_id, _, _ in await late.rest()] == [f"1-{number}" for number in range(1, 304)]


@pytest.mark.usefixtures("agent")
async def test_a_quick_reader_has_all_of_what_comes_at_once(client: Client, launcher: FakeLauncher) -> None:
    """As after a moment in which the server did nothing: far more than is kept."""
    async with reading(client, last="1-2") as reader:
        for number in range(5 * KEPT):
            launcher.worker.report(words("w", number))
        assert [event.get("place") for event in await reader.take(5 * KEPT)] == list(range(5 * KEPT))


@pytest.mark.usefixtures("agent")
async def test_who_comes_back_gets_what_came_since(client: Client, launcher: FakeLauncher) -> None:
    async with reading(client) as reader:
        await reader.take(2)
    for number in range(3):
        launcher.worker.report(words("more", number))
    async with reading(client, last="1-3") as reader:
        assert [event["id"] for event in await reader.take(2)] == ["1-4", "1-5"]
    async with reading(client, path=f"{EVENTS}?last_event_id=1-4") as reader:
        assert [event["id"] for event in await reader.take(1)] == ["1-5"]


@pytest.mark.usefixtures("agent")
async def test_who_comes_back_too_late_is_told_how_much_is_gone(client: Client, launcher: FakeLauncher) -> None:
    for number in range(KEPT + 5):
        launcher.worker.report(words("more", number))
    await launcher.worker.heard()
    async with reading(client, last="1-2") as reader:
        event_id, name, told = await reader.next() or pytest.fail("nothing came")
        assert (event_id, name, told) == (None, "missed", {"count": 5})
        assert [event["id"] for event in await reader.take(KEPT)] == [f"1-{number}" for number in range(8, 28)]


@pytest.mark.usefixtures("agent")
async def test_the_events_of_an_agent_before_are_another_s(client: Client, post: Post, launcher: FakeLauncher) -> None:
    await post("/stop_agent", channel_name="room")
    await post("/start_agent", channel_name="room", uid=7)
    async with reading(client, last="1-2") as reader:
        assert [event["id"] for event in await reader.take(2)] == ["2-1", "2-2"]


@pytest.mark.usefixtures("agent")
async def test_the_events_of_a_server_before_are_another_s(client: Client) -> None:
    """Its agents were counted from 1 as well."""
    async with reading(client, last="f00d-2") as reader:
        assert [event["id"] for event in await reader.take(2)] == ["1-1", "1-2"]


@pytest.mark.usefixtures("agent")
async def test_of_an_agent_that_has_ended_what_happened_is_told_once(client: Client, post: Post) -> None:
    await post("/stop_agent", channel_name="room")
    async with reading(client) as reader:
        assert [name for _, name, _ in await reader.rest()] == ["state", "state", "ended"]
    async with client.get(EVENTS, headers={"Last-Event-ID": "1-3"}) as response:
        # A browser's EventSource asks no more then.
        assert (response.status, await response.read()) == (204, b"")


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("last", ["7", "1-", "-1", "1-2-3", "one-two", "1-9999999999999999", "²-1"])
async def test_what_is_no_id_of_an_event_is_refused(client: Client, last: str) -> None:
    async with client.get(EVENTS, params={"last_event_id": last}) as response:
        body = await response.json()
        assert (response.status, body["details"][0]["field"]) == (400, "last_event_id")


@pytest.mark.usefixtures("agent")
async def test_a_browser_that_comes_back_with_what_is_no_id_of_ours_has_everything(client: Client) -> None:
    """An EventSource gives what it has, from whatever server was there before, and never comes back after an error."""
    async with reading(client, last="8c1f-1-41", path=f"{EVENTS}?last_event_id=1-1") as reader:
        assert [event["id"] for event in await reader.take(2)] == ["1-1", "1-2"]


@pytest.mark.usefixtures("agent")
async def test_an_id_that_was_not_given_yet_is_as_the_last(client: Client, launcher: FakeLauncher) -> None:
    async with reading(client, last="1-999") as reader:
        launcher.worker.report(words("Hello"))
        assert [event["id"] for event in await reader.take(1)] == ["1-3"]


@pytest.mark.usefixtures("agent")
async def test_a_probe_gets_the_head_and_an_end(client: Client) -> None:
    async with asyncio.timeout(30), client.head(EVENTS) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        assert await response.read() == b""


async def test_without_an_agent_there_is_nothing_to_watch(client: Client) -> None:
    async with client.get(EVENTS) as response:
        assert (response.status, (await response.json())["error"]) == (404, "Agent not found")


@pytest.mark.usefixtures("agent")
async def test_what_is_for_the_server_alone_is_not_told(client: Client, launcher: FakeLauncher) -> None:
    launcher.worker.report(Load(loop_lag_ms=1, uplink_ms=0, downlink_ms=0))
    launcher.worker.report(words("Hello"))
    async with reading(client, last="1-2") as reader:
        assert [event["type"] for event in await reader.take(1)] == ["transcript"]


@pytest.mark.usefixtures("agent")
async def test_while_nothing_happens_the_connection_is_kept_alive(
    client: Client, launcher: FakeLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_HEARTBEAT_S", 0.02)
    async with reading(client, last="1-2") as reader:
        async with asyncio.timeout(60):
            while await reader.response.content.readline() != b":\n":
                pass
        launcher.worker.report(words("Hello"))
        assert [event["id"] for event in await reader.take(1)] == ["1-3"]


@pytest.mark.usefixtures("agent")
async def test_readers_do_not_disturb_one_another(client: Client, launcher: FakeLauncher) -> None:
    async with reading(client) as one, reading(client, last="1-2") as other:
        launcher.worker.report(words("Hello"))
        assert [event["id"] for event in await one.take(3)] == ["1-1", "1-2", "1-3"]
        one.response.close()
        launcher.worker.report(StateChanged(state=State.ACTIVE))
        assert [event["id"] for event in await other.take(2)] == ["1-3", "1-4"]


async def _flood(launcher: FakeLauncher, client: Client, count: int) -> None:
    """Let far more happen than waits in any buffer on the way."""
    text = "x" * 3000
    for number in range(count):
        launcher.worker.report(words(text, number))
        if number % 10 == 9:
            await asyncio.sleep(0.001)
    async with asyncio.timeout(60):
        while (await (await client.get("/agents/room")).json())["state"] != "waiting":
            await asyncio.sleep(0.01)


@asynccontextmanager
async def slow_reader(client: Client) -> AsyncIterator[socket.socket]:
    """A reader that asks, and takes nothing, by a connection that holds little."""
    assert client.server.runner is not None
    for site in client.server.runner.sites:
        assert isinstance(site._server, asyncio.Server)
        for listener in site._server.sockets:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(reader, ("127.0.0.1", client.port))
        await loop.sock_sendall(reader, f"GET {EVENTS} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        yield reader


@pytest.mark.usefixtures("agent")
async def test_a_slow_reader_is_dropped_and_told_why(client: Client, launcher: FakeLauncher) -> None:
    async with slow_reader(client) as slow:
        await _flood(launcher, client, 300)
        loop = asyncio.get_running_loop()
        told = b""
        async with asyncio.timeout(60):
            while chunk := await loop.sock_recv(slow, 1 << 20):
                told = (told + chunk)[-4096:]
                if b"event: dropped" in told and told.endswith(b"0\r\n\r\n"):
                    break
        assert b"too slow: " in told


@pytest.mark.usefixtures("agent")
async def test_a_reader_that_takes_nothing_at_all_is_hung_up_on(
    client: Client, launcher: FakeLauncher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="realtime_agent.server.stream")
    monkeypatch.setattr(stream, "_WRITE_TIMEOUT_S", 0.3)
    async with slow_reader(client) as slow:
        await _flood(launcher, client, 300)
        async with asyncio.timeout(60):
            while "takes nothing any more" not in caplog.text:
                await asyncio.sleep(0.01)
            with suppress(ConnectionError):
                while await asyncio.get_running_loop().sock_recv(slow, 1 << 20):
                    pass


async def _counted(client: Client) -> tuple[str, str]:
    """How many read, and how many were dropped."""
    text = await (await client.get("/metrics")).text()
    counts = dict(re.findall(r"^realtime_agent_stream_(readers\w*) (\S+)$", text, re.MULTILINE))
    return counts["readers"], counts["readers_dropped_total"]


@pytest.mark.usefixtures("agent")
async def test_how_many_read_and_how_many_were_dropped_is_counted(
    client: Client, launcher: FakeLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_WRITE_TIMEOUT_S", 0.3)
    async with reading(client) as quick, slow_reader(client):
        await quick.take(2)
        assert await _counted(client) == ("2.0", "0.0")
        for number in range(300):
            launcher.worker.report(words("x" * 3000, number))
            await quick.take(1)
        async with asyncio.timeout(60):
            while await _counted(client) != ("1.0", "1.0"):
                await asyncio.sleep(0.01)
    async with asyncio.timeout(60):
        while await _counted(client) != ("0.0", "1.0"):
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("kept", [500])
async def test_a_reader_that_always_takes_some_is_not_hung_up_on(
    client: Client, launcher: FakeLauncher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What it has asked for takes much longer than one that takes nothing is waited for."""
    caplog.set_level("INFO", logger="realtime_agent.server.stream")
    monkeypatch.setattr(stream, "_WRITE_TIMEOUT_S", 0.7)
    for number in range(100):
        launcher.worker.report(words("x" * 4000, number))
    launcher.worker.end(EndReason.USER_LEFT)
    async with slow_reader(client) as slow:
        loop = asyncio.get_running_loop()
        told = b""
        async with asyncio.timeout(60):
            while b"event: ended" not in told:
                chunk = await loop.sock_recv(slow, 10_000)
                assert chunk, (len(told), caplog.text)
                told += chunk
                await asyncio.sleep(0.05)
    assert "takes nothing any more" not in caplog.text


@pytest.mark.usefixtures("agent")
async def test_what_a_slow_reader_has_not_taken_is_not_held_for_it(client: Client, launcher: FakeLauncher) -> None:
    for number in range(KEPT):
        launcher.worker.report(words("x" * 3000, number))
    async with slow_reader(client):
        await _flood(launcher, client, 3000)
        assert client.server.handler is not None
        (held,) = [
            connection.transport.get_write_buffer_size()
            for connection in client.server.handler.connections
            if connection.transport is not None and connection.transport.get_write_buffer_size()
        ]
        assert held < 300_000


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("kept", [1000])
async def test_who_hangs_up_is_no_error(
    client: Client, launcher: FakeLauncher, caplog: pytest.LogCaptureFixture
) -> None:
    """At once, or while much waits for it."""
    for number in range(1100):
        launcher.worker.report(words("x" * 3000, number))
    await launcher.worker.heard()
    for after_s in (0, 0.001, 0.01, 0.1):
        for _ in range(10):
            async with slow_reader(client) as slow:
                slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                await asyncio.sleep(after_s)
            await asyncio.sleep(0.01)
    await client.close()
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.usefixtures("agent")
async def test_a_slow_reader_costs_nobody_else_an_event(client: Client, launcher: FakeLauncher) -> None:
    async with slow_reader(client), reading(client, last="1-2") as quick:
        for number in range(600):
            launcher.worker.report(words("x" * 30_000, number))
            assert (await quick.take(1))[0]["place"] == number


@pytest.mark.usefixtures("agent")
async def test_who_watches_learns_how_the_server_s_end_ends_the_agent(client: Client, launcher: FakeLauncher) -> None:
    async with reading(client, last="1-2") as reader:
        ending = asyncio.create_task(client.server.close())
        ((_, name, event),) = await reader.rest()
        assert (name, event["type"]) == ("ended", "ended")
        await ending
    assert launcher.worker.stop_reason is EndReason.DRAINED
