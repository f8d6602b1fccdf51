"""The response that the model is making."""

from __future__ import annotations

from dataclasses import dataclass, field

from realtime_agent.realtime.conversation.request import Request
from realtime_agent.realtime.session import FunctionCall
from realtime_agent.recent import Recent

__all__ = ["MAX_CALLS", "Active"]

MAX_CALLS = 64
"""Calls that may be under way at a time; a model that wants more is not well."""

_MAX_ITEMS = 64


@dataclass(slots=True, eq=False)
class Active:
    """A response, and the request that it answers, if that is ours.

    Attributes:
        calls: The calls in it by their ids, each with the id of its item.
        items: Its items, and whether each is whole.
        events: How many came of it.
        is_wanted: Whether anybody may hear it.
        is_cut: Whether somebody has cut it, other than by speaking, and so what it was about to lead to.
        may_answer_turn: Whether it may not answer our request but the user's turn, since a server does not tell.
        is_stopped: Whether a pause has cut it, so that it calls no functions.
        passed_over: Our request that it is not taken to answer, though the server may mean it to.
        covers_request: Whether it answers our request all the same then.
    """

    id: str
    request: Request | None = None
    calls: Recent[str, tuple[str, FunctionCall]] = field(default_factory=lambda: Recent(2 * MAX_CALLS))
    items: Recent[str, bool] = field(default_factory=lambda: Recent(_MAX_ITEMS))
    events: int = 0
    is_wanted: bool = True
    is_cut: bool = False
    is_stopped: bool = False
    may_answer_turn: bool = False
    passed_over: Request | None = None
    covers_request: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether all its items are."""
        return bool(self.items) and all(self.items.values())
