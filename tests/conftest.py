"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Generator

import hypothesis
import pytest

from realtime_agent.config import Settings

if os.environ.get("CI"):
    # A search that finds something new belongs to a developer's run: in CI the same change gives the same result.
    hypothesis.settings.register_profile("ci", derandomize=True)
    hypothesis.settings.load_profile("ci")


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
