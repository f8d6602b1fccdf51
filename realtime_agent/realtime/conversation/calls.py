"""The functions that the model calls, sans-I/O: told in a response, called when it is done, answered together."""

from __future__ import annotations

from collections.abc import Sequence

from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation.actions import Action
from realtime_agent.realtime.conversation.active import MAX_CALLS, Active
from realtime_agent.realtime.conversation.items import Items
from realtime_agent.realtime.conversation.responses import Responses
from realtime_agent.realtime.session import CallTools, FunctionCall, FunctionOutput, Report
from realtime_agent.realtime.types import ErrorDetail, Item

__all__ = ["Calls"]

_TOO_MANY = '{"error": "Too many calls at a time: this one was not made."}'
_STOPPED = '{"error": "The user stopped you before this call was made."}'


class Calls:
    """Collects the calls of the active response, and gives back what came of them."""

    def __init__(self, items: Items, responses: Responses) -> None:
        self._items = items
        self._responses = responses
        # The calls whose outputs are still to come, by their ids, and whether the agent is to speak about those.
        self._running: dict[str, bool] = {}

    @property
    def running(self) -> frozenset[str]:
        """The ids of the calls whose outputs are still to come."""
        return frozenset(self._running)

    @property
    def are_wanted(self) -> bool:
        """Whether the agent is going to speak about what comes of calls that are under way."""
        return any(self._running.values())

    def disown(self) -> None:
        """Let the model know what comes of the calls that are under way, and not speak about it by itself."""
        self._running = dict.fromkeys(self._running, False)

    def output(self, event: ev.OutputItemDone) -> None:
        """A response has made an item, which may be a call."""
        active = self._responses.active
        if active is not None and event.response_id == active.id:
            _note(active, event.item)

    def make(self, active: Active, output: list[Item]) -> list[Action]:
        """A response is done, with all of `output`: let the functions be called that it calls."""
        calls = self._note_all(active, output)
        made = calls[: MAX_CALLS - len(self._running)]
        self._running |= dict.fromkeys((call.call_id for call in made), not active.is_cut)
        actions = self._refuse(calls[len(made) :], _TOO_MANY)
        if len(made) < len(calls):
            message = f"the model calls more than {MAX_CALLS} functions at a time; the last ones are not called"
            actions.append(Report(ErrorDetail(type="too_many_calls", message=message)))
        return [*actions, CallTools(tuple(made))] if made else actions

    def skip(self, active: Active, output: list[Item]) -> list[Action]:
        """A response is done that nobody wants any more: call no functions, and let the model know."""
        return self._refuse(self._note_all(active, output), _STOPPED)

    def made(self, outputs: Sequence[FunctionOutput]) -> tuple[list[Action], set[str]]:
        """This came of calls: tell the model. Returns also the ids of the items that it is to speak about."""
        actions: list[Action] = []
        told: set[str] = set()
        for output in outputs:
            is_wanted = self._running.pop(output.call_id, True)
            call = self._items.history.call(output.call_id)
            if call is None or call.is_gone:
                continue
            actions += self._items.tell_call_again(output.call_id)
            entry, telling = self._items.make("output", output.output, call_id=output.call_id)
            actions += telling
            if is_wanted:
                told.add(entry.id)
        return actions, told

    def _note_all(self, active: Active, output: list[Item]) -> list[FunctionCall]:
        """The calls of a response that is done, which stand in the conversation from here on."""
        for item in output:
            _note(active, item)
        calls = []
        for item_id, call in active.calls.values():
            entry = self._items.history.put(item_id, "call")
            if not entry.is_gone:
                entry.call_id, entry.name, entry.text = call.call_id, call.name, call.arguments
                entry.known, entry.is_whole = "words", True
                calls.append(call)
        return calls

    def _refuse(self, calls: Sequence[FunctionCall], why: str) -> list[Action]:
        return [action for call in calls for action in self._items.make("output", why, call_id=call.call_id)[1]]


def _note(active: Active, item: Item) -> None:
    if item.type != "function_call" or item.call_id is None or item.name is None or item.status == "incomplete":
        return
    known = active.calls.get(item.call_id)
    # Not every server repeats the arguments at the end, or the item's id.
    if item.arguments or known is None:
        item_id = item.id or (known[0] if known is not None else item.call_id)
        active.calls[item.call_id] = item_id, FunctionCall(item.call_id, item.name, item.arguments or "")
