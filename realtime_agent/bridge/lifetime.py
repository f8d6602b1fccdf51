"""An agent's life as time passes: what happens is noted, and what is due is done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from realtime_agent.control.life import EndReason, Life, Remark, State

__all__ = ["Lifetime"]


class Lifetime:
    """Keeps a `Life` by a clock.

    Args:
        life: The life.
        clock: Seconds of a monotonic clock.
        is_responding: Whether the model is about to say something, or makes it.
        remark: Says something into a silence.
        end: Ends the agent.
    """

    def __init__(
        self,
        life: Life,
        clock: Callable[[], float],
        *,
        is_responding: Callable[[], bool],
        remark: Callable[[Remark], None],
        end: Callable[[EndReason], None],
    ) -> None:
        self._life = life
        self._clock = clock
        self._is_responding = is_responding
        self._remark = remark
        self._end = end
        self._changed = asyncio.Event()

    @property
    def state(self) -> State:
        """Where in its life the agent is."""
        return self._life.state

    @property
    def is_paused(self) -> bool:
        """Whether it is to be silent until somebody lets it resume."""
        return self._life.is_paused

    @property
    def user_speaking(self) -> bool:
        """Whether the user is in the middle of a turn."""
        return self._life.user_speaking

    def connecting(self) -> None:
        """The worker runs, and opens its channel and its session."""
        self._life.connecting()

    def ready(self) -> None:
        """Both ends are open."""
        self._life.ready(self._clock())

    def user_joined(self) -> None:
        """The user is here."""
        self._life.user_joined(self._clock())
        self._changed.set()

    def user_left(self) -> None:
        """The user went, and nobody else is here."""
        self._life.user_left(self._clock())
        self._changed.set()

    def user_speaks(self, speaking: bool) -> None:
        """The user began or stopped speaking."""
        self._life.user_speaks(speaking, self._clock())
        self._changed.set()

    def agent_speaks(self, now: float) -> None:
        """A frame was given out. It only puts off what is due, which is looked at then."""
        self._life.agent_speaks(now)

    def agent_stopped(self) -> None:
        """The agent has given out all that it had to say."""
        self._life.agent_stopped(self._clock())
        self._changed.set()

    def pause(self) -> None:
        """The agent is silent from now on."""
        self._life.pause()
        self._changed.set()

    def resume(self) -> None:
        """The agent converses again."""
        self._life.resume(self._clock())
        self._changed.set()

    def ended(self) -> None:
        """The agent is gone."""
        self._life.ended()

    async def run(self) -> None:
        """Do what is due, until the life ends or until cancelled."""
        while True:
            self._changed.clear()
            if self._is_responding():
                self._life.agent_responds(self._clock())
            deadline = self._life.deadline()
            delay = deadline[0] - self._clock() if deadline is not None else None
            if deadline is None or delay is None or delay > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._changed.wait()
            elif isinstance(what := deadline[1], Remark):
                self._life.remarks(what, self._clock())
                self._remark(what)
            else:
                self._end(what)
                return
