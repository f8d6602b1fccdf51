"""What all tests share."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Generator, Iterator

import hypothesis
import pytest

from realtime_agent.config import Settings
from realtime_agent.testing import ScriptedServer, scripted_server
from tests.agora.fixtures import agora_site, network, without_agora

__all__ = ["agora_site", "network", "without_agora"]

# A search that finds something new belongs to a developer's run: in CI the same change gives the same result. How long
# an example takes depends on what else the machine does.
hypothesis.settings.register_profile("here", derandomize=bool(os.environ.get("CI")), deadline=None)
hypothesis.settings.load_profile("here")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing may be skipped: a skip is a failure that says why."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself as a whole."""
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.fixture
def settings() -> Settings:
    """The defaults, with deadlines that no busy machine misses and no test waits for."""
    return Settings(start_timeout_s=60, stop_timeout_s=60, control_timeout_s=60, model_timeout_s=60)


@pytest.fixture
async def script() -> AsyncIterator[ScriptedServer]:
    """A model that does as the test says."""
    async with scripted_server() as server:
        yield server


@pytest.fixture
def scripted(settings: Settings, script: ScriptedServer) -> Settings:
    """The settings of a service whose model is `script`."""
    return settings.model_copy(update={"realtime_api_base_uri": script.url})


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """For a test that runs a program in this process: what it sets up for its log is taken back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("websockets", "faster_whisper", "aiohttp.server")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
