"""What is measured side by side, each in a process of its own: the floors, our agent, and nothing but the frames."""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal, Protocol

from bench import marks
from bench.far_end import FarEnd, Noted, Source
from bench.floors import FastFloor, Floor
from realtime_agent.agent import Agent
from realtime_agent.audio.playout import Playout
from realtime_agent.config import Settings
from realtime_agent.control.events import AgentEvent, StateChanged
from realtime_agent.control.life import State
from realtime_agent.control.phrases import Phrases
from realtime_agent.loop_lag import WatchedLoop
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.endpoint import realtime_endpoint
from realtime_agent.realtime.realtime_session import RealtimeSession
from realtime_agent.realtime.renewal import Renewal
from realtime_agent.rtc.memory import MemoryRoom
from realtime_agent.server.start_agent import StartAgent
from realtime_agent.tools import Toolbox

__all__ = ["Kind", "Subject", "running_subjects"]

Kind = Literal["frames", "floor", "fast floor", "agent"]

_AGENT, _USER = 1, 2
_TIMEOUT_S = 60


@dataclass(frozen=True)
class Setup:
    """One subject.

    Attributes:
        kind: What it is.
        url: Its model's address, as REALTIME_API_BASE_URI has it.
        name: By which its model tells it from others.
        frame_ms: How long its user's frames are.
        delay_ms: How late its far end is, which then reports what it has played; `None` reports nothing.
        phase: Seconds after which its frames begin, so that not all subjects have theirs at once.
    """

    kind: Kind
    url: str
    name: str
    frame_ms: int
    delay_ms: int | None
    phase: float


class _Running(Protocol):
    """A subject in its process."""

    noted: Noted

    async def open(self) -> None: ...

    def hear(self, pcm: bytes) -> None: ...

    async def close(self) -> None: ...


class Subject:
    """A subject's process, as its parent sees it."""

    def __init__(self, name: str, pid: int, pipe: Connection) -> None:
        self.name = name
        self.pid = pid
        self._pipe = pipe

    def reset(self) -> None:
        """Forget what was noted, and begin to count."""
        self._pipe.send("reset")

    def ask(self) -> None:
        """Let it tell what it has noted; `answer` takes that."""
        self._pipe.send("collect")

    def answer(self) -> Noted:
        """What it has noted since `reset`, up to `ask`."""
        noted: Noted = self.receive()
        return noted

    def receive(self) -> Any:
        """What it says next."""
        if not self._pipe.poll(_TIMEOUT_S):
            raise SystemExit(f"{self.name} does not answer")
        return self._pipe.recv()


