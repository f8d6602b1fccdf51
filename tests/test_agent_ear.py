"""An agent that listens for phrases on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from realtime_agent.control.events import ConnectionChanged, StateChanged
from realtime_agent.control.life import State
from realtime_agent.realtime.session import Lost, Overheard, Restored, Transcript, Utterance
from realtime_agent.rtc.memory import MemoryChannel
from tests.scene import FRAME, OTHER, Scene, in_virtual_time, scene


class FakeEar:
    """Understands what a test says."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.cleared_at: list[int] = []
        self._events: asyncio.Queue[Utterance | Lost | Restored] = asyncio.Queue()

    def append(self, pcm: bytes) -> None:
        self.heard += pcm

    def clear(self) -> None:
        self.cleared_at.append(len(self.heard))

    async def run(self, handle: Callable[[Utterance | Lost | Restored], None]) -> None:
        while True:
            handle(await self._events.get())

    def understands(self, text: str, began_ms_ago: int = 2000, ended_ms_ago: int = 300, silence_ms: int = 500) -> None:
        self._events.put_nowait(Utterance(text, began_ms_ago, ended_ms_ago, silence_ms))

    def tells(self, event: Lost | Restored) -> None:
        self._events.put_nowait(event)


@asynccontextmanager
async def open_microphone(user: MemoryChannel, value: int = 0) -> AsyncIterator[None]:
    """The user's voice comes meanwhile, a frame every 20 ms."""

    async def speak() -> None:
        while True:
            user.push(bytes([value]) * FRAME)
            await asyncio.sleep(0.02)

    speaking = asyncio.create_task(speak())
    try:
        yield
    finally:
        speaking.cancel()


@asynccontextmanager
async def listening_scene() -> AsyncIterator[tuple[Scene, FakeEar]]:
    ear = FakeEar()
    async with scene(ear=ear) as here, open_microphone(await here.user_joins()):
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
        await asyncio.sleep(1)
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
async def test_words_that_come_late_do_not_make_another_message_the_phrase() -> None:
    async with listening_scene() as (here, ear):
        here.session.does(Transcript("user", "question", ""))
        await asyncio.sleep(4)
        here.session.does(Transcript("user", "phrase", ""))
        await asyncio.sleep(0.1)
        here.session.does(Transcript("user", "question", "What is the capital of France?", final=True))
        await asyncio.sleep(0.2)
        ear.understands("Hey agent, stop.")
        await here.until(lambda: here.session.of("pause"))
        assert here.session.of("pause") == ["phrase"]


@in_virtual_time
async def test_what_was_said_after_the_phrase_is_not_taken_for_it() -> None:
    async with listening_scene() as (here, ear):
        await asyncio.sleep(4)
        here.session.does(Transcript("user", "phrase", ""))
        await asyncio.sleep(1)
        here.session.does(Transcript("user", "more", ""))
        ear.understands("Hey agent, stop.", began_ms_ago=3000, ended_ms_ago=1100)
        await here.until(lambda: here.session.of("pause"))
        assert here.session.of("pause") == ["phrase"]


@in_virtual_time
async def test_a_question_that_became_a_message_while_the_phrase_was_being_said_is_not_forgotten() -> None:
    async with listening_scene() as (here, ear):
        await asyncio.sleep(2.4)
        here.session.does(Transcript("user", "question", ""))
        await asyncio.sleep(1.6)
        ear.understands("Hey agent, stop.")
        await here.until(lambda: here.session.of("pause"))
        assert here.session.of("pause") == [None]


@in_virtual_time
async def test_a_start_that_was_said_before_the_pause_does_not_end_it() -> None:
    async with listening_scene() as (here, ear):
        await asyncio.sleep(10)
        here.agent.pause()
        await asyncio.sleep(0.1)
        ear.understands("Hey, when does it start?")
        await asyncio.sleep(5)
        assert here.agent.state is State.PAUSED
        ear.understands("Hey agent, start.")
        await here.until(lambda: here.agent.state is State.ACTIVE)


@in_virtual_time
async def test_a_start_that_was_said_right_behind_the_stop_ends_the_pause() -> None:
    async with listening_scene() as (here, ear):
        await asyncio.sleep(10)
        ear.understands("Hey agent, stop.", began_ms_ago=5000, ended_ms_ago=3000)
        ear.understands("Hey agent, start.", began_ms_ago=3200, ended_ms_ago=500)
        await here.until(lambda: len(pauses(here)) == 2)
        assert pauses(here) == [("paused", "voice"), ("active", "voice")]


@in_virtual_time
async def test_what_one_user_said_in_a_pause_is_not_told_when_another_resumes() -> None:
    ear = FakeEar()
    async with scene(ear=ear) as here:
        one = await here.user_joins()
        await here.until(lambda: here.agent.state is State.ACTIVE)
        other = await here.user_joins(OTHER)
        here.agent.pause()
        async with open_microphone(one, 5):
            await asyncio.sleep(2)
        await one.leave()
        await here.until(lambda: ear.cleared_at)
        assert ear.cleared_at == [len(ear.heard)]
        ear.understands("Hey agent, start.")
        async with open_microphone(other, 6):
            await asyncio.sleep(1)
            assert here.agent.state is State.PAUSED
            ear.understands("Hey agent, start.", began_ms_ago=900, ended_ms_ago=60_000)
            await here.until(lambda: here.agent.state is State.ACTIVE)
        assert here.session.heard.count(6) > 0
        assert here.session.heard.count(5) == 0


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
        ear.understands("Hey agent, start.", began_ms_ago=20, ended_ms_ago=0)
        await here.until(lambda: here.agent.state is State.ACTIVE)
        user.push(b"\3" * FRAME)
        await here.until(lambda: len(here.session.heard) == 2 * FRAME)
        assert here.session.heard[-FRAME:] == b"\3" * FRAME


@in_virtual_time
async def test_that_no_phrase_is_heard_is_told() -> None:
    async with listening_scene() as (here, ear):
        here.agent.pause()
        ear.tells(Lost("nobody is there"))
        ear.tells(Restored(2.5))
        await here.until(lambda: len(here.of(ConnectionChanged)) == 2)
        assert here.of(ConnectionChanged) == [
            ConnectionChanged(to="ear", status="lost", cause="nobody is there"),
            ConnectionChanged(to="ear", status="restored", after_s=2.5),
        ]
        assert here.agent.state is State.PAUSED


@in_virtual_time
async def test_what_somebody_said_who_has_left_pauses_nobody() -> None:
    ear = FakeEar()
    async with scene(ear=ear) as here:
        first = await here.user_joins()
        async with open_microphone(first):
            await asyncio.sleep(3)
        await first.leave()
        await here.until(lambda: here.agent.state is State.WAITING)
        await here.user_joins(OTHER)
        await here.until(lambda: here.agent.state is State.ACTIVE)
        ear.understands("Hey agent, stop.")
        await asyncio.sleep(1)
        assert here.agent.state is State.ACTIVE
