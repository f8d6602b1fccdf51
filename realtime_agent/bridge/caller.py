"""Calls functions for the model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any

from realtime_agent.control.events import AgentEvent, ToolCalled, ToolReturned
from realtime_agent.realtime.session import FunctionCall, FunctionOutput
from realtime_agent.tools import Toolbox

__all__ = ["Caller"]


class Caller:
    """Makes calls while a session runs, and owns them.

    Args:
        tools: All functions that there are.
        allowed: Gives the names of those that the model may call now.
        give_outputs: Tells the model what came of the calls of one response.
        notify: Is told of each call.
        clock: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        tools: Toolbox,
        allowed: Callable[[], Collection[str]],
        give_outputs: Callable[[Sequence[FunctionOutput]], None],
        notify: Callable[[AgentEvent], None],
        clock: Callable[[], float],
    ) -> None:
        self._tools = tools
        self._allowed = allowed
        self._give_outputs = give_outputs
        self._notify = notify
        self._clock = clock
        self._running: asyncio.TaskGroup | None = None

    async def run(self, session: Coroutine[Any, Any, None]) -> None:
        """Run a session, in which calls may be asked for; they end with it."""
        async with asyncio.TaskGroup() as self._running:
            await session

    def call(self, calls: Sequence[FunctionCall]) -> None:
        """Make the calls of one response side by side, and give the model their outputs together, in order."""
        assert self._running is not None, "the session runs"
        self._running.create_task(self._call_all(calls))

    async def _call_all(self, calls: Sequence[FunctionCall]) -> None:
        self._give_outputs(await asyncio.gather(*map(self._call, calls)))

    async def _call(self, call: FunctionCall) -> FunctionOutput:
        began = self._clock()
        self._notify(ToolCalled(call_id=call.call_id, name=call.name, arguments=call.arguments))
        output = await self._tools.call(call.name, call.arguments, among=self._allowed())
        took_ms = round((self._clock() - began) * 1000, 1)
        self._notify(ToolReturned(call_id=call.call_id, name=call.name, output=output, took_ms=took_ms))
        return FunctionOutput(call.call_id, output)
