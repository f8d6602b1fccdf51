"""The conversation's logic, sans-I/O: server events in, actions out.

It keeps one rule of the protocol that servers enforce with errors (one response at a time in the default conversation),
and one that they leave to us: when the user speaks over a reply, what is left of that reply must not be heard, also
what is still on the wire, and the model must be told how much of it was.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from realtime_agent.realtime import events as ev
from realtime_agent.realtime.actions import (
    Action,
    EndPart,
    Interrupt,
    Play,
    Report,
    Send,
    Spent,
    Transcript,
    UserSpeech,
)
from realtime_agent.realtime.types import ErrorDetail, Item, ResponseConfig, TurnDetection

__all__ = ["Conversation"]

K = TypeVar("K")
T = TypeVar("T")

_MAX_PENDING = 32
"""Responses that may wait for their turn."""

_MAX_REMEMBERED = 64
"""Responses and items whose late events must still be recognised."""


@dataclass(slots=True)
class _Reply:
    """An assistant's item: its words so far, and whether they are all there."""

    text: str = ""
    final: bool = False


@dataclass(slots=True)
class _Request:
    """A response to ask for, and the user's text that it answers, which must not come before its turn."""

    number: int
    response: ev.ResponseCreate
    text: str | None = None


class Conversation:
    """Tracks the default conversation of one session."""

    def __init__(self, turn_detection: TurnDetection | None, *, user_present: bool = True) -> None:
        self._turn_detection = turn_detection
        # The request that the model has not begun to answer, and the id of the response that it is making; that may
        # be another one, since a server that detects turns begins responses by itself.
        self._asked: _Request | None = None
        self._active: str | None = None
        self._pending: deque[_Request] = deque(maxlen=_MAX_PENDING)
        self._sent: OrderedDict[str | None, _Request] = OrderedDict()
        self._request_count = 0
        # A request that was made for a user who has left since.
        self._stale: _Request | None = None
        self._user_present = user_present
        self._user_speaking = False
        self._commit_asked = False
        self._dropped: OrderedDict[str, None] = OrderedDict()
        self._unheard: OrderedDict[str, None] = OrderedDict()
        self._replies: OrderedDict[str, _Reply] = OrderedDict()

    @property
    def is_responding(self) -> bool:
        """Whether the model was asked for a response, or makes one."""
        return self._asked is not None or self._active is not None

    @property
    def _is_interruptible(self) -> bool:
        return self._turn_detection is not None and self._turn_detection.interrupt_response

    def user_joined(self) -> list[Action]:
        """Somebody is there to hear: ask for what waited for them."""
        self._user_present = True
        return self._next()

    def user_left(self) -> list[Action]:
        """Nobody is there: cancel and forget what was asked for, and ask for nothing until somebody comes."""
        self._user_present = self._user_speaking = False
        self._stale = self._asked
        self._pending.clear()
        return self._cancel() if self._active is not None else []

    def set_turn_detection(self, turn_detection: TurnDetection | None) -> list[Action]:
        """Follow the session's turn detection. Without one, nobody tells when the user stops speaking."""
        self._turn_detection = turn_detection
        return self._silence() if turn_detection is None else []

    def commit(self) -> list[Action]:
        """Make what the user said so far a message. No answer comes by itself."""
        self._commit_asked = True
        return [Send(ev.InputAudioBufferCommit())]

    def create_response(self, config: ResponseConfig | None = None) -> list[Action]:
        """Ask for a response, now or in its turn. The oldest request gives way when too many wait."""
        self._pending.append(self._new_request(config))
        return self._next()

    def tell(self, text: str) -> list[Action]:
        """Add a text message of the system; nobody answers it."""
        return [Send(_message("system", text))]

    def say(self, text: str) -> list[Action]:
        """Add a text message of the user, and ask for an answer, now or in their turn."""
        request = self._new_request()
        request.text = text
        self._pending.append(request)
        return self._next()

    def interrupted(self, heard: Iterable[tuple[str, int, int]]) -> list[Action]:
        """What of the agent's speech was cut, as (item_id, content_index, audio_end_ms).

        The model is told, and whoever shows the words.
        """
        actions: list[Action] = []
        for item_id, content_index, audio_end_ms in heard:
            truncate = ev.ItemTruncate(item_id=item_id, content_index=content_index, audio_end_ms=audio_end_ms)
            actions.append(Send(truncate))
            reply = self._reply(item_id)
            reply.final = True
            actions.append(Transcript("assistant", item_id, reply.text, final=True, interrupted=True))
        return actions

    def handle(self, event: ev.ServerEvent) -> list[Action]:
        """What to do about one event of the server."""
        match event:
            case ev.SpeechStarted():
                # Without turn detection nobody would tell its end: it was on the wire when that was turned off.
                self._user_speaking = self._turn_detection is not None
                return [UserSpeech(self._user_speaking), *self._barge_in()]
            case ev.InputAudioBufferCleared():
                return self._silence()
            case ev.SpeechStopped():
                return [UserSpeech(False), *self._turn_ended()]
            case ev.InputAudioBufferCommitted():
                # Its words may come after the reply to them began; its place is here.
                return [Transcript("user", event.item_id, ""), *self._committed()]
            case ev.TranscriptionDelta() if event.delta:
                return [Transcript("user", event.item_id, event.delta)]
            case ev.TranscriptionCompleted():
                return [Transcript("user", event.item_id, event.transcript.strip(), final=True)]
            case ev.TranscriptionFailed():
                return [Transcript("user", event.item_id, "", final=True)]
            case ev.ResponseCreated():
                return self._created(event)
            case ev.ResponseDone():
                return self._done(event)
            case ev.ErrorEvent():
                return self._error(event.error)
            case _:
                return self._output(event)
        return []

    def _output(self, event: ev.ServerEvent) -> list[Action]:
        match event:
            case ev.OutputAudioDelta():
                return self._audio(event)
            case ev.OutputAudioDone() if event.response_id not in self._dropped:
                return [EndPart(event.item_id, event.content_index)]
            case ev.OutputTranscriptDelta() | ev.OutputTextDelta():
                return self._words(event)
            case ev.OutputTranscriptDone():
                return self._all_words(event, event.transcript)
            case ev.OutputTextDone():
                return self._all_words(event, event.text)
        return []

    def _audio(self, event: ev.OutputAudioDelta) -> list[Action]:
        if event.response_id in self._dropped:
            return []
        try:
            return [Play(event.item_id, event.content_index, event.pcm())]
        except ValueError:
            return [Report(ErrorDetail(type="invalid_audio", message="the model sent audio that is not base64"))]

    def _words(self, event: ev.OutputTranscriptDelta | ev.OutputTextDelta) -> list[Action]:
        if event.response_id in self._unheard:
            return []
        reply = self._reply(event.item_id)
        if reply.final:
            return []
        reply.text += event.delta
        return [Transcript("assistant", event.item_id, event.delta)]

    def _all_words(self, event: ev.OutputTranscriptDone | ev.OutputTextDone, text: str) -> list[Action]:
        if event.response_id in self._unheard:
            return []
        reply = self._reply(event.item_id)
        if reply.final:
            return []
        reply.text, reply.final = text, True
        return [Transcript("assistant", event.item_id, text, final=True)]

    def _barge_in(self) -> list[Action]:
        if not self._is_interruptible:
            return []
        # The server cancels the response by itself; what it sent before it knew must not be heard.
        self._drop()
        return [Interrupt()]

    def _turn_ended(self) -> list[Action]:
        self._user_speaking = False
        if self._turn_detection is not None and self._turn_detection.create_response:
            # The server answers by itself; what waits has its turn behind that answer.
            return []
        return self._next()

    def _committed(self) -> list[Action]:
        if not self._commit_asked:
            return []
        # It ends a turn that was being spoken, and the server does not answer it by itself.
        self._commit_asked = self._user_speaking = False
        return self._next()

    def _silence(self) -> list[Action]:
        """The user's speech was taken back, or nobody listens for its end."""
        self._user_speaking = False
        return [UserSpeech(False), *self._next()]

    def _created(self, event: ev.ResponseCreated) -> list[Action]:
        asked, self._asked = self._asked, None
        self._active = event.response.id or ""
        if not self._user_present or (asked is not None and asked is self._stale):
            return self._cancel_unheard()
        if asked is not None and self._user_speaking and self._is_interruptible:
            # The user began to speak while our request was on its way; it has its turn when they have finished.
            self._ask_again(asked)
            return self._cancel_unheard()
        return []

    def _done(self, event: ev.ResponseDone) -> list[Action]:
        response = event.response
        actions: list[Action] = []
        if response.usage is not None:
            actions.append(Spent(response.usage))
        if response.status == "failed":
            error = response.status_details.error if response.status_details else None
            message = str((error or {}).get("message") or "the model failed to respond")
            actions.append(Report(ErrorDetail(type="response_failed", message=message)))
        if response.id in self._unheard:
            actions += [Send(ev.ItemDelete(item_id=item.id)) for item in response.output or [] if item.id]
        if self._active in (None, response.id or ""):
            self._active = self._asked = None
            actions += self._next()
        return actions

    def _error(self, error: ErrorDetail) -> list[Action]:
        if error.code == "response_cancel_not_active":
            return []
        # A server that names no event at fault is taken to mean the request that it has not begun to answer.
        unanswered = self._asked.response.event_id if self._asked is not None else None
        request = self._sent.pop(error.event_id or unanswered, None)
        if request is not None and request is self._asked:
            self._asked = None
        if error.code != "conversation_already_has_active_response":
            return [Report(error), *self._next()]
        if request is None and error.event_id is None and self._active is not None:
            # Nobody asked, so it was the user's turn that ended and could not be answered: it is in its turn.
            request = self._new_request()
        if request is not None:
            self._ask_again(request)
        return []

    def _ask_again(self, request: _Request) -> None:
        if len(self._pending) < _MAX_PENDING:
            self._pending.appendleft(request)

    def _cancel_unheard(self) -> list[Action]:
        """Cancel a response from its beginning: nobody hears or reads it, and the model forgets that it gave it."""
        if self._active:
            self._remember(self._unheard, self._active, None)
        return self._cancel()

    def _cancel(self) -> list[Action]:
        self._drop()
        return [Send(ev.ResponseCancel())]

    def _drop(self) -> None:
        """Let nothing more of the active response be heard. A response that comes after is not touched."""
        if self._active:
            self._remember(self._dropped, self._active, None)

    def _next(self) -> list[Action]:
        if self.is_responding or self._user_speaking or not self._user_present or not self._pending:
            return []
        self._asked = request = self._pending.popleft()
        self._remember(self._sent, request.response.event_id, request)
        actions: list[Action] = []
        if request.text is not None:
            item_id = f"text_{request.number}"
            message = _message("user", request.text, item_id)
            actions = [Send(message), Transcript("user", item_id, request.text, final=True)]
            request.text = None
        return [*actions, Send(request.response)]

    def _new_request(self, config: ResponseConfig | None = None) -> _Request:
        self._request_count += 1
        response = ev.ResponseCreate(event_id=f"response_{self._request_count}")
        if config is not None:
            response.response = config
        return _Request(self._request_count, response)

    def _reply(self, item_id: str) -> _Reply:
        return self._remember(self._replies, item_id, self._replies.get(item_id) or _Reply())

    @staticmethod
    def _remember(memory: OrderedDict[K, T], key: K, value: T) -> T:
        memory[key] = value
        while len(memory) > _MAX_REMEMBERED:
            memory.popitem(last=False)
        return value


def _message(role: str, text: str, item_id: str | None = None) -> ev.ItemCreate:
    item = Item.model_validate(
        {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}
        | ({"id": item_id} if item_id is not None else {})
    )
    return ev.ItemCreate(item=item)
