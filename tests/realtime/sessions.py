"""A session that runs in a test, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from realtime_agent.errors import SessionError
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.endpoint import Endpoint
from realtime_agent.realtime.handshake import Connector
from realtime_agent.realtime.realtime_session import RealtimeSession
from realtime_agent.realtime.renewal import Renewal
from realtime_agent.realtime.session import CallTools, FunctionOutput, Play, SessionEvent
from realtime_agent.realtime.types import AudioInput, ServerVad, SessionAudio, SessionConfig, Transcription
from realtime_agent.testing import ScriptedServer

__all__ = ["CONFIG", "KEY", "Ear", "RotationOnDemand", "endpoint", "new_session", "running"]

E = TypeVar("E")

TIMEOUT_S = 20.0
KEY = "sk-very-secret"
CONFIG = SessionConfig(
    instructions="Be brief.",
    output_modalities=["audio"],
    audio=SessionAudio(
        input=AudioInput(transcription=Transcription(model="t"), turn_detection=ServerVad().in_full()),
    ),
)


class Ear:
    """Takes what a session tells its agent; calls functions by answering each with `output`, if there is one."""

    def __init__(self, output: str | None = "42") -> None:
        self.events: list[SessionEvent] = []
        self.called: list[str] = []
        self.failure: SessionError | None = None
        self._output = output
        self._session: RealtimeSession | None = None
        self._arrived = asyncio.Event()

    def listen(self, session: RealtimeSession) -> Callable[[SessionEvent], None]:
        """Hear this session, and answer it."""
        self._session = session
        return self.hear

    def hear(self, event: SessionEvent) -> None:
        self.events.append(event)
        if isinstance(event, CallTools) and self._session is not None:
            self.called += [call.name for call in event.calls]
            if self._output is not None:
                # Not from within its own event, as no function does either.
                outputs = [FunctionOutput(call.call_id, self._output) for call in event.calls]
                asyncio.get_running_loop().call_soon(self._session.give_outputs, outputs)
        self._arrived.set()

    def of_type(self, kind: type[E]) -> list[E]:
        """What was told of one type."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def audio(self) -> bytes:
        """All audio that was to be played."""
        return b"".join(event.pcm for event in self.of_type(Play))

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until this is so, with what comes."""
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                self._arrived.clear()
                await self._arrived.wait()


class RotationOnDemand(Renewal):
    """A connection grows old when the test says so.

    Attributes:
        is_due: Whether it is; set it. It is not once there is another one, or none can be had.
    """

    def __init__(self) -> None:
        super().__init__(rotate_s=3600, reconnect_timeout_s=TIMEOUT_S, jitter=lambda: 0)
        self.is_due = False

    def rotate_in(self, now: float) -> float | None:
        return 0.0 if self.is_due else 0.01

    def opened(self, now: float, *, age: float = 0) -> None:
        super().opened(now, age=age)
        self.is_due = False

    def rotation_failed(self, now: float) -> None:
        super().rotation_failed(now)
        self.is_due = False


def endpoint(model: ScriptedServer, timeout: float = TIMEOUT_S) -> Endpoint:
    return Endpoint(f"{model.url}/realtime?model=m", {"Authorization": f"Bearer {KEY}"}, timeout)


def new_session(
    connector: Connector,
    *,
    config: SessionConfig = CONFIG,
    renewal: Renewal | None = None,
    patience_s: float = 20,
    command_timeout_s: float = TIMEOUT_S,
    frame_ms: int = 0,
    **choices: Any,
) -> RealtimeSession:
    renewal = renewal or Renewal(rotate_s=0, reconnect_timeout_s=patience_s, jitter=lambda: 0)
    conversation = Conversation(config, **choices)
    return RealtimeSession(connector, conversation, renewal, frame_ms=frame_ms, command_timeout_s=command_timeout_s)


@asynccontextmanager
async def running(session: RealtimeSession, ear: Ear | None = None) -> AsyncIterator[Ear]:
    """Let a session run meanwhile; how it fails, `ear.failure` tells."""
    ear = ear or Ear()

    async def run() -> None:
        try:
            await session.run(ear.listen(session))
        except* SessionError as errors:
            first = errors.exceptions[0]
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            assert isinstance(first, SessionError)
            ear.failure = first
            ear._arrived.set()

    await session.open()
    task = asyncio.create_task(run())
    try:
        yield ear
    finally:
        task.cancel()
        await asyncio.wait([task])
        await session.close()
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
