"""Asks the model for responses, sans-I/O: each when `Responses` says that it has its turn."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation.actions import Action, Answer, Send
from realtime_agent.realtime.conversation.agreed import Agreed
from realtime_agent.realtime.conversation.items import Items
from realtime_agent.realtime.conversation.outgoing import Outgoing
from realtime_agent.realtime.conversation.request import Request
from realtime_agent.realtime.conversation.responses import Responses
from realtime_agent.realtime.session import Report, Transcript
from realtime_agent.realtime.types import ErrorDetail, ResponseConfig

__all__ = ["COLLISION", "Requester"]

COLLISION = "conversation_already_has_active_response"
"""The code of the error for a request while the model makes another response."""

_TOO_MANY = "too_many_responses"

_REQUEST = "request"
"""Under this name, the metadata of a response tells which request of ours it answers."""

_GO_ON = (
    "Your last message was cut off by a lost connection. The user has heard it as far as it stands in the "
    "conversation. Go on from exactly there, without repeating anything."
)


class Requester:
    """Sends the requests whose turn it is, and answers the commands that they come from."""

    def __init__(self, agreed: Agreed, responses: Responses, items: Items, outgoing: Outgoing) -> None:
        self._agreed = agreed
        self._responses = responses
        self._items = items
        self._outgoing = outgoing

    def new_id(self) -> str:
        """An id for a request."""
        return self._outgoing.new_id("request")

    def new(self, **fields: Any) -> Request:
        """A request with an id of its own."""
        return Request(self.new_id(), **fields)

    def ask(self, request: Request) -> list[Action]:
        """Ask for a response, now or in its turn, unless too many wait."""
        if not self._responses.add(request):
            error = ErrorDetail(type=_TOO_MANY, code=_TOO_MANY, message="too many responses wait for their turn")
            return self.settle(request, error) or [Report(error)]
        actions = self.next()
        # One that waits for its turn counts as accepted.
        return actions if request is self._responses.asked else [*actions, *self.settle(request)]

    def next(self) -> list[Action]:
        """Ask for the response whose turn it is."""
        request = self._responses.next() if self._outgoing.is_connected else None
        if request is None:
            return []
        actions: list[Action] = []
        if request.text is not None:
            entry, actions = self._items.make("user", request.text, on_refused=partial(self._text_refused, request))
            actions.append(Transcript("user", entry.id, entry.text, final=True, typed=True))
            request.text, request.answers = None, {entry.id}
        create = ev.ResponseCreate(response=self._config_of(request))
        return [*actions, self._outgoing.send(create, partial(self.refused, request))]

    def begun(self, response_id: str, metadata: Mapping[str, Any] | None) -> list[Action]:
        """A response has begun; by its metadata a server may tell which request it answers."""
        active = self._responses.created(response_id, (metadata or {}).get(_REQUEST))
        actions = self.settle(active.request, begun=True) if active.request is not None else []
        return actions if active.is_wanted else [*actions, self.cancel(response_id)]

    def refused(self, request: Request, error: ErrorDetail) -> list[Action]:
        """The model does not begin this response, or not now."""
        if error.code == COLLISION:
            self._responses.collided(request)
            return self.settle(request)
        self._responses.refused(request)
        return self.settle(request, error) or [Report(error)]

    def give_up(self) -> list[Action]:
        """The model does not begin what it was asked for, and says nothing of it: the next has its turn."""
        if (asked := self._responses.asked) is None:
            return []
        self._responses.give_up(asked)
        error = ErrorDetail(type="no_response", message="the model was asked for a response and did not begin one")
        return [*(self.settle(asked, error) or [Report(error)]), *self.next()]

    def settle(self, request: Request, error: ErrorDetail | None = None, *, begun: bool = False) -> list[Action]:
        """Answer the command that a request came from, once: the response has begun, has its turn, or will not come."""
        command, request.command = request.command, None
        return [Answer(command, error, begun if error is None else None)] if command is not None else []

    def cancel(self, response_id: str) -> Send:
        """Cancel this response, and none that may have begun since."""
        cancel = ev.ResponseCancel(response_id=response_id) if response_id else ev.ResponseCancel()
        return self._outgoing.send(cancel)

    def _text_refused(self, request: Request, error: ErrorDetail) -> list[Action]:
        """The model does not take the text, so that there is nothing to answer."""
        request.is_stale = True
        return self.settle(request, error)

    def _config_of(self, request: Request) -> ResponseConfig:
        given = request.config.to_dict() if request.config is not None else {}
        if request.goes_on:
            # What it is to go on with stands in the conversation.
            given.pop("input", None)
        config = ResponseConfig.model_validate(given)
        config.metadata = {_REQUEST: request.id}
        if request.goes_on:
            instructions = config.instructions or self._agreed.config.instructions
            config.instructions = "\n\n".join(filter(None, (instructions, _GO_ON)))
        return config
