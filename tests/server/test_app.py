"""Errors as JSON, pages, and the log."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from realtime_agent.config import Settings
from realtime_agent.errors import RealtimeAgentError
from realtime_agent.fleet.fleet import Fleet
from realtime_agent.fleet.model_process import Model
from realtime_agent.server.app import create_app
from tests.fake_launcher import FakeLauncher
from tests.server.conftest import Client, Post


async def test_the_fleet_is_open_while_the_service_runs(client: Client, launcher: FakeLauncher) -> None:
    assert launcher.is_open
    await client.close()
    assert not launcher.is_open


@pytest.mark.parametrize("path", ["/nowhere", "/agents/", "/static/../app.py", "/agents/a/b"])
async def test_an_unknown_address_is_404_as_json(client: Client, path: str) -> None:
    async with client.get(path) as response:
        assert (response.status, response.content_type) == (404, "application/json")
        assert set(await response.json()) == {"error", "details"}


async def test_a_wrong_method_is_405_as_json_and_says_which_is_right(client: Client) -> None:
    async with client.get("/start_agent") as response:
        assert (response.status, response.content_type) == (405, "application/json")
        assert response.headers["Allow"] == "POST"
        assert set(await response.json()) == {"error", "details"}


async def test_a_body_that_is_too_large_is_413_as_json(client: Client) -> None:
    body = b'{"channel_name": "' + b"x" * 600_000 + b'"}'
    async with client.post("/start_agent", data=body, headers={"Content-Type": "application/json"}) as response:
        assert (response.status, response.content_type) == (413, "application/json")
        assert "larger than 524288 bytes" in (await response.json())["details"]


async def test_the_longest_instruction_fits_however_it_is_written(post: Post) -> None:
    words = "\N{WAVING HAND SIGN}" * 32_000
    assert len(json.dumps(words)) > 256 * 1024
    status, _ = await post("/start_agent", channel_name="room", uid=7, system_instruction=words)
    assert status == 200


async def test_a_body_that_does_not_come_is_408(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime_agent.server.routes._BODY_TIMEOUT_S", 0.05)
    never = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'{"channel_name": '
        await never.wait()

    async with asyncio.timeout(30):
        async with client.post("/start_agent", data=body(), headers={"Content-Type": "application/json"}) as response:
            assert (response.status, response.content_type) == (408, "application/json")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "nonsense"])
async def test_a_body_that_is_not_what_its_encoding_says_is_a_bad_request(client: Client, encoding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    async with client.post("/start_agent", data=b"not compressed", headers=headers) as response:
        assert response.status == 400


@pytest.mark.parametrize("error", [RuntimeError("a bug with a secret"), RealtimeAgentError("of no kind that we know")])
async def test_a_bug_is_500_and_tells_nothing_but_that(
    client: Client, fleet: Fleet, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(fleet, "list", fail)
    async with client.get("/agents") as response:
        assert (response.status, response.content_type) == (500, "application/json")
        assert "secret" not in await response.text()


@pytest.mark.parametrize("path", ["/", "/docs", "/static/main.js"])
async def test_pages_are_served(client: Client, path: str) -> None:
    async with client.get(path) as response:
        assert response.status == 200
        assert response.content_type in ("text/html", "text/javascript", "application/javascript")


@pytest.mark.parametrize("path", ["/", "/docs", "/static/index.html"])
async def test_no_other_site_may_show_a_page_in_a_frame(client: Client, path: str) -> None:
    async with client.get(path) as response:
        assert response.headers["Content-Security-Policy"] == "frame-ancestors 'none'"


_AGORA_SDK = "/agora/AgoraRTC.js"


@asynccontextmanager
async def agora_client(settings: Settings, fleet: Fleet, sdk: Path) -> AsyncIterator[Client]:
    """The service where Agora is used."""
    configured = settings.model_copy(update={"agora_app_id": "a" * 32, "agora_web_sdk": str(sdk)})
    async with TestClient(TestServer(create_app(configured, fleet))) as client:
        yield client


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_agoras_sdk_is_served_where_agora_is_used(
    settings: Settings, fleet: Fleet, tmp_path: Path, method: str
) -> None:
    sdk = tmp_path / "AgoraRTC_N-production.js"
    sdk.write_text("window.AgoraRTC = {};")
    async with agora_client(settings, fleet, sdk) as client, client.request(method, _AGORA_SDK) as response:
        assert (response.status, response.content_type) == (200, "text/javascript")
        assert response.headers["Cache-Control"] == "max-age=3600"
        assert response.headers["ETag"]
        assert await response.text() == ("window.AgoraRTC = {};" if method == "GET" else "")


async def test_where_agoras_sdk_is_missing_it_is_told_how_to_get_it(
    settings: Settings, fleet: Fleet, tmp_path: Path
) -> None:
    async with agora_client(settings, fleet, tmp_path / "secret.js") as client, client.get(_AGORA_SDK) as response:
        assert (response.status, response.content_type) == (404, "application/json")
        details = (await response.json())["details"]
    assert "npm ci" in details
    assert "AGORA_WEB_SDK" in details
    assert "secret" not in details  # where things are on the server is nobody's business


async def test_agoras_sdk_is_not_there_where_agora_is_not_used(
    settings: Settings, fleet: Fleet, tmp_path: Path
) -> None:
    sdk = tmp_path / "AgoraRTC_N-production.js"
    sdk.write_text("window.AgoraRTC = {};")
    configured = settings.model_copy(update={"agora_web_sdk": str(sdk)})
    async with (
        TestClient(TestServer(create_app(configured, fleet))) as client,
        client.get(_AGORA_SDK) as response,
    ):
        assert response.status == 404
        assert "AGORA_APP_ID is not set" in (await response.json())["details"]


async def test_the_log_has_nothing_of_files_and_of_probes_that_go_well(
    client: Client, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "realtime_agent.server"):
        for path in ("/static/main.js", "/health", "/ready", "/metrics"):
            await client.get(path)
        model.is_running = False
        await client.get("/ready")
    lines = [record.getMessage() for record in caplog.records if record.name == "realtime_agent.server.app"]
    assert [line.rsplit(" ", 2)[0] for line in lines] == ["GET /ready 503"]


@pytest.mark.parametrize("path", ["/health", "/ready", "/agents"])
async def test_a_probe_may_ask_for_the_head_only(client: Client, path: str) -> None:
    async with client.head(path) as response:
        assert (response.status, await response.read()) == (200, b"")


async def test_the_log_has_a_line_a_request_without_its_query(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "realtime_agent.server"):
        await client.get("/agents?token=secret")
        await client.get("/rtc/room?token=secret")
    lines = [record.getMessage() for record in caplog.records if record.name == "realtime_agent.server.app"]
    assert [line.rsplit(" ", 2)[0] for line in lines] == ["GET /agents 200", "GET /rtc/room 401"]
    assert "secret" not in caplog.text


async def test_a_request_is_one_line_of_the_log_whatever_its_path_holds(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "realtime_agent.server"):
        await client.get(URL("/agents/x%0aERROR%20forged%0d%1b%E2%80%A8", encoded=True))
    (line,) = [record.getMessage() for record in caplog.records if record.name == "realtime_agent.server.app"]
    assert line.startswith("GET /agents/x%0aERROR%20forged%0d%1b%E2%80%A8 404 ")


async def test_503_says_when_to_ask_again(
    client: Client, post: Post, fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "_settings", settings.model_copy(update={"max_agents": 1}))
    assert (await post("/start_agent", channel_name="a", uid=1))[0] == 200
    for request in (client.post("/start_agent", json={"channel_name": "b", "uid": 1}), client.get("/ready")):
        async with request as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0
            assert set(await response.json()) == {"error", "details"}
