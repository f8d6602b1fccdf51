"""An agent in a memory room, with a model that does what the test says."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from realtime_agent.agent import Agent
from realtime_agent.audio.playout import Playout
from realtime_agent.bridge.recorder import Recorder
from realtime_agent.control.events import AgentEvent, Ended, StateChanged, UsageChanged
from realtime_agent.control.life import State
from realtime_agent.control.phrases import Phrases
from realtime_agent.control.usage import TotalUsage
from realtime_agent.realtime.session import (
    Ear,
    FunctionOutput,
    Interrupt,
    Play,
    Session,
    SessionEvent,
)
from realtime_agent.realtime.types import ResponseConfig, SessionConfig
from realtime_agent.rtc.channel import AudioFrame, ChannelEvent, Message
from realtime_agent.rtc.memory import MemoryChannel, MemoryRoom
from realtime_agent.tools import Tool, Toolbox
from tests.specs import agent_spec
from tests.virtual_time import run_in_virtual_time

__all__ = [
    "AGENT", "FRAME", "LONG", "OTHER", "USER", "FakeSession", "Scene", "audio_of", "in_virtual_time", "listening",
    "messages_of", "scene",
]  # fmt: skip

E = TypeVar("E", bound=AgentEvent)

AGENT, USER, OTHER = 1, 7, 8
FRAME = 960
LONG = Play("i1", 0, b"\1\0" * 480_000)
"""Some 20 s, of which no more than the beginning is heard."""


class FakeSession:
    """A model: what it was asked to do, and what it does."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.heard = bytearray()
        self.opened = 0
        self.closed = False
        self.is_responding = False
        self.unsent_ms = self.dropped_ms = 0
        self.functions: frozenset[str] = frozenset()
        self.is_private = False
        self.refusal: Exception | None = None
        self.hang = False
        self._events: asyncio.Queue[SessionEvent | Exception] = asyncio.Queue()

    async def open(self) -> None:
        self.opened += 1
        if self.hang:
            await asyncio.Event().wait()
        if self.refusal is not None:
            raise self.refusal

    async def run(self, handle: Callable[[SessionEvent], None]) -> None:
        while True:
            event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            handle(event)

    async def close(self) -> None:
        self.closed = True

    def append(self, pcm: bytes) -> None:
        self.heard += pcm

    def clear(self) -> None:
        self.asked.append(("clear", None))

    def user_joined(self) -> None:
        self.asked.append(("user_joined", None))

    def user_left(self) -> None:
        self.asked.append(("user_left", None))

    def interrupted(self, heard: Iterable[tuple[str, int, int]]) -> None:
        self.asked.append(("interrupted", [tuple(part) for part in heard]))

    def give_outputs(self, outputs: Sequence[FunctionOutput]) -> None:
        self.asked.append(("give_outputs", list(outputs)))

    def remark(self, config: ResponseConfig) -> None:
        self.asked.append(("remark", config.to_dict()))

    async def update(self, config: SessionConfig) -> SessionConfig:
        self._take("update", config.to_dict())
        return config

    async def tell(self, text: str) -> str:
        self._take("tell", text)
        return "told"

    async def say(self, text: str) -> bool:
        self._take("say", text)
        return not self.is_responding

    async def create_response(self, config: ResponseConfig) -> bool:
        self._take("create_response", config.to_dict())
        return not self.is_responding

    async def commit(self) -> str:
        self._take("commit", None)
        return "committed"

    def interrupt(self) -> bool:
        self.asked.append(("interrupt", None))
        self.does(Interrupt())
        return self.is_responding

    def pause(self, item_id: str | None = None, *, is_private: bool = False) -> None:
        self.asked.append(("pause", item_id))
        self.is_private = is_private

    def resume(self, *, anew: bool) -> None:
        self.asked.append(("resume", anew))

    def does(self, *events: SessionEvent) -> None:
        """Let the model do these, one after the other."""
        for event in events:
            self._events.put_nowait(event)

    def fail(self, error: Exception) -> None:
        """Break the session."""
        self._events.put_nowait(error)

    def of(self, what: str) -> list[Any]:
        """What it was asked of one kind."""
        return [asked for kind, asked in self.asked if kind == what]

    def _take(self, what: str, asked: object) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append((what, asked))


class Scene:
    """An agent that runs, its room, its model, and the user's side of the channel."""

    def __init__(
        self,
        *tools: Tool[..., Any],
        playout: Playout | None = None,
        session: Session | None = None,
        ear: Ear | None = None,
        recorder: Recorder | None = None,
        **changes: Any,
    ) -> None:
        self.reported: list[AgentEvent] = []
        self.room = MemoryRoom()
        self.session = FakeSession()
        self.session.functions = frozenset(each.name for each in tools)
        self.channel = self.room.channel(AGENT)
        self.agent = Agent(
            agent_spec(uid=AGENT, **changes),
            self.channel,
            session or self.session,
            playout or Playout(frame_ms=20, lead_ms=60),
            Toolbox(tools),
            phrases=Phrases("hey … stop", "hey … start"),
            ear=ear,
            recorder=recorder,
            notify=self.reported.append,
            # The loop's own, by which the agent also sleeps.
            clock=asyncio.get_running_loop().time,
        )

    async def until(self, condition: Callable[[], object]) -> None:
        """Let the agent run until this is so."""
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.005)

    async def user_joins(self, uid: int = USER) -> MemoryChannel:
        """Let a participant into the room."""
        user = self.room.channel(uid)
        await user.join()
        return user

    def of(self, kind: type[E]) -> list[E]:
        """What it reported of one kind."""
        return [event for event in self.reported if isinstance(event, kind)]

    @property
    def states(self) -> list[State]:
        return [event.state for event in self.reported if isinstance(event, StateChanged)]

    @property
    def usage(self) -> list[TotalUsage]:
        return [event.usage for event in self.reported if isinstance(event, UsageChanged)]

    @property
    def ended(self) -> Ended | None:
        return next((event for event in self.reported if isinstance(event, Ended)), None)


@asynccontextmanager
async def scene(*tools: Tool[..., Any], **changes: Any) -> AsyncIterator[Scene]:
    """A scene whose agent waits for its user; the agent is stopped at the end."""
    here = Scene(*tools, **changes)
    running = asyncio.create_task(here.agent.run())
    await here.until(lambda: State.WAITING in here.states or here.ended)
    try:
        yield here
    finally:
        here.agent.stop()
        async with asyncio.timeout(20):
            await running


@asynccontextmanager
async def listening(user: MemoryChannel) -> AsyncIterator[list[ChannelEvent]]:
    """What comes to a user meanwhile."""
    events: list[ChannelEvent] = []

    task = asyncio.create_task(user.run(events.append))
    try:
        yield events
    finally:
        task.cancel()


def audio_of(events: list[ChannelEvent]) -> bytes:
    return b"".join(event.pcm for event in events if isinstance(event, AudioFrame))


def messages_of(events: list[ChannelEvent], kind: str) -> list[dict[str, Any]]:
    return [dict(event.body) for event in events if isinstance(event, Message) and event.body["type"] == kind]


def in_virtual_time(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test by a clock that jumps, so that hours pass in a moment and nothing depends on the machine."""

    @functools.wraps(test)
    def run() -> None:
        run_in_virtual_time(test())

    return run
