"""What agents in tests are asked to be."""

from __future__ import annotations

from typing import Any

from realtime_agent.control.spec import AgentSpec, Limits
from realtime_agent.realtime.types import ServerVad

__all__ = ["agent_spec"]


def agent_spec(**changes: Any) -> AgentSpec:
    """An ordinary agent, with `changes` of its fields and limits. No timer ends its life unless one is set."""
    limits = {name: changes.pop(name, 0) for name in Limits.model_fields}
    fields: dict[str, Any] = {
        "channel_name": "room",
        "uid": 7,
        "user_uid": None,
        "system_instruction": "Be brief.",
        "voice": "marin",
        "language": None,
        "model": "m",
        "greeting": None,
        "turn_detection": ServerVad(),
        "limits": limits,
    }
    return AgentSpec.model_validate(fields | changes)
