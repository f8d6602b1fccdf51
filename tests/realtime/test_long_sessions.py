"""A day of conversation by a clock that jumps: the model ends every session after an hour, and no context is lost."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from realtime_agent.errors import SessionLost
from realtime_agent.realtime import events as ev
from realtime_agent.realtime.connection import Connection
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.realtime_session import RealtimeSession
from realtime_agent.realtime.renewal import Renewal
from realtime_agent.realtime.session import CallTools, FunctionOutput, Play, SessionEvent
from tests.fuzz.model import Model, Serials
from tests.realtime.sessions import CONFIG
from tests.virtual_time import run_in_virtual_time

_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S


class _MemoryConnection(Connection):
    """A connection to a model in memory, which ends it after an hour, by one of the two ways that were seen."""

    def __init__(self, model: Model, number: int) -> None:
        self.model = model
        self._number = number
        self._changed = asyncio.Event()
        self._expires = asyncio.get_running_loop().time() + _HOUR_S
        self.is_closed = False
        model.send("session.created", session={})

    @property
    def is_open(self) -> bool:
        return not self.is_closed

    @property
    def is_behind(self) -> bool:
        return False

    def send(self, event: ev.ClientEvent) -> None:
        self.model.take(event)
        self._changed.set()

    def send_audio(self, pcm: bytes) -> None:
        self.send(ev.InputAudioBufferAppend(audio=base64.b64encode(pcm).decode()))

    async def run(self, handle: Callable[[ev.ServerEvent], None]) -> None:
        while True:
            handle(await self.receive())

    async def ping(self) -> None:
        await asyncio.sleep(0.1)

    async def receive(self) -> ev.ServerEvent:
        while not self.model.outgoing:
            if self.is_closed:
                raise SessionLost("closed")
            self._changed.clear()
            try:
                async with asyncio.timeout_at(self._expires):
                    await self._changed.wait()
            except TimeoutError:
                if self._number % 2:
                    raise SessionLost("1001: Your session hit the maximum duration of 60 minutes.") from None
                self._expires = float("inf")
                error = {"type": "invalid_request_error", "code": "session_expired", "message": "expired"}
                self.model.send("error", error=error)
        return ev.parse_server_event(self.model.outgoing.popleft())

    async def close(self) -> None:
        self.is_closed = True
        self._changed.set()

    def poke(self) -> None:
        """The model has something to say."""
        self._changed.set()


class _Connector:
    timeout = 10.0

    def __init__(self) -> None:
        self.chance = random.Random(1)
        self.serials = Serials()
        self.connections: list[_MemoryConnection] = []

    async def connect(self) -> Connection:
        await asyncio.sleep(0.3)
        model = Model(self.chance, self.serials, tells_request=True)
        connection = _MemoryConnection(model, len(self.connections))
        self.connections.append(connection)
        return connection

    @property
    def newest(self) -> _MemoryConnection:
        return next(connection for connection in reversed(self.connections) if not connection.is_closed)


async def _a_day(rotate_s: float) -> tuple[_Connector, Conversation, Mapping[str, Any]]:
    """Somebody says something every five minutes, and the agent answers, with a function now and then."""
    connector = _Connector()
    conversation = Conversation(CONFIG, replay_tokens=10**6)
    renewal = Renewal(rotate_s=rotate_s, reconnect_timeout_s=30)
    session = RealtimeSession(connector, conversation, renewal, command_timeout_s=5)
    serials: list[int] = []

    def handle(event: SessionEvent) -> None:
        match event:
            case Play(_, _, pcm):
                serials.extend(int.from_bytes(pcm[at : at + 4], "big") for at in range(0, len(pcm), 960))
            case CallTools(calls):
                outputs = [FunctionOutput(call.call_id, "42") for call in calls]
                asyncio.get_running_loop().call_soon(session.give_outputs, outputs)

    await session.open()
    running = asyncio.create_task(session.run(handle))
    turns = 0
    while asyncio.get_running_loop().time() < _DAY_S + 60:
        await asyncio.sleep(300)
        model = connector.newest.model
        for happen in (model.user_speaks, model.user_speaks, model.transcribe):
            happen()
            connector.newest.poke()
            await asyncio.sleep(0.2)
        turns += 1
        while model.active is not None:
            model.step()
            connector.newest.poke()
            await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.wait([running])
    await session.close()
    return connector, conversation, {"turns": turns, "serials": serials}


@pytest.mark.parametrize("rotate_s", [0.0, 3300.0], ids=["by the model's own end", "by rotation"])
def test_in_a_day_of_sessions_no_context_is_lost(rotate_s: float) -> None:
    connector, conversation, day = run_in_virtual_time(_a_day(rotate_s))
    assert len(connector.connections) >= 25
    assert all(not connection.model.faults for connection in connector.connections)
    last = connector.connections[-1].model
    said = [item.text for item in last.items if item.kind == "user"]
    # Every turn of the day, in order, is known to the last session.
    assert len(said) == day["turns"] == 288
    assert said == sorted(said, key=lambda text: int(text.rsplit("-", 1)[1]))
    ours = [(entry.id, entry.words) for entry in conversation.history if entry.words]
    theirs = [(item.id, item.text) for item in last.items if item.text]
    assert ours == theirs
    assert day["serials"] == sorted(set(day["serials"])), "audio was played twice"
