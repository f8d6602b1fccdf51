"""Whose turn it is to speak, sans-I/O: at most one response at a time, none over the user's words, none to nobody.

A response that is asked for waits here until it can begin. One that a lost connection cut off is asked for again, or
where something of it was heard, the model is asked to go on with it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from realtime_agent.realtime.session import FunctionCall
from realtime_agent.realtime.types import ResponseConfig, TurnDetection
from realtime_agent.recent import Recent

__all__ = ["Active", "Request", "Responses"]

_MAX_PENDING = 32
"""Requests that may wait for their turn."""

_MAX_REMEMBERED = 64
"""Responses and requests whose late events must still be recognised."""


@dataclass(slots=True, eq=False)
class Request:
    """A response to ask for.

    Attributes:
        id: By which the model's response can be told to answer it.
        text: The user's text that it answers, which must not come before its turn.
        command: The command that asks for it and waits to hear whether the model accepts it.
        outputs: Of a request that follows function calls: the items of their outputs that the model has not taken yet.
        goes_on: Whether it goes on with a response of which something was heard.
    """

    id: str
    config: ResponseConfig | None = None
    text: str | None = None
    command: int | None = None
    outputs: set[str] | None = None
    goes_on: bool = False

    @property
    def is_covered(self) -> bool:
        """Whether any response that begins now says what this one is to say."""
        return self.outputs is not None and not self.outputs


@dataclass(slots=True, eq=False)
class Active:
    """The response that the model is making, and the request that it answers, if that is ours."""

    id: str
    request: Request | None = None
    calls: dict[str, FunctionCall] = field(default_factory=dict)
    items: dict[str, bool] = field(default_factory=dict)
    """Its items, and whether each is whole."""
    is_wanted: bool = True


class Responses:
    """The requests that wait, the one that was sent, and the response that is being made."""

    def __init__(self, turn_detection: TurnDetection | None, *, user_present: bool) -> None:
        self._turn_detection = turn_detection
        self.is_connected = False
        self.user_present = user_present
        self.user_speaking = False
        # The request that the model has not begun to answer, and the response that it is making; that may answer
        # another one, since a server that detects turns begins responses by itself.
        self._asked: Request | None = None
        self._active: Active | None = None
        self._pending: deque[Request] = deque()
        # A request that was made for a user who has left since.
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
    def turn_detection(self) -> TurnDetection | None:
        """What decides that the user's turn has ended."""
        return self._turn_detection

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
        return not (self.is_responding or self.user_speaking or self._awaited or self._pending)

    @property
    def is_interruptible(self) -> bool:
        """Whether the user's speech cuts a response."""
        return self._turn_detection is not None and self._turn_detection.interrupt_response

    @property
    def answers_turns(self) -> bool:
        """Whether the model begins a response by itself when the user has spoken."""
        return self._turn_detection is not None and self._turn_detection.create_response

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
        if not self._pending or not self.is_connected or not self.user_present:
            return False
        return not (self.is_responding or self.user_speaking or self._awaited or self._blocked)

    def next(self) -> Request | None:
        """The request whose turn it is now; it counts as sent."""
        if not self.has_next:
            return None
        self._asked = self._pending.popleft()
        return self._asked

    def set_turn_detection(self, turn_detection: TurnDetection | None) -> None:
        """The model detects turns in another way from now on; a turn that has ended may not be answered any more."""
        self._turn_detection = turn_detection
        self.owe_nothing()

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
        if asked is not None:
            self._asked = None
        else:
            self.owe_nothing()
        self._blocked = False
        self._active = active = Active(response_id, asked)
        self._pending = deque(request for request in self._pending if not request.is_covered)
        if not self.user_present or (asked is not None and asked is self._stale):
            self._cancel_unheard(active)
        elif asked is not None and self.user_speaking and self.is_interruptible:
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
        self.add_first(request)

    def drop(self) -> None:
        """Let nothing more of the active response be heard. A response that comes after is not touched."""
        if self._active is not None and self._active.id:
            self._dropped[self._active.id] = None

    def user_left(self) -> list[Request]:
        """Nobody is there: what was asked for is not wanted any more. Returns what will never be asked for."""
        self.user_present = self.user_speaking = False
        self.owe_nothing()
        self._stale = self._asked
        gone = list(self._pending)
        self._pending.clear()
        self.drop()
        return gone

    def output_taken(self, item_id: str) -> None:
        """The model has taken the output of a call."""
        for request in (*self._pending, self._asked):
            if request is not None and request.outputs is not None:
                request.outputs.discard(item_id)

    def connected(self) -> None:
        """Another session has been told everything, the outputs of calls included."""
        self.is_connected = True
        for request in self._pending:
            if request.outputs is not None:
                request.outputs.clear()

    def disconnected(self, request_id: str, *, is_finished: bool, is_begun: bool, turn_is_kept: bool) -> None:
        """The connection is gone, and with it whatever the model was about to say.

        Args:
            request_id: The id of the request that is made for it, if one is.
            is_finished: Whether nothing can have been missing of the active response but the word that it is done.
            is_begun: Whether something of it was heard.
            turn_is_kept: Whether the user's last turn is going to be heard again by the next session.
        """
        active, asked = self._active, self._asked
        self._active = self._asked = None
        self.is_connected = self.user_speaking = False
        if asked is not None and asked is not self._stale:
            self.add_first(asked)
        elif self._owed and not turn_is_kept:
            self.add_first(Request(request_id))
        elif active is not None and self.is_heard(active.id) and self.is_shown(active.id) and not is_finished:
            was = active.request or Request(request_id)
            self.add_first(Request(request_id, was.config, goes_on=is_begun or was.goes_on))
        self.owe_nothing()
        self._blocked = False
        self._stale = None

    def _cancel_unheard(self, active: Active) -> None:
        """Nobody hears or reads this response, and the model is to forget that it gave it."""
        active.is_wanted = False
        if active.id:
            self._unheard[active.id] = None
        self.drop()
