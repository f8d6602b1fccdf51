"""The environment in which the tests run the product's commands."""

from __future__ import annotations

import pytest

from realtime_agent.config import Settings
from tests.e2e.program import clean_environment


def test_no_setting_of_a_deployment_reaches_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name.upper() for name in Settings.model_fields]
    for name in names:
        monkeypatch.setenv(name, "theirs")
    environment = clean_environment(USER_LEFT_GRACE_S="1")
    found = {name: environment[name] for name in names if name in environment}
    assert found == {"SERVER_PORT": "0", "USER_LEFT_GRACE_S": "1"}


def test_what_is_no_setting_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_CUSTOM", "kept")
    assert clean_environment()["LOCAL_CUSTOM"] == "kept"
