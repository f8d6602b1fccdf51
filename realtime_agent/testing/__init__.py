"""For tests of agents: a Realtime server that says what a test wants, and a user who talks to an agent in memory.

No test runner is needed. `docs/testing.md` has an example.
"""

from __future__ import annotations

from realtime_agent.control.life import State
from realtime_agent.testing.connection import ScriptedConnection
from realtime_agent.testing.faults import Cut, Fault, HangUp, Mute, Refuse, RefuseSettings, StopReading
from realtime_agent.testing.harness import RunningAgent, running_agent
from realtime_agent.testing.outputs import Call, Event, Output, Speech, Text
from realtime_agent.testing.server import ScriptedServer, scripted_server
from realtime_agent.testing.sound import tone
from realtime_agent.testing.user import User

__all__ = [
    "Call",
    "Cut",
    "Event",
    "Fault",
    "HangUp",
    "Mute",
    "Output",
    "Refuse",
    "RefuseSettings",
    "RunningAgent",
    "ScriptedConnection",
    "ScriptedServer",
    "Speech",
    "State",
    "StopReading",
    "Text",
    "User",
    "running_agent",
    "scripted_server",
    "tone",
]
