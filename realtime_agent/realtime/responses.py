"""Whose turn it is to speak, sans-I/O: at most one response at a time, none over the user's words, none to nobody.

A response that is asked for waits here until it can begin. One that a lost connection cut off is asked for again, or
where something of it was heard, the model is asked to go on with it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from realtime_agent.realtime.agreed import Agreed
from realtime_agent.realtime.session import FunctionCall
from realtime_agent.realtime.types import ResponseConfig
from realtime_agent.recent import Recent

__all__ = ["Active", "Request", "Responses"]

_MAX_PENDING = 32
"""Requests that may wait for their turn."""

_MAX_REMEMBERED = 64
"""Responses whose late events must still be recognised, and what is remembered of one."""


@dataclass(slots=True, eq=False)
class Request:
    """A response to ask for.

    Attributes:
        id: By which the model's response can be told to answer it.
        text: The user's text that it answers, which must not come before its turn.
        command: The command that asks for it and waits to hear whether the model accepts it.
        outputs: Of a request that follows function calls: the items of their outputs that the model has not taken yet.
        goes_on: Whether it goes on with a response of which something was heard.
        lapses: Whether it is pointless once the user speaks, since they are answered then.
    """

    id: str
    config: ResponseConfig | None = None
    text: str | None = None
    command: int | None = None
    outputs: set[str] | None = None
    goes_on: bool = False
    lapses: bool = False

    @property
    def is_covered(self) -> bool:
        """Whether any response that begins now says what this one is to say."""
        return self.outputs is not None and not self.outputs


@dataclass(slots=True, eq=False)
class Active:
    """The response that the model is making, and the request that it answers, if that is ours."""

    id: str
    request: Request | None = None
    calls: Recent[str, FunctionCall] = field(default_factory=lambda: Recent(_MAX_REMEMBERED + 1))
    items: Recent[str, bool] = field(default_factory=lambda: Recent(_MAX_REMEMBERED))
    """Its items, and whether each is whole."""
    is_wanted: bool = True

    @property
    def is_whole(self) -> bool:
        """Whether all its items are."""
        return bool(self.items) and all(self.items.values())


class Responses:
    """The requests that wait, the one that was sent, and the response that is being made."""

    def __init__(self, agreed: Agreed, *, user_present: bool) -> None:
        self._agreed = agreed
        self._user_present = user_present
        self._user_speaking = False
        # The request that the model has not begun to answer, and the response that it is making; that may answer
        # another one, since a server that detects turns begins responses by itself.
        self._asked: Request | None = None
        self._active: Active | None = None
        self._pending: deque[Request] = deque()
        # A request on its way that is not wanted any more: its user has left, or is about to be answered.
        self._stale: Request | None = None
        # Whether the model is to answer the user's turn by itself, and whether what waits has its turn behind that.
        self._owed = self._awaited = False
        # Whether the model makes a response that it has not told us of.
        self._blocked = False
        # Whether the model is known to tell which request a response answers.
        self._tells_request = False
        self._dropped: Recent[str, None] = Recent(_MAX_REMEMBERED)
        self._unheard: Recent[str, None] = Recent(_MAX_REMEMBERED)

    @property
    def user_present(self) -> bool:
        """Whether somebody is there to hear."""
        return self._user_present

    @property
    def user_speaking(self) -> bool:
        """Whether the user speaks."""
        return self._user_speaking

    @property
    def active(self) -> Active | None:
        """The response that the model is making."""
        return self._active

    @property
    def asked(self) -> Request | None:
        """The request that the model has not begun to answer."""
        return self._asked

    @property
    def is_responding(self) -> bool:
        """Whether the model was asked for a response, or makes one."""
        return self._asked is not None or self._active is not None

    @property
    def is_quiet(self) -> bool:
        """Whether neither side speaks or is about to."""
        return not (self.is_responding or self._user_speaking or self._awaited or self._pending)

    @property
    def is_interruptible(self) -> bool:
        """Whether the user's speech cuts a response."""
        detection = self._agreed.config.turn_detection
        return detection is not None and detection.interrupt_response

    @property
    def answers_turns(self) -> bool:
        """Whether the model begins a response by itself when the user has spoken."""
        detection = self._agreed.config.turn_detection
        return detection is not None and detection.create_response

    def is_heard(self, response_id: str) -> bool:
        """Whether the audio of this response may be played."""
        return response_id not in self._dropped

    def is_shown(self, response_id: str) -> bool:
        """Whether the words of this response count: not if it was cancelled from its beginning."""
        return response_id not in self._unheard

    def add(self, request: Request) -> Request | None:
        """Let a request wait for its turn. Returns the oldest if it gives way, because too many wait."""
        gone = self._pending.popleft() if len(self._pending) == _MAX_PENDING else None
        self._pending.append(request)
        return gone

    def add_first(self, request: Request) -> None:
        """Let a request wait in front of all others, where there is room."""
        if len(self._pending) < _MAX_PENDING:
            self._pending.appendleft(request)

    @property
    def has_next(self) -> bool:
        """Whether it is the turn of one that waits."""
        if not self._pending or not self._user_present:
            return False
        return not (self.is_responding or self._user_speaking or self._awaited or self._blocked)

    def next(self) -> Request | None:
        """The request whose turn it is now; it counts as sent."""
        if not self.has_next:
            return None
        self._asked = self._pending.popleft()
        return self._asked

    def user_speaks(self, speaking: bool) -> None:
        """The user began or stopped speaking."""
        self._user_speaking = speaking
        if speaking and self.is_interruptible:
            self._pending = deque(request for request in self._pending if not request.lapses)
            if self._asked is not None and self._asked.lapses:
                self._stale = self._asked

    def owe(self) -> None:
        """The user's turn has ended, and the model answers it by itself: what waits has its turn behind that."""
        self._owed = self._awaited = True

    def await_no_longer(self) -> None:
        """The model should have begun to answer the user's turn by now: nothing waits for that any more."""
        self._awaited = False

    def owe_nothing(self) -> None:
        """The model is not going to answer the user's turn by itself."""
        self._owed = self._awaited = False

    def created(self, response_id: str, request_id: str | None) -> Active:
        """The model began a response; `request_id` is the id of the request that it answers, if it tells.

        If nobody may hear it, it is not shown either from here on, and is to be cancelled.
        """
        asked = self._asked
        if asked is not None and request_id == asked.id:
            self._tells_request = True
        elif self._tells_request:
            asked = None
        # While the model owes an answer to the user's turn, only its own word tells that this is not that.
        is_stale = asked is not None and asked is self._stale and (self._tells_request or not self._owed)
        if asked is not None:
            self._asked = None
        else:
            self.owe_nothing()
        self._blocked = False
        self._active = active = Active(response_id, asked)
        self._pending = deque(request for request in self._pending if not request.is_covered)
        if not self._user_present or is_stale:
            self._cancel_unheard(active)
        elif asked is not None and self._user_speaking and self.is_interruptible:
            # The user began to speak while our request was on its way; it has its turn when they have finished.
            self.add_first(asked)
            self._cancel_unheard(active)
        return active

    def done(self, response_id: str) -> Active | None:
        """A response ended: the one that was being made, or `None` where it was another."""
        self._blocked = False
        active = self._active
        if active is None:
            if self._tells_request:
                return None
            # It may be a server that does not say when a response begins.
            active, self._asked = Active(response_id, self._asked), None
        elif active.id != response_id:
            return None
        self._active = None
        return active

    def refused(self, request: Request) -> None:
        """The model does not begin what was asked for."""
        if request is self._asked:
            self._asked = None

    def collided(self, request: Request) -> None:
        """The model can't answer this request now, since it is making another response."""
        self.owe_nothing()
        if request is self._asked:
            self._asked = None
        elif self._active is not None and self._active.request is request:
            self._active.request = None
        # Asking again at once would collide again, without end.
        self._blocked = self._active is None
        if request is not self._stale:
            self.add_first(request)

    def drop(self) -> None:
        """Let nothing more of the active response be heard. A response that comes after is not touched."""
        if self._active is not None and self._active.id:
            self._dropped[self._active.id] = None

    def user_joined(self) -> None:
        """Somebody is there to hear."""
        self._user_present = True

    def user_left(self) -> None:
        """Nobody is there: what was asked for is not wanted any more."""
        self._user_present = self._user_speaking = False
        self.owe_nothing()
        self._stale = self._asked
        self._pending.clear()
        self.drop()

    def output_taken(self, item_id: str) -> None:
        """The model has taken the output of a call."""
        for request in (*self._pending, self._asked):
            if request is not None and request.outputs is not None:
                request.outputs.discard(item_id)

    def connected(self) -> None:
        """The model is told everything on another connection, the outputs of calls included."""
        for request in self._pending:
            if request.outputs is not None:
                request.outputs.clear()

    def disconnected(self, request_id: str, *, is_finished: bool, is_begun: bool, turn_is_kept: bool) -> None:
        """The connection is gone, and with it whatever the model was about to say.

        Args:
            request_id: The id of the request that is made for it, if one is.
            is_finished: Whether nothing can have been missing of the active response but the word that it is done.
            is_begun: Whether something of it was heard.
            turn_is_kept: Whether the user's last turn is going to be heard again on the next connection.
        """
        active, asked = self._active, self._asked
        self._active = self._asked = None
        self._user_speaking = False
        if asked is not None and asked is not self._stale:
            self.add_first(asked)
        elif self._owed and not turn_is_kept:
            self.add_first(Request(request_id, lapses=True))
        elif active is not None and self.is_heard(active.id) and self.is_shown(active.id) and not is_finished:
            was = active.request or Request(request_id)
            self.add_first(Request(request_id, was.config, goes_on=is_begun or was.goes_on, lapses=True))
        self.owe_nothing()
        self._blocked = False
        self._stale = None

    def _cancel_unheard(self, active: Active) -> None:
        """Nobody hears or reads this response, and the model is to forget that it gave it."""
        active.is_wanted = False
        if active.id:
            self._unheard[active.id] = None
        self.drop()
