"""An agent in a test, with its user and a scripted model."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from realtime_agent.agent import Agent
from realtime_agent.config import Settings
from realtime_agent.control.life import EndReason, State
from realtime_agent.errors import InvalidRequest
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
