"""A session over a real loopback websocket."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator

import pytest

from realtime_agent.errors import ModelRefused, SessionError, SessionTimeout
from realtime_agent.realtime import events as ev
from realtime_agent.realtime.session import RealtimeSession
from realtime_agent.realtime.types import AudioInput, SessionAudio, SessionConfig
from tests.scripted import ScriptedServer

KEY = "sk-very-secret"
CONFIG = SessionConfig(
    instructions="be brief", output_modalities=["audio"], audio=SessionAudio(input=AudioInput(turn_detection=None))
)
TIMEOUT_S = 20.0


@pytest.fixture
async def session(script: ScriptedServer) -> AsyncIterator[RealtimeSession]:
    session = new(script)
    yield session
    await session.close()


def new(script: ScriptedServer, *, timeout: float = TIMEOUT_S) -> RealtimeSession:
    return RealtimeSession(f"{script.url}/realtime", {"Authorization": f"Bearer {KEY}"}, CONFIG, timeout=timeout)


async def test_it_sends_its_settings_once_and_exactly(script: ScriptedServer, session: RealtimeSession) -> None:
    await session.open()
    await session.send(ev.ResponseCancel())
    await script.expect("response.cancel")
    assert script.received == [
        {
            "type": "session.update",
            "session": {
                "type": "realtime",
                "instructions": "be brief",
                "output_modalities": ["audio"],
                "audio": {"input": {"turn_detection": None}},
            },
        },
        {"type": "response.cancel", "event_id": "event_1"},
    ]


async def test_audio_is_appended_as_base64(script: ScriptedServer, session: RealtimeSession) -> None:
    await session.open()
    pcm = bytes(range(256)) * 4
    await session.append(pcm)
    sent = await script.expect("input_audio_buffer.append")
    assert sent == {"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()}


async def test_what_the_model_says_comes_in_order(script: ScriptedServer, session: RealtimeSession) -> None:
    await session.open()
    await script.speak(b"\1\0" * 10)
    seen = []
    async with asyncio.timeout(TIMEOUT_S):
        async for event in session.events():
            seen.append(event.type)
            if isinstance(event, ev.ResponseDone):
                break
    assert seen == [
        "response.created",
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.done",
    ]


async def test_other_events_may_come_before_the_settings_are_taken(
    script: ScriptedServer, session: RealtimeSession
) -> None:
    script.ignore_settings = True
    async with asyncio.TaskGroup() as group:
        group.create_task(session.open())
        await script.expect("session.update")
        await script.send("rate_limits.updated", rate_limits=[])
        await script.send("conversation.created", conversation={})
        await script.send("session.updated", session={})
    await session.append(b"\0\0")
    await script.expect("input_audio_buffer.append")


async def test_settings_that_the_model_refuses_are_told_with_its_code(
    script: ScriptedServer, session: RealtimeSession
) -> None:
    script.refuse_settings = True
    with pytest.raises(ModelRefused, match="refused its settings: no such model") as caught:
        await session.open()
    assert caught.value.code == "x"


async def test_an_error_for_a_greeting_is_a_refusal(script: ScriptedServer, session: RealtimeSession) -> None:
    script.silent = True
    beta = {"type": "invalid_request_error", "message": "no beta", "code": "beta_api_shape_disabled"}
    error, _ = await asyncio.gather(session.open(), script.send("error", error=beta), return_exceptions=True)
    assert isinstance(error, ModelRefused)
    assert error.code == "beta_api_shape_disabled"


@pytest.mark.parametrize("answer", ["nothing", "a greeting"])
async def test_a_model_that_does_not_answer_times_out(script: ScriptedServer, answer: str) -> None:
    script.silent = answer == "nothing"
    script.ignore_settings = True
    session = new(script, timeout=0.3)
    with pytest.raises(SessionTimeout, match=r"within 0\.3 s"):
        await session.open()
    await session.close()


async def test_a_model_that_hangs_up_before_it_is_ready_is_told(
    script: ScriptedServer, session: RealtimeSession
) -> None:
    script.ignore_settings = True

    async def hang_up() -> None:
        await script.expect("session.update")
        await script.close(1013, "try again later")

    error, _ = await asyncio.gather(session.open(), hang_up(), return_exceptions=True)
    assert isinstance(error, SessionError)
    assert str(error) == "the model closed the connection with 1013: try again later"


async def test_a_session_that_ends_says_why(script: ScriptedServer, session: RealtimeSession) -> None:
    await session.open()
    await script.close(1001, "Your session hit the maximum duration of 60 minutes.")
    with pytest.raises(SessionError, match=r"1001: Your session hit the maximum duration"):
        async for _ in session.events():
            pass


async def test_nothing_can_be_sent_before_it_is_open(script: ScriptedServer, session: RealtimeSession) -> None:
    with pytest.raises(SessionError, match="not open"):
        await session.append(b"\0\0")
    with pytest.raises(SessionError, match="not open"):
        await session.send(ev.ResponseCancel())
    with pytest.raises(SessionError, match="not open"):
        session.events()


async def test_closing_is_harmless_whenever(script: ScriptedServer, session: RealtimeSession) -> None:
    await session.close()
    await session.open()
    await session.close()
    await session.close()
    with pytest.raises(SessionError):
        await session.append(b"\0\0")


async def test_neither_the_key_nor_what_is_said_reaches_the_log(
    script: ScriptedServer, session: RealtimeSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await session.open()
    await script.speak(b"\1\0", "private words")
    async with asyncio.timeout(TIMEOUT_S):
        async for event in session.events():
            if isinstance(event, ev.ResponseDone):
                break
    await session.close()
    assert KEY not in caplog.text
    assert "private" not in caplog.text
