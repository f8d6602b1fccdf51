"""A session over real loopback websockets, which it outlives."""

from __future__ import annotations

import asyncio
import base64
import logging
from http import HTTPStatus

import pytest

from realtime_agent.errors import ModelRefused, SessionError, SessionTimeout
from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime.session import Lost, Play, Report, Restored, Rotated, Transcript, UserSpeech
from realtime_agent.realtime.types import ResponseConfig, SessionConfig
from realtime_agent.testing import Cut, HangUp, Mute, Refuse, RefuseSettings, ScriptedServer, Speech
from tests.realtime.sessions import CONFIG, KEY, TIMEOUT_S, Ear, RotationOnDemand, endpoint, new_session, running


async def reconnected(script: ScriptedServer, count: int = 2) -> None:
    """Another session has been told the settings."""
    await script.connected(count)
    await script.expect("session.update")


async def test_it_sends_its_settings_once_and_exactly(script: ScriptedServer) -> None:
    async with running(new_session(endpoint(script))):
        (update,) = script.received
        assert update == {"type": "session.update", "session": CONFIG.to_dict()}
        assert script.headers["Authorization"] == f"Bearer {KEY}"
        assert script.path == "/v1/realtime?model=m"


async def test_audio_is_appended_as_base64(script: ScriptedServer) -> None:
    session = new_session(endpoint(script))
    async with running(session):
        pcm = bytes(range(256)) * 4
        session.append(pcm)
        sent = await script.expect("input_audio_buffer.append")
        assert sent == {"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()}


async def test_short_frames_are_sent_together_and_longer_ones_as_they_are(script: ScriptedServer) -> None:
    session = new_session(endpoint(script), frame_ms=20)
    async with running(session):
        session.append(bytes(960))
        await script.expect("input_audio_buffer.append")
        pieces = [bytes([number]) * size for number, size in enumerate((480, 480, 480, 960, 1920, 480))]
        for pcm in pieces:
            session.append(pcm)
        for expected in (pieces[0] + pieces[1], pieces[2] + pieces[3], pieces[4]):
            sent = await script.expect("input_audio_buffer.append")
            assert base64.b64decode(sent["audio"]) == expected
        # A commit is of all that was said.
        asked = asyncio.create_task(session.commit())
        sent = await script.expect("input_audio_buffer.append")
        assert base64.b64decode(sent["audio"]) == pieces[5]
        await asked


async def test_what_the_model_says_is_passed_on_in_order(script: ScriptedServer) -> None:
    async with running(new_session(endpoint(script))) as ear:
        await script.speak("Good day.", bytes(range(200)) * 96)
        await ear.until(lambda: any(event.final for event in ear.of_type(Transcript)))
        assert ear.audio == bytes(range(200)) * 96
        assert ear.of_type(Transcript)[-1].text == "Good day."


# Opening.


async def test_settings_that_the_model_refuses_are_told_with_its_code(script: ScriptedServer) -> None:
    script.fail(RefuseSettings("invalid_value", "no such model"))
    with pytest.raises(ModelRefused, match="refused its settings: no such model") as caught:
        await new_session(endpoint(script)).open()
    assert caught.value.code == "invalid_value"


async def test_an_error_for_a_greeting_is_a_refusal(script: ScriptedServer) -> None:
    script.fail(Mute())
    opening = asyncio.create_task(new_session(endpoint(script)).open())
    await script.connected()
    await script.error("beta_api_shape_disabled", "no beta")
    with pytest.raises(ModelRefused, match="no beta") as caught:
        await opening
    assert caught.value.code == "beta_api_shape_disabled"


@pytest.mark.parametrize("answer", ["nothing", "a greeting"])
async def test_a_model_that_does_not_answer_times_out(script: ScriptedServer, answer: str) -> None:
    if answer == "nothing":
        script.fail(Mute())
    script.silent_on("session.update")
    with pytest.raises(SessionTimeout, match=r"within 0\.3 s"):
        await new_session(endpoint(script, 0.3)).open()


async def test_other_events_may_come_before_the_settings_are_taken(script: ScriptedServer) -> None:
    script.silent_on("session.update")
    session = new_session(endpoint(script))
    async with asyncio.TaskGroup() as group:
        group.create_task(session.open())
        await script.expect("session.update")
        await script.send("rate_limits.updated", rate_limits=[])
        await script.send("session.updated", session={})
    await session.close()


async def test_an_agent_that_cannot_start_is_told_at_once(script: ScriptedServer) -> None:
    script.fail(HangUp(1013, "try again later", at_once=True))
    with pytest.raises(SessionError, match="1013: try again later"):
        await new_session(endpoint(script)).open()
    assert len(script.connections) == 1


async def test_closing_is_harmless_whenever(script: ScriptedServer) -> None:
    session = new_session(endpoint(script))
    await session.close()
    await session.open()
    await session.close()
    await session.close()
    session.append(b"\0\0")


# Commands, and what the model says to them.


async def test_a_command_returns_when_the_model_has_accepted_it(script: ScriptedServer) -> None:
    session = new_session(endpoint(script))
    async with running(session):
        await session.update(SessionConfig(instructions="Sing."))
        await session.tell("It rains.")
        session.append(bytes(4800))
        await session.commit()
    kinds = [event["type"] for event in script.received]
    assert kinds[1:] == [
        "session.update", "conversation.item.create", "input_audio_buffer.append", "input_audio_buffer.commit",
    ]  # fmt: skip


@pytest.mark.parametrize("named", [True, False], ids=["by its event_id", "by nothing"])
async def test_a_command_that_the_model_refuses_gets_its_error(script: ScriptedServer, named: bool) -> None:
    script.silent_on("session.update", "input_audio_buffer.commit", "response.create")
    session = new_session(endpoint(script))
    opening = asyncio.create_task(session.open())
    await script.expect("session.update")
    await script.send("session.updated", session={})
    await opening
    running_task = asyncio.create_task(session.run(Ear().hear))
    for command, kind, code, param in (
        (
            session.update(SessionConfig(instructions="Sing.")),
            "session.update",
            "invalid_value",
            "session.instructions",
        ),
        (session.commit(), "input_audio_buffer.commit", "input_audio_buffer_commit_empty", None),
        (session.create_response(ResponseConfig(instructions="x")), "response.create", "invalid_value", None),
    ):
        asking = asyncio.create_task(command)
        sent = await script.expect(kind)
        await script.error(code, "not like this", event_id=sent["event_id"] if named else None, param=param)
        with pytest.raises(ModelRefused, match="not like this") as caught:
            await asking
        assert caught.value.code == code
    running_task.cancel()
    await asyncio.wait([running_task])
    await session.close()


async def test_a_command_that_gets_no_answer_times_out(script: ScriptedServer) -> None:
    session = new_session(endpoint(script), command_timeout_s=0.3)
    async with running(session):
        script.silent_on("conversation.item.create")
        with pytest.raises(SessionTimeout, match=r"did not answer the command within 0\.3 s"):
            await session.tell("It rains.")


# A session outlives its websocket.


@pytest.mark.parametrize("end", ["1001", "1006", "reset", "session_expired", "1011", "1000"])
async def test_when_the_websocket_ends_the_session_goes_on(script: ScriptedServer, end: str) -> None:
    session = new_session(endpoint(script))
    async with running(session) as ear:
        await session.update(SessionConfig(instructions="Sing."))
        await script.hear("What is the capital of France?")
        await script.speak("It is Paris.")
        await session.tell("It rains.")
        await ear.until(lambda: any(event.text == "It is Paris." for event in ear.of_type(Transcript)))
        first = script.newest
        match end:
            case "1006":
                first._websocket.transport.close()  # no goodbye
            case "reset":
                first.cut()
            case "session_expired":
                await first.error("session_expired", "Your session hit the maximum duration of 60 minutes.")
            case code:
                await first.close(int(code), "Your session hit the maximum duration of 60 minutes.")
        second = await script.connected(2)
        told = [await second.expect("conversation.item.create") for _ in range(3)]
        assert [event["item"]["content"][0]["text"] for event in told] == [
            "What is the capital of France?", "It is Paris.", "It rains.",
        ]  # fmt: skip
        assert second.received[0]["session"] == CONFIG.to_dict() | {"instructions": "Sing."}
        await script.speak("Hello again.")
        await ear.until(lambda: any(event.text == "Hello again." for event in ear.of_type(Transcript)))
        assert (len(ear.of_type(Lost)), len(ear.of_type(Restored))) == (1, 1)


async def test_a_server_that_accepts_and_then_closes_is_not_asked_for_ever(script: ScriptedServer) -> None:
    session = new_session(endpoint(script), patience_s=0.5)
    async with running(session) as ear:
        script.fail(HangUp(1001, "go away"))
        script.cut()
        await ear.until(lambda: ear.failure)
        assert 2 < len(script.connections) < 10
    assert str(ear.failure) == (
        "the model was lost and did not come back: the model closed the connection with 1001: go away"
    )


async def test_a_server_that_is_away_for_a_while_is_found_again(script: ScriptedServer) -> None:
    session = new_session(endpoint(script))
    async with running(session) as ear:
        script.fail(Refuse(HTTPStatus.SERVICE_UNAVAILABLE), times=2)
        script.fail(Cut(at_once=True), times=1)
        script.cut()
        await reconnected(script, 3)
        await script.speak("Hello again.")
        await ear.until(lambda: ear.audio)
    assert script.refused == 2


async def test_what_no_other_connection_can_cure_ends_it_at_once(script: ScriptedServer) -> None:
    session = new_session(endpoint(script))
    async with running(session) as ear:
        script.fail(Refuse(HTTPStatus.UNAUTHORIZED))
        script.cut()
        await ear.until(lambda: ear.failure)
        assert script.refused == 1
    assert "401" in str(ear.failure)


async def test_what_the_user_says_meanwhile_is_heard_afterwards(script: ScriptedServer) -> None:
    session = new_session(endpoint(script))
    async with running(session) as ear:
        script.fail(Refuse(HTTPStatus.SERVICE_UNAVAILABLE), times=2)
        await script.send("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1")
        await ear.until(lambda: ear.of_type(UserSpeech))
        session.append(b"\1" * 960)
        await script.expect("input_audio_buffer.append")
        script.cut()
        await ear.until(lambda: UserSpeech(False, is_forgotten=True) in ear.events)
        session.append(b"\2" * 960)
        second = await script.connected(2)
        sent = await second.expect("input_audio_buffer.append")
        assert base64.b64decode(sent["audio"]) == b"\1" * 960 + b"\2" * 960


async def test_a_command_that_comes_meanwhile_is_carried_out_afterwards(script: ScriptedServer) -> None:
    session = new_session(endpoint(script))
    async with running(session) as ear:
        script.fail(Refuse(HTTPStatus.SERVICE_UNAVAILABLE), times=2)
        await script.send("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u1")
        await ear.until(lambda: ear.of_type(UserSpeech))
        script.cut()
        await ear.until(lambda: UserSpeech(False, is_forgotten=True) in ear.events)
        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.gather(session.tell("It rains."), session.update(SessionConfig(instructions="Sing.")))
        kinds = [event["type"] for event in (await script.connected(2)).received]
        assert kinds == ["session.update", "conversation.item.create", "session.update"]


async def test_a_change_that_was_never_answered_does_not_stop_another_connection(script: ScriptedServer) -> None:
    """It may be the very change that the model refuses."""
    session = new_session(endpoint(script))
    async with running(session):
        script.silent_on("session.update")
        asking = asyncio.create_task(session.update(SessionConfig(instructions="forbidden")))
        await script.expect("session.update", 2)
        script.cut()
        second = await script.connected(2)
        first = await second.expect("session.update", 1)
        assert first["session"]["instructions"] == "Be brief."
        await second.send("session.updated", session={})
        again = await second.expect("session.update", 2)
        await second.error("invalid_value", "not that", event_id=again["event_id"])
        with pytest.raises(ModelRefused, match="not that"):
            await asking


# Rotation.


async def test_a_session_is_replaced_in_good_time_and_nobody_notices(script: ScriptedServer) -> None:
    renewal = RotationOnDemand()
    session = new_session(endpoint(script), renewal=renewal)
    async with running(session) as ear:
        await script.hear("Hello?")
        await script.speak("Good day.")
        first = script.newest
        renewal.is_due = True
        second = await script.connected(2)
        told = [await second.expect("conversation.item.create") for _ in range(2)]
        assert [event["item"]["content"][0]["text"] for event in told] == ["Hello?", "Good day."]
        assert await first.ended() == 1000
        assert ear.failure is None
        assert ear.of_type(Rotated)
        assert not ear.of_type(Report)


async def test_a_session_is_not_replaced_in_the_middle_of_a_reply(script: ScriptedServer) -> None:
    renewal = RotationOnDemand()
    session = new_session(endpoint(script), renewal=renewal)
    async with running(session) as ear:
        first = await script.connected()
        *most, done = first.reply(Speech("Good day."))
        await first.send_all(most)
        await ear.until(lambda: ear.audio)
        renewal.is_due = True
        second = await script.connected(2)
        await second.expect("session.update")
        await first.send("conversation.item.input_audio_transcription.completed", item_id="u", transcript="Hello?")
        await ear.until(lambda: any(event.role == "user" for event in ear.of_type(Transcript)))
        assert [event["type"] for event in second.received] == ["session.update"]
        await first.send(done)
        await second.expect("conversation.item.create")
        assert await first.ended() == 1000


async def test_where_no_other_session_can_be_had_the_present_one_goes_on(script: ScriptedServer) -> None:
    renewal = RotationOnDemand()
    session = new_session(endpoint(script), renewal=renewal)
    async with running(session) as ear:
        script.fail(Refuse(HTTPStatus.UNAUTHORIZED))
        renewal.is_due = True
        async with asyncio.timeout(TIMEOUT_S):
            while not script.refused:
                await asyncio.sleep(0.01)
        await script.speak("Good day.")
        await ear.until(lambda: ear.audio and ear.of_type(Report))
        assert ear.of_type(Report)[0].error.type == "rotation_failed"
    assert ear.failure is None


# Audio of which there is much.


async def test_a_model_that_does_not_read_costs_no_more_than_the_bound(script: ScriptedServer) -> None:
    session = new_session(endpoint(script))
    async with running(session) as ear:
        script.newest.stop_reading()
        for _ in range(400):
            session.append(bytes(500 * BYTES_PER_MS))
            await asyncio.sleep(0)
        uplink = session._conversation.uplink
        assert len(uplink._kept) <= 30_000 * BYTES_PER_MS
        assert uplink.dropped_bytes
        assert ear.failure is None


async def test_neither_the_key_nor_what_is_said_reaches_the_log(
    script: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    session = new_session(endpoint(script))
    async with running(session) as ear:
        await script.speak("private words")
        await ear.until(lambda: ear.of_type(Play))
        script.cut()
        await reconnected(script)
    assert KEY not in caplog.text
    assert "private" not in caplog.text
