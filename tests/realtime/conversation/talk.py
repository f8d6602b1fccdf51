"""A conversation in a test: what its server says, and what of the actions that come of it matters."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, TypeVar

from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.conversation.actions import Action, Answer, Send
from realtime_agent.realtime.session import FunctionCall, FunctionOutput
from realtime_agent.realtime.types import (
    AudioInput,
    ErrorDetail,
    FunctionTool,
    Response,
    ResponseConfig,
    ServerVad,
    SessionAudio,
    SessionConfig,
    Transcription,
    TurnDetection,
)

__all__ = [
    "CALL",
    "COLLISION",
    "PCM",
    "TAKEN",
    "added",
    "all_words",
    "answers",
    "ask",
    "asked",
    "audio",
    "audio_done",
    "cancelled",
    "committed",
    "config",
    "created",
    "delta",
    "done",
    "drive",
    "error",
    "event_id",
    "forgotten",
    "instructions",
    "kinds",
    "new_conversation",
    "output",
    "outputs",
    "request_of",
    "sent",
    "spoke",
    "spoken_reply",
    "started",
    "stopped",
    "told",
    "turn",
    "words",
]

E = TypeVar("E", bound=ev.ClientEvent)

COLLISION = "conversation_already_has_active_response"
TAKEN = ev.SessionUpdated(session={})
CALL = FunctionCall("call_1", "look_up", '{"word": "rain"}')


def audio(ms: int) -> bytes:
    """So much of an agent's voice."""
    return b"\1\0" * (ms * BYTES_PER_MS // 2)


PCM = audio(10)

_TOOL = FunctionTool(name="look_up", parameters={"type": "object"})


def config(turn_detection: TurnDetection | None = None, *, tools: bool = False, words: bool = True) -> SessionConfig:
    """Settings of a session: with these turns, with a function to call, with the user's words written down."""
    transcription = Transcription(model="t") if words else None
    listening = AudioInput(transcription=transcription, turn_detection=turn_detection)
    settings = SessionConfig(instructions="Be brief.", audio=SessionAudio(input=listening))
    if tools:
        settings.tools = [_TOOL]
    return settings


def new_conversation(
    turn_detection: TurnDetection | None = ServerVad(),  # noqa: B008 - nobody changes it
    *,
    tools: bool = False,
    words: bool = True,
    **choices: Any,
) -> Conversation:
    """A conversation whose first session is open."""
    conversation = Conversation(config(turn_detection, tools=tools, words=words), **choices)
    conversation.connected()
    return conversation


# What a server says.


def created(response_id: str | None, request: str | None = None) -> ev.ResponseCreated:
    """A response began; `request` is the request of ours that it tells to answer."""
    metadata = {"request": request} if request is not None else None
    return ev.ResponseCreated(response=Response(id=response_id, metadata=metadata))


def done(response_id: str | None, *calls: FunctionCall, status: str = "completed", **fields: Any) -> ev.ResponseDone:
    """A response ended, with these calls in it."""
    items = [
        {"type": "function_call", "id": f"item_{call.call_id}", "status": "completed", "call_id": call.call_id,
         "name": call.name, "arguments": call.arguments}
        for call in calls
    ]  # fmt: skip
    response = {"id": response_id, "status": status, "output": items, **fields}
    return ev.ResponseDone(response=Response.model_validate(response))


def cancelled(response_id: str) -> ev.ResponseDone:
    return done(response_id, status="cancelled")


def delta(response_id: str, item_id: str = "i1", pcm: bytes = PCM) -> ev.OutputAudioDelta:
    return ev.OutputAudioDelta(response_id=response_id, item_id=item_id, delta=base64.b64encode(pcm).decode())


def audio_done(response_id: str, item_id: str = "i1") -> ev.OutputAudioDone:
    return ev.OutputAudioDone(response_id=response_id, item_id=item_id)


def words(item_id: str, text: str, response_id: str = "r1") -> ev.OutputTranscriptDelta:
    return ev.OutputTranscriptDelta(response_id=response_id, item_id=item_id, delta=text)


def all_words(item_id: str, text: str, response_id: str = "r1") -> ev.OutputTranscriptDone:
    return ev.OutputTranscriptDone(response_id=response_id, item_id=item_id, transcript=text)


def spoken_reply(response_id: str, item_id: str, text: str) -> list[ev.ServerEvent]:
    """A whole reply, each word in 500 ms, but for the word that it is done."""
    first, *rest = text.split()
    said: list[ev.ServerEvent] = [created(response_id), added(item_id, role="assistant")]
    for word in (first, *(f" {word}" for word in rest)):
        said += [words(item_id, word, response_id), delta(response_id, item_id, audio(500))]
    return [*said, audio_done(response_id, item_id), all_words(item_id, text, response_id)]


def error(code: str | None, event_id: str | None = None, param: str | None = None) -> ev.ErrorEvent:
    detail = ErrorDetail(type="invalid_request_error", message="no", code=code, event_id=event_id, param=param)
    return ev.ErrorEvent(error=detail)


def added(item_id: str, after: str | None = None, **item: Any) -> ev.ItemAdded:
    """The server has an item; one that it was told, unless `item` says more."""
    fields = {"type": "message", "role": "system", "id": item_id, **item}
    return ev.ItemAdded.model_validate({"item": fields, "previous_item_id": after})


def output(response_id: str, item_id: str, *, whole: bool = False) -> ev.OutputItemAdded | ev.OutputItemDone:
    """A response began or ended a message."""
    kind = ev.OutputItemDone if whole else ev.OutputItemAdded
    return kind.model_validate(
        {"response_id": response_id, "item": {"type": "message", "id": item_id, "role": "assistant"}}
    )


def started(item_id: str = "u1", ms: int = 0) -> ev.SpeechStarted:
    return ev.SpeechStarted(audio_start_ms=ms, item_id=item_id)


def stopped(item_id: str = "u1", ms: int = 0) -> ev.SpeechStopped:
    return ev.SpeechStopped(audio_end_ms=ms, item_id=item_id)


def committed(item_id: str = "u1", after: str | None = None) -> ev.InputAudioBufferCommitted:
    return ev.InputAudioBufferCommitted(item_id=item_id, previous_item_id=after)


def spoke(item_id: str, text: str) -> ev.TranscriptionCompleted:
    return ev.TranscriptionCompleted(item_id=item_id, transcript=text)


def turn(item_id: str, text: str) -> list[ev.ServerEvent]:
    """A whole turn of the user."""
    return [started(item_id), stopped(item_id), committed(item_id), spoke(item_id, text)]


def drive(conversation: Conversation, events: Iterable[ev.ServerEvent]) -> list[Action]:
    """All that comes of these events."""
    return [action for event in events for action in conversation.handle(event)]


def ask(conversation: Conversation, instructions: str) -> list[Action]:
    """Ask for a response, by nobody's command."""
    return conversation.create_response(None, ResponseConfig(instructions=instructions))


# What of its actions matters.


def sent(actions: list[Action], kind: type[E]) -> list[E]:
    """What is sent to the model of one type."""
    return [action.event for action in actions if isinstance(action, Send) and isinstance(action.event, kind)]


def kinds(actions: list[Action]) -> list[str]:
    """What is done, in order: the types of what is sent, and the names of the rest."""
    return [action.event.type if isinstance(action, Send) else type(action).__name__ for action in actions]


def asked(actions: list[Action]) -> list[str | None]:
    """The instructions of the responses that are asked for."""
    return [create.response.instructions if create.response else None for create in sent(actions, ev.ResponseCreate)]


def instructions(actions: list[Action]) -> str:
    """The instructions of the one response that is asked for."""
    (words,) = asked(actions)
    assert words is not None
    return words


def request_of(actions: list[Action]) -> str:
    """The id of the one request that is made, as the model is told it."""
    (create,) = sent(actions, ev.ResponseCreate)
    assert create.response is not None
    assert create.response.metadata is not None
    return create.response.metadata["request"]


def event_id(actions: list[Action], kind: type[ev.ClientEvent]) -> str:
    """The id of the last event of this type."""
    found = sent(actions, kind)[-1].event_id
    assert found is not None
    return found


def answers(actions: list[Action]) -> list[tuple[int, str | None]]:
    """Which commands are answered, with the code of the error or `None`."""
    found = [action for action in actions if isinstance(action, Answer)]
    return [(answer.command, answer.error.code if answer.error is not None else None) for answer in found]


def forgotten(actions: list[Action]) -> list[str]:
    """The items that the model is to forget."""
    return [delete.item_id for delete in sent(actions, ev.ItemDelete)]


def told(actions: list[Action]) -> list[str]:
    """The items that the model is told: a message as `role: words`, a call and its output by their names."""
    return [_in_short(create.item.to_dict()) for create in sent(actions, ev.ItemCreate)]


def _in_short(item: dict[str, Any]) -> str:
    match item:
        case {"type": "function_call", "call_id": call_id}:
            # Under an id of ours, once it has its output.
            return "call: answered" if call_id.startswith("answered_") else f"call: {call_id}"
        case {"type": "function_call_output", "output": text}:
            return f"output: {text}"
        case {"role": role, "content": [{"text": text}]}:
            return f"{role}: {text}"
        case {"role": role, "content": [{"audio": _}]}:
            return f"{role}, spoken"
    raise AssertionError(item)


def outputs(*texts: str) -> list[FunctionOutput]:
    """What came of the calls `call_1`, `call_2`…"""
    return [FunctionOutput(f"call_{number}", text) for number, text in enumerate(texts, 1)]
