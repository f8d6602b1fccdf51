"""The settings of a session, as a server holds them. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from realtime_agent.testing.outputs import Event

__all__ = ["PCM", "merge", "new_session"]

PCM = {"type": "audio/pcm", "rate": 24000}
_EXPIRES_AT = 4_102_444_800
"""The end of 2099: no session of a test is too old."""

_BY_SILENCE = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500} | {
    "idle_timeout_ms": None, "create_response": True, "interrupt_response": True,
}  # fmt: skip

_BY_FIELD = ("audio", "input", "output")


def new_session(session_id: str, model: str) -> Event:
    """The settings of a session that nobody has changed."""
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": model,
        "expires_at": _EXPIRES_AT,
        "instructions": "",
        "output_modalities": ["audio"],
        "max_output_tokens": "inf",
        "tools": [],
        "tool_choice": "auto",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "audio": {
            "input": {
                "format": PCM,
                "noise_reduction": None,
                "transcription": None,
                "turn_detection": _BY_SILENCE,
            },
            "output": {"format": PCM, "voice": "marin", "speed": 1.0},
        },
    }


def merge(settings: Mapping[str, Any], change: Mapping[str, Any]) -> Event:
    """The settings with a change: audio changes by the field, everything else as a whole."""
    merged = dict(settings)
    for name, value in change.items():
        both = name in _BY_FIELD and isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = merge(merged[name], value) if both else value
    return merged
