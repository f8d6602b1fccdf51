"""A socket that is cut at every event of a reply with a function call in it: nothing is lost, and nothing said twice.

The model here is a play with fixed lines. Whenever it is asked, it looks at the conversation that it was told, finds
how far it has come, and goes on from there; so what it says at the end shows what it was told.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime.session import FunctionOutput, Restored, Transcript
from realtime_agent.realtime.types import FunctionTool, SessionConfig
from realtime_agent.testing import Call, Event, Output, ScriptedConnection, ScriptedServer, Speech
from tests.realtime.sessions import CONFIG, Ear, endpoint, new_session, running

_QUESTION = "How is the weather in Paris?"
_BEFORE = ["Let", "me", "look", "that", "up"]
_AFTER = ["It", "rains", "in", "Paris", "all", "day"]
_OUTPUT = "rain"
_WORD_MS = 100
_WITH_TOOLS = CONFIG.model_copy(update={"tools": [FunctionTool(name="weather")]})
_RESUMED_S = 2.0
"""How soon another connection has been told everything, by the contract, on this machine."""


class Play:
    """A model with fixed lines, which breaks off once, after so many events."""

    def __init__(self, script: ScriptedServer, cut_after: int | None) -> None:
        self.cut_after = cut_after
        self.sent = 0
        self._script = script
        script.on("response.create", self.answer)

    async def hear(self) -> None:
        """The user asks."""
        await self._script.hear(_QUESTION)
        await self.answer(self._script.newest, {})

    async def answer(self, connection: ScriptedConnection, event: Event) -> None:
        """Go on from where the conversation stands."""
        metadata = event.get("response", {}).get("metadata")
        for each in connection.reply(*self._next(connection), metadata=metadata):
            if self.sent == self.cut_after:
                self.cut_after = None
                connection.cut()
                return
            self.sent += 1
            await connection.send(each)

    def _next(self, connection: ScriptedConnection) -> list[Output]:
        items = list(connection.conversation.items.values())
        answered = next((at for at, item in enumerate(items) if item["type"] == "function_call_output"), None)
        if answered is not None:
            return _speech(_AFTER[len(_said(items[answered:])) :])
        called = any(item["type"] == "function_call" for item in items)
        return [] if called else [*_speech(_BEFORE[len(_said(items)) :]), Call("weather", {"city": "Paris"})]


def _said(items: list[dict[str, Any]]) -> list[str]:
    """The words that an assistant has said, by the items of a conversation."""
    texts = [
        part.get("text") or part.get("transcript") or ""
        for item in items
        if item.get("role") == "assistant"
        for part in item["content"]
    ]
    return " ".join(texts).split()


def _speech(words: list[str]) -> list[Output]:
    """Words of which each sounds like no other."""
    pcm = b"".join(_sound(word) for word in words)
    return [Speech(" ".join(words), pcm, piece_ms=_WORD_MS)] if words else []


def _sound(word: str) -> bytes:
    return (_BEFORE + _AFTER).index(word).to_bytes(2, "little") * (_WORD_MS * BYTES_PER_MS // 2)


def _heard(pcm: bytes) -> list[str]:
    """The words that were played."""
    step = _WORD_MS * BYTES_PER_MS
    return [(_BEFORE + _AFTER)[int.from_bytes(pcm[at : at + 2], "little")] for at in range(0, len(pcm), step)]


def _summary(items: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What a conversation comes to, however many pieces its messages are in."""
    told: list[tuple[str, str]] = []
    for item in items:
        who = item.get("role") or item["type"]
        parts = item.get("content") or []
        text = " ".join(part.get("text") or part.get("transcript") or "" for part in parts)
        text = text or item.get("arguments") or item.get("output") or ""
        if told and told[-1][0] == who:
            told[-1] = (who, f"{told[-1][1]} {text}")
        elif text:
            told.append((who, text))
    return told


_WHOLE = [
    ("user", _QUESTION),
    ("assistant", " ".join(_BEFORE)),
    ("function_call", '{"city": "Paris"}'),
    ("function_call_output", _OUTPUT),
    ("assistant", " ".join(_AFTER)),
]


async def _converse(script: ScriptedServer, cut_after: int | None) -> tuple[Play, Ear]:
    """Hold the whole conversation, and check what came of it."""
    session = new_session(
        endpoint(script), config=SessionConfig.model_validate(_WITH_TOOLS.model_dump(exclude_unset=True))
    )
    play = Play(script, cut_after)
    async with running(session, Ear(_OUTPUT)) as ear:
        await play.hear()
        await ear.until(lambda: _heard(ear.audio) == _BEFORE + _AFTER or ear.failure)
        cuts = 0 if cut_after is None else 1
        await ear.until(lambda: len(ear.of_type(Restored)) == cuts and not session.is_responding)
        assert _heard(ear.audio) == _BEFORE + _AFTER
        assert ear.called == ["weather"]
        # The next connection, too, would be told all of it.
        script.cut()
        await ear.until(lambda: len(ear.of_type(Restored)) == cuts + 1)
        last = await script.connected(cuts + 2)
        async with asyncio.timeout(_RESUMED_S):
            while _summary(list(last.conversation.items.values())) != _WHOLE:
                await asyncio.sleep(0.005)
        assert max(restored.after_s for restored in ear.of_type(Restored)) < _RESUMED_S
        shown = [event for event in ear.of_type(Transcript) if event.role == "assistant" and event.final]
        assert " ".join(event.text for event in shown if event.text).split() == _BEFORE + _AFTER
    return play, ear


async def test_without_a_cut_the_play_has_so_many_events(script: ScriptedServer) -> None:
    play, _ = await _converse(script, None)
    assert play.sent == _EVENTS


_EVENTS = 49


@pytest.mark.parametrize("index", range(_EVENTS))
async def test_a_cut_at_any_event_leaves_the_same_conversation(script: ScriptedServer, index: int) -> None:
    play, _ = await _converse(script, index)
    assert play.cut_after is None
    assert len(script.connections) == 3


async def test_a_cut_while_a_function_is_called_calls_it_once(script: ScriptedServer) -> None:
    session = new_session(
        endpoint(script), config=SessionConfig.model_validate(_WITH_TOOLS.model_dump(exclude_unset=True))
    )
    play = Play(script, None)
    ear = Ear(None)
    async with running(session, ear):
        await play.hear()
        await ear.until(lambda: ear.called)
        script.cut()
        second = await script.connected(2)
        told = await second.expect("conversation.item.create", item={"type": "function_call"})
        session.give_outputs([FunctionOutput(told["item"]["call_id"], _OUTPUT)])
        await ear.until(lambda: _heard(ear.audio) == _BEFORE + _AFTER)
        assert _summary(list(second.conversation.items.values())) == _WHOLE
