"""Whatever a server sends, there are only the errors that are documented, and the session lives.

30,000 events in all; `make fuzz` sets FUZZ_MUTATIONS to a million.
"""

from __future__ import annotations

import json
import os
import random

import pytest

from realtime_agent.errors import InvalidEvent
from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation.actions import Send
from tests.fuzz.mutation import mutate
from tests.fuzz.simulation import Simulation

_BLOCKS = 8
_EVENTS = int(os.environ.get("FUZZ_MUTATIONS", "30000")) // _BLOCKS
_FIRST = int(os.environ.get("FUZZ_SEED", "0"))
_A_SESSION = 400


def corpus(seed: int) -> list[str]:
    """What servers say in an ordinary conversation."""
    said: list[str] = []
    simulation = Simulation(seed)
    deliver = simulation.to_client
    for _ in range(600):
        if simulation.model is not None and simulation.model.outgoing:
            said.append(simulation.model.outgoing[0])
            deliver()
        simulation.step()
    return said


def hear(simulation: Simulation, message: str | bytes) -> None:
    """A message comes; one that is no event is ignored, as the connection does."""
    try:
        event = ev.parse_server_event(message)
    except InvalidEvent:
        return
    simulation.perform(simulation.conversation.handle(event))


@pytest.mark.parametrize("block", range(_BLOCKS))
@pytest.mark.timeout(0)  # as long as the events that were asked for take
def test_no_event_of_a_server_breaks_the_conversation(block: int) -> None:
    chance = random.Random(_FIRST + block)
    said = corpus(_FIRST + block)
    heard = 0
    while heard < _EVENTS:
        seed = chance.randrange(2**32)
        simulation = Simulation(seed)
        messages: list[str | bytes] = []
        try:
            for _ in range(_A_SESSION):
                message = mutate(chance, chance.choice(said), said)
                messages.append(message)
                hear(simulation, message)
                simulation.now += 0.02
                while simulation.playout.take(simulation.now) is not None:
                    pass
            check_that_it_lives(simulation)
        except Exception as error:
            error.add_note(f"after {messages[-1]!r:.2000}")
            raise
        heard += _A_SESSION


def check_that_it_lives(simulation: Simulation) -> None:
    """Another session is told what was said, and a question there gets its answer."""
    conversation = simulation.conversation
    simulation.perform(conversation.disconnected())
    told = [action.event for action in conversation.connected() if isinstance(action, Send)]
    for event in told:
        ev.parse_client_event(event.to_json())
    conversation.handle(ev.parse_server_event('{"type": "response.done", "response": {"id": "x"}}'))
    asked = [action for action in conversation.say(-1, "Are you there?") if isinstance(action, Send)]
    created = {"id": "alive", "status": "in_progress"}
    conversation.handle(ev.parse_server_event(json.dumps({"type": "response.created", "response": created})))
    where = {"response_id": "alive", "item_id": "alive", "output_index": 0, "content_index": 0}
    delta = {"type": "response.output_audio.delta", "delta": "AAAA", **where}
    played = conversation.handle(ev.parse_server_event(json.dumps(delta)))
    assert asked or conversation.is_responding
    assert [type(action).__name__ for action in played] == ["Play"]
