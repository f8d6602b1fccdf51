"""A transcription session that outlives its connections."""

from __future__ import annotations

import asyncio
import base64
import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest

from realtime_agent.config import Settings
from realtime_agent.errors import SessionLost
from realtime_agent.local_model.server import serve
from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime.connection import Connection
from realtime_agent.realtime.endpoint import Endpoint
from realtime_agent.realtime.events import SpeechStarted, TranscriptionCompleted
from realtime_agent.realtime.handshake import Connector
from realtime_agent.realtime.realtime_ear import RealtimeEar
from realtime_agent.realtime.renewal import Renewal
from realtime_agent.realtime.session import Lost, Restored, Utterance
from realtime_agent.realtime.types import (
    AudioInput,
    ServerVad,
    Transcription,
    TranscriptionSessionAudio,
    TranscriptionSessionConfig,
)
from realtime_agent.testing import Cut, Fault, HangUp, Mute, Refuse, RefuseSettings, ScriptedServer
from tests.local_model.fakes import Voices, speech
from tests.realtime.sessions import RotationOnDemand
from tests.speech import silence
from tests.virtual_time import run_in_virtual_time

TIMEOUT_S = 20.0
CONFIG = TranscriptionSessionConfig(
    audio=TranscriptionSessionAudio(input=AudioInput(transcription=Transcription(language="en", keywords=["agent"])))
)
STOP = "Hey agent, stop."


def at(url: str, timeout: float = TIMEOUT_S) -> Endpoint:
    return Endpoint(f"{url}/realtime?intent=transcription", {}, timeout)


def patient() -> Renewal:
    return Renewal(rotate_s=0, reconnect_timeout_s=math.inf, jitter=lambda: 0)


class Hearing:
    """An ear that runs, and what it passes on."""

    def __init__(self, ear: RealtimeEar) -> None:
        self.ear = ear
        self.utterances: list[Utterance] = []
        self.outages: list[Lost | Restored] = []

    def handle(self, event: Utterance | Lost | Restored) -> None:
        if isinstance(event, Utterance):
            self.utterances.append(event)
        else:
            self.outages.append(event)

    @property
    def words(self) -> list[str]:
        return [utterance.text for utterance in self.utterances]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                await asyncio.sleep(0.001)


@asynccontextmanager
async def hearing(connector: Connector, renewal: Renewal | None = None) -> AsyncIterator[Hearing]:
    """Let an ear run meanwhile."""
    ear = RealtimeEar(connector, CONFIG, renewal=renewal or patient())
    it = Hearing(ear)
    task = asyncio.create_task(ear.run(it.handle))
    try:
        yield it
        assert not task.done(), "nothing ends it"
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


def heard_by(script: ScriptedServer) -> bytes:
    """All audio that came on the newest connection."""
    return b"".join(
        base64.b64decode(event["audio"]) for event in script.received if event["type"] == "input_audio_buffer.append"
    )


def pcm(ms: int, value: int = 1) -> bytes:
    return bytes([value]) * (ms * BYTES_PER_MS)


async def test_it_asks_for_a_transcription_session_and_sends_its_settings(script: ScriptedServer) -> None:
    async with hearing(at(script.url)) as it:
        await it.until(lambda: it.ear.is_connected)
        assert script.path == "/v1/realtime?intent=transcription"
        assert script.received == [{"type": "session.update", "session": CONFIG.to_dict()}]
    assert not it.ear.is_connected


async def test_words_are_passed_on_with_how_long_ago_they_began(script: ScriptedServer) -> None:
    async with hearing(at(script.url)) as it:
        await it.until(lambda: it.ear.is_connected)
        it.ear.append(pcm(1500))
        await script.expect("input_audio_buffer.append")
        await script.hear(STOP, speech_ms=1000)
        await it.until(lambda: it.utterances)
        it.ear.append(pcm(500))
        await script.expect("input_audio_buffer.append", 2)
        await script.hear("And go.", speech_ms=700)
        await it.until(lambda: len(it.utterances) == 2)
    assert it.utterances == [Utterance(STOP, 1000, 0), Utterance("And go.", 700, 0)]


