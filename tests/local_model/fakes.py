"""Voices that cost nothing, and a client that checks all it receives."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from realtime_agent.config import Settings
from realtime_agent.local_model.brain import Prompt
from realtime_agent.local_model.parts import Ears, Parts
from realtime_agent.local_model.rules import RulesBrain
from realtime_agent.local_model.server import serve
from tests.local_model.oracle import validate
from tests.speech import silence

__all__ = [
    "NOW",
    "Client",
    "FakeBrain",
    "FakeSynthesizer",
    "FakeTranscriber",
    "Voices",
    "dictation",
    "session",
    "speech",
]

NOW = datetime(2026, 11, 22, 21, 5, tzinfo=UTC)
TIMEOUT_S = 20
WORD_MS = 200
_WINDOW = 768 * 2


def speech(seconds: float) -> bytes:
    """What the fake detector takes for speech."""
    return b"\x00\x40" * int(seconds * 24_000)


class FakeDetector:
    """Any sound is speech."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, pcm: bytes) -> list[float]:
        self._pending += pcm
        whole = len(self._pending) // _WINDOW * _WINDOW
        windows, self._pending = self._pending[:whole], self._pending[whole:]
        return [float(windows[i : i + _WINDOW].strip(b"\0") != b"") for i in range(0, whole, _WINDOW)]


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class FakeTranscriber:
    """Understands `text`, or nothing in silence; fails when `broken`. `heard` and `keywords` keep what it was given,
    `most` how many utterances it had at a time; it is not done before `may_end` is set.
    """

    text: str = "Hello."
    broken: bool = False
    working: int = 0
    most: int = 0
    cancelled: int = 0
    closed: bool = False
    may_end: asyncio.Event = field(default_factory=_set_event)
    heard: list[tuple[float, str | None]] = field(default_factory=list)
    keywords: list[Sequence[str]] = field(default_factory=list)

    async def transcribe(self, pcm: bytes, language: str | None, keywords: Sequence[str] = ()) -> str:
        self.heard.append((len(pcm) / 48_000, language))
        self.keywords.append(keywords)
        self.working += 1
        self.most = max(self.most, self.working)
        try:
            await asyncio.sleep(0.001)
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.working -= 1
        if self.broken:
            raise RuntimeError("no ears")
        return self.text if pcm.strip(b"\0") else ""

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeSynthesizer:
    """Every word lasts 200 ms. After `sentences` it holds its tongue until `allowed` is set; fails when `broken`."""

    sentences: int = 1_000_000
    allowed: asyncio.Event = field(default_factory=asyncio.Event)
    broken: bool = False
    closed: bool = False

    async def speak(self, text: str, speed: float) -> bytes:
        self.sentences -= 1
        if self.sentences < 0:
            await self.allowed.wait()
        if self.broken:
            raise RuntimeError("no voice")
        return silence(len(text.split()) * WORD_MS / 1000 / speed)

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeBrain:
    """Answers by the rules, or says `pieces`; keeps the prompts; fails with `error` after them."""

    pieces: list[str] | None = None
    error: Exception | None = None
    prompts: list[Prompt] = field(default_factory=list)

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        self.prompts.append(prompt)
        for piece in [RulesBrain(lambda: NOW).answer(prompt)] if self.pieces is None else self.pieces:
            yield piece
        if self.error:
            raise self.error


@dataclass
class Voices:
    """The fakes of one server."""

    transcriber: FakeTranscriber = field(default_factory=FakeTranscriber)
    synthesizer: FakeSynthesizer = field(default_factory=FakeSynthesizer)
    brain: FakeBrain = field(default_factory=FakeBrain)

    def parts(self) -> Parts:
        return Parts(FakeDetector, self.transcriber, self.synthesizer, self.brain)

    def ears(self) -> Ears:
        """Those of a server that only listens."""
        return Ears(FakeDetector, self.transcriber)


class Client:
    """Sends events and keeps every event that comes, each checked against `openai`'s types."""

    def __init__(self, connection: ClientConnection, kind: str = "realtime") -> None:
        self.connection = connection
        self.kind = kind
        self.events: list[dict[str, Any]] = []
        self._ids: set[str] = set()

    async def send(self, type_: str, **fields: object) -> None:
        await self.connection.send(json.dumps({"type": type_, **fields}))

    async def append(self, pcm: bytes) -> None:
        await self.send("input_audio_buffer.append", audio=base64.b64encode(pcm).decode())

    async def configure(self, **session: object) -> dict[str, Any]:
        """Update the session; give the session that came back."""
        await self.send("session.update", session={"type": self.kind, **session})
        updated: dict[str, Any] = (await self.next("session.updated"))["session"]
        return updated

    async def add(self, text: str, role: str = "user", **fields: object) -> dict[str, Any]:
        """Add a message; give its item."""
        kind = "output_text" if role == "assistant" else "input_text"
        item = {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
        await self.send("conversation.item.create", item=item | fields)
        added: dict[str, Any] = (await self.next("conversation.item.done"))["item"]
        return added

    async def respond(self, **response: object) -> dict[str, Any]:
        """Ask for a response; give it when it is done."""
        await self.send("response.create", response=response)
        return await self.response()

    async def response(self) -> dict[str, Any]:
        """The next response, when it is done."""
        done: dict[str, Any] = (await self.next("response.done"))["response"]
        return done

    async def error(self, type_: str, **fields: object) -> dict[str, Any]:
        """Send an event that must be refused; give the error, which must name the event."""
        await self.send(type_, event_id="mine", **fields)
        error: dict[str, Any] = (await self.next("error"))["error"]
        assert error["event_id"] == "mine"
        return error

    async def next(self, type_: str) -> dict[str, Any]:
        """Receive until an event of this type; give it. An error is no answer unless it is asked for."""
        while True:
            event = await self.receive()
            if event["type"] == type_:
                return event
            assert event["type"] != "error", event

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(TIMEOUT_S):
            event = validate(await self.connection.recv())
        assert event["event_id"] not in self._ids
        self._ids.add(event["event_id"])
        self.events.append(event)
        return event

    async def settle(self) -> list[str]:
        """The types of all events so far, once the server has answered everything that was sent."""
        await self.send("conversation.item.retrieve", item_id="nobody", event_id="settle")
        while (event := await self.receive())["type"] != "error" or event["error"]["event_id"] != "settle":
            pass
        return [event["type"] for event in self.events[:-1]]

    def types(self, since: str = "") -> list[str]:
        """The types of the events so far, from the first of type `since` on, a run of the same type once."""
        types = [event["type"] for event in self.events]
        types = types[types.index(since) :] if since else types
        return [type_ for i, type_ in enumerate(types) if i == 0 or types[i - 1] != type_]


@asynccontextmanager
async def session(voices: Voices | None = None, **options: Any) -> AsyncIterator[Client]:
    """A client of a server of its own, past `session.created`."""
    voices = voices or Voices()
    async with (
        serve(Settings(), parts=voices.parts(), **options) as model,
        connect(f"{model.url}/realtime?model=test", max_size=None) as connection,
    ):
        client = Client(connection)
        await client.next("session.created")
        yield client


@asynccontextmanager
async def dictation(voices: Voices | None = None, **options: Any) -> AsyncIterator[Client]:
    """A client of a transcription session, with a server of its own that can answer too; past `session.created`."""
    voices = voices or Voices()
    async with (
        serve(Settings(), parts=voices.parts(), **options) as model,
        connect(f"{model.url}/realtime?intent=transcription", max_size=None) as connection,
    ):
        client = Client(connection, "transcription")
        await client.next("session.created")
        yield client
