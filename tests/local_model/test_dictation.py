"""Sessions that write down what they hear, and never answer."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from realtime_agent.config import Settings
from realtime_agent.local_model.dictation import Dictation
from realtime_agent.local_model.health import is_healthy
from realtime_agent.local_model.outbox import Outbox
from realtime_agent.local_model.parts import Ears, Parts
from realtime_agent.local_model.server import serve
from realtime_agent.local_model.transcription_settings import TranscriptionSettings
from realtime_agent.realtime.events import InputAudioBufferAppend
from tests.local_model.fakes import Client, Voices, dictation, session, speech
from tests.speech import silence

TURN = silence(1) + speech(1) + silence(1)
COMPLETED = "conversation.item.input_audio_transcription.completed"


async def test_the_first_event_is_the_whole_session() -> None:
    async with dictation() as client:
        created = client.events[0]["session"]
    assert created.pop("id").startswith("sess_")
    assert created.pop("expires_at") > 0
    assert created == {
        "type": "transcription",
        "object": "realtime.transcription_session",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "noise_reduction": None,
                "transcription": {},
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                },
            }
        },
        "include": None,
    }


async def test_a_turn_is_written_down_and_not_answered() -> None:
    voices = Voices()
    async with dictation(voices) as client:
        await client.append(TURN)
        completed = await client.next(COMPLETED)
        types = await client.settle()
    events = {event["type"]: event for event in client.events}
    assert types == [
        "session.created",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
        COMPLETED,
    ]
    assert completed["transcript"] == "Hello."
    assert completed["usage"] == {"type": "duration", "seconds": 1.836}
    started, stopped = (events[f"input_audio_buffer.speech_{name}"] for name in ("started", "stopped"))
    assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (692, 2528)
    assert started["item_id"] == completed["item_id"]
    assert voices.brain.prompts == []


async def test_each_turn_names_the_one_before() -> None:
    async with dictation() as client:
        for _ in range(5):
            await client.append(TURN)
            await client.next(COMPLETED)
    committed = [event for event in client.events if event["type"] == "input_audio_buffer.committed"]
    before = [event["previous_item_id"] for event in committed]
    assert before == [None, *(event["item_id"] for event in committed[:-1])]


async def test_what_was_written_down_does_not_pile_up() -> None:
    outbox = Outbox()
    writing_down = Dictation(Voices().ears(), TranscriptionSettings(expires_at=0), outbox)
    append = InputAudioBufferAppend(audio=base64.b64encode(TURN).decode()).to_json()
    told: list[str] = []

    async def read(message: str) -> None:
        told.append(message)

    async def turns() -> AsyncIterator[str]:
        for count in range(1, 101):
            yield append
            while sum(COMPLETED in message for message in told) < count:
                await asyncio.sleep(0)

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        writer = tasks.create_task(outbox.send_all(read))
        await writing_down.run(turns())
        writer.cancel()
    exchange = writing_down._exchange
    assert len(exchange._context.conversation.entries()) == 1
    assert exchange._listener._buffer.duration_ms <= 6000
    assert not exchange._context._running


NOT_FOR_IT: list[tuple[str, dict[str, object]]] = [
    ("response.create", {}),
    ("response.cancel", {}),
    ("conversation.item.create", {"item": {"type": "message", "role": "user", "content": []}}),
    ("conversation.item.retrieve", {"item_id": "x"}),
    ("conversation.item.delete", {"item_id": "x"}),
    ("conversation.item.truncate", {"item_id": "x", "content_index": 0, "audio_end_ms": 0}),
    ("output_audio_buffer.clear", {}),
]


@pytest.mark.parametrize(("type_", "fields"), NOT_FOR_IT, ids=[type_ for type_, _ in NOT_FOR_IT])
async def test_what_is_not_for_it_is_refused_by_name_and_it_goes_on(type_: str, fields: dict[str, object]) -> None:
    async with dictation() as client:
        error = await client.error(type_, **fields)
        assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "invalid_value", "type")
        assert type_ in error["message"]
        await still_writes_down(client)


async def test_the_settings_of_another_kind_of_session_are_refused_either_way() -> None:
    async with dictation() as client, session() as other:
        refused = await client.error("session.update", session={"type": "realtime"})
        refused_there = await other.error("session.update", session={"type": "transcription"})
        await still_writes_down(client)
    for error in (refused, refused_there):
        assert (error["code"], error["param"]) == ("invalid_value", "session.type")
    assert refused["message"] == "Passing a realtime session update event to a transcription session is not allowed."


async def test_an_update_changes_only_what_it_sets() -> None:
    async with dictation() as client:
        await client.configure(
            audio={
                "input": {
                    "transcription": {"model": "whisper-1", "language": "en"},
                    "noise_reduction": {"type": "near_field"},
                }
            },
            include=["item.input_audio_transcription.logprobs"],
        )
        detection = {"type": "server_vad", "threshold": 0.7, "create_response": True, "interrupt_response": False}
        updated = await client.configure(
            audio={"input": {"turn_detection": detection, "transcription": {"keywords": ["agent"]}}}
        )
    heard = updated["audio"]["input"]
    assert heard["transcription"] == {"model": "whisper-1", "language": "en", "keywords": ["agent"]}
    assert heard["noise_reduction"] == {"type": "near_field"}
    assert heard["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.7,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
    }
    assert updated["include"] == ["item.input_audio_transcription.logprobs"]
    assert updated["id"] == client.events[0]["session"]["id"]


async def test_an_eagerness_is_a_turn_detection_too() -> None:
    async with dictation() as client:
        updated = await client.configure(
            audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}
        )
        await still_writes_down(client)
    assert updated["audio"]["input"]["turn_detection"] == {"type": "semantic_vad", "eagerness": "high"}


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"audio": {"input": {"format": {"type": "audio/pcmu"}}}}, "invalid_value", "session.audio.input.format.type"),
        ({"audio": {"output": {}}}, "unknown_parameter", "session.audio.output"),
        ({"instructions": "Sing."}, "unknown_parameter", "session.instructions"),
    ],
)
async def test_a_wrong_setting_is_refused_by_name_and_nothing_changes(
    change: dict[str, object], code: str, param: str
) -> None:
    async with dictation() as client:
        before = client.events[0]["session"]
        error = await client.error("session.update", session={"type": "transcription", **change})
        assert (error["code"], error["param"]) == (code, param)
        assert await client.configure() == before


async def test_without_turn_detection_a_commit_is_a_turn() -> None:
    async with dictation() as client:
        await client.configure(audio={"input": {"turn_detection": None}})
        await client.append(TURN)
        await client.send("input_audio_buffer.commit")
        completed = await client.next(COMPLETED)
        assert "input_audio_buffer.speech_started" not in client.types()
        await client.append(TURN)
        await client.send("input_audio_buffer.clear")
        await client.next("input_audio_buffer.cleared")
        error = await client.error("input_audio_buffer.commit")
    assert completed["usage"]["seconds"] == 3
    assert error["code"] == "input_audio_buffer_commit_empty"


async def test_nobody_is_waited_for_where_nobody_answers() -> None:
    async with dictation() as client:
        await client.configure(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}})
        await client.append(TURN)
        await client.next(COMPLETED)
        await client.append(silence(40))
        assert "input_audio_buffer.timeout_triggered" not in await client.settle()


async def test_where_transcription_is_turned_off_no_words_are_told() -> None:
    async with dictation() as client:
        await client.configure(audio={"input": {"transcription": None}})
        await client.append(TURN)
        await client.next("conversation.item.done")
        await client.configure(audio={"input": {"transcription": {"model": "x"}}})
        await still_writes_down(client)
    assert client.types().count(COMPLETED) == 1


async def test_a_failed_transcription_is_told() -> None:
    voices = Voices()
    voices.transcriber.broken = True
    async with dictation(voices) as client:
        await client.append(TURN)
        failed = await client.next("conversation.item.input_audio_transcription.failed")
        assert failed["error"]["code"] == "transcription_failed"
        voices.transcriber.broken = False
        await still_writes_down(client)


@pytest.mark.parametrize("kind", [dictation, session])
async def test_language_and_keywords_reach_the_transcriber(
    kind: Callable[[Voices], AbstractAsyncContextManager[Client]],
) -> None:
    voices = Voices()
    async with kind(voices) as client:
        hints = {"model": "x", "language": "de", "keywords": ["Ada", "Lovelace"]}
        await client.configure(audio={"input": {"transcription": hints}})
        await client.append(TURN)
        await client.next(COMPLETED)
    assert [language for _, language in voices.transcriber.heard] == ["de"]
    assert voices.transcriber.keywords == [["Ada", "Lovelace"]]


async def test_it_ends_after_its_hour() -> None:
    async with dictation(max_session_s=2) as client:
        with pytest.raises(ConnectionClosed) as closed:
            await client.connection.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    assert "maximum duration" in closed.value.rcvd.reason


async def test_a_model_that_only_listens_refuses_a_conversation_in_words() -> None:
    async with serve(Settings(), parts=Voices().ears()) as model:
        for query in ("", "?model=x", "?intent=conversation"):
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"{model.url}/realtime{query}")
            assert refused.value.response.status_code == 400
            assert b"?intent=transcription" in refused.value.response.body
        assert await is_healthy(model.host, model.port, timeout=20)


async def test_a_model_that_only_listens_writes_down() -> None:
    voices = Voices()
    async with (
        serve(Settings(), parts=voices.ears()) as model,
        connect(f"{model.url}/realtime?intent=transcription") as connection,
    ):
        client = Client(connection, "transcription")
        await client.next("session.created")
        await still_writes_down(client)
    assert voices.transcriber.closed


@pytest.mark.parametrize("listen_only", [True, False])
async def test_a_model_that_only_listens_loads_ears_alone(monkeypatch: pytest.MonkeyPatch, listen_only: bool) -> None:
    loaded: list[str] = []

    def load_ears(_settings: Settings) -> Ears:
        loaded.append("ears")
        return Voices().ears()

    def load_parts(_settings: Settings) -> Parts:
        loaded.append("parts")
        return Voices().parts()

    monkeypatch.setattr("realtime_agent.local_model.server.load_ears", load_ears)
    monkeypatch.setattr("realtime_agent.local_model.server.load_parts", load_parts)
    async with serve(Settings(), listen_only=listen_only):
        pass
    assert loaded == (["ears"] if listen_only else ["parts"])


async def still_writes_down(client: Client) -> None:
    await client.append(TURN)
    assert (await client.next(COMPLETED))["transcript"] == "Hello."
