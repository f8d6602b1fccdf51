"""What agents in tests are asked to be."""

from __future__ import annotations

from typing import Any

from realtime_agent.control.spec import AgentSpec, Limits
from realtime_agent.realtime.types import (
    AudioFormat,
    AudioInput,
    AudioOutput,
    ServerVad,
    SessionAudio,
    SessionConfig,
    TurnDetection,
)

__all__ = ["agent_spec", "session_config"]


def agent_spec(**changes: Any) -> AgentSpec:
    """An ordinary agent, with `changes` of its fields, its limits and its `session_config`.

    No timer ends its life unless one is set.
    """
    limits = {name: changes.pop(name, 0) for name in Limits.model_fields}
    own = {name: changes.pop(name) for name in AgentSpec.model_fields if name in changes}
    fields: dict[str, Any] = {
        "channel_name": "room",
        "uid": 7,
        "user_uid": None,
        "greeting": "",
        "idle_prompt": "",
        "goodbye": "",
        "record": False,
        "session": session_config(**changes),
        "tools": None,
        "limits": limits,
    }
    return AgentSpec.model_validate(fields | own)


_BY_SILENCE = ServerVad().in_full()


def session_config(
    turn_detection: TurnDetection | None = _BY_SILENCE, voice: str = "marin", **changes: Any
) -> SessionConfig:
    """An ordinary session, with `changes` of its fields."""
    pcm = AudioFormat(type="audio/pcm", rate=24000)
    audio = SessionAudio(
        input=AudioInput(format=pcm, turn_detection=turn_detection), output=AudioOutput(format=pcm, voice=voice)
    )
    fields: dict[str, Any] = {"model": "m", "instructions": "Be brief.", "output_modalities": ["audio"], "audio": audio}
    return SessionConfig.model_validate(fields | changes)