async def test_audio_that_came_after_the_turn_counts(script: ScriptedServer) -> None:
    async with hearing(at(script.url)) as it:
        await it.until(lambda: it.ear.is_connected)
        it.ear.append(pcm(1500))
        await script.expect("input_audio_buffer.append")
        item_id = await script.hear(None, speech_ms=1000)
        it.ear.append(pcm(300))
        await script.expect("input_audio_buffer.append", 2)
        await script.transcribe(STOP, item_id=item_id)
        await it.until(lambda: it.utterances)
    assert it.utterances == [Utterance(STOP, 1300, 300)]


async def test_what_was_heard_before_it_is_told_to_forget_is_no_part_of_a_turn(script: ScriptedServer) -> None:
    async with hearing(at(script.url)) as it:
        await it.until(lambda: it.ear.is_connected)
        it.ear.append(pcm(1500))
        await script.expect("input_audio_buffer.append")
        item_id = await script.hear(None, speech_ms=1000)
        await script.send("input_audio_buffer.speech_started", audio_start_ms=1200, item_id="cut")
        it.ear.clear()
        await script.expect("input_audio_buffer.clear")
        await it.until(lambda: list(it.ear._turns) == [item_id])
        it.ear.append(pcm(500))
        await script.expect("input_audio_buffer.append", 2)
        await script.transcribe(STOP, item_id=item_id)
        await it.until(lambda: it.utterances)
    assert it.utterances == [Utterance(STOP, 1500, 500)]


def test_what_waits_for_a_connection_is_forgotten_too() -> None:
    ear, connection = RealtimeEar(at("ws://127.0.0.1"), CONFIG, renewal=patient()), Narrow()
    ear.append(pcm(700, 1))
    ear.clear()
    ear.append(pcm(300, 2))

    async def connect() -> None:
        ear._use(connection)

    asyncio.run(connect())
    assert connection.sent == [pcm(300, 2)]
    ear._take(SpeechStarted(audio_start_ms=100, item_id="a"))
    assert ear._take(TranscriptionCompleted(item_id="a", transcript=STOP)) == Utterance(STOP, 200, 0)


def test_the_silence_that_ends_a_turn_is_told_where_it_is_set() -> None:
    heard = AudioInput(turn_detection=ServerVad(silence_duration_ms=400))
    config = TranscriptionSessionConfig(audio=TranscriptionSessionAudio(input=heard))
    ear = RealtimeEar(at("ws://127.0.0.1"), config, renewal=patient())
    assert ear._take(TranscriptionCompleted(item_id="a", transcript=STOP)) == Utterance(STOP, 0, 0, 400)


async def test_a_turn_without_words_is_none(script: ScriptedServer) -> None:
    async with hearing(at(script.url)) as it:
        await script.expect("session.update")
        await script.hear(" ")
        await script.hear(STOP)
        await it.until(lambda: it.utterances)
    assert it.words == [STOP]


async def test_a_turn_that_nobody_saw_begin_began_now(script: ScriptedServer) -> None:
    async with hearing(at(script.url)) as it:
        await script.expect("session.update")
        await script.transcribe(STOP, item_id="unheard")
        await it.until(lambda: it.utterances)
    assert it.utterances == [Utterance(STOP, 0, 0)]


async def test_of_what_is_said_before_there_is_a_connection_the_last_two_seconds_are_heard(
    script: ScriptedServer,
) -> None:
    script.fail(Mute(), times=1)
    async with hearing(at(script.url)) as it:
        await script.connected()
        for value in range(1, 6):
            it.ear.append(pcm(700, value))
        assert not it.ear.is_connected
        script.cut()
        await script.connected(2)
        await script.expect("input_audio_buffer.append")
        it.ear.append(pcm(100, 6))
        await script.expect("input_audio_buffer.append", 2)
        heard = heard_by(script)
        await script.hear(STOP, speech_ms=2100)
        await it.until(lambda: it.utterances)
    assert heard == pcm(600, 3) + pcm(700, 4) + pcm(700, 5) + pcm(100, 6)
    assert it.utterances == [Utterance(STOP, 2100, 0)]


