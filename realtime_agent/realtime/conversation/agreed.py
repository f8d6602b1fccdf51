"""The settings that the model has agreed to, and the changes that it was not asked for yet or has not answered."""

from __future__ import annotations

from dataclasses import dataclass

from realtime_agent.realtime.conversation.settings import merge_settings
from realtime_agent.realtime.types import SessionConfig

__all__ = ["Agreed", "Change"]


@dataclass(slots=True, eq=False)
class Change:
    """A change of settings, and the command that asked for it.

    Attributes:
        is_sent: Whether the model was told on the present connection.
        is_withdrawn: Whether nobody waits for it any more, so that another connection is not told.
    """

    config: SessionConfig
    command: int
    is_sent: bool = False
    is_withdrawn: bool = False


class Agreed:
    """What a new connection begins with, and what is to be changed then."""

    def __init__(self, config: SessionConfig) -> None:
        self.config = config
        self._changes: list[Change] = []

    def __len__(self) -> int:
        """How many changes wait for their answer."""
        return len(self._changes)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the answer to a change."""
        return any(not change.is_withdrawn for change in self._changes)

    def propose(self, config: SessionConfig, command: int) -> None:
        """A command asks for a change."""
        self._changes.append(Change(config, command))

    def to_send(self) -> list[Change]:
        """The changes that the model is to be told now, in order."""
        changes = [change for change in self._changes if not change.is_sent]
        for change in changes:
            change.is_sent = True
        return changes

    def accepted(self) -> Change | None:
        """The model has taken the change that it was told first, of those that somebody waits for if there are any."""
        sent = [change for change in self._changes if change.is_sent]
        change = next((change for change in sent if not change.is_withdrawn), next(iter(sent), None))
        if change is not None:
            # A guess: what it did not answer in time it has not taken. If it has, the next connection does not know.
            del self._changes[: self._changes.index(change) + 1]
            merged = merge_settings(self.config.to_dict(), change.config.to_dict())
            self.config = SessionConfig.model_validate(merged)
        return change

    def refused(self, change: Change | None = None) -> Change | None:
        """The model has refused this change, or else the one that it was told first."""
        change = change or self._first_sent()
        if change is None or change not in self._changes:
            return None
        self._changes.remove(change)
        return change

    def withdraw(self, command: int) -> bool:
        """Nobody waits for this command any more. Returns whether it was a change that the model was not told."""
        change = next((change for change in self._changes if change.command == command), None)
        if change is None:
            return False
        change.is_withdrawn = True
        if not change.is_sent:
            self._changes.remove(change)
        return not change.is_sent

    def disconnected(self) -> None:
        """What was not answered is to be told again on the next connection, where somebody waits for it."""
        self._changes = [change for change in self._changes if not change.is_withdrawn]
        for change in self._changes:
            change.is_sent = False

    def _first_sent(self) -> Change | None:
        return next((change for change in self._changes if change.is_sent), None)
