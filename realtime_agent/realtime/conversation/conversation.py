"""The conversation's logic, sans-I/O: server events and commands in, actions out.

It outlives the connections that it is held over. When one is lost, `disconnected` puts away what went with it, and
`connected` tells the model on another one what was said so far and asks again for what was cut off.

Its parts: `Turns` are the user's, `Items` what was said, `Responses` whose turn it is, `Requester` asks for them,
`Calls` are the functions that the model calls, `Agreed` the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, get_args

from realtime_agent.realtime import events as ev
from realtime_agent.realtime import response_events
from realtime_agent.realtime.conversation.actions import Action, Answer
from realtime_agent.realtime.conversation.agreed import Agreed, Change
from realtime_agent.realtime.conversation.calls import Calls
from realtime_agent.realtime.conversation.history import History
from realtime_agent.realtime.conversation.items import Items
from realtime_agent.realtime.conversation.outgoing import Outgoing
from realtime_agent.realtime.conversation.requester import COLLISION, Requester
from realtime_agent.realtime.conversation.responses import Responses
from realtime_agent.realtime.conversation.turns import Turns
from realtime_agent.realtime.conversation.uplink import Uplink
from realtime_agent.realtime.session import FunctionOutput, Interrupt, Report, Spent, UserSpeech
from realtime_agent.realtime.types import ErrorDetail, Response, ResponseConfig, ResponseStatus, SessionConfig
from realtime_agent.text import one_line

__all__ = ["Conversation"]

_OF_A_RESPONSE = frozenset(get_args(response_events.ResponseEvent))
"""What shows that a response goes on."""

_BEGINNINGS = (ev.OutputItemAdded, ev.OutputAudioDelta, ev.OutputTranscriptDelta, ev.OutputTextDelta)
"""What shows that a response has begun, where the server does not say so."""

_PAUSED = ErrorDetail(
    type="agent_paused",
    code="agent_paused",
    message="the agent is paused, and has nothing to answer: give it an instruction, or let it resume first",
)

_NO_TRANSCRIPTION = ErrorDetail(
    type="no_transcription",
    code="no_transcription",
    message="what the user says is not written down, so that no language could help",
)


class Conversation:
    """The default conversation with one model.

    Args:
        config: What the first connection begins with.
        uplink: Holds the user's audio.
        user_present: Whether somebody is there to hear from the beginning.
        replay_tokens: How much is told on another connection of what was said, estimated; the oldest is left out.
    """

    def __init__(
        self,
        config: SessionConfig,
        uplink: Uplink | None = None,
        *,
        user_present: bool = True,
        replay_tokens: int = 8000,
    ) -> None:
        self.uplink = uplink or Uplink()
        self._is_private = False
        self._agreed = Agreed(config)
        self._outgoing = Outgoing()
        self._responses = Responses(self._agreed, user_present=user_present)
        self._items = Items(History(replay_tokens), self._responses, self._outgoing)
        self._requests = Requester(self._agreed, self._responses, self._items, self._outgoing)
        self._calls = Calls(self._items, self._responses)
        self._turns = Turns(self._agreed, self._items, self._responses, self._outgoing, self.uplink)
        self._handlers: dict[type[ev.ServerEvent], Callable[[Any], list[Action]]] = {
            ev.OutputAudioDelta: self._items.audio,
            ev.OutputAudioDone: self._items.all_audio,
            ev.OutputTranscriptDelta: self._items.words,
            ev.OutputTextDelta: self._items.words,
            ev.OutputTranscriptDone: self._items.all_words,
            ev.OutputTextDone: self._items.all_words,
            ev.ItemAdded: self._items.added,
            ev.ItemDone: self._items.added,
            ev.ItemCreated: self._items.added,
            ev.ItemDeleted: self._items.deleted,
            ev.SpeechStarted: self._turns.started,
            ev.SpeechStopped: self._turns.stopped,
            ev.InputAudioBufferTimeoutTriggered: self._turns.timed_out,
            ev.InputAudioBufferCommitted: self._turns.committed,
            ev.InputAudioBufferCleared: self._turns.cleared,
            ev.TranscriptionDelta: self._turns.words,
            ev.TranscriptionCompleted: self._turns.all_words,
            ev.TranscriptionFailed: self._turns.no_words,
            ev.OutputItemAdded: self._output_begun,
            ev.OutputItemDone: self._output_done,
            ev.ResponseCreated: self._created,
            ev.ResponseDone: self._done,
            ev.SessionUpdated: self._settings_taken,
            ev.ErrorEvent: self._error,
        }

    @property
    def config(self) -> SessionConfig:
        """All that the model has agreed to."""
        return self._agreed.config

    @property
    def opening(self) -> SessionConfig:
        """What another connection is to begin with; the same object as long as it is the same."""
        return self._agreed.opening

    @property
    def history(self) -> History:
        """What was said so far."""
        return self._items.history

    @property
    def is_responding(self) -> bool:
        """Whether the model was asked for a response, or makes one, or waits for the outputs of calls."""
        return self._responses.is_responding or bool(self._calls.running)

    @property
    def is_cut(self) -> bool:
        """Whether nothing is being said or about to be that anybody still wants."""
        return self._responses.is_cut and not self._calls.are_wanted

    @property
    def asking(self) -> object:
        """What the model was asked for and has not begun; another thing whenever it is asked, `None` if nothing."""
        return self._responses.asking

    @property
    def making(self) -> object:
        """What the model makes; another thing whenever it goes on, `None` if nothing."""
        return self._responses.making

    @property
    def waiting(self) -> object:
        """The user's turn behind which all else waits; `None` if nothing does."""
        return self._responses.waiting

    @property
    def is_idle(self) -> bool:
        """Whether nobody speaks or is about to, no function runs and no command waits."""
        is_awaited = self._agreed.is_awaited or self._items.adding or self._turns.is_awaited
        return self._responses.is_quiet and not self._calls.running and not is_awaited

    @property
    def is_settled(self) -> bool:
        """Whether the connection could be exchanged for another one now, and nothing would be lost."""
        return self.is_idle and self.uplink.holds_all

    @property
    def is_quiet(self) -> bool:
        """Whether nobody would even notice: the words of the user are known too, which could not come any more."""
        return self.is_settled and (self._turns.words_are_known or self.config.transcription is None)

    @property
    def commands_waiting(self) -> int:
        """How many commands the model has not answered."""
        return len(self._agreed) + self._items.adding + self._turns.committing

    def handle(self, event: ev.ServerEvent) -> list[Action]:
        """What to do about one event of the server."""
        handler = self._handlers.get(type(event))
        if handler is None:
            return []
        begun: list[Action] = []
        active = self._responses.active
        if active is not None and type(event) in _OF_A_RESPONSE:
            active.events += 1
        elif active is None and isinstance(event, _BEGINNINGS):
            begun = self._begin_unannounced(event.response_id)
        actions = handler(event)
        if begun:
            actions = [*begun, *actions]
        return [*actions, *self._requests.next()] if self._responses.has_next else actions

    # The connection.

    def connected(self, opening: SessionConfig | None = None) -> list[Action]:
        """There is a connection, and the model has taken what it is to begin with: tell it all that came before.

        Args:
            opening: What it has taken, if `opening` may have changed since.
        """
        self._outgoing.connected()
        self._agreed.connected(opening or self.opening)
        self._responses.connected()
        if self.uplink.holds_turn:
            self._responses.await_turn()
        self.uplink.reconnected()
        is_private = self._is_private and self._responses.is_paused
        actions = self._items.connected(self._calls.running, in_words=is_private)
        return [*actions, *self._tell_changes(), *self._turns.connected(), *self._requests.next()]

    def disconnected(self) -> list[Action]:
        """The connection is gone, and with it whatever the model was about to say."""
        asked = self._responses.asked
        actions = [*self._turns.disconnected(), *(self._requests.settle(asked) if asked is not None else [])]
        active = self._responses.active
        self._responses.disconnected(
            self._requests.new_id,
            # Where there are functions, a call might have come.
            is_finished=active is not None and active.is_whole and not self.config.tools,
            can_go_on=active is not None and self.history.is_begun(active.items, in_words=True),
            turn_is_kept=self.uplink.holds_turn,
        )
        self._agreed.disconnected()
        self._outgoing.disconnected()
        return [*actions, *self._items.disconnected()]

    def revert(self, config: SessionConfig) -> list[Action]:
        """The model does not take on another connection all that it has agreed to: go back to what it took before."""
        self._agreed.config = config
        return self._turns.detect_anew()

    # What the agent says of its user.

    def user_joined(self) -> list[Action]:
        """Somebody is there to hear: ask for what waited for them."""
        self._responses.user_joined()
        return self._requests.next()

    def user_left(self) -> list[Action]:
        """Nobody is there: cancel and forget what was asked for, and ask for nothing until somebody comes."""
        actions: list[Action] = [UserSpeech(False, is_forgotten=True)] if self._responses.user_speaking else []
        self._calls.disown()
        self._responses.user_left()
        return [*actions, *self._cancel()]

    def clear(self) -> list[Action]:
        """Forget what the user said since their last turn ended."""
        return self._turns.clear()

    def interrupted(self, heard: Iterable[tuple[str, int, int]]) -> list[Action]:
        """What of the agent's speech was cut, as (item_id, content_index, ms heard).

        The model is told, and whoever shows the words.
        """
        return self._items.interrupted(heard)

    def interrupt(self) -> list[Action]:
        """Cut what the model says or is to say; what waits has its turn then."""
        self._calls.disown()
        self._responses.cut()
        return [*self._cancel(), Interrupt(), *self._requests.next()]

    def pause(self, item_id: str | None = None, *, is_private: bool = False) -> list[Action]:
        """Say nothing until `resume`, and let what the user says meanwhile be no part of the conversation.

        The item of this id, by which they asked for that, is forgotten too, and what was said and done since; also
        when the agent is paused already, since they may have said it twice. With `is_private`, no voice of the user is
        told on another connection meanwhile.
        """
        forgotten = self._forget_from(item_id) if item_id is not None else []
        if self._responses.is_paused:
            return forgotten
        self._is_private = is_private
        self._calls.disown()
        active = self._responses.active
        is_begun = active is not None and self.history.is_begun(active.items)
        self._responses.pause(self._requests.new_id, is_begun=is_begun)
        self._agreed.pause(True)
        return [*self._cancel(), Interrupt(), *forgotten, *self._tell_changes()]

    def resume(self, *, anew: bool) -> list[Action]:
        """Converse again; `anew` forgets what the user has said until now and the model has made no message of."""
        if not self._responses.is_paused:
            return []
        self._responses.resume()
        self._agreed.pause(False)
        return [*self._turns.resume(anew=anew), *self._tell_changes(), *self._requests.next()]

    # Commands. The number of each comes back in an `Answer`, once.

    def update(self, command: int, config: SessionConfig) -> list[Action]:
        """Change what is set in `config`; a transcription without a model is only its language."""
        change = self._agreed.in_full(config)
        if change is None:
            return [Answer(command, _NO_TRANSCRIPTION)]
        self._agreed.propose(change, command)
        return self._tell_changes()

    def tell(self, command: int, text: str) -> list[Action]:
        """Add a text message of the system; nobody answers it."""
        return self._items.make("system", text, command=command)[1]

    def say(self, command: int, text: str) -> list[Action]:
        """Add a text message of the user, and ask for an answer, now or in their turn."""
        return self._requests.ask(self._requests.new(text=text, is_typed=True, command=command))

    def create_response(self, command: int | None, config: ResponseConfig | None = None) -> list[Action]:
        """Ask for a response, now or in its turn.

        While the agent is paused nothing is said that it could answer, so that it must be told what to say.
        """
        request = self._requests.new(config=config, command=command)
        if self._responses.is_paused and not request.outlasts_pause:
            return self._requests.refused(request, _PAUSED)
        return self._requests.ask(request)

    def commit(self, command: int) -> list[Action]:
        """Make what the user said so far a message. No answer comes by itself."""
        return self._turns.commit(command)

    def withdraw(self, command: int) -> bool:
        """Nobody waits for this command any more. Returns whether the model was not told, and will not be."""
        return any(part.withdraw(command) for part in (self._agreed, self._items, self._turns))

    # What takes too long.

    def give_up_asking(self) -> list[Action]:
        """The model does not begin what it was asked for: let the next request have its turn."""
        return self._requests.give_up()

    def give_up_making(self) -> list[Action]:
        """The model does not go on with its response: it counts as broken off."""
        active = self._responses.active
        if active is None:
            return []
        details = ResponseStatus(reason="nothing more came of it")
        broken_off = ev.ResponseDone(response=Response(id=active.id, status="incomplete", status_details=details))
        return [self._requests.cancel(active.id), *self.handle(broken_off)]

    def give_up_waiting(self) -> list[Action]:
        """The user's turn is not answered, or was none, or is not forgotten: let the next request have its turn."""
        self._turns.caught_up()
        self._responses.await_no_longer()
        return self._requests.next()

    # What the agent does by itself.

    def remark(self, config: ResponseConfig) -> list[Action]:
        """Ask for the words that open the conversation, which are pointless once the user has spoken."""
        return self._requests.ask(self._requests.new(config=config, lapses=True))

    def give_outputs(self, outputs: Sequence[FunctionOutput]) -> list[Action]:
        """Give the model what came of its calls, and ask it to go on."""
        actions, told = self._calls.made(outputs)
        return [*actions, *self._requests.ask(self._requests.new(answers=told))] if told else actions

    # Server events that concern responses and settings.

    def _begin_unannounced(self, response_id: str) -> list[Action]:
        """What shows that a response has begun comes without the server having said so: not every one does."""
        return self._requests.begun(response_id, None) if self._responses.is_unannounced(response_id) else []

    def _output_begun(self, event: ev.OutputItemAdded) -> list[Action]:
        self._items.output(event)
        return []

    def _output_done(self, event: ev.OutputItemDone) -> list[Action]:
        self._items.output(event)
        self._calls.output(event)
        return []

    def _created(self, event: ev.ResponseCreated) -> list[Action]:
        return self._requests.begun(event.response.id or "", event.response.metadata)

    def _done(self, event: ev.ResponseDone) -> list[Action]:
        response, response_id = event.response, event.response.id or ""
        active = self._responses.done(response_id)
        request = active.request if active is not None else None
        actions: list[Action] = self._requests.settle(request, begun=True) if request is not None else []
        if active is not None and active.passed_over is not None:
            actions += self._requests.settle(active.passed_over)
        if response.usage is not None:
            actions.append(Spent(response.usage))
        if response.status == "failed":
            error = response.status_details.error if response.status_details else None
            message = str((error or {}).get("message") or "the model failed to respond")
            actions.append(Report(ErrorDetail(type="response_failed", message=one_line(message))))
        if response.status == "incomplete":
            reason = response.status_details.reason if response.status_details else None
            message = f"the model broke off its response: {one_line(reason or 'it does not say why')}"
            actions.append(Report(ErrorDetail(type="response_incomplete", message=message)))
        output = response.output or []
        # Not every server tells at the end all that it told before.
        items = active.items if active is not None else ()
        item_ids = dict.fromkeys([*items, *(item.id for item in output if item.id)])
        if not self._responses.is_shown(response_id):
            return [*actions, *self._items.forget_all(item_ids)]
        is_heard = self._responses.is_heard(response_id)
        actions += self._items.end(item_ids) if is_heard else self._items.forget_unheard(item_ids)
        if active is not None and response.status in (None, "completed"):
            make = self._calls.skip if active.is_stopped else self._calls.make
            actions += make(active, output)
        return actions

    def _settings_taken(self, _event: ev.SessionUpdated) -> list[Action]:
        before, change = self.config.turn_detection, self._agreed.accepted()
        if change is None:
            return []
        if change.changes_silence and not self._responses.is_paused and not self._agreed.is_resuming:
            # It was asked to forget what it heard before that.
            self._turns.caught_up()
        answer = _answer(change)
        if before != self.config.turn_detection:
            if not self._responses.answers_turns:
                self._responses.owe_nothing()
            answer += self._turns.detect_anew()
        return [*answer, *self._tell_changes()]

    def _error(self, event: ev.ErrorEvent) -> list[Action]:
        error = event.error
        if error.code == "response_cancel_not_active":
            return []
        if error.event_id is None:
            return self._unnamed(error)
        on_error = self._outgoing.on_error(error.event_id)
        if on_error is None:
            return [] if error.code == COLLISION else [Report(error)]
        return on_error(error)

    def _unnamed(self, error: ErrorDetail) -> list[Action]:
        """An error that names no event: whose it is can only be guessed, by its code and field and by who waits.

        Often it is our request, while that is not answered. Where nobody has asked for anything, it is about the
        user's turn, which ended and could not be answered.
        """
        field, asked = (error.param or "").partition(".")[0], self._responses.asked
        if error.code == COLLISION:
            return self._turn_collided() if asked is None else self._requests.refused(asked, error)
        if error.code == "input_audio_buffer_commit_empty":
            return self._turns.commit_empty(error)
        if field == "item" and self._items.adding:
            return self._items.refused(error)
        if field in ("item", "item_id"):
            return [Report(error)]
        if self._agreed.is_awaited and (field == "session" or (not field and asked is None)):
            return self._change_refused(None, error)
        if asked is not None:
            return self._requests.refused(asked, error)
        self._responses.turn_failed()
        return [Report(error)]

    def _turn_collided(self) -> list[Action]:
        """The user's turn ended while the model made a response: it is answered in its turn."""
        self._responses.turn_failed()
        if (active := self._responses.active) is not None:
            # Unless that is what the model answers, and it was our request that could not be.
            mistaken = active.request if active.may_answer_turn else None
            if mistaken is not None or self._responses.is_attended:
                self._responses.collided(mistaken or self._requests.new(answers=set()))
        return []

    def _tell_changes(self) -> list[Action]:
        if not self._outgoing.is_connected:
            return []
        return [
            self._outgoing.send(
                ev.SessionUpdate(session=self._agreed.as_told(change)), partial(self._change_refused, change)
            )
            for change in self._agreed.to_send()
        ]

    def _change_refused(self, change: Change | None, error: ErrorDetail) -> list[Action]:
        refused = self._agreed.refused(change)
        answer = (_answer(refused, error) if refused is not None else []) or [Report(error)]
        return [*answer, *self._tell_changes()]

    def _forget_from(self, item_id: str) -> list[Action]:
        """Forget what the user said in this item, and all that was said and done since."""
        since = self.history.after(item_id)
        active = self._responses.active
        if active is not None and active.request is None and active.items.keys() <= {entry.id for entry in since}:
            # It answers that item: what comes of it later is forgotten too.
            self._responses.let_be_unheard()
        return [*self._items.forget_said_after(item_id), *self._turns.overhear(since), self._items.forget(item_id)]

    def _cancel(self) -> list[Action]:
        """Let the model end the response that it makes, if it makes one."""
        active = self._responses.active
        return [self._requests.cancel(active.id)] if active is not None else []


def _answer(change: Change, error: ErrorDetail | None = None) -> list[Action]:
    outcome = change.config if error is None else None
    return [Answer(change.command, error, outcome)] if change.command is not None else []