FAULTS: list[Fault] = [
    Refuse(),
    Refuse(HTTPStatus.UNAUTHORIZED),
    RefuseSettings("invalid_value", "no such model"),
    RefuseSettings("invalid_api_key", "who are you"),
    HangUp(1001, at_once=True),
    HangUp(1008, "go away"),
    HangUp(4000),
    Cut(),
    Cut(at_once=True),
]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
async def test_whatever_the_server_does_it_is_asked_again_and_each_outage_is_told_once(
    script: ScriptedServer, fault: Fault
) -> None:
    script.fail(fault, times=3)
    # One that takes the settings and hangs up was a connection; the others never were.
    came = isinstance(fault, HangUp | Cut) and not fault.at_once
    async with hearing(at(script.url)) as it:
        if isinstance(fault, Refuse):
            await script.connected()
        else:
            await script.connected(4)
        await it.until(lambda: it.ear.is_connected)
        await script.hear(STOP)
        await it.until(lambda: it.utterances)
    assert it.words == [STOP]
    assert [type(event) for event in it.outages] == [Lost, Restored] * (3 if came else 1)


async def test_after_a_loss_turns_are_counted_anew(script: ScriptedServer) -> None:
    async with hearing(at(script.url)) as it:
        await it.until(lambda: it.ear.is_connected)
        it.ear.append(pcm(5000))
        await script.expect("input_audio_buffer.append")
        await script.send("input_audio_buffer.speech_started", audio_start_ms=4000, item_id="a")
        script.cut()
        await script.connected(2)
        await it.until(lambda: it.ear.is_connected)
        it.ear.append(pcm(1000))
        await script.expect("input_audio_buffer.append")
        await script.hear(STOP, speech_ms=900)
        await it.until(lambda: it.utterances)
    assert it.utterances == [Utterance(STOP, 900, 0)]


async def test_an_old_connection_is_replaced_when_nobody_is_in_the_middle_of_a_turn(
    script: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "realtime_agent.realtime.realtime_ear")
    renewal = RotationOnDemand()
    async with hearing(at(script.url), renewal) as it:
        await it.until(lambda: it.ear.is_connected)
        await script.send("input_audio_buffer.speech_started", audio_start_ms=0, item_id="a")
        await it.until(lambda: it.ear._turns)
        renewal.is_due = True
        await script.send("input_audio_buffer.speech_stopped", audio_end_ms=0, item_id="a")
        await script.transcribe(STOP, item_id="a")
        await it.until(lambda: it.utterances)
        await script.connected(2)
        await it.until(lambda: it.ear.is_connected)
        await script.hear("And go.")
        await it.until(lambda: len(it.utterances) == 2)
        assert await script.connections[0].ended() == 1000
    assert it.words == [STOP, "And go."]
    assert caplog.records == []


async def test_a_turn_that_was_lost_with_its_connection_holds_nothing_up(script: ScriptedServer) -> None:
    renewal = RotationOnDemand()
    async with hearing(at(script.url), renewal) as it:
        await it.until(lambda: it.ear.is_connected)
        await script.hear(None)
        await it.until(lambda: it.ear._turns)
        script.cut()
        await script.connected(2)
        await it.until(lambda: it.ear.is_connected)
        renewal.is_due = True
        await script.connected(3)


