"""Phrases that this machine hears by itself: while the agent is paused, no audio leaves it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from realtime_agent.testing import ScriptedServer, scripted_server
from tests.e2e.program import post, running
from tests.e2e.test_phrases import spoken
from tests.e2e.watch import talking, watching
from tests.speech import clip, silence

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("local phrases"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def script() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(script: ScriptedServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A server whose agents talk to the script, and whose embedded model only listens."""
    folder = tmp_path_factory.mktemp("local phrases")
    async with running(folder, "server", REALTIME_API_BASE_URI=script.url, VOICE_PHRASES="local") as (_, address):
        yield address


def is_state(state: str) -> Any:
    return lambda event: event["type"] == "state" and event["state"] == state


def told(events: list[dict[str, Any]]) -> bytes:
    """The audio that these events brought the model."""
    appended = [event["audio"] for event in events if event["type"] == "input_audio_buffer.append"]
    return b"".join(map(base64.b64decode, appended))


def appends(script: ScriptedServer) -> int:
    return sum(event["type"] == "input_audio_buffer.append" for event in script.received)


async def test_while_paused_nothing_of_the_user_s_voice_reaches_the_model(server: str, script: ScriptedServer) -> None:
    await post(server, "/start_agent", channel_name="private", uid=5)
    async with watching(server, "private") as watcher, talking(server, "private") as user:
        await user.say(silence(1) + spoken("Hey agent, stop."))
        await watcher.until(is_state("paused"))
        await script.expect("input_audio_buffer.clear")
        paused = appends(script)
        assert paused > 0
        await user.say(clip("forward").pcm + silence(2))
        assert appends(script) == paused, "audio reached the model while the agent was paused"
        await user.say(spoken("Hey agent, start."))
        state = await watcher.until(is_state("active"), len(watcher.events) - 1)
        assert state["by"] == "voice"
        await user.say(silence(1))
        assert appends(script) > paused
        # Of what was said while paused, only what came after the phrase.
        kinds = [event["type"] for event in script.received]
        cleared = kinds.index("input_audio_buffer.clear")
        assert kinds[cleared + 1 :].index("session.update") < kinds[cleared + 1 :].index("input_audio_buffer.append")
    await post(server, "/stop_agent", channel_name="private")


async def test_a_pause_by_command_is_as_private(server: str, script: ScriptedServer) -> None:
    await post(server, "/start_agent", channel_name="quiet", uid=5)
    async with watching(server, "quiet") as watcher, talking(server, "quiet") as user:
        await watcher.until(is_state("active"))
        await user.say(silence(1))
        await post(server, "/control_agent", channel_name="quiet", command="pause")
        await script.expect("input_audio_buffer.clear")
        paused = appends(script)
        assert paused > 0
        await user.say(clip("forward").pcm)
        assert appends(script) == paused
        await post(server, "/control_agent", channel_name="quiet", command="resume")
        await user.say(silence(1))
        assert appends(script) > paused
    await post(server, "/stop_agent", channel_name="quiet")


async def test_where_the_microphone_closes_behind_the_phrase_nothing_from_before_its_end_is_told(
    server: str, script: ScriptedServer
) -> None:
    await post(server, "/start_agent", channel_name="closed", uid=5)
    async with watching(server, "closed") as watcher, talking(server, "closed") as user:
        await watcher.until(is_state("active"))
        await post(server, "/control_agent", channel_name="closed", command="pause")
        await script.expect("input_audio_buffer.clear")
        before = len(script.received)
        phrase = np.frombuffer(spoken("Hey agent, start."), "<i2")
        await user.say(spoken("My secret number is four two seven.") + silence(1))
        await user.say(phrase[: np.flatnonzero(np.abs(phrase) > 300)[-1] + 1].tobytes())
        user.close_microphone()
        state = await watcher.until(is_state("active"), len(watcher.events) - 1)
        assert state["by"] == "voice"
        await asyncio.sleep(0.5)
        assert not np.frombuffer(told(script.received[before:]), "<i2").any()
    await post(server, "/stop_agent", channel_name="closed")
