"""Random interleavings of server events, barge-ins, commands and cuts keep the invariants.

At least 100,000 events in all; `make fuzz` sets FUZZ_EVENTS higher and begins elsewhere with FUZZ_SEED. A failure names
its seed: `Simulation(seed)` repeats it.
"""

from __future__ import annotations

import os

import pytest

from tests.fuzz.simulation import Simulation

_BLOCKS = 8
_EVENTS = int(os.environ.get("FUZZ_EVENTS", "100000")) // _BLOCKS
_FIRST = int(os.environ.get("FUZZ_SEED", "0"))


@pytest.mark.parametrize("block", range(_BLOCKS))
@pytest.mark.timeout(0)  # as long as the events that were asked for take
def test_whatever_happens_the_conversation_keeps_its_invariants(block: int) -> None:
    events = seed = 0
    while events < _EVENTS:
        simulation = Simulation(_FIRST + block + seed * _BLOCKS)
        try:
            for _ in range(2):
                for _ in range(400):
                    simulation.step()
                simulation.settle()
        except Exception as error:
            error.add_note(f"Simulation({_FIRST + block + seed * _BLOCKS})")
            raise
        events += simulation.events
        seed += 1


def test_the_simulation_meets_everything_that_it_is_for() -> None:
    """A search that never gets anywhere finds nothing."""
    met: set[str] = set()
    for seed in range(120):
        simulation = Simulation(seed)
        for _ in range(400):
            simulation.step()
        met |= simulation.met
    assert met >= {
        "Play", "EndPart", "Interrupt", "Transcript", "CallTools", "Answer", "Report",
        "ItemTruncate", "ItemDelete", "ItemCreate", "ResponseCancel", "SessionUpdate", "InputAudioBufferCommit",
        "Overheard", "paused by ear", "goes on", "refused", "collided", "made anew", "while disconnected",
    }  # fmt: skip
