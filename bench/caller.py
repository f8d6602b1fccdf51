"""A caller of the embedded model whose microphone is open, and when each answer's stages came."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect

__all__ = ["Answer", "Caller", "calling", "end_of_speech"]

_RATE = 24_000
_FRAME = 480
"""Samples in 20 ms, which is what a browser or a telephone sends."""

_NOISE = 12
"""How loud a quiet room is, of 32768."""

_ANSWER_TIMEOUT_S = 30
_STEP = _RATE // 100
_QUIET = 0.02
"""What is quieter than this share of a speaker's loudest 10 ms (34 dB below) is no word any more."""

STOPPED = "input_audio_buffer.speech_stopped"
WRITTEN = "conversation.item.input_audio_transcription.completed"
SPOKEN = "response.output_audio.delta"
DONE = "response.done"


def end_of_speech(samples: NDArray[np.int16]) -> int:
    """The sample at which the last word ends: behind it all is quiet, or as quiet as the recording's background."""
    steps = samples[: len(samples) // _STEP * _STEP].reshape(-1, _STEP).astype(np.float64)
    levels = np.sqrt(np.mean(steps**2, axis=1))
    background = 2 * float(np.percentile(levels, 5))
    loud = np.flatnonzero(levels > max(background, _QUIET * levels.max()))
    return int(loud[-1] + 1) * _STEP


@dataclass(frozen=True)
class Answer:
    """What came of a question; times are milliseconds from the end of its last word, by their arrival.

    Attributes:
        stopped_ms: The model says that the turn is over.
        written_ms: It has written the question down.
        spoken_ms: The first audio of its answer.
        turns: Into how many turns the question was cut.
        heard: The words of all of them.
    """

    stopped_ms: float
    written_ms: float
    spoken_ms: float
    turns: int
    heard: str


class Caller:
    """Sends a frame every 20 ms, of a question or of the room's noise."""

    def __init__(self, connection: ClientConnection, seed: int) -> None:
        self._connection = connection
        noise = np.random.default_rng(seed).normal(0, _NOISE, (50, _FRAME)).astype("<i2")
        self._room = deque(frame.tobytes() for frame in noise)
        self._to_say: deque[bytes] = deque()
        self._said = asyncio.Event()
        self._said_at = 0.0
        self._events: list[tuple[float, dict[str, Any]]] = []
        self._news = asyncio.Condition()

    async def configure(self, session: dict[str, Any]) -> None:
        """Set the session up."""
        await self._connection.send(json.dumps({"type": "session.update", "session": session}))
        await self._until("session.updated", 1)

    async def ask(self, question: NDArray[np.int16]) -> Answer:
        """Ask, and wait for the end of the answer.

        Raises:
            TimeoutError: there is none.
        """
        self._events.clear()
        self._said.clear()
        speech = question[: end_of_speech(question)]
        self._to_say.extend(speech[at : at + _FRAME].tobytes() for at in range(0, len(speech), _FRAME))
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            await self._said.wait()
            turns = 0
            while not turns or self._count(STOPPED) > turns:
                # Of a question that was cut, what counts is the answer to its last part.
                turns = max(1, self._count(STOPPED))
                await self._until(WRITTEN, turns)
                await self._until(DONE, turns)
        moments = [self._moments(kind) for kind in (STOPPED, WRITTEN, SPOKEN)]
        stopped, written = moments[0][-1], moments[1][-1]
        spoken = next(at for at in moments[2] if at >= stopped)
        words = [event["transcript"] for _, event in self._events if event["type"] == WRITTEN]
        return Answer(stopped, written, spoken, turns, " ".join(words))

    async def talk(self) -> None:
        """Send what the microphone hears, in real time."""
        due = time.perf_counter()
        while True:
            due += _FRAME / _RATE
            await asyncio.sleep(due - time.perf_counter())
            frame = self._room[0]
            self._room.rotate()
            if self._to_say:
                said = self._to_say.popleft()
                # The last word ends before the frame that is sent now does.
                self._said_at = time.perf_counter() - (len(frame) - len(said)) / 2 / _RATE
                frame = said + frame[len(said) :]
                if not self._to_say:
                    self._said.set()
            audio = base64.b64encode(frame).decode()
            await self._connection.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))

    async def listen(self) -> None:
        """Keep every event and when it came."""
        async for message in self._connection:
            now = time.perf_counter()
            event = json.loads(message)
            async with self._news:
                self._events.append((now, event))
                self._news.notify_all()

    async def _until(self, kind: str, count: int) -> None:
        async with asyncio.timeout(_ANSWER_TIMEOUT_S), self._news:
            await self._news.wait_for(lambda: self._count(kind) >= count)

    def _count(self, kind: str) -> int:
        return sum(event["type"] == kind for _, event in self._events)

    def _moments(self, kind: str) -> list[float]:
        return [(at - self._said_at) * 1000 for at, event in self._events if event["type"] == kind]


@asynccontextmanager
async def calling(url: str, session: dict[str, Any], seed: int) -> AsyncIterator[Caller]:
    """A caller in a session with these settings."""
    async with connect(f"{url}/realtime?model=local", max_size=None) as connection:
        caller = Caller(connection, seed)
        tasks = [asyncio.create_task(caller.listen()), asyncio.create_task(caller.talk())]
        try:
            await caller.configure(session)
            yield caller
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
