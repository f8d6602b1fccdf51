"""The settings that the model has agreed to, and the changes that it was not asked for yet or has not answered."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from realtime_agent.realtime.types import SessionConfig

__all__ = ["Agreed", "Change"]


@dataclass(slots=True, eq=False)
class Change:
    """A change of settings, the command that asked for it, and whether the present session was told."""

    config: SessionConfig
    command: int
    is_sent: bool = False


class Agreed:
    """What a new session begins with, and what is to be changed then."""

    def __init__(self, config: SessionConfig) -> None:
        self.config = config
        self._changes: deque[Change] = deque()

    @property
    def is_open(self) -> bool:
        """Whether a change waits for its answer."""
        return bool(self._changes)

    def propose(self, config: SessionConfig, command: int) -> None:
        """A command asks for a change."""
        self._changes.append(Change(config, command))

    def to_send(self) -> list[Change]:
        """The changes that the session is to be told now, in order."""
        changes = [change for change in self._changes if not change.is_sent]
        for change in changes:
            change.is_sent = True
        return changes

    def accepted(self) -> Change | None:
        """The model has taken the change that it was told first."""
        change = self._first_sent()
        if change is not None:
            self._changes.remove(change)
            merged = _merge(self.config.to_dict(), change.config.to_dict(), depth=2)
            self.config = SessionConfig.model_validate(merged)
        return change

    def refused(self, change: Change | None = None) -> Change | None:
        """The model has refused this change, or else the one that it was told first."""
        change = change or self._first_sent()
        if change is None or change not in self._changes:
            return None
        self._changes.remove(change)
        return change

    def disconnected(self) -> None:
        """What was not answered is to be told the next session again."""
        for change in self._changes:
            change.is_sent = False

    def _first_sent(self) -> Change | None:
        return next((change for change in self._changes if change.is_sent), None)


def _merge(settings: dict[str, Any], change: dict[str, Any], *, depth: int) -> dict[str, Any]:
    """Apply what is set in a change. Only `audio`, and its two directions, are changed field by field."""
    merged = dict(settings)
    for name, value in change.items():
        old = merged.get(name)
        if depth and name in ("audio", "input", "output") and isinstance(old, dict) and isinstance(value, dict):
            merged[name] = _merge(old, value, depth=depth - 1)
        else:
            merged[name] = value
    return merged
