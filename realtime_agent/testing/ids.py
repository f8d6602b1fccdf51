"""Ids that a model gives to what it makes."""

from __future__ import annotations

from collections import Counter

__all__ = ["Ids"]


class Ids:
    """Counts, so that a test reads the same every time: `item_1`, `item_2`."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def new(self, prefix: str) -> str:
        """The next id of this kind."""
        self._counts[prefix] += 1
        return f"{prefix}_{self._counts[prefix]}"
