"""A test of an agent that uses a tool: the model is scripted, everything else is real.

It needs pytest and pytest-asyncio, and finds `examples.tools` where it is run from the top of the repository.
"""

from __future__ import annotations

import pytest

from realtime_agent.config import Settings
from realtime_agent.testing import running_agent, scripted_server, tone

pytestmark = pytest.mark.asyncio


async def test_it_looks_an_order_up_and_tells_of_it() -> None:
    settings = Settings(agent_tools="examples.tools", system_instruction="You help the customers of a shop.")
    async with scripted_server() as model, running_agent(model, settings, greeting="Hello!") as agent:
        await model.expect("session.update", session={"instructions": "You help the customers of a shop."})

        await model.expect("response.create")
        await model.speak("Hello!")
        await agent.user.expect("transcript", text="Hello!", final=True)

        await model.hear("Where is my order 1002?")
        call = await model.call_function("order_status", {"number": 1002})
        assert "on its way" in await model.output_of(call)

        await model.expect("response.create")
        speech = tone(400)
        await model.speak("It will be there in two days.", speech)
        await agent.user.hears(speech)


async def test_it_stops_when_its_user_speaks_and_goes_on_when_the_model_was_lost() -> None:
    async with scripted_server() as model, running_agent(model, greeting="Hello!") as agent:
        await model.expect("response.create")
        await model.speak("Hello! I have a lot to tell you.", tone(5000))
        await agent.user.until(lambda: agent.user.heard)
        await model.hear("Wait.")
        await model.expect("conversation.item.truncate")

        model.cut()
        again = await model.connected(2)
        await again.expect("conversation.item.create", item={"role": "user", "content": [{"text": "Wait."}]})
