"""How a `session.update` changes the settings of a session."""

from __future__ import annotations

from typing import Any

__all__ = ["merge_settings"]

_BY_FIELD = ("audio", "input", "output")


def merge_settings(settings: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Apply what is set in a change. Only `audio`, and its two directions, are changed field by field.

    Args:
        settings: The `session` that is in force; it is left as it is.
        change: The `session` of the update; null is a setting too.
    """
    merged = dict(settings)
    for name, value in change.items():
        old = merged.get(name)
        if name in _BY_FIELD and isinstance(old, dict) and isinstance(value, dict):
            merged[name] = merge_settings(old, value)
        else:
            merged[name] = value
    return merged
