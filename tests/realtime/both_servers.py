"""Two servers that hear and answer alike. What they understand, think and say is a test's `Voices`."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from realtime_agent.config import Settings
from realtime_agent.local_model.brain import Message, Prompt
from realtime_agent.local_model.sentences import split_sentences
from realtime_agent.local_model.server import serve
from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.testing import HangUp, ScriptedConnection, Speech, Text, scripted_server
from realtime_agent.testing.acknowledge import acknowledge
from realtime_agent.testing.outputs import Event
from tests.local_model.fakes import WORD_MS, FakeTranscriber, Voices, speech
from tests.speech import silence

__all__ = ["SERVERS", "TURN", "Ears", "Serving", "embedded", "scripted", "voices"]

TURN = speech(1) + silence(1)
"""What both take for a whole turn of the user's."""

_AN_HOUR = 3600
_TURN_ENDS = bytes(500 * BYTES_PER_MS)


@dataclass
class Ears(FakeTranscriber):
    """Understands nothing until `allowed`."""

    allowed: asyncio.Event = field(default_factory=asyncio.Event)

    async def transcribe(self, pcm: bytes, language: str | None, keywords: Sequence[str] = ()) -> str:
        await self.allowed.wait()
        return await super().transcribe(pcm, language, keywords)


def voices(*sentences: str, heard: str = "Hello.") -> Voices:
    """Voices that hear these words; they answer with these sentences, of which they say the first only until they
    are allowed to go on, or else by the rules.
    """
    those = Voices(FakeTranscriber(heard))
    if sentences:
        those.brain.pieces = [" ".join(sentences)]
        those.synthesizer.sentences = 1
    return those


@asynccontextmanager
async def embedded(those: Voices, max_session_s: float = _AN_HOUR) -> AsyncIterator[str]:
    """The embedded model; gives its URL."""
    async with serve(Settings(), parts=those.parts(), max_session_s=max_session_s) as model:
        yield model.url


@asynccontextmanager
async def scripted(those: Voices, max_session_s: float = _AN_HOUR) -> AsyncIterator[str]:
    """A scripted server that does what the embedded model does; gives its URL."""
    async with scripted_server() as script:
        actor = _Actor(those)
        script.on("input_audio_buffer.append", actor.hear)
        for kind in ("input_audio_buffer.commit", "input_audio_buffer.clear"):
            script.on(kind, actor.acknowledge)
        script.on("response.create", actor.respond)
        script.fail(HangUp(1001, "Your session hit the maximum duration of 60 minutes.", max_session_s))
        yield script.url


Serving = Callable[..., AbstractAsyncContextManager[str]]
SERVERS: dict[str, Serving] = {"the embedded model": embedded, "a scripted server": scripted}


class _Actor:
    """Plays the embedded model's part at a scripted server."""

    def __init__(self, those: Voices) -> None:
        self._voices = those
        self._turns: dict[ScriptedConnection, tuple[bytes, list[Event]]] = {}
        self._words: dict[tuple[ScriptedConnection, str], asyncio.Future[str]] = {}

    async def hear(self, connection: ScriptedConnection, event: Event) -> None:
        """Any sound is speech, and half a second without any ends the turn."""
        conversation = connection.conversation
        pcm = base64.b64decode(event["audio"])
        conversation.hear(pcm)
        detection = conversation.session["audio"]["input"]["turn_detection"]
        if detection is None:
            return
        if connection not in self._turns and pcm.strip(b"\0"):
            started, *rest = conversation.heard(None, speech_ms=len(pcm) // BYTES_PER_MS)
            self._turns[connection] = b"", rest
            await connection.send(started)
            if conversation.interrupts():
                await connection.send_all(conversation.cancelled("turn_detected"))
        if connection in self._turns:
            before, rest = self._turns.pop(connection)
            if not pcm.endswith(_TURN_ENDS):
                self._turns[connection] = before + pcm, rest
                return
            await connection.send_all(rest)
            await self._understand(connection, rest[-1]["item"]["id"], before + pcm)
            if detection["create_response"]:
                await self._reply(connection, {})

    async def acknowledge(self, connection: ScriptedConnection, event: Event) -> None:
        """Do as the server would have done, but not before the audio that came first was heard."""
        await connection.send_all(acknowledge(event, connection.conversation))

    async def respond(self, connection: ScriptedConnection, event: Event) -> None:
        """Answer what was asked, unless a response is being given."""
        if refusals := acknowledge(event, connection.conversation):
            connection.conversation.requests.pop()
            await connection.send_all(refusals)
        else:
            await self._reply(connection, event.get("response") or {})

    async def _reply(self, connection: ScriptedConnection, request: Event) -> None:
        conversation = connection.conversation
        prompt = Prompt(
            await self._messages(connection), conversation.session["instructions"], request.get("instructions")
        )
        sentences = [sentence async for sentence in split_sentences(self._voices.brain.reply(prompt))]
        text = " ".join(sentences)
        if (request.get("output_modalities") or conversation.session["output_modalities"]) == ["text"]:
            await connection.send_all(connection.reply(Text(text)))
            return
        # A piece of audio is a word: before the first of a sentence, it must be allowed.
        firsts: dict[int, str] = {}
        count = 0
        for sentence in sentences:
            firsts[count] = sentence
            count += len(sentence.split())
        response_id = conversation.ids.new("resp")
        pieces = 0
        speech = Speech(text, silence(count * WORD_MS / 1000), WORD_MS)
        for event in connection.reply(speech, response_id=response_id):
            if event["type"] == "response.output_audio_transcript.delta":
                if pieces in firsts:
                    await self._voices.synthesizer.speak(firsts[pieces], 1.0)
                pieces += 1
            is_active = conversation.response is not None and conversation.response["id"] == response_id
            if pieces and not is_active and request.get("conversation") != "none":
                return
            await connection.send(event)

    async def _messages(self, connection: ScriptedConnection) -> tuple[Message, ...]:
        messages = []
        for item_id, item in list(connection.conversation.items.items()):
            if item["type"] != "message":
                continue
            if any(part["type"] == "input_audio" for part in item["content"]):
                words = await self._understand(connection, item_id, _audio_of(connection, item_id))
            else:
                words = " ".join(part.get("text") or part["transcript"] for part in item["content"])
            messages.append(Message(item["role"], words))
        return tuple(messages)

    async def _understand(self, connection: ScriptedConnection, item_id: str, pcm: bytes) -> str:
        if (connection, item_id) not in self._words:
            understood = self._words[connection, item_id] = asyncio.get_running_loop().create_future()
            words = await self._voices.transcriber.transcribe(pcm, None)
            understood.set_result(words)
            if connection.conversation.session["audio"]["input"]["transcription"] is not None:
                await connection.send_all(connection.conversation.transcribed(words, item_id=item_id))
        return await self._words[connection, item_id]


def _audio_of(connection: ScriptedConnection, item_id: str) -> bytes:
    """The audio of an item, if the client made it."""
    created = [event["item"] for event in connection.received if event["type"] == "conversation.item.create"]
    parts = [part for item in created if item.get("id") == item_id for part in item["content"]]
    return b"".join(base64.b64decode(part["audio"]) for part in parts)
