"""Pausing and resuming by voice, through the whole embedded product."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hibari import Hibari

from tests.e2e.program import post
from tests.e2e.watch import Watcher, talking, watching

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("embedded"),
]


@cache
def _voice() -> Hibari:
    return Hibari(voice="heart")


def spoken(text: str, speed: float = 1.0) -> bytes:
    """Synthetic speech."""
    pcm: bytes = (np.clip(_voice()(text, speed=speed), -1, 1) * 32767).astype("<i2").tobytes()
    return pcm


def states(watcher: Watcher) -> list[tuple[str, str | None]]:
    return [(event["state"], event.get("by")) for event in watcher.of("state")]


def said(watcher: Watcher, role: str) -> list[str]:
    return [event["text"] for event in watcher.of("transcript") if event["role"] == role and event.get("final")]


def is_state(state: str) -> Any:
    return lambda event: event["type"] == "state" and event["state"] == state


async def test_hey_stop_and_hey_start_pause_and_resume_the_agent(server: str) -> None:
    await post(server, "/start_agent", channel_name="phrases", uid=5)
    async with watching(server, "phrases") as watcher, talking(server, "phrases") as user:
        await user.say(spoken("Repeat after me: the rain has stopped."))
        await watcher.until(lambda event: event["type"] == "speech" and event["role"] == "assistant")
        await user.say(spoken("Hey agent, stop."))
        await watcher.until(is_state("paused"))
        paused = len(watcher.events)
        await user.say(spoken("Repeat after me: the sun is shining."))
        await watcher.until(lambda event: event["type"] == "speech" and not event["speaking"], paused)
        await user.say(spoken("Hey agent, start."))
        await watcher.until(is_state("active"), paused)
        resumed = len(watcher.events)
        assert [event for event in watcher.events[paused:resumed] if event["type"] == "transcript"] == []
        await user.say(spoken("What did I just say?"))
        answer = await watcher.until(
            lambda event: event["type"] == "transcript" and event["role"] == "assistant" and event.get("final"), resumed
        )
        # Nothing of what was said in between is known, nor the phrases.
        assert "rain" in answer["text"]
    assert states(watcher)[2:] == [("active", None), ("paused", "voice"), ("active", "voice")]
    assert said(watcher, "user")[-1] == "What did I just say?"
    await post(server, "/stop_agent", channel_name="phrases")
