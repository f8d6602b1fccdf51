"""The transcript file of an agent, by a clock that jumps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from realtime_agent.bridge.recorder import Kept, Recorder
from realtime_agent.realtime.session import EndPart, Interrupt, Play, Transcript
from tests.scene import Scene, scene
from tests.virtual_time import run_in_virtual_time

T = TypeVar("T")

SECOND = b"\1\0" * 24_000


class Recorded:
    """What an agent's transcript file has."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def texts(self) -> list[str]:
        return [json.loads(line)["text"] for line in self._path.read_text().splitlines()]


Script = Callable[[Scene, Recorded], Coroutine[Any, Any, None]]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Script], Recorded]:
    """Lets an agent that is recorded do what a script says."""

    async def at_once(call: Callable[..., T], *args: Any) -> T:
        return call(*args)

    recorded = Recorded(tmp_path / "call.jsonl")

    async def run(script: Script) -> None:
        clock = asyncio.get_running_loop().time
        kept = Kept(conversation=True, user_pcm=False, agent_pcm=False)
        recorder = Recorder(tmp_path, lambda: "call", kept, far_end_delay_s=0, notify=lambda event: None, clock=clock)
        async with scene(recorder=recorder) as here:
            await here.user_joins()
            await script(here, recorded)

    def play(script: Script) -> Recorded:
        # A clock that jumps waits for no thread.
        monkeypatch.setattr(asyncio, "to_thread", at_once)
        run_in_virtual_time(run(script))
        return recorded

    return play


def says(item_id: str, seconds: int) -> tuple[Play, EndPart]:
    return Play(item_id, 0, SECOND * seconds), EndPart(item_id, 0)


def test_of_a_reply_of_a_minute_that_is_cut_there_is_one_line(play: Callable[[Script], Recorded]) -> None:
    async def script(here: Scene, recorded: Recorded) -> None:
        here.session.does(Transcript("user", "u1", ""), Transcript("user", "u1", "Tell me a story.", final=True))
        here.session.does(Transcript("assistant", "a1", "Once"), *says("a1", 60))
        here.session.does(Transcript("assistant", "a1", "Once upon a time there was a king.", final=True))
        await asyncio.sleep(40)
        assert recorded.texts == ["Tell me a story."]
        here.session.does(Interrupt(100), Transcript("assistant", "a1", "Once upon", final=True, interrupted=True))
        here.session.does(Transcript("user", "u2", ""), Transcript("user", "u2", "Enough.", final=True))
        await asyncio.sleep(2)
        assert recorded.texts == ["Tell me a story.", "Once upon", "Enough."]

    assert len(play(script).texts) == 3


def test_a_reply_whose_words_are_ahead_of_its_audio_waits_for_that(play: Callable[[Script], Recorded]) -> None:
    async def script(here: Scene, recorded: Recorded) -> None:
        here.session.does(*says("a1", 2), Transcript("assistant", "a1", "One moment.", final=True))
        await asyncio.sleep(1.9)
        here.session.does(Transcript("assistant", "a2", "It is in stock.", final=True))
        await asyncio.sleep(1.5)
        here.session.does(*says("a2", 5))
        await asyncio.sleep(1)
        here.session.does(Interrupt(100), Transcript("assistant", "a2", "It is", final=True, interrupted=True))
        await asyncio.sleep(2)
        assert recorded.texts == ["One moment.", "It is"]

    assert len(play(script).texts) == 2


def test_words_that_come_after_their_audio_are_written_at_once(play: Callable[[Script], Recorded]) -> None:
    async def script(here: Scene, recorded: Recorded) -> None:
        here.session.does(Play("a1", 0, SECOND[:24_000]), EndPart("a1", 0), Transcript("assistant", "a1", "Y"))
        await asyncio.sleep(5)
        here.session.does(Transcript("assistant", "a1", "Yes.", final=True))
        await asyncio.sleep(2)
        assert recorded.texts == ["Yes."]

    play(script)


def test_what_is_written_is_in_the_file_when_it_is_whole(play: Callable[[Script], Recorded]) -> None:
    async def script(here: Scene, recorded: Recorded) -> None:
        here.session.does(Transcript("user", "u1", "Write to me.", final=True, typed=True))
        here.session.does(Transcript("assistant", "a1", "I wr", typed=True))
        await asyncio.sleep(2)
        assert recorded.texts == ["Write to me."]
        here.session.does(Transcript("assistant", "a1", "I write.", final=True, typed=True))
        await asyncio.sleep(2)
        assert recorded.texts == ["Write to me.", "I write."]

    play(script)


def test_a_reply_over_which_the_model_is_lost_has_one_line_when_it_is_cut_later(
    play: Callable[[Script], Recorded],
) -> None:
    async def script(here: Scene, recorded: Recorded) -> None:
        here.session.does(Transcript("assistant", "a1", "All"), *says("a1", 10))
        await asyncio.sleep(1)
        here.session.does(Transcript("assistant", "a1", "All that came", final=True, interrupted=True))
        await asyncio.sleep(3)
        assert recorded.texts == []
        here.session.does(Interrupt(100), Transcript("assistant", "a1", "All", final=True, interrupted=True))
        await asyncio.sleep(2)
        assert recorded.texts == ["All"]

    assert len(play(script).texts) == 1
