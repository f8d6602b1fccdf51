"""The conversation's logic, sans-I/O: server events and commands in, actions out.

It outlives the session that it is held in. When a connection is lost, `disconnected` puts away what went with it, and
`connected` tells another session what was said so far and asks again for what was cut off.

Its parts: `Turns` are the user's, `Items` what was said, `Responses` whose turn it is, `Agreed` the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from realtime_agent.realtime import events as ev
from realtime_agent.realtime.actions import Action, Answer
from realtime_agent.realtime.agreed import Agreed, Change
from realtime_agent.realtime.history import History
from realtime_agent.realtime.items import Items
from realtime_agent.realtime.outgoing import OnError, Outgoing
from realtime_agent.realtime.responses import Active, Request, Responses
from realtime_agent.realtime.session import CallTools, FunctionCall, FunctionOutput, Report, Spent, Transcript
from realtime_agent.realtime.turns import Turns
from realtime_agent.realtime.types import ErrorDetail, Item, ResponseConfig, SessionConfig, TurnDetection
from realtime_agent.realtime.uplink import Uplink

__all__ = ["Conversation"]

_COLLISION = "conversation_already_has_active_response"

_REQUEST = "request"
"""Under this name, the metadata of a response tells which request of ours it answers."""

_GO_ON = (
    "Your last message was cut off by a lost connection. The user has heard it as far as it stands in the "
    "conversation. Go on from exactly there, without repeating anything."
)


class Conversation:
    """The default conversation with one model.

    Args:
        config: What the first session begins with.
        uplink: Holds the user's audio.
        user_present: Whether somebody is there to hear from the beginning.
        replay_tokens: How much another session is told of what was said, estimated; the oldest is left out first.
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
        self.uplink.keeps_all = _turn_detection(config) is None
        self._agreed = Agreed(config)
        self._outgoing = Outgoing()
        self._responses = Responses(_turn_detection(config), user_present=user_present)
        self._items = Items(History(replay_tokens), self._responses, self._outgoing)
        self._turns = Turns(self._items.history, self._responses, self._outgoing, self.uplink)
        self._calling: set[str] = set()
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
            ev.InputAudioBufferCommitted: self._turns.committed,
            ev.InputAudioBufferCleared: self._turns.cleared,
            ev.TranscriptionDelta: self._turns.words,
            ev.TranscriptionCompleted: self._turns.all_words,
            ev.TranscriptionFailed: self._turns.no_words,
            ev.OutputItemAdded: self._output_item,
            ev.OutputItemDone: self._output_item,
            ev.ResponseCreated: self._created,
            ev.ResponseDone: self._done,
            ev.SessionUpdated: self._settings_taken,
            ev.ErrorEvent: self._error,
        }

    @property
    def config(self) -> SessionConfig:
        """What another session is to begin with: all that the model has agreed to."""
        return self._agreed.config

    @property
    def history(self) -> History:
        """What was said so far."""
        return self._items.history

    @property
    def is_responding(self) -> bool:
        """Whether the model was asked for a response, or makes one, or waits for the outputs of calls."""
        return self._responses.is_responding or bool(self._calling)

    @property
    def is_quiet(self) -> bool:
        """Whether the session could be exchanged for another one now, and nobody would notice."""
        settled = self._responses.is_quiet and self._items.is_quiet and not self._calling and not self._agreed.is_open
        return settled and (self._turns.is_quiet or not self._is_transcribed)

    def handle(self, event: ev.ServerEvent) -> list[Action]:
        """What to do about one event of the server."""
        handler = self._handlers.get(type(event))
        if handler is None:
            return []
        actions = handler(event)
        return [*actions, *self._next()] if self._responses.has_next else actions

    # The connection.

    def connected(self) -> list[Action]:
        """A session is open, and has taken `config`: tell it all that came before."""
        self._responses.connected()
        self.uplink.reconnected()
        actions = self._items.connected(frozenset(self._calling))
        return [*actions, *self._send_changes(), *self._turns.connected(), *self._next()]

    def disconnected(self) -> list[Action]:
        """The session is gone, and with it whatever it was about to say."""
        asked = self._responses.asked
        actions = [*self._turns.disconnected(), *(self._settle(asked) if asked is not None else [])]
        self._responses.disconnected(
            self._outgoing.new_id("request"),
            is_finished=self._is_finished(),
            is_begun=self._is_begun(),
            turn_is_kept=self.uplink.holds_turn,
        )
        self._agreed.disconnected()
        self._outgoing.disconnected()
        return [*actions, *self._items.disconnected()]

    # What the agent says of its user.

    def user_joined(self) -> list[Action]:
        """Somebody is there to hear: ask for what waited for them."""
        self._responses.user_present = True
        return self._next()

    def user_left(self) -> list[Action]:
        """Nobody is there: cancel and forget what was asked for, and ask for nothing until somebody comes."""
        self._responses.user_left()
        return [self._outgoing.send(ev.ResponseCancel())] if self._responses.active is not None else []

    def clear(self) -> list[Action]:
        """Forget what the user said since their last turn ended."""
        return self._turns.clear()

    def interrupted(self, heard: Iterable[tuple[str, int, int]]) -> list[Action]:
        """What of the agent's speech was cut, as (item_id, content_index, ms heard).

        The model is told, and whoever shows the words.
        """
        return self._items.interrupted(heard)

    # Commands. The number of each comes back in an `Answer`, once.

    def update(self, command: int, config: SessionConfig) -> list[Action]:
        """Change what is set in `config`."""
        self._agreed.propose(config, command)
        return self._send_changes() if self._responses.is_connected else []

    def tell(self, command: int, text: str) -> list[Action]:
        """Add a text message of the system; nobody answers it."""
        return self._items.make("system", text, command=command)[1]

    def say(self, command: int, text: str) -> list[Action]:
        """Add a text message of the user, and ask for an answer, now or in their turn."""
        return self._ask(Request(self._outgoing.new_id("request"), text=text, command=command))

    def create_response(self, command: int | None, config: ResponseConfig | None = None) -> list[Action]:
        """Ask for a response, now or in its turn. The oldest request gives way when too many wait."""
        return self._ask(Request(self._outgoing.new_id("request"), config, command=command))

    def commit(self, command: int) -> list[Action]:
        """Make what the user said so far a message. No answer comes by itself."""
        return self._turns.commit(command)

    def answer(self, outputs: Sequence[FunctionOutput]) -> list[Action]:
        """Give the model what came of its calls, and ask it to go on."""
        actions: list[Action] = []
        told: set[str] = set()
        for output in outputs:
            self._calling.discard(output.call_id)
            if self.history.call(output.call_id) is not None:
                entry, telling = self._items.make("output", output.output, call_id=output.call_id)
                actions += telling
                told |= {entry.id} if telling else set()
        if not self._responses.user_present:
            return actions
        return [*actions, *self._ask(Request(self._outgoing.new_id("request"), outputs=told))]

    # Server events that concern responses and settings.

    def _output_item(self, event: ev.OutputItemAdded | ev.OutputItemDone) -> list[Action]:
        item, active = event.item, self._responses.active
        is_done = isinstance(event, ev.OutputItemDone)
        if item.id is not None and active is not None and event.response_id == active.id:
            active.items[item.id] = is_done
            if item.type == "function_call" and is_done:
                _note_call(active, item)
        return []

    def _created(self, event: ev.ResponseCreated) -> list[Action]:
        metadata = event.response.metadata or {}
        active = self._responses.created(event.response.id or "", metadata.get(_REQUEST))
        actions = self._settle(active.request) if active.request is not None else []
        return actions if active.is_wanted else [*actions, self._outgoing.send(ev.ResponseCancel())]

    def _done(self, event: ev.ResponseDone) -> list[Action]:
        response, response_id = event.response, event.response.id or ""
        active = self._responses.done(response_id)
        request = active.request if active is not None else None
        actions: list[Action] = self._settle(request) if request is not None else []
        if response.usage is not None:
            actions.append(Spent(response.usage))
        if response.status == "failed":
            error = response.status_details.error if response.status_details else None
            message = str((error or {}).get("message") or "the model failed to respond")
            actions.append(Report(ErrorDetail(type="response_failed", message=message)))
        output = response.output or []
        if not self._responses.is_shown(response_id):
            return [*actions, *(self._items.forget(item.id) for item in output if item.id)]
        if not self._responses.is_heard(response_id):
            actions += self._items.forget_unheard(output)
        if active is not None and response.status in (None, "completed"):
            actions += self._call(active, output)
        return actions

    def _call(self, active: Active, output: list[Item]) -> list[Action]:
        """Let the functions be called that a response calls."""
        for item in output:
            if item.type == "function_call":
                _note_call(active, item)
        for item_id, call in active.calls.items():
            entry = self.history.put(item_id, "call")
            entry.call_id, entry.name, entry.text = call.call_id, call.name, call.arguments
            entry.known, entry.is_whole = "words", True
            self._calling.add(call.call_id)
        return [CallTools(tuple(active.calls.values()))] if active.calls else []

    def _settings_taken(self, _event: ev.SessionUpdated) -> list[Action]:
        change = self._agreed.accepted()
        if change is None:
            return []
        before, after = self._responses.turn_detection, _turn_detection(self.config)
        if before == after:
            return [Answer(change.command)]
        self._responses.set_turn_detection(after)
        self.uplink.keeps_all = after is None
        return [Answer(change.command), *(self._turns.silence() if after is None else [])]

    def _error(self, event: ev.ErrorEvent) -> list[Action]:
        error = event.error
        if error.code == "response_cancel_not_active":
            return []
        on_error = self._outgoing.on_error(error.event_id) if error.event_id else self._guess(error)
        if on_error is not None:
            return on_error(error)
        if error.code != _COLLISION:
            self._responses.owe_nothing()
            return [Report(error)]
        if error.event_id is None and self._responses.active is not None:
            # Nobody asked, so it was the user's turn that ended and could not be answered: it is in its turn.
            self._responses.collided(Request(self._outgoing.new_id("request")))
        return []

    def _guess(self, error: ErrorDetail) -> OnError | None:
        """Whom an error is for that names no event: often it is our request, while that is not answered."""
        if error.code == "input_audio_buffer_commit_empty":
            return self._turns.commit_empty
        if (error.param or "").startswith("session") and self._agreed.is_open:
            return self._on_refusal()
        if (error.param or "").startswith("item") and not self._items.is_quiet:
            return self._items.refused
        asked = self._responses.asked
        return None if asked is None else lambda error: self._request_refused(asked, error)

    # Requests and changes.

    def _ask(self, request: Request) -> list[Action]:
        gone = self._responses.add(request)
        actions = [*(self._settle(gone) if gone is not None else []), *self._next()]
        # One that waits for its turn counts as accepted.
        return actions if request is self._responses.asked else [*actions, *self._settle(request)]

    def _next(self) -> list[Action]:
        """Ask for the response whose turn it is."""
        request = self._responses.next()
        if request is None:
            return []
        actions: list[Action] = []
        if request.text is not None:
            entry, actions = self._items.make("user", request.text, on_refused=partial(self._settle, request))
            actions.append(Transcript("user", entry.id, entry.text, final=True))
            request.text = None
        create = ev.ResponseCreate(response=self._config_of(request))
        return [*actions, self._outgoing.send(create, lambda error: self._request_refused(request, error))]

    def _config_of(self, request: Request) -> ResponseConfig:
        config = request.config.model_copy() if request.config is not None else ResponseConfig()
        config.metadata = {_REQUEST: request.id}
        if request.goes_on:
            config.instructions = "\n\n".join(filter(None, (config.instructions or self.config.instructions, _GO_ON)))
        return config

    def _request_refused(self, request: Request, error: ErrorDetail) -> list[Action]:
        if error.code == _COLLISION:
            self._responses.collided(request)
            return self._settle(request)
        self._responses.refused(request)
        return self._settle(request, error) or [Report(error)]

    def _settle(self, request: Request, error: ErrorDetail | None = None) -> list[Action]:
        """Answer the command that a request came from, once."""
        command, request.command = request.command, None
        return [Answer(command, error)] if command is not None else []

    def _send_changes(self) -> list[Action]:
        return [
            self._outgoing.send(ev.SessionUpdate(session=change.config), self._on_refusal(change))
            for change in self._agreed.to_send()
        ]

    def _on_refusal(self, change: Change | None = None) -> OnError:
        def refused(error: ErrorDetail) -> list[Action]:
            open_change = self._agreed.refused(change)
            return [Answer(open_change.command, error)] if open_change is not None else [Report(error)]

        return refused

    # The response that is cut off when a connection is lost.

    def _is_begun(self) -> bool:
        """Whether something of it was heard."""
        active = self._responses.active
        entries = [self.history.get(item_id) for item_id in active.items] if active is not None else []
        parts = [part for entry in entries if entry is not None for part in entry.parts.values()]
        return any(part.is_begun for part in parts)

    def _is_finished(self) -> bool:
        """Whether it lacks nothing but the word that it is done; where there are functions, a call might have come."""
        active = self._responses.active
        return active is not None and bool(active.items) and all(active.items.values()) and not self.config.tools

    @property
    def _is_transcribed(self) -> bool:
        audio = self.config.audio
        return audio is not None and audio.input is not None and audio.input.transcription is not None


def _turn_detection(config: SessionConfig) -> TurnDetection | None:
    audio = config.audio
    return audio.input.turn_detection if audio is not None and audio.input is not None else None


def _note_call(active: Active, item: Item) -> None:
    if item.call_id is None or item.name is None or item.status == "incomplete":
        return
    key = item.id or item.call_id
    # Not every server repeats the arguments at the end.
    if item.arguments or key not in active.calls:
        active.calls[key] = FunctionCall(item.call_id, item.name, item.arguments or "")
