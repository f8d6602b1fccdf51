"""An agent that runs in a test: its model is a scripted server, its channel is in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from realtime_agent.agent import Agent
from realtime_agent.assembly import assemble
from realtime_agent.config import Settings
from realtime_agent.control.commands import command_adapter
from realtime_agent.control.events import AgentEvent, Ended, StateChanged
from realtime_agent.control.life import State
from realtime_agent.rtc.memory import MemoryRoom
from realtime_agent.testing.server import ScriptedServer
from realtime_agent.testing.user import User

__all__ = ["RunningAgent", "running_agent"]

_CHANNEL = "test"
_AGENT, _USER = 1, 2
_TIMEOUT_S = 20.0


class RunningAgent:
    """An agent, its user, and what it reports.

    Attributes:
        agent: The agent itself.
        user: Somebody in its channel.
        room: The channel; `room.lose(uid, cause)` breaks it for one of its participants.
        reported: What it has reported of itself, in order.
    """

    def __init__(self, agent: Agent, user: User, room: MemoryRoom, reported: list[AgentEvent]) -> None:
        self.agent = agent
        self.user = user
        self.room = room
        self.reported = reported

    @property
    def states(self) -> list[State]:
        """Every state that it was in, but for the end."""
        return [event.state for event in self.reported if isinstance(event, StateChanged)]

    async def control(self, command: str, **fields: Any) -> None:
        """Give it a command, as POST /control_agent does.

        Raises:
            ValidationError: it is no command.
            SessionError: the model did not accept it, or is gone.
        """
        await self.agent.control(
            command_adapter.validate_python({"channel_name": _CHANNEL, "command": command} | fields)
        )

    async def reaches(self, state: State) -> None:
        """Wait until it is in a state, or has been.

        Raises:
            AssertionError: it did not come into it.
        """
        await self.user.until(lambda: state in self.states, f"the agent was never {state}, but {self.reported}")

    async def ended(self) -> Ended:
        """Wait for its end.

        Raises:
            AssertionError: it goes on.
        """

        def ends() -> list[Ended]:
            return [event for event in self.reported if isinstance(event, Ended)]

        await self.user.until(ends, "the agent goes on")
        return ends()[0]


@asynccontextmanager
async def running_agent(
    model: ScriptedServer,
    settings: Settings | None = None,
    *,
    user_joins: bool = True,
    until_ready: bool = True,
    timeout_s: float = _TIMEOUT_S,
    **start: Any,
) -> AsyncIterator[RunningAgent]:
    """Run an agent while the context lasts.

    Args:
        model: What it talks to.
        settings: The deployment's; its model's address is replaced.
        user_joins: Whether its user is in the channel from the beginning; else `user.join()` lets them in.
        until_ready: Whether the context begins when the agent is ready, or has ended; what a model says before is lost.
            Else at once, for tests of its start.
        timeout_s: How many seconds its user waits for something.
        start: Fields of POST /start_agent, such as `greeting`.

    Raises:
        ValidationError, InvalidRequest: there can't be such an agent.
        ExceptionGroup: the agent crashed.
    """
    # Only here: a test of another client than an agent of ours needs none of the HTTP side.
    from realtime_agent.server.start_agent import StartAgent

    settings = (settings or Settings()).model_copy(update={"realtime_api_base_uri": model.url})
    spec = StartAgent(**{"channel_name": _CHANNEL, "uid": _AGENT} | start).to_spec(settings)
    room = MemoryRoom()
    reported: list[AgentEvent] = []
    agent, _ = assemble(spec, settings, reported.append, room.channel(spec.uid))
    user = User(room.channel(spec.user_uid or _USER), timeout_s)
    if user_joins:
        await user.join()
    # No TaskGroup: what the test raises should reach it as it is, not in a group.
    listening, running = asyncio.create_task(user.listen()), asyncio.create_task(agent.run())
    here = RunningAgent(agent, user, room, reported)
    try:
        if until_ready:
            await user.until(lambda: State.WAITING in here.states or _is_over(reported), "the agent is never ready")
        yield here
    except Exception as error:
        crash = await _end(agent, running, timeout_s)
        if crash is None:
            raise
        raise error from crash
    else:
        crash = await _end(agent, running, timeout_s)
        if crash is not None:
            raise crash
    finally:
        listening.cancel()
        running.cancel()


def _is_over(reported: list[AgentEvent]) -> bool:
    return any(isinstance(event, Ended) for event in reported)


async def _end(agent: Agent, running: asyncio.Task[Ended], timeout_s: float) -> BaseException | None:
    """Stop an agent; gives what went wrong in it."""
    agent.stop()
    await asyncio.wait([running], timeout=timeout_s)
    if not running.done():
        return AssertionError(f"the agent did not end within {timeout_s:g} s")
    return running.exception()
