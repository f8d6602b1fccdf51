"""What both ends of the embedded channel share; docs/api.md has it in full.

Binary messages are PCM in frames of `FRAME_MS`, text messages are JSON objects with a `type`. What is broken or unknown
is ignored.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["CLOSE_ENDED", "CLOSE_FULL", "CLOSE_LEFT", "CLOSE_REPLACED", "FRAME_MS", "natural", "parse_object"]

FRAME_MS = 20

CLOSE_LEFT = 1000
"""The user left."""
CLOSE_REPLACED = 4001
"""Another connection came with the same uid."""
CLOSE_ENDED = 4002
"""The agent ended."""
CLOSE_FULL = 4003
"""There are too many participants."""


def parse_object(text: str) -> dict[str, Any] | None:
    """The JSON object that a text message holds, or `None` if it holds none."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def natural(value: object) -> int | None:
    """A count or a uid out of a message, or `None` for what is none. JSON's booleans are no numbers."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
