"""The service over a fleet without processes."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from realtime_agent.config import Settings
from realtime_agent.fleet.fleet import Fleet
from realtime_agent.fleet.model_process import Model
from realtime_agent.server.app import create_app
from tests.fake_launcher import FakeLauncher

Client = TestClient[Any, Any]
Post = Callable[..., Coroutine[Any, Any, tuple[int, dict[str, Any]]]]


@pytest.fixture
def launcher() -> FakeLauncher:
    return FakeLauncher()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Those of a service behind a proxy."""
    return settings.model_copy(update={"allowed_hosts": ("voice.example",)})


@pytest.fixture
def model(settings: Settings) -> Model:
    return Model(settings)


@pytest.fixture
def fleet(launcher: FakeLauncher, settings: Settings, model: Model) -> Fleet:
    numbers = map(str, itertools.count(1))
    return Fleet(launcher, settings, model, new_log_id=lambda: next(numbers))


@pytest.fixture
async def client(settings: Settings, fleet: Fleet) -> AsyncIterator[Client]:
    async with TestClient(TestServer(create_app(settings, fleet))) as client:
        yield client


@pytest.fixture
def post(client: Client) -> Post:
    """Post a JSON body; gives the status and the JSON answer."""

    async def post(path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        async with client.post(path, json=body) as response:
            assert response.content_type == "application/json"
            return response.status, await response.json()

    return post
