"""An agent that listens for phrases on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from realtime_agent.control.events import StateChanged
from realtime_agent.control.life import State
from realtime_agent.realtime.session import Overheard, Transcript, Utterance
from tests.scene import FRAME, Scene, in_virtual_time, scene


class FakeEar:
    """Understands what a test says."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self._utterances: asyncio.Queue[Utterance] = asyncio.Queue()

    def append(self, pcm: bytes) -> None:
        self.heard += pcm

    async def run(self, handle: Callable[[Utterance], None]) -> None:
        while True:
            handle(await self._utterances.get())

    def understands(self, text: str, began_ms_ago: int = 2000, ended_ms_ago: int = 300) -> None:
        self._utterances.put_nowait(Utterance(text, began_ms_ago, ended_ms_ago))


@asynccontextmanager
async def listening_scene() -> AsyncIterator[tuple[Scene, FakeEar]]:
    ear = FakeEar()
    async with scene(ear=ear) as here:
        await here.user_joins()
        await here.until(lambda: here.agent.state is State.ACTIVE)
        yield here, ear


def pauses(here: Scene) -> Sequence[tuple[str, str | None]]:
    return [(str(event.state), event.by) for event in here.of(StateChanged)][3:]


@in_virtual_time
async def test_the_ear_s_words_pause_and_resume_and_the_model_s_do_not() -> None:
    async with listening_scene() as (here, ear):
        here.session.does(Transcript("user", "u1", "Hey agent, stop.", final=True))
        await asyncio.sleep(1)
        assert pauses(here) == []
        ear.understands("Hey agent, stop.")
        await here.until(lambda: here.agent.state is State.PAUSED)
        here.session.does(Overheard("Hey agent, start."))
        ear.understands("Nice weather.")
        await asyncio.sleep(1)
        assert pauses(here) == [("paused", "voice")]
        ear.understands("Hey agent, start.")
        await here.until(lambda: here.agent.state is State.ACTIVE)
        assert pauses(here) == [("paused", "voice"), ("active", "voice")]


@in_virtual_time
async def test_the_message_that_the_model_made_of_the_phrase_is_forgotten() -> None:
    async with listening_scene() as (here, ear):
        here.session.does(Transcript("user", "u1", ""))
        await asyncio.sleep(10)
        here.session.does(Transcript("user", "u2", ""))
        await asyncio.sleep(0.5)
        ear.understands("Hey agent, stop.", began_ms_ago=2000)
        await here.until(lambda: here.session.of("pause"))
        assert here.session.of("pause") == ["u2"]


@in_virtual_time
async def test_what_was_said_before_the_phrase_is_not_forgotten() -> None:
    async with listening_scene() as (here, ear):
        here.session.does(Transcript("user", "u1", ""))
        await asyncio.sleep(2.5)
        here.session.does(Transcript("user", "u1", "Hello?", final=True))
        ear.understands("Hey agent, stop.", began_ms_ago=2000)
        await here.until(lambda: here.session.of("pause"))
        assert here.session.of("pause") == [None]
        assert here.session.of("clear") == [None]


@in_virtual_time
async def test_while_paused_the_ear_alone_hears_the_user() -> None:
    ear = FakeEar()
    async with scene(ear=ear) as here:
        user = await here.user_joins()
        await here.until(lambda: here.agent.state is State.ACTIVE)
        user.push(b"\1" * FRAME)
        await here.until(lambda: len(here.session.heard) == FRAME)
        here.agent.pause()
        user.push(b"\2" * FRAME)
        await here.until(lambda: len(ear.heard) >= 2 * FRAME)
        assert len(here.session.heard) == FRAME
        ear.understands("Hey agent, start.", ended_ms_ago=0)
        await here.until(lambda: here.agent.state is State.ACTIVE)
        user.push(b"\3" * FRAME)
        await here.until(lambda: len(here.session.heard) == 2 * FRAME)
        assert here.session.heard[-FRAME:] == b"\3" * FRAME
