"""Who is let in, by the names and pages that browsers tell."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from realtime_agent.config import Settings
from realtime_agent.fleet.fleet import Fleet
from realtime_agent.server.app import create_app
from tests.fake_launcher import FakeLauncher

Ask = Callable[..., Coroutine[Any, Any, int]]
HERE = "127.0.0.1:8080"


@pytest.fixture
def ask(launcher: FakeLauncher) -> Ask:
    async def ask(headers: dict[str, str], host: str = "127.0.0.1", allowed: tuple[str, ...] = ()) -> int:
        """Start an agent at a service that listens on `host`; gives the status."""
        settings = Settings(server_host=host, allowed_hosts=allowed)
        body = {"channel_name": "room", "uid": 7}
        async with (
            TestClient(TestServer(create_app(settings, Fleet(launcher, settings)))) as client,
            client.post("/start_agent", json=body, headers=headers) as response,
        ):
            if response.status == 403:
                answer = await response.json()
                assert answer["error"] == "Forbidden"
                assert " " in answer["details"]
            assert len(launcher.workers) == (response.status == 200)
            return response.status

    return ask


@pytest.mark.parametrize("listens", ["127.0.0.1", "localhost", "::1", "127.0.0.5"])
@pytest.mark.parametrize("host", ["localhost", "LocalHost:8080", "127.0.0.1", HERE, "127.0.0.6", "[::1]", "[::1]:8080"])
async def test_this_machine_is_called_by_its_own_names(ask: Ask, listens: str, host: str) -> None:
    assert await ask({"Host": host}, listens) == 200


@pytest.mark.parametrize("listens", ["127.0.0.1", "localhost", "::1"])
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "[evil", "", ":8080",
     "0.0.0.0", "evil@127.0.0.1", "127.0.0.1/evil.example"],
)  # fmt: skip
async def test_a_name_that_leads_here_from_elsewhere_is_refused(ask: Ask, listens: str, host: str) -> None:
    assert await ask({"Host": host}, listens) == 403


async def test_the_bound_address_is_a_name_too(ask: Ask) -> None:
    assert await ask({"Host": "127.0.0.5:8080"}, "127.0.0.5") == 200


@pytest.mark.parametrize("listens", ["127.0.0.1", "192.0.2.1"])
async def test_another_machines_address_is_no_name(ask: Ask, listens: str) -> None:
    assert await ask({"Host": "192.0.2.2:8080"}, listens, allowed=("voice.example",)) == 403


@pytest.mark.parametrize("host", ["voice.example", "Voice.Example:443", "localhost:8080", "127.0.0.1"])
@pytest.mark.parametrize("listens", ["127.0.0.1", "0.0.0.0"])
async def test_allowed_hosts_are_names_beside_this_machines_own(ask: Ask, listens: str, host: str) -> None:
    assert await ask({"Host": host}, listens, allowed=("voice.example",)) == 200


@pytest.mark.parametrize("listens", ["127.0.0.1", "0.0.0.0"])
async def test_with_allowed_hosts_no_other_name_is_good(ask: Ask, listens: str) -> None:
    assert await ask({"Host": "evil.example"}, listens, allowed=("voice.example",)) == 403


@pytest.mark.parametrize("listens", ["0.0.0.0", "::", "192.0.2.1"])
async def test_a_service_for_all_without_allowed_hosts_takes_any_name(ask: Ask, listens: str) -> None:
    assert await ask({"Host": "voice.example"}, listens) == 200


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (HERE, "http://127.0.0.1:8080"),
        ("localhost:8080", "http://localhost:8080"),
        ("LocalHost:8080", "http://localhost:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("localhost", "https://localhost"),
    ],
)
async def test_its_own_pages_are_let_in(ask: Ask, host: str, origin: str) -> None:
    assert await ask({"Host": host, "Origin": origin}) == 200


@pytest.mark.parametrize("listens", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "http://127.0.0.1", "http://127.0.0.1:9000", "http://localhost:8080", "null", "", HERE,
     "http://127.0.0.1:8080.evil.example", "http://127.0.0.1:8080/x"],
)  # fmt: skip
async def test_pages_of_other_sites_are_refused(ask: Ask, listens: str, origin: str) -> None:
    assert await ask({"Host": HERE, "Origin": origin}, listens) == 403


async def test_a_proxys_pages_are_let_in_under_its_name(ask: Ask) -> None:
    headers = {"Host": "voice.example", "Origin": "https://voice.example"}
    assert await ask(headers, allowed=("voice.example",)) == 200


async def test_every_address_is_guarded(launcher: FakeLauncher, settings: Settings) -> None:
    async with TestClient(TestServer(create_app(settings, Fleet(launcher, settings)))) as client:
        for path in ("/", "/docs", "/agents", "/rtc/room?token=t", "/static/main.js", "/nowhere"):
            async with client.get(path, headers={"Host": "evil.example"}) as response:
                assert response.status == 403


@pytest.mark.parametrize("path", ["/health", "/ready"])
async def test_a_probe_may_ask_under_any_name(launcher: FakeLauncher, path: str) -> None:
    settings = Settings(allowed_hosts=("voice.example",))
    app = create_app(settings, Fleet(launcher, settings))
    async with (
        TestClient(TestServer(app)) as client,
        client.get(path, headers={"Host": "10.0.0.7:8080"}) as response,
    ):
        assert response.status == 200