async def test_a_turn_that_could_not_be_written_down_holds_nothing_up(
    script: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    renewal = RotationOnDemand()
    async with hearing(at(script.url), renewal) as it:
        await it.until(lambda: it.ear.is_connected)
        item_id = await script.hear(None)
        await it.until(lambda: it.ear._turns)
        renewal.is_due = True
        failed = "conversation.item.input_audio_transcription.failed"
        await script.send(failed, item_id=item_id, content_index=0, error={"type": "x", "message": "m"})
        await script.connected(2)
    assert "could not be written down" in caplog.text


async def test_an_error_is_told_and_ends_nothing(script: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    async with hearing(at(script.url)) as it:
        await script.expect("session.update")
        await script.error("server_error", "out of order")
        await script.hear(STOP)
        await it.until(lambda: it.utterances)
    assert "out of order" in caplog.text


async def test_a_server_that_writes_nothing_down_costs_no_memory(script: ScriptedServer) -> None:
    async with hearing(at(script.url)) as it:
        await script.expect("session.update")
        for _ in range(100):
            await script.hear(None)
        await script.hear(STOP)
        await it.until(lambda: it.utterances)
    assert len(it.ear._turns) <= 64


async def test_a_server_that_reads_nothing_costs_two_seconds_of_audio(script: ScriptedServer) -> None:
    async with hearing(at(script.url)) as it:
        await it.until(lambda: it.ear.is_connected)
        script.stop_reading()
        connection = it.ear._connection
        assert connection is not None
        while not connection.is_behind:
            it.ear.append(pcm(1000))
        for _ in range(10):
            it.ear.append(pcm(1000))
        assert len(it.ear._waiting) == 2000 * BYTES_PER_MS
        assert connection.is_open


class Narrow(Connection):
    """A connection that keeps what it is sent, and is behind when the test says so."""

    is_behind = False
    is_open = True

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send_audio(self, pcm: bytes) -> None:
        self.sent.append(pcm)


async def test_audio_that_a_slow_server_was_not_sent_counts_all_the_same() -> None:
    connection, ear = Narrow(), RealtimeEar(at("ws://127.0.0.1"), CONFIG, renewal=patient())
    ear._use(connection)
    ear.append(pcm(1000, 1))
    connection.is_behind = True
    for _ in range(5):
        ear.append(pcm(1000, 2))
    connection.is_behind = False
    ear.append(pcm(500, 3))
    assert connection.sent == [pcm(1000, 1), pcm(2000, 2) + pcm(500, 3)]
    # By its own count the server has had 3.5 s.
    ear._take(SpeechStarted(audio_start_ms=3000, item_id="a"))
    assert ear._take(TranscriptionCompleted(item_id="a", transcript=STOP)) == Utterance(STOP, 500, 0)


def test_a_server_that_is_gone_is_asked_every_few_seconds_for_ever() -> None:
    class Nowhere:
        timeout = 5.0
        tries = 0

        async def connect(self) -> Connection:
            self.tries += 1
            raise SessionLost("nobody is there")

    nowhere = Nowhere()
    told: list[object] = []

    async def a_day() -> None:
        ear = RealtimeEar(nowhere, CONFIG)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(86_400):
                await ear.run(told.append)
        assert not ear.is_connected

    run_in_virtual_time(a_day())
    assert 86_400 / 5 <= nowhere.tries <= 86_400 / 2
    assert told == [Lost("nobody is there")]


async def test_what_its_owner_does_wrong_is_not_hidden(script: ScriptedServer) -> None:
    def handle(_: Utterance | Lost | Restored) -> None:
        raise ZeroDivisionError

    task = asyncio.create_task(RealtimeEar(at(script.url), CONFIG).run(handle))
    await script.expect("session.update")
    await script.hear(STOP)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(task, TIMEOUT_S)
    assert await script.newest.ended() == 1000


async def test_when_it_is_cancelled_it_hangs_up(script: ScriptedServer) -> None:
    async with hearing(at(script.url)) as it:
        await it.until(lambda: it.ear.is_connected)
    assert await script.newest.ended() == 1000


# With the embedded model.


def speak_a_turn(ear: RealtimeEar) -> None:
    audio = silence(1) + speech(1) + silence(1)
    for start in range(0, len(audio), 960):
        ear.append(audio[start : start + 960])


async def test_the_embedded_model_s_words_and_times_are_right_to_the_millisecond() -> None:
    voices = Voices()
    async with serve(Settings(), parts=voices.ears()) as model, hearing(at(model.url)) as it:
        await it.until(lambda: it.ear.is_connected)
        speak_a_turn(it.ear)
        await it.until(lambda: it.utterances)
        speak_a_turn(it.ear)
        await it.until(lambda: len(it.utterances) == 2)
    # The model finds that each turn begins at 0.7 s, its prefix padding included, and steps of 32 ms.
    assert it.utterances == [
        Utterance("Hello.", 3000 - 692, 3000 - 2528),
        Utterance("Hello.", 6000 - 3700, 6000 - 5536),
    ]
    assert voices.transcriber.keywords == [["agent"], ["agent"]]


async def test_the_end_of_the_embedded_model_s_hour_is_no_end() -> None:
    async with serve(Settings(), parts=Voices().ears(), max_session_s=1) as model, hearing(at(model.url)) as it:
        for _ in range(2):
            await it.until(lambda: it.ear.is_connected)
            await it.until(lambda: not it.ear.is_connected)


async def test_the_embedded_model_may_come_later_and_come_back() -> None:
    async with serve(Settings(), parts=Voices().ears()) as model:
        url, port = model.url, model.port
    async with hearing(at(url)) as it:
        for _ in range(2):
            async with serve(Settings(), parts=Voices().ears(), port=port):
                await it.until(lambda: it.ear.is_connected)
                speak_a_turn(it.ear)
                await it.until(lambda: it.utterances)
            await it.until(lambda: not it.ear.is_connected)
            it.utterances.clear()
