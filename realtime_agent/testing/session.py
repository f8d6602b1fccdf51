"""The settings of a session, as a server holds them. No I/O."""

from __future__ import annotations

from realtime_agent.testing.outputs import Event

__all__ = ["new_session"]

_EXPIRES_AT = 4_102_444_800
"""The end of 2099: no session of a test is too old."""


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
                "format": {"type": "audio/pcm", "rate": 24000},
                "noise_reduction": None,
                "transcription": None,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                    "idle_timeout_ms": None,
                    "create_response": True,
                    "interrupt_response": True,
                },
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.0},
        },
    }
