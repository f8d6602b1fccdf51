"""Whose turn it is to speak, sans-I/O: at most one response at a time, none over the user's words, none to nobody.

A response that is asked for waits here until it can begin. One that a lost connection cut off is asked for again, or
where something of it was heard, the model is asked to go on with it. What another response has said is not asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from realtime_agent.realtime.conversation.active import Active
from realtime_agent.realtime.conversation.agreed import Agreed
from realtime_agent.realtime.conversation.request import Request
from realtime_agent.recent import Recent

__all__ = ["Responses"]

_MAX_PENDING = 32
"""Requests that may wait for their turn."""

_MAX_AGAIN = 8
"""Requests that may wait beside those, since they have had their turn already and nothing came of it."""

_MAX_CUTS = 5
"""After so many lost connections, the response over which they were lost is not asked for again."""

_MAX_REMEMBERED = 64
"""Responses whose late events must still be recognised."""


class Responses:
    """The requests that wait, the one that was sent, and the response that is being made."""

    def __init__(self, agreed: Agreed, *, user_present: bool) -> None:
        self._agreed = agreed
        self._user_present = user_present
        self._is_paused = False
        self._user_speaking = False
        # The request that the model has not begun to answer, and the response that it is making; that may answer
        # another one, since a server that detects turns begins responses by itself.
        self._asked: Request | None = None
        self._active: Active | None = None
        self._pending: deque[Request] = deque()
        # Whether the model is to answer the user's turn by itself, and whether what waits has its turn behind that.
        self._owed = self._awaited = False
        # Whether what waits does so until the model knows that the agent has resumed.
        self._is_held = False
        # Whether it is to answer the turn of somebody who has left since.
        self._owed_to_nobody = False
        # Whether the model makes a response that it has not told us of.
        self._blocked = False
        # Whether the model is known to tell which request a response answers.
        self._tells_request = False
        # How often something was asked for, and how often a turn was awaited.
        self._asks = self._waits = 0
        self._given_up: Recent[str, None] = Recent(_MAX_REMEMBERED)
        self._ended: Recent[str, None] = Recent(_MAX_REMEMBERED)
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
    def is_paused(self) -> bool:
        """Whether nothing may be said until somebody lets the agent resume."""
        return self._is_paused

    @property
    def is_attended(self) -> bool:
        """Whether anything may be said now."""
        return self._user_present and not self._is_paused

    @property
    def active(self) -> Active | None:
        """The response that the model is making."""
        return self._active

    @property
    def asked(self) -> Request | None:
        """The request that the model has not begun to answer."""
        return self._asked

    @property
    def asking(self) -> int | None:
        """Which asking the model has not begun to answer, if it was asked."""
        return self._asks if self._asked is not None else None

    @property
    def making(self) -> tuple[str, int] | None:
        """Which response the model makes, if it does, and how far it has come."""
        return (self._active.id, self._active.events) if self._active is not None else None

    @property
    def waiting(self) -> int | None:
        """Which turn of the user is to be answered or heard, or forgotten, before anything else, if one is."""
        return self._waits if self._awaited or self._is_held else None

    @property
    def is_responding(self) -> bool:
        """Whether the model was asked for a response, or makes one."""
        return self._asked is not None or self._active is not None

    @property
    def is_quiet(self) -> bool:
        """Whether neither side speaks or is about to."""
        is_waiting = bool(self._pending) and not self._is_paused
        return not (self.is_responding or self._user_speaking or self._awaited or self._is_held or is_waiting)

    @property
    def is_interruptible(self) -> bool:
        """Whether the user's speech cuts a response."""
        detection = self._agreed.config.turn_detection
        return not self._is_paused and detection is not None and detection.interrupt_response

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

    # Requests.

    def add(self, request: Request) -> bool:
        """Let a request wait for its turn. Returns whether there was room; nothing that waits gives way."""
        # A collision must not hold what waits for ever.
        self._blocked = False
        if len(self._pending) >= _MAX_PENDING:
            return False
        self._pending.append(request)
        return True

    @property
    def has_next(self) -> bool:
        """Whether it is the turn of one that waits."""
        if not self._pending or not self.is_attended or self._is_held:
            return False
        return not (self.is_responding or self._user_speaking or self._awaited or self._blocked)

    def next(self) -> Request | None:
        """The request whose turn it is now; it counts as sent."""
        if not self.has_next:
            return None
        self._asked = self._pending.popleft()
        self._asks += 1
        return self._asked

    def refused(self, request: Request) -> None:
        """The model does not begin what was asked for."""
        if request is self._asked:
            self._asked = None

    def give_up(self, request: Request) -> None:
        """The model takes too long to begin; if it does after all, nobody wants to hear it."""
        self._given_up[request.id] = None
        self.refused(request)

    def collided(self, request: Request) -> None:
        """The model can't answer this request now, since it is making another response."""
        if request is self._asked:
            self._asked = None
        elif self._active is not None and self._active.request is request:
            # It answers the user's turn instead.
            self._active.request = None
            self._owed_to_nobody = False
            if self._active.covers_request:
                return
        if request.is_stale:
            return
        # It may be making one that it has not told us of, or be about to notice that its last one has ended. So it is
        # asked again once; more would collide without end.
        self._blocked = self._active is None and request.has_collided
        request.has_collided = self._active is None
        self._add_first(request)

    def item_taken(self, item_id: str) -> None:
        """The model has an item of ours."""
        for request in (*self._pending, self._asked):
            if request is not None and request.answers is not None:
                request.answers.discard(item_id)

    def item_refused(self, item_id: str) -> None:
        """The model does not take an item of ours: where that is a text, nothing is left that waits to be answered."""
        texts = [each for each in self._pending if each.is_typed and each.answers and item_id in each.answers]
        for request in texts:
            self._pending.remove(request)
        self.item_taken(item_id)

    # The user.

    def user_joined(self) -> None:
        """Somebody is there to hear."""
        self._user_present = True

    def user_left(self) -> None:
        """Nobody is there: what was asked for is not wanted any more."""
        self._user_present = self._user_speaking = False
        self._pending.clear()
        self.cut()
        self.await_no_longer()

    def user_speaks(self, speaking: bool) -> None:
        """The user began or stopped speaking."""
        self._user_speaking = speaking
        if not speaking:
            return
        self._owed_to_nobody = False
        if self.is_interruptible or self._is_paused:
            self._pending = deque(request for request in self._pending if not self._lapses(request))
            if self._asked is not None and self._lapses(self._asked):
                self._asked.is_stale = True

    def interrupted(self, *, is_begun: bool) -> None:
        """The user's speech has cut the active response, of which something had come or not."""
        self.drop()
        active = self._active
        if active is None or active.request is None or is_begun or not active.is_wanted or active.may_answer_turn:
            return
        if not self._lapses(active.request):
            # They did not speak against this, of which they had heard nothing: it has its turn when they have finished.
            self._add_first(active.request)

    def owe(self) -> None:
        """The user's turn has ended, and the model answers it by itself: what waits has its turn behind that."""
        self._owed = self.is_attended
        self._owed_to_nobody = not self.is_attended
        if self.is_attended:
            self.await_turn()

    def await_turn(self) -> None:
        """What waits has its turn behind a turn of the user that is to be answered, or is being heard again."""
        self._awaited = True
        self._waits += 1

    def hold(self) -> None:
        """Let what waits do so until `let_go`: the model has yet to forget what it would answer too."""
        self._is_held = True
        self._waits += 1

    def let_go(self) -> None:
        """Let what waits have its turn."""
        self._is_held = False

    def await_no_longer(self) -> None:
        """The model should have begun to answer the user's turn by now: nothing waits for that any more."""
        self._awaited = False

    def owe_nothing(self) -> None:
        """The model is not going to answer the user's turn by itself."""
        self._owed = self._awaited = False

    def turn_failed(self) -> None:
        """The model has said that it can't answer the user's turn."""
        self.owe_nothing()
        self._owed_to_nobody = False

    # What others decide.

    @property
    def is_cut(self) -> bool:
        """Whether nothing is being said or asked for that anybody still wants."""
        is_asked = self._owed or (self._asked is not None and not self._asked.is_stale)
        return not is_asked and (self._active is None or not self.is_heard(self._active.id))

    def cut(self) -> None:
        """Let nothing more be heard of what the model says, or is to say; what waits has its turn then."""
        if self._owed:
            self._owed_to_nobody = True
            self.owe_nothing()
        if self._asked is not None:
            self._asked.is_stale = True
        if self._active is not None:
            self._active.is_cut = True
        self.drop()

    def pause(self, new_id: Callable[[], str], *, is_begun: bool) -> None:
        """Nothing may be said until `resume`: of what was asked for, only that comes then which outlasts a pause.

        Args:
            new_id: Gives the ids of requests that are asked for again.
            is_begun: Whether anything came of the active response.
        """
        self._is_paused = True
        active, asked = self._active, self._asked
        self._pending = deque(request for request in self._pending if request.outlasts_pause)
        if asked is not None and not asked.is_stale and asked.outlasts_pause:
            self._add_first(replace(asked, id=new_id(), command=None))
        if active is not None and self.is_heard(active.id) and not is_begun:
            request = active.request
            if request is not None and request.outlasts_pause and not active.may_answer_turn:
                self._add_first(replace(request, id=new_id(), command=None))
        if active is not None:
            active.is_stopped = True
        self.cut()
        self.await_no_longer()

    def resume(self) -> None:
        """What waits has its turn again."""
        self._is_paused = False

    # The response.

    def is_unannounced(self, response_id: str) -> bool:
        """Whether a response goes on of which the model has not said that it began; not every server does."""
        return self._active is None and bool(response_id) and response_id not in self._ended

    def created(self, response_id: str, request_id: str | None) -> Active:
        """The model began a response; `request_id` is the id of the request that it answers, if it tells.

        If nobody may hear it, it is not shown either from here on, and is to be cancelled.
        """
        if request_id is not None:
            self._tells_request = True
        request, passed_over = self._asked, None
        if request is not None and self._tells_request:
            request = request if request_id == request.id else None
        elif request is not None and self._owed_to_nobody and not request.is_stale:
            # This was asked for since, and what the model owed comes first, though nobody wants that any more.
            passed_over, request = request, None
        self._active = active = Active(
            response_id,
            request,
            is_wanted=self._is_wanted(request) and request_id not in self._given_up,
            may_answer_turn=self._owed and not self._tells_request,
            passed_over=passed_over,
            covers_request=request is not None and request.is_moot(is_instructed=False),
        )
        self._blocked = False
        for memory in (self._dropped, self._unheard, self._ended):
            # Where a server gives an id again, this is another response.
            memory.pop(response_id, None)
        if request is None:
            self.owe_nothing()
            self._owed_to_nobody = False
        else:
            self._asked = None
            if self._tells_request and request.answers is not None:
                # The model took what it was told in order.
                request.answers.clear()
        if not active.is_wanted:
            self._cancel_unheard(active)
        elif request is not None and self._user_speaking and self.is_interruptible:
            # The user began to speak while our request was on its way.
            self.interrupted(is_begun=False)
            self._cancel_unheard(active)
        else:
            self._forget_moot(active)
        return active

    def done(self, response_id: str) -> Active | None:
        """A response ended: the one that was being made, or `None` where it was another."""
        self._blocked = False
        if response_id and response_id in self._ended:
            return None
        self._ended[response_id] = None
        active = self._active
        if active is None:
            if self._tells_request:
                return None
            # It may be a server that does not say when a response begins.
            active, self._asked = Active(response_id, self._asked), None
        elif response_id and active.id and active.id != response_id:
            return None
        self._active = None
        if self._asked is not None and active.passed_over is self._asked:
            # It has not collided, so that it was this which was cancelled.
            if not self._asked.is_stale:
                self._add_first(self._asked)
            self._asked = None
        return active

    def let_be_unheard(self) -> None:
        """Nobody is to hear or read the active response, and the model is to forget that it gave it."""
        if self._active is not None:
            self._cancel_unheard(self._active)

    def drop(self) -> None:
        """Let nothing more of the active response be heard. A response that comes after is not touched."""
        if self._active is not None:
            self._dropped[self._active.id] = None

    # The connection.

    def connected(self) -> None:
        """The model is told everything on another connection, so that all requests are for what it knows."""
        for request in self._pending:
            if request.answers is not None:
                request.answers.clear()

    def disconnected(
        self, new_id: Callable[[], str], *, is_finished: bool, can_go_on: bool, turn_is_kept: bool
    ) -> None:
        """The connection is gone, and with it whatever the model was about to say.

        Args:
            new_id: Gives the ids of requests that are made for it.
            is_finished: Whether nothing can have been missing of the active response but the word that it is done.
            can_go_on: Whether something of it was heard, and its words can be told.
            turn_is_kept: Whether the user's last turn is going to be heard again on the next connection.
        """
        active, asked = self._active, self._asked
        # In front of all others, in the order in which the model would have come to them.
        if self._owed and not turn_is_kept:
            self._add_first(Request(new_id(), answers=set()))
        if asked is not None and not asked.is_stale:
            self._add_again(asked)
        if active is not None and self.is_heard(active.id) and not is_finished:
            self._add_again((active.request or Request("")).again(new_id(), can_go_on=can_go_on))
        self._active = self._asked = None
        self._user_speaking = self._blocked = self._owed_to_nobody = self._is_held = False
        self.owe_nothing()
        for memory in (self._dropped, self._unheard, self._ended):
            memory.clear()

    def _is_wanted(self, request: Request | None) -> bool:
        """Whether anybody may hear the response that begins; it answers this request, or the user's turn."""
        if not self.is_attended:
            return False
        if request is None:
            return not self._owed_to_nobody
        # While the model owes an answer to the user's turn, only its own word tells that this is not that.
        return not request.is_stale or (self._owed and not self._tells_request)

    def _lapses(self, request: Request) -> bool:
        """Whether a request is pointless now that the user speaks."""
        return request.goes_on or (request.lapses and self.answers_turns)

    def _forget_moot(self, active: Active) -> None:
        is_instructed = active.request is not None and active.request.is_instructed
        moot = [request for request in self._pending if request.is_moot(is_instructed=is_instructed)]
        for request in moot:
            self._pending.remove(request)
        if self._asked is not None and self._asked.is_moot(is_instructed=is_instructed):
            self._asked.is_stale = True

    def _add_again(self, request: Request) -> None:
        """The connection was lost over this; it may be what the model can't bear."""
        request.cuts += 1
        if request.cuts < _MAX_CUTS:
            self._add_first(request)

    def _add_first(self, request: Request) -> None:
        """Let a request wait in front of all others, where there is room."""
        if len(self._pending) < _MAX_PENDING + _MAX_AGAIN:
            self._pending.appendleft(request)

    def _cancel_unheard(self, active: Active) -> None:
        """Nobody hears or reads this response, and the model is to forget that it gave it."""
        active.is_wanted = False
        self._unheard[active.id] = None
        self.drop()
