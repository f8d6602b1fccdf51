"""A whole spoken conversation with the real voices, held by the official client."""

from __future__ import annotations

import asyncio
import base64
import logging
import sys
import threading
from collections.abc import AsyncIterator, Sized
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from realtime_agent.config import Settings
from realtime_agent.errors import ConfigError
from realtime_agent.local_model.parts import Parts, load_parts
from tests.local_model.oracle import validate
from tests.speech import CLIPS, clip, silence, word_error_rate

TIMEOUT_S = 60
FRAME = 960


class Caller:
    """The official client, with every event checked and kept."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self.events: list[dict[str, Any]] = []

    async def speak(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), FRAME):
            audio = base64.b64encode(pcm[start : start + FRAME]).decode()
            await self.connection.input_audio_buffer.append(audio=audio)

    async def next(self, type_: str) -> dict[str, Any]:
        """Receive until an event of this type; give it."""
        while True:
            async with asyncio.timeout(TIMEOUT_S):
                message = await self.connection.recv_bytes()
            event = validate(message)
            assert self.connection.parse_event(message).type == event["type"]
            assert event["type"] != "error", event
            self.events.append(event)
            if event["type"] == type_:
                return event

    def audio(self, response_id: str) -> bytes:
        return b"".join(
            base64.b64decode(event["delta"])
            for event in self.events
            if event["type"] == "response.output_audio.delta" and event["response_id"] == response_id
        )


@asynccontextmanager
async def dictating(url: str, **transcription: Any) -> AsyncIterator[Caller]:
    async with (
        AsyncOpenAI(api_key="x", websocket_base_url=url) as openai,
        openai.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        caller = Caller(connection)
        created = await caller.next("session.created")
        assert created["session"]["type"] == "transcription"
        heard: Any = {
            "transcription": {"model": "whisper-1", **transcription},
            "turn_detection": {"type": "server_vad"},
        }
        await connection.session.update(session={"type": "transcription", "audio": {"input": heard}})
        await caller.next("session.updated")
        yield caller


@asynccontextmanager
async def call(url: str) -> AsyncIterator[Caller]:
    async with (
        AsyncOpenAI(api_key="x", websocket_base_url=url) as openai,
        openai.realtime.connect(model="local") as connection,
    ):
        caller = Caller(connection)
        await caller.next("session.created")
        await connection.session.update(
            session={"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
        )
        await caller.next("session.updated")
        yield caller


async def test_a_spoken_conversation_with_a_barge_in(model_url: str, parts: Parts) -> None:
    amiable, forward = clip("amiable"), clip("forward")
    async with call(model_url) as caller:
        await caller.speak(silence(0.5) + amiable.pcm + silence(1.5))
        heard = await caller.next("conversation.item.input_audio_transcription.completed")
        assert word_error_rate(amiable.transcript, heard["transcript"]) <= 0.3
        reply = (await caller.next("response.done"))["response"]
        text = reply["output"][0]["content"][0]["transcript"]
        assert text.startswith(f"You said: {heard['transcript']}")
        understood = await parts.transcriber.transcribe(caller.audio(reply["id"]), None)
        assert word_error_rate(text, understood) <= 0.3

        story = " ".join(f"{words.capitalize()}." for words in CLIPS.values())
        await caller.connection.response.create(response={"instructions": f'Say: "{" ".join([story] * 40)}"'})
        await caller.next("response.output_audio.delta")
        await caller.speak(forward.pcm + silence(1.5))
        await caller.next("input_audio_buffer.speech_started")
        interrupted = (await caller.next("response.done"))["response"]
        assert interrupted["status_details"] == {"type": "cancelled", "reason": "turn_detected"}

        item_id = interrupted["output"][0]["id"]
        await caller.connection.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=1500)
        await caller.next("conversation.item.input_audio_transcription.completed")
        heard = caller.events[-1]
        assert word_error_rate(forward.transcript, heard["transcript"]) <= 0.3
        reply = (await caller.next("response.done"))["response"]
        assert reply["output"][0]["content"][0]["transcript"] == f"You said: {heard['transcript']}"
        await caller.connection.conversation.item.retrieve(item_id=item_id)
        cut = (await caller.next("conversation.item.retrieved"))["item"]["content"][0]["transcript"]
        assert CLIPS["amiable"].startswith(cut.lower())
        assert cut


@pytest.mark.parametrize("question", ["What is twelve plus thirty five?", "Seven times eight."])
async def test_a_sum_that_is_asked_aloud_is_answered_right(model_url: str, parts: Parts, question: str) -> None:
    asked = await parts.synthesizer.speak(question, 1.0)
    async with call(model_url) as caller:
        await caller.speak(silence(0.5) + asked + silence(1.5))
        reply = (await caller.next("response.done"))["response"]
    expected = {"What is twelve plus thirty five?": "12 plus 35 is 47.", "Seven times eight.": "7 times 8 is 56."}
    assert reply["output"][0]["content"][0]["transcript"] == expected[question]


@pytest.mark.parametrize("phrase", ["Hey agent, stop.", "Hey agent, start."])
async def test_a_phrase_is_written_down_where_nobody_answers(model_url: str, parts: Parts, phrase: str) -> None:
    said = await parts.synthesizer.speak(phrase, 1.0)
    async with dictating(model_url, keywords=["agent"]) as caller:
        await caller.speak(silence(0.5) + said + silence(1.5))
        heard = await caller.next("conversation.item.input_audio_transcription.completed")
        await caller.speak(silence(0.5) + clip("forward").pcm + silence(1.5))
        again = await caller.next("conversation.item.input_audio_transcription.completed")
    assert word_error_rate(phrase, heard["transcript"]) == 0
    assert word_error_rate(clip("forward").transcript, again["transcript"]) <= 0.3
    assert not [event for event in caller.events if event["type"].startswith("response.")]


async def test_keywords_are_a_hint_and_whatever_they_are_no_harm(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    said = await parts.synthesizer.speak("Hey agent, stop.", 1.0)
    for keywords in (["agent"], ["<|endoftext|>", "\0", "", " \n "], ["日本語"]):
        understood = await parts.transcriber.transcribe(said, None, keywords)
        assert word_error_rate("Hey agent, stop.", understood) == 0, keywords
    assert caplog.records == []
    for _ in range(2):
        await parts.transcriber.transcribe(said, None, ["agent", "word" * 500_000, "more"])
    assert [record.getMessage() for record in caplog.records] == [
        "of the keywords only those are used that fit into 500 characters"
    ]


async def test_whisper_is_shown_the_keywords(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    from realtime_agent.local_model.stt import Whisper

    assert isinstance(parts.transcriber, Whisper)
    shown: list[str | None] = []

    def transcribe(*_: object, hotwords: str | None, **__: object) -> tuple[list[Any], None]:
        shown.append(hotwords)
        return [], None

    monkeypatch.setattr(parts.transcriber._model, "transcribe", transcribe)
    for keywords in ((), ("Ada", "Lovelace")):
        await parts.transcriber.transcribe(silence(0.5), None, keywords)
    assert shown == [None, "Ada, Lovelace"]


async def test_long_turns_keep_no_short_one_waiting(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    from realtime_agent.local_model.stt import Whisper

    assert isinstance(parts.transcriber, Whisper)
    may_end = threading.Event()

    def transcribe(samples: Sized, **_: object) -> tuple[list[Any], None]:
        if len(samples) > 16_000:
            may_end.wait(TIMEOUT_S)
        return [], None

    monkeypatch.setattr(parts.transcriber._model, "transcribe", transcribe)
    long = [asyncio.create_task(parts.transcriber.transcribe(silence(20), None)) for _ in range(3)]
    await asyncio.sleep(0)
    async with asyncio.timeout(TIMEOUT_S):
        assert await parts.transcriber.transcribe(silence(0.5), None) == ""
    assert not any(task.done() for task in long)
    may_end.set()
    assert await asyncio.gather(*long) == [""] * 3


async def test_what_nobody_waits_for_any_more_is_not_written_down(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    from realtime_agent.local_model.stt import Whisper

    assert isinstance(parts.transcriber, Whisper)
    may_end = threading.Event()
    written: list[int] = []

    def transcribe(samples: Sized, **_: object) -> tuple[list[Any], None]:
        written.append(len(samples))
        may_end.wait(TIMEOUT_S)
        return [], None

    monkeypatch.setattr(parts.transcriber._model, "transcribe", transcribe)
    busy, dropped, wanted = (
        [asyncio.create_task(parts.transcriber.transcribe(silence(seconds), None)) for _ in range(count)]
        for seconds, count in ((1, 2), (2, 1), (3, 1))
    )
    await asyncio.sleep(0)
    dropped[0].cancel()
    await asyncio.wait(dropped)
    may_end.set()
    await asyncio.gather(*busy, *wanted)
    assert sorted(written) == [16_000, 16_000, 48_000]


def test_keywords_are_used_as_far_as_they_fit() -> None:
    from realtime_agent.local_model.stt import _joined

    assert _joined([]) == ("", True)
    assert _joined(["Ada", " Lovelace \n King ", ""]) == ("Ada, Lovelace King", True)
    assert _joined(["a" * 249, "b" * 249]) == (f"{'a' * 249}, {'b' * 249}", True)
    assert _joined(["a" * 250, "b" * 249, "c"]) == ("a" * 250, False)
    assert _joined(["a" * 501]) == ("", False)


@pytest.mark.parametrize("name", list(CLIPS))
async def test_every_clip_is_understood(parts: Parts, name: str) -> None:
    understood = await parts.transcriber.transcribe(clip(name).pcm, "en")
    assert word_error_rate(clip(name).transcript, understood) <= 0.3


async def test_silence_is_no_speech_and_has_no_words(parts: Parts) -> None:
    assert max(parts.new_detector().feed(silence(5))) < 0.3
    assert await parts.transcriber.transcribe(silence(5), None) == ""


async def test_a_sentence_does_not_keep_its_listener_waiting(parts: Parts) -> None:
    pcm = await parts.synthesizer.speak("Hello there.", 1.0)
    first_sound = len(pcm) - len(pcm.lstrip(b"\0"))
    assert first_sound / 48 <= 25
    assert len(await parts.synthesizer.speak("Hello there.", 1.5)) < len(pcm)
    assert await parts.synthesizer.speak("", 1.0) == b""


async def test_another_language_is_ignored_and_said_once(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            await parts.transcriber.transcribe(silence(0.5), "de")
    assert [record.getMessage() for record in caplog.records] == [
        "the speech-to-text model knows English only: language 'de' is ignored"
    ]


def test_a_whisper_that_was_tampered_with_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime_agent.local_model.stt._SHA256", "0" * 64)
    with pytest.raises(ConfigError, match="is not the expected one"):
        load_parts(Settings())


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"LOCAL_STT_MODEL: no model\.bin in"):
        load_parts(Settings(local_stt_model=str(tmp_path)))


def test_an_unknown_voice_is_named() -> None:
    with pytest.raises(ConfigError, match=r"LOCAL_TTS_VOICE: .*unknown voice 'nobody'"):
        load_parts(Settings(local_tts_voice="nobody"))


def test_without_the_local_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("stt", "brief_whisper"):
        monkeypatch.delitem(sys.modules, f"realtime_agent.local_model.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[local\]'"):
        load_parts(Settings())
