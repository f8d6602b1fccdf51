"""What an agent says of its own accord, and when, by a clock that jumps."""

from __future__ import annotations

import asyncio

from realtime_agent.control.events import Ended, TurnMeasured
from realtime_agent.control.life import EndReason
from realtime_agent.realtime.session import EndPart, Play, UserSpeech
from tests.scene import LONG, Scene, in_virtual_time, scene

SECOND = b"\1\0" * 24_000


def remarks(here: Scene) -> list[str]:
    """What it asked its model to say, word for word."""
    return [config["instructions"].partition('"')[2].rstrip('"') for config in here.session.of("remark")]


def says(here: Scene, item_id: str) -> None:
    """Let the model say a second of it."""
    here.session.does(Play(item_id, 0, SECOND), EndPart(item_id, 0))


@in_virtual_time
async def test_it_greets_its_user_word_for_word() -> None:
    async with scene(greeting='Welcome to "The Inn".') as here:
        await here.user_joins()
        await here.until(lambda: here.session.of("remark"))
        assert here.session.of("remark") == [
            {
                "instructions": 'Say exactly this, word for word, and nothing else: "Welcome to "The Inn"."',
                "input": [],
                "tool_choice": "none",
            }
        ]


@in_virtual_time
async def test_into_a_silence_it_asks_once_says_goodbye_and_leaves_when_that_was_heard() -> None:
    async with scene(idle_prompt="Still there?", goodbye="Bye.", idle_prompt_s=30, idle_timeout_s=60) as here:
        await here.user_joins()
        await asyncio.sleep(29.5)
        assert remarks(here) == []
        await asyncio.sleep(1)
        assert remarks(here) == ["Still there?"]
        says(here, "i1")
        await asyncio.sleep(28.5)
        assert remarks(here) == ["Still there?"]
        await asyncio.sleep(1.5)
        assert remarks(here) == ["Still there?", "Bye."]
        says(here, "i2")
        await asyncio.sleep(1)
        assert here.ended is None
        await asyncio.sleep(2)
        assert here.ended == Ended(reason=EndReason.IDLE)


@in_virtual_time
async def test_who_answers_is_asked_again_after_the_next_silence_only() -> None:
    async with scene(idle_prompt="Still there?", goodbye="Bye.", idle_prompt_s=30, idle_timeout_s=60) as here:
        await here.user_joins()
        await asyncio.sleep(31)
        says(here, "i1")
        here.session.does(UserSpeech(True))
        await asyncio.sleep(100)
        here.session.does(UserSpeech(False))
        await asyncio.sleep(29)
        assert remarks(here) == ["Still there?"]
        await asyncio.sleep(2)
        assert remarks(here) == ["Still there?"] * 2
        assert here.ended is None


@in_virtual_time
async def test_who_speaks_into_the_goodbye_keeps_the_agent() -> None:
    async with scene(goodbye="Bye.", idle_timeout_s=60) as here:
        await here.user_joins()
        await asyncio.sleep(61)
        says(here, "i1")
        here.session.does(UserSpeech(True))
        await asyncio.sleep(30)
        assert here.ended is None
        here.session.does(UserSpeech(False))
        await asyncio.sleep(61)
        assert remarks(here) == ["Bye.", "Bye."]


@in_virtual_time
async def test_a_model_that_says_no_goodbye_does_not_hold_the_agent() -> None:
    async with scene(goodbye="Bye.", idle_timeout_s=60) as here:
        await here.user_joins()
        await asyncio.sleep(61)
        assert here.ended is None
        await asyncio.sleep(15)
        assert here.ended == Ended(reason=EndReason.IDLE)


@in_virtual_time
async def test_a_paused_agent_asks_nothing_and_stays() -> None:
    async with scene(idle_prompt="Still there?", idle_prompt_s=30, idle_timeout_s=60) as here:
        await here.user_joins()
        await asyncio.sleep(1)
        here.agent.pause()
        await asyncio.sleep(3600)
        assert (remarks(here), here.ended) == ([], None)
        here.agent.resume()
        await asyncio.sleep(31)
        assert remarks(here) == ["Still there?"]


@in_virtual_time
async def test_what_it_asks_into_a_silence_answers_no_turn() -> None:
    async with scene(idle_prompt="Still there?", idle_prompt_s=30) as here:
        await here.user_joins()
        here.session.does(UserSpeech(True), UserSpeech(False, 500))
        await asyncio.sleep(31)
        assert remarks(here) == ["Still there?"]
        says(here, "i1")
        await asyncio.sleep(2)
        assert here.of(TurnMeasured) == []


@in_virtual_time
async def test_it_stays_until_a_long_goodbye_was_heard() -> None:
    async with scene(goodbye="Bye.", idle_timeout_s=60) as here:
        await here.user_joins()
        await asyncio.sleep(61)
        here.session.does(LONG, EndPart("i1", 0))
        await asyncio.sleep(19.5)
        assert here.ended is None
        await asyncio.sleep(3)
        assert here.ended == Ended(reason=EndReason.IDLE)


@in_virtual_time
async def test_a_question_whose_response_is_done_late_does_not_end_the_silence() -> None:
    async with scene(idle_prompt="Still there?", idle_prompt_s=30, idle_timeout_s=60) as here:
        await here.user_joins()
        await asyncio.sleep(30.5)
        here.session.is_responding = True
        says(here, "i1")
        await asyncio.sleep(2)
        here.session.is_responding = False
        await asyncio.sleep(35)
        assert remarks(here) == ["Still there?"]
        assert here.ended == Ended(reason=EndReason.IDLE)