@contextmanager
def running_subjects(
    kind: Kind, count: int, url: str, *, frame_ms: int = 20, delay_ms: int | None = None
) -> Iterator[list[Subject]]:
    """Run so many of a kind while the context lasts; they have their sessions when it begins."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.subjects", "bench.frozen"])
    subjects, processes, pipes = [], [], []
    try:
        for n in range(count):
            ours, theirs = context.Pipe()
            setup = Setup(kind, url, f"{kind.replace(' ', '_')}-{n}", frame_ms, delay_ms, n * 0.00731 % 0.02)
            process = context.Process(target=_main, args=(setup, theirs), name=setup.name, daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            pipes.append(ours)
            subjects.append(Subject(setup.name, process.pid or 0, ours))
        for subject in subjects:
            subject.receive()
        yield subjects
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join(10)
            process.kill()


def _main(setup: Setup, pipe: Connection) -> None:
    # The product's workers do so too.
    gc.freeze()
    with asyncio.Runner(loop_factory=WatchedLoop) as runner:
        runner.run(_run(setup, pipe))


async def _run(setup: Setup, pipe: Connection) -> None:
    ended = asyncio.Event()
    running = _make(setup)
    await running.open()
    source = Source(setup.frame_ms, running.hear)
    source.start(setup.phase)
    began = time.process_time()

    def obey() -> None:
        nonlocal began
        try:
            command = pipe.recv()
        except EOFError:
            ended.set()
            return
        if command == "collect":
            running.noted.cpu_s = time.process_time() - began
            pipe.send(running.noted)
        else:
            running.noted = Noted()
            began = time.process_time()

    asyncio.get_running_loop().add_reader(pipe.fileno(), obey)
    pipe.send("ready")
    await ended.wait()
    source.stop()
    await running.close()
    os._exit(0)


def _make(setup: Setup) -> _Running:
    match setup.kind:
        case "frames":
            return _FramesOnly(setup)
        case "floor":
            return _Client(Floor(), setup)
        case "fast floor":
            return _Client(FastFloor(), setup)
        case "agent":
            return _Agent(setup)


class _FramesOnly:
    """Frames that nobody takes: what they cost is no part of what the others cost."""

    def __init__(self, setup: Setup) -> None:
        self.noted = Noted()
        self._user = MemoryRoom().channel(_USER, frame_ms=setup.frame_ms)

    async def open(self) -> None:
        await self._user.join()

    def hear(self, pcm: bytes) -> None:
        self._user.push(pcm)

    async def close(self) -> None:
        await self._user.leave()


class _Client:
    """A floor."""

    def __init__(self, client: Floor | FastFloor, setup: Setup) -> None:
        self._client = client
        self._url = f"{setup.url}/realtime?model={setup.name}"
        self.hear = client.hear
        self.close = client.close

    @property
    def noted(self) -> Noted:
        return self._client.noted

    @noted.setter
    def noted(self, noted: Noted) -> None:
        self._client.noted = noted

    async def open(self) -> None:
        await self._client.open(self._url)


class _MarkedPlayout(Playout):
    """Notes when audio came."""

    user: FarEnd

    def add(self, item_id: str, content_index: int, pcm: bytes) -> None:
        mark = marks.read_mark(pcm)
        if mark is not None:
            self.user.noted.downlink_ns.append(time.monotonic_ns() - mark.sent_ns)
        super().add(item_id, content_index, pcm)


class _Agent:
    """An agent as a worker runs it, in a channel in memory."""

    def __init__(self, setup: Setup) -> None:
        settings = Settings(realtime_api_base_uri=setup.url, far_end_delay_ms=setup.delay_ms or 0)
        spec = StartAgent(channel_name=setup.name, uid=_AGENT).to_spec(settings)
        room = MemoryRoom()
        self._user = FarEnd(room, _USER, setup.delay_ms)
        channel = room.channel(_AGENT, frame_ms=setup.frame_ms)
        playout = _MarkedPlayout(frame_ms=setup.frame_ms, lead_ms=settings.playout_lead_ms)
        playout.user = self._user
        session = RealtimeSession(
            realtime_endpoint(settings, setup.name),
            Conversation(spec.session, user_present=False),
            Renewal(rotate_s=settings.session_rotate_s, reconnect_timeout_s=settings.reconnect_timeout_s),
            frame_ms=settings.uplink_frame_ms,
            command_timeout_s=settings.control_timeout_s,
        )
        phrases = Phrases(settings.stop_phrases, settings.start_phrases)
        self._ready = asyncio.Event()
        self._agent = Agent(spec, channel, session, playout, Toolbox([]), phrases=phrases, notify=self._notify)
        self.hear = self._user.push

    @property
    def noted(self) -> Noted:
        return self._user.noted

    @noted.setter
    def noted(self, noted: Noted) -> None:
        self._user.noted = noted

    async def open(self) -> None:
        self._running = asyncio.create_task(self._agent.run())
        await self._ready.wait()
        await self._user.join()
        self._reporting = asyncio.create_task(self._user.report())

    async def close(self) -> None:
        self._reporting.cancel()
        self._agent.stop()
        await self._running

    def _notify(self, event: AgentEvent) -> None:
        # As far as it costs this process.
        json.dumps(event.model_dump(mode="json", exclude_none=True))
        if isinstance(event, StateChanged) and event.state is State.WAITING:
            self._ready.set()
