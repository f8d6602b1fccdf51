"""Every command on the whole embedded product: what a caller asks over HTTP, the user hears."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.program import post
from tests.e2e.watch import Talker, Watcher, talking, watching
from tests.speech import clip, silence, word_error_rate

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("embedded"),
]

LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"


class Steered:
    """An agent, its user, and whoever steers and watches it."""

    def __init__(self, server: str, channel: str, user: Talker, watcher: Watcher) -> None:
        self._server = server
        self._channel = channel
        self.user = user
        self.watcher = watcher

    async def ask(self, command: str, **fields: Any) -> tuple[int, dict[str, Any]]:
        return await post(self._server, "/control_agent", channel_name=self._channel, command=command, **fields)

    async def done(self, command: str, **fields: Any) -> dict[str, Any]:
        status, answer = await self.ask(command, **fields)
        assert (status, answer.get("status")) == (200, f"Command {command} sent to agent."), answer
        result: dict[str, Any] = answer["result"]
        return result

    @property
    def now(self) -> int:
        """How much has happened."""
        return len(self.watcher.events)

    async def answer(self, after: int) -> str:
        """What the agent says next, once all of it is known."""

        def is_answer(event: dict[str, Any]) -> bool:
            return event["type"] == "transcript" and event["role"] == "assistant" and bool(event.get("final"))

        return str((await self.watcher.until(is_answer, after))["text"])

    async def speech(self, role: str, *, speaking: bool, after: int) -> None:
        wanted = {"type": "speech", "role": role, "speaking": speaking}
        await self.watcher.until(lambda event: wanted.items() <= event.items(), after)

    async def quiet(self, after: int) -> None:
        """Until the agent has said what it had to say."""
        await self.speech("assistant", speaking=False, after=after)


@pytest_asyncio.fixture(loop_scope="session")
async def agent(server: str, request: pytest.FixtureRequest) -> AsyncIterator[Steered]:
    channel = request.node.name[:60]
    status, started = await post(server, "/start_agent", channel_name=channel, uid=5)
    assert status == 200, started
    async with watching(server, channel) as watcher, talking(server, channel) as user:
        await watcher.until(lambda event: event.get("state") == "active")
        yield Steered(server, channel, user, watcher)
    await post(server, "/stop_agent", channel_name=channel)


async def test_the_agent_speaks_by_command(agent: Steered) -> None:
    before = agent.now
    assert await agent.done("say", input_text="The train leaves at noon.") == {"response": "begun"}
    assert await agent.answer(before) == "The train leaves at noon."
    before = agent.now
    await agent.done("create_response", new_instruction='Say "good night"')
    assert await agent.answer(before) == "good night"
    await agent.quiet(before)
    assert len(agent.user.heard) > 96_000


async def test_texts_are_part_of_the_conversation(agent: Steered) -> None:
    before = agent.now
    assert (await agent.done("send_system_text", input_text="The user likes rain."))["item_id"]
    assert (await agent.done("send_user_text", input_text="What is twelve plus thirty five?"))["response"] == "begun"
    assert "47" in await agent.answer(before)


async def test_what_is_being_said_is_cut(agent: Steered) -> None:
    before = agent.now
    await agent.done("say", input_text=LONG)
    await agent.speech("assistant", speaking=True, after=before)
    assert await agent.done("interrupt") == {"interrupted": True}
    cut = await agent.watcher.until(lambda event: bool(event.get("interrupted")), before)
    assert "seventeen" not in cut["text"]
    assert await agent.done("interrupt") == {"interrupted": False}


async def test_settings_change_while_it_talks_and_the_voice_does_not(agent: Steered) -> None:
    before = agent.now
    result = await agent.done("update_session", voice="ash", speed=1.5)
    assert result["session"]["audio"]["output"] == {"voice": "ash", "speed": 1.5}
    assert (await agent.done("update_instruction", new_instruction="Sing."))["session"]["instructions"] == "Sing."
    await agent.done("say", input_text="Now this is my voice.")
    await agent.quiet(before)
    status, answer = await agent.ask("update_session", voice="coral")
    assert (status, answer["error"]) == (409, "Model conflict")
    assert "voice" in answer["details"]


async def test_push_to_talk_from_the_first_word_to_the_answer(agent: Steered) -> None:
    spoken = clip("forward")
    result = await agent.done("update_turn_detection", new_turn_detection=False)
    assert result["session"]["audio"]["input"]["turn_detection"] is None
    await agent.user.say(silence(1))
    assert await agent.done("clear_audio_buffer") == {}
    status, answer = await agent.ask("commit_audio_buffer")
    assert (status, "buffer too small" in answer["details"]) == (409, True), answer
    before = agent.now
    await agent.user.say(spoken.pcm)
    item_id = (await agent.done("commit_audio_buffer"))["item_id"]
    assert (await agent.done("create_response"))["response"] == "begun"
    words = await agent.watcher.until(lambda event: event.get("item_id") == item_id and event.get("final"), before)
    assert word_error_rate(spoken.transcript, words["text"]) <= 0.3
    assert await agent.answer(before)
    turn = await agent.watcher.until(lambda event: event["type"] == "turn", before)
    assert 0 < turn["first_audio_ms"] <= turn["first_frame_ms"]
    detection = (await agent.done("update_turn_detection", new_turn_detection=True))["session"]["audio"]["input"]
    assert detection["turn_detection"]["type"] == "server_vad"


async def test_a_pause_by_command_is_silent_and_forgets(agent: Steered) -> None:
    before = agent.now
    await agent.done("say", input_text=LONG)
    await agent.speech("assistant", speaking=True, after=before)
    assert await agent.done("pause") == {"state": "paused"}
    await agent.watcher.until(lambda event: event.get("by") == "pause", before)
    paused = agent.now
    await agent.user.say(clip("forward").pcm)
    await agent.speech("user", speaking=False, after=paused)
    assert await agent.done("resume") == {"state": "active"}
    assert not [event for event in agent.watcher.events[paused:] if event["type"] == "transcript"]
    before = agent.now
    await agent.done("send_user_text", input_text="What did I just say?")
    assert await agent.answer(before) == "You have not said anything before that."
