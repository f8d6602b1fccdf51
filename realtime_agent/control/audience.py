"""Who is in a channel, and whom of them the agent hears; sans-I/O."""

from __future__ import annotations

__all__ = ["Audience"]


class Audience:
    """The participants of a channel.

    Args:
        wanted: The participant whom the agent hears; `None` is the first of those present.

    Attributes:
        user: The one whom it hears now; `None` while there is none.
    """

    def __init__(self, wanted: int | None) -> None:
        self.user: int | None = None
        self._wanted = wanted
        self._present: dict[int, None] = {}

    def join(self, uid: int) -> bool:
        """A participant came, or came back. Returns whether the agent has a user now that it had not before."""
        self._present[uid] = None
        return self.user is None and self._choose()

    def leave(self, uid: int) -> bool:
        """A participant went. Returns whether that was the user; there may be another one at once."""
        self._present.pop(uid, None)
        if uid != self.user:
            return False
        self._choose()
        return True

    def _choose(self) -> bool:
        self.user = next((uid for uid in self._present if self._wanted in (None, uid)), None)
        return self.user is not None
