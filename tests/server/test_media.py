"""A user's connection goes through the real server into a real worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from realtime_agent.config import Settings
from realtime_agent.fleet.fleet import Fleet
from realtime_agent.fleet.process import ProcessLauncher
from realtime_agent.server.app import create_app
from realtime_agent.testing import ScriptedServer
from tests.fake_launcher import FakeLauncher
from tests.processes import descriptors
from tests.server.conftest import Client, Post


async def url_of(client: Client, channel: str = "a room?", uid: int = 5) -> str:
    async with client.post("/token", json={"channel_name": channel, "uid": uid}) as response:
        assert response.status == 200
        url: str = (await response.json())["url"]
        return url


async def stop(client: Client) -> int:
    async with client.post("/stop_agent", json={"channel_name": "a room?"}) as response:
        return response.status


@pytest.fixture
async def real(scripted: Settings) -> AsyncIterator[Client]:
    fleet = Fleet(ProcessLauncher(scripted), scripted)
    async with TestClient(TestServer(create_app(scripted, fleet))) as client:
        async with client.post("/start_agent", json={"channel_name": "a room?", "uid": 7}) as response:
            assert response.status == 200
        yield client


async def test_a_websocket_goes_to_the_worker_and_leaves_nothing_here(
    real: Client, script: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = await url_of(real)
    async with aiohttp.ClientSession() as session:
        before = descriptors()
        async with session.ws_connect(url) as ws:
            # Sent at once, before anything was received.
            for level in range(1, 4):
                await ws.send_bytes(bytes([level, 0]) * 480)
            joined = await ws.receive_json(timeout=60)
            assert joined == {
                "type": "joined", "channel_name": "a room?", "uid": 5, "agent_uid": 7,
                "position": 0, "heard": True, "state": "waiting",
            }  # fmt: skip
            await script.expect("input_audio_buffer.append", 3)
            # The client's own end is all that this process has of it.
            assert descriptors() == before + 1
            stopping = asyncio.create_task(stop(real))
            messages = [message async for message in ws]
            assert await stopping == 200
            told = [message.json() for message in messages]
            assert [message["state"] for message in told if message["type"] == "state"] == ["active", "ended"]
            assert (ws.close_code, messages[-1].json()["reason"]) == (4002, "stopped")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_many_users_come_and_go_without_a_trace(real: Client, caplog: pytest.LogCaptureFixture) -> None:
    async with aiohttp.ClientSession() as session:
        before = descriptors()
        for uid in range(11, 31):
            async with session.ws_connect(await url_of(real, uid=uid)) as ws:
                assert (await ws.receive_json(timeout=60))["uid"] == uid
                await ws.send_json({"type": "leave"})
                async with asyncio.timeout(60):
                    while (await ws.receive()).type is not aiohttp.WSMsgType.CLOSE:
                        pass
        assert descriptors() <= before + 1
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def refused(client: Client, url: str, **headers: str) -> tuple[int, dict[str, Any]]:
    async with client.session.get(url, headers=headers) as response:
        assert response.content_type == "application/json"
        body: dict[str, Any] = await response.json()
        assert set(body) == {"error", "details"}
        return response.status, body


async def refused_websocket(client: Client, url: str) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await client.session.ws_connect(url.replace("ws://", "http://"))
    return caught.value.status


async def test_a_plain_get_is_a_bad_request(client: Client, post: Post) -> None:
    await post("/start_agent", channel_name="room", uid=7)
    status, body = await refused(client, (await url_of(client, "room")).replace("ws://", "http://"))
    assert status == 400
    assert "websocket" in body["details"][0]["message"]


@pytest.mark.parametrize("token", ["", "x", "a.b", "é.é"])
async def test_a_bad_token_is_401(client: Client, token: str) -> None:
    url = (await url_of(client, "room")).replace("ws://", "http://").split("?")[0]
    assert (await refused(client, f"{url}?token={token}"))[0] == 401
    assert await refused_websocket(client, f"{url}?token={token}") == 401


async def test_a_token_for_another_channel_is_401(client: Client, post: Post) -> None:
    await post("/start_agent", channel_name="room", uid=7)
    assert await refused_websocket(client, (await url_of(client, "other")).replace("/rtc/other", "/rtc/room")) == 401


async def test_an_expired_token_is_401(
    settings: Settings, launcher: FakeLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings.model_copy(update={"token_ttl_s": -5})
    async with TestClient(TestServer(create_app(settings, Fleet(launcher, settings)))) as client:
        await client.post("/start_agent", json={"channel_name": "room", "uid": 7})
        assert await refused_websocket(client, await url_of(client, "room")) == 401


async def test_a_channel_without_an_agent_is_404(client: Client) -> None:
    assert await refused_websocket(client, await url_of(client, "room")) == 404


async def test_an_agent_that_takes_no_connections_is_503_and_the_connection_lives(
    client: Client, post: Post, launcher: FakeLauncher
) -> None:
    await post("/start_agent", channel_name="room", uid=7)
    launcher.worker.takes_connections = False
    assert await refused_websocket(client, await url_of(client, "room")) == 503
    async with client.get("/health") as response:
        assert response.status == 200


@pytest.mark.parametrize("header", ["Sec-WebSocket-Key", "Sec-WebSocket-Version"])
async def test_a_handshake_that_lacks_a_header_is_a_bad_request(client: Client, post: Post, header: str) -> None:
    await post("/start_agent", channel_name="room", uid=7)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
    }
    del headers[header]
    url = (await url_of(client, "room")).replace("ws://", "http://")
    assert (await refused(client, url, **headers))[0] == 400


async def test_the_worker_is_given_the_answer_of_the_handshake(
    client: Client, post: Post, launcher: FakeLauncher
) -> None:
    await post("/start_agent", channel_name="room", uid=7)
    with pytest.raises(aiohttp.ClientError):
        await client.session.ws_connect(await url_of(client, "room", uid=2**32 - 1))
    ((uid, answer),) = launcher.worker.handed_over
    assert uid == 2**32 - 1
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.endswith(b"\r\n\r\n")
