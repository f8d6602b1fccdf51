"""Somebody else's words in a message of ours."""

from __future__ import annotations

__all__ = ["one_line"]

_EXCERPT = 200
"""Characters of them that are passed on."""


def one_line(text: str, limit: int = _EXCERPT) -> str:
    """The words as one printable line of so many characters."""
    words = "".join(character for character in " ".join(text.split()) if character.isprintable())
    return words if len(words) <= limit else words[: limit - 1] + "…"
