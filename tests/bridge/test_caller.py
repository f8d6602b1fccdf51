"""Functions that are called for the model."""

from __future__ import annotations

import asyncio

from realtime_agent.bridge.caller import Caller
from realtime_agent.control.events import AgentEvent, ToolCalled, ToolReturned
from realtime_agent.realtime.session import FunctionCall, FunctionOutput
from realtime_agent.tools import Toolbox, tool


@tool
async def old() -> str:
    """Old."""
    return "old"


@tool
async def new() -> str:
    """New."""
    return "new"


async def test_the_model_calls_what_it_may_call_at_that_moment() -> None:
    given: list[FunctionOutput] = []
    told: list[AgentEvent] = []
    allowed = {"old"}
    clock = asyncio.get_running_loop().time
    caller = Caller(Toolbox([old, new]), lambda: allowed, given.extend, told.append, clock)

    async def session() -> None:
        caller.call([FunctionCall("c1", "old", "{}"), FunctionCall("c2", "new", "{}")])
        async with asyncio.timeout(30):
            while not given:
                await asyncio.sleep(0)

    await caller.run(session())
    assert [output.call_id for output in given] == ["c1", "c2"]
    assert given[0].output == "old"
    assert "there is no tool 'new'" in given[1].output
    assert {type(event) for event in told} == {ToolCalled, ToolReturned}
