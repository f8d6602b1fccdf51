"""The example tools do what docs/tools.md says."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

import pytest

from realtime_agent.tools import Toolbox


@pytest.fixture
def tools() -> Toolbox:
    return Toolbox.load("examples.tools", timeout_s=60)


async def call(tools: Toolbox, name: str, **arguments: object) -> str:
    return await tools.call(name, json.dumps(arguments))


def test_the_examples_are_two_tools_that_the_model_is_told_of(tools: Toolbox) -> None:
    assert [each.name for each in tools.definitions] == ["current_time", "order_status"]
    assert all(each.description for each in tools.definitions)


async def test_the_time_is_told_where_the_zone_is_known(tools: Toolbox) -> None:
    time = await call(tools, "current_time", zone="Asia/Tokyo")
    assert datetime.strptime(f"{time} +0900", "%A, %d %B %Y, %H:%M %z") <= datetime.now(UTC)
    assert "use an IANA name such as Asia/Tokyo" in await call(tools, "current_time", zone="Tokyo")


async def test_a_machine_without_time_zones_says_what_to_install(
    tools: Toolbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["examples.tools"], "available_timezones", set)
    assert "pip install tzdata" in await call(tools, "current_time", zone="UTC")


async def test_an_order_is_looked_up(tools: Toolbox) -> None:
    order = json.loads(await call(tools, "order_status", number=1002))
    assert order == {"articles": ["a lamp", "two bulbs"], "status": "on its way", "days_to_go": 2}
    assert "There is no order 4711" in await call(tools, "order_status", number=4711)
    assert "number: Input should be greater than or equal to 1000" in await call(tools, "order_status", number=7)
