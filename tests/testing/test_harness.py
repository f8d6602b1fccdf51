"""An agent in a test, with its user and a scripted model."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from pydantic import ValidationError

from realtime_agent.agent import Agent
from realtime_agent.config import Settings
from realtime_agent.control.life import EndReason, State
from realtime_agent.errors import InvalidRequest, SessionError
from realtime_agent.pcm import BYTES_PER_MS, SAMPLE_RATE
from realtime_agent.testing import Event, RefuseSettings, ScriptedConnection, running_agent, scripted_server, tone


async def speak(connection: ScriptedConnection, _: Event) -> None:
    await connection.speak("Hi.", tone(20))


async def test_its_user_is_heard_and_hears() -> None:
    async with scripted_server() as model, running_agent(model, voice="cedar") as here:
        update = await model.expect("session.update")
        assert update["session"]["audio"]["output"]["voice"] == "cedar"
        await here.reaches(State.ACTIVE)
        here.user.say(tone(30))
        await model.expect("input_audio_buffer.append")
        speech = tone(100)
        await model.speak("Hello.", speech)
        await here.user.hears(speech)
        assert (await here.user.expect("transcript", role="assistant", final=True))["text"] == "Hello."
        model.on("response.create", speak)
        await here.control("send_user_text", input_text="Hi!")
        await model.expect("conversation.item.create", item={"role": "user"})
        await here.user.expect("transcript", role="assistant", text="Hi.")
        assert here.states == [State.CONNECTING, State.WAITING, State.ACTIVE]
    assert (await here.ended()).reason is EndReason.STOPPED


async def test_its_user_may_come_later_and_go() -> None:
    limits = Settings(user_left_grace_s=0.01)
    async with scripted_server() as model, running_agent(model, limits, user_joins=False, user_uid=5) as here:
        await here.reaches(State.WAITING)
        assert State.ACTIVE not in here.states
        await here.user.join()
        await here.reaches(State.ACTIVE)
        await here.user.leave()
        assert (await here.ended()).reason is EndReason.USER_LEFT


async def test_an_agent_that_can_t_start_says_why() -> None:
    async with scripted_server() as model:
        model.fail(RefuseSettings("invalid_value", "no such model"))
        async with running_agent(model) as here:
            assert "no such model" in ((await here.ended()).cause or "")


async def test_what_does_not_happen_is_an_assertion() -> None:
    async with scripted_server() as model, running_agent(model, timeout_s=0.05) as here:
        with pytest.raises(AssertionError, match="what came"):
            await here.user.expect("transcript")
        with pytest.raises(AssertionError, match="goes on"):
            await here.ended()
        with pytest.raises(AssertionError, match="were not heard"):
            await here.user.hears(b"\1")


@pytest.mark.parametrize(
    ("fields", "error"), [({"voice": "nobody"}, InvalidRequest), ({"colour": "red"}, ValidationError)]
)
async def test_an_agent_that_can_t_be_is_refused(fields: dict[str, Any], error: type[Exception]) -> None:
    async with scripted_server() as model:
        with pytest.raises(error):
            await running_agent(model, **fields).__aenter__()


async def test_what_the_test_raises_and_what_the_agent_does_come_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> None:
        async with scripted_server() as model, running_agent(model):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    async def crash(_: Agent) -> None:
        raise RuntimeError("a bug in the agent")

    monkeypatch.setattr(Agent, "run", crash)
    async with scripted_server() as model:
        running = running_agent(model, until_ready=False)
        await running.__aenter__()
        with pytest.raises(RuntimeError, match="a bug"):
            await running.__aexit__(None, None, None)


async def test_its_user_tells_what_was_played_and_hears_it_stop() -> None:
    # As long as the user tells nothing, nothing was heard.
    settings = Settings(far_end_delay_ms=2000)
    async with scripted_server() as model, running_agent(model, settings) as here:
        await here.reaches(State.ACTIVE)
        item_id = await model.speak("Hello.", tone(3000))
        await here.user.until(lambda: len(here.user.heard) >= 300 * BYTES_PER_MS)
        assert here.user.flushes == 0
        here.user.report_played(300 * SAMPLE_RATE // 1000)
        await model.hear("Wait.")
        truncated = await model.expect("conversation.item.truncate", item_id=item_id)
        assert 300 <= truncated["audio_end_ms"] <= len(here.user.heard) // BYTES_PER_MS
        await here.user.until(lambda: here.user.flushes == 1)
        speech = tone(100, 880)
        await model.speak("Yes?", speech)
        await here.user.hears(speech)


async def test_its_user_says_whole_frames_and_is_one_of_a_number() -> None:
    async with scripted_server() as model, running_agent(model, user_uid=7) as here:
        assert here.user.uid == 7
        await here.reaches(State.ACTIVE)
        speech = tone(30)
        here.user.say(speech)
        first = await model.expect("input_audio_buffer.append")
        second = await model.expect("input_audio_buffer.append")
        heard = b"".join(base64.b64decode(event["audio"]) for event in (first, second))
        assert heard == speech + bytes(10 * BYTES_PER_MS)


async def test_its_user_reads_its_messages() -> None:
    async with scripted_server() as model, running_agent(model) as here:
        await here.reaches(State.ACTIVE)
        await model.speak("Hello.", tone(20))
        final = await here.user.expect("transcript", final=True, role="assistant")
        assert final in here.user.messages
        assert final["text"] == "Hello."
        assert any(message["type"] == "transcript" and message != final for message in here.user.messages)


async def test_its_user_is_lost_as_by_a_network() -> None:
    async with scripted_server() as model, running_agent(model, Settings(user_left_grace_s=0.01)) as here:
        await here.reaches(State.ACTIVE)
        here.room.lose(here.user.uid, "the network is down")
        assert (await here.ended()).reason is EndReason.USER_LEFT


async def test_it_takes_the_commands_of_the_api_and_no_others() -> None:
    async with scripted_server() as model, running_agent(model) as here:
        await here.control("update_instruction", new_instruction="Sing.")
        await model.expect("session.update", session={"instructions": "Sing."})
        with pytest.raises(ValidationError):
            await here.control("dance")
        model.silent_on("session.update")
        changing = asyncio.create_task(here.control("update_instruction", new_instruction="Hum."))
        change = await model.expect("session.update", session={"instructions": "Hum."})
        await model.error("invalid_value", "not today", event_id=change["event_id"])
        with pytest.raises(SessionError, match="not today"):
            await changing


async def test_a_test_may_begin_before_its_agent_is_ready() -> None:
    async with scripted_server() as model:
        model.silent_on("session.update")
        async with running_agent(model, until_ready=False) as here:
            await model.expect("session.update")
            assert State.WAITING not in here.states
            await model.send("session.updated", session=model.conversation.session)
            await here.reaches(State.WAITING)


async def test_an_agent_that_is_never_ready_is_an_assertion() -> None:
    async with scripted_server() as model:
        model.silent_on("session.update")
        with pytest.raises(AssertionError, match="never ready"):
            await running_agent(model, timeout_s=0.1).__aenter__()


async def test_an_agent_that_does_not_end_is_an_assertion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Agent, "stop", lambda _: None)
    async with scripted_server() as model:
        running = running_agent(model, timeout_s=0.1, until_ready=False)
        await running.__aenter__()
        with pytest.raises(AssertionError, match=r"did not end within 0\.1 s"):
            await running.__aexit__(None, None, None)


async def test_settings_are_the_test_s_but_for_the_address() -> None:
    settings = Settings(system_instruction="Be brief.", realtime_api_base_uri="wss://nowhere.invalid")
    async with scripted_server() as model, running_agent(model, settings):
        await model.expect("session.update", session={"instructions": "Be brief."})
    assert settings.realtime_api_base_uri == "wss://nowhere.invalid"


async def test_a_crash_is_the_cause_of_what_the_test_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(_: Agent) -> None:
        raise RuntimeError("a bug in the agent")

    async def fail() -> None:
        async with scripted_server() as model, running_agent(model, until_ready=False):
            raise AssertionError("the agent does not what it should")

    monkeypatch.setattr(Agent, "run", crash)
    with pytest.raises(AssertionError, match="does not what it should") as caught:
        await fail()
    assert "a bug in the agent" in str(caught.value.__cause__)
