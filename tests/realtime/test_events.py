"""The wire events, held against the types of the official `openai` package."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.realtime import (
    ConversationItem,
    RealtimeClientEvent,
    RealtimeServerEvent,
    RealtimeSessionCreateRequest,
    RealtimeTranscriptionSessionCreateRequest,
)
from pydantic import BaseModel, TypeAdapter

from realtime_agent.errors import InvalidEvent
from realtime_agent.realtime import events as ev
from realtime_agent.realtime.types import (
    ApprovalFilter,
    AudioFormat,
    AudioInput,
    AudioOutput,
    CustomVoice,
    FunctionTool,
    Item,
    McpTool,
    NoiseReduction,
    Prompt,
    Reasoning,
    ResponseAudio,
    ResponseConfig,
    RetentionRatio,
    SemanticVad,
    ServerVad,
    SessionAudio,
    SessionConfig,
    TokenLimits,
    ToolChoiceFunction,
    ToolChoiceMcp,
    ToolFilter,
    Tracing,
    Transcription,
    TranscriptionSessionAudio,
    TranscriptionSessionConfig,
)

# A busy machine is no failure.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

_openai_client: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)


def _members(union: Any) -> tuple[type[BaseModel], ...]:
    """The models of one of openai's annotated unions."""
    return get_args(get_args(union)[0])


def _type_of(model: type[BaseModel]) -> str:
    return str(get_args(model.model_fields["type"].annotation)[0])


OURS = {model.model_fields["type"].default: model for model in get_args(ev.KnownServerEvent)}
THEIRS = {_type_of(model): model for model in _members(RealtimeServerEvent)}
PCM = AudioFormat(type="audio/pcm", rate=24000)


def example(annotation: Any, *, full: bool) -> Any:
    """A value of a type: for a model its required fields, or with `full` all of them.

    `type` is never left out: openai's package calls it optional in places, and its server sends it.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.items()
        wanted = {name: f for name, f in fields if full or f.is_required() or name == "type"}
        return {name: example(field.annotation, full=full) for name, field in wanted.items()}
    if origin is Annotated:
        return example(arguments[0], full=full)
    if origin is Literal:
        return arguments[0]
    if origin in (Union, UnionType):
        return example(arguments[0], full=full)
    if origin is list:
        return [example(arguments[0], full=full)] if full else []
    if origin is dict:
        return {"k": "v"} if full else {}
    return {str: "x", int: 1, float: 1.0, bool: True, object: {}}.get(annotation)


def strangers(value: object) -> list[str]:
    """The fields of a model, at any depth, that openai does not know."""
    if isinstance(value, BaseModel):
        inside = [name for field in value.__dict__.values() for name in strangers(field)]
        return [*(value.model_extra or ()), *inside]
    return [name for element in value for name in strangers(element)] if isinstance(value, list) else []


def user_text(text: str) -> Item:
    return Item.model_validate({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})


FULL_SESSION = SessionConfig(
    model="gpt-realtime-2.1",
    instructions="be brief",
    output_modalities=["audio"],
    audio=SessionAudio(
        input=AudioInput(
            format=PCM,
            noise_reduction=NoiseReduction(type="near_field", strength=0.5),
            transcription=Transcription(
                model="gpt-realtime-whisper", language="en", prompt="names", delay="low", keywords=["Ada"],
                languages=["en", "de"],
            ),
            turn_detection=ServerVad(
                threshold=0.4, prefix_padding_ms=100, silence_duration_ms=300, idle_timeout_ms=6000,
                create_response=True, interrupt_response=False,
            ),
        ),
        output=AudioOutput(format=PCM, voice="marin", speed=1.1),
    ),
    max_output_tokens="inf",
    tools=[
        FunctionTool(name="look_up", description="finds", parameters={"type": "object"}),
        McpTool(
            server_label="files", server_url="https://tools.example", connector_id="connector_gmail", tunnel_id="t1",
            server_description="keeps", authorization="secret", headers={"X-A": "b"},
            allowed_tools=ToolFilter(tool_names=["read"], read_only=True), allowed_callers=["direct"],
            require_approval=ApprovalFilter(
                always=ToolFilter(tool_names=["write"], read_only=False),
                never=ToolFilter(tool_names=["read"], read_only=True),
            ),
            defer_loading=True,
        ),
    ],
    tool_choice="auto",
    parallel_tool_calls=False,
    reasoning=Reasoning(effort="low"),
    tracing=Tracing(workflow_name="w", group_id="g", metadata={"a": 1}),
    truncation=RetentionRatio(retention_ratio=0.8, token_limits=TokenLimits(post_instructions=5000)),
    include=["item.input_audio_transcription.logprobs"],
    prompt=Prompt(id="p1", version="2", variables={"name": "Ada"}),
)  # fmt: skip

FULL_RESPONSE = ResponseConfig(
    instructions="say hello",
    output_modalities=["text"],
    audio=ResponseAudio(output=AudioOutput(format=PCM, voice="marin")),
    conversation="none",
    input=[user_text("hello")],
    max_output_tokens=100,
    metadata={"topic": "greeting"},
    tools=[FunctionTool(name="look_up")],
    tool_choice="required",
    parallel_tool_calls=True,
    reasoning=Reasoning(effort="low"),
    prompt=Prompt(id="p1"),
)

TRANSCRIPTION_SESSIONS = [
    TranscriptionSessionConfig(
        audio=TranscriptionSessionAudio(
            input=AudioInput(
                format=PCM,
                noise_reduction=NoiseReduction(type="near_field", strength=0.5),
                transcription=Transcription(
                    model="m", language="en", prompt="p", delay="low", keywords=["agent"], languages=["en"]
                ),
                turn_detection=ServerVad(idle_timeout_ms=5000).in_full(),
            )
        ),
        include=["item.input_audio_transcription.logprobs"],
    ),
    TranscriptionSessionConfig(
        audio=TranscriptionSessionAudio(input=AudioInput(turn_detection=SemanticVad().in_full()))
    ),
]

CLIENT_EVENTS: list[ev.ClientEvent] = [
    *(ev.SessionUpdate(session=session) for session in TRANSCRIPTION_SESSIONS),
    ev.SessionUpdate(session=SessionConfig(instructions="be brief")),
    ev.SessionUpdate(session=FULL_SESSION, event_id="e1"),
    ev.SessionUpdate(session=SessionConfig(audio=SessionAudio(input=AudioInput(turn_detection=None)))),
    ev.SessionUpdate(
        session=SessionConfig(
            audio=SessionAudio(output=AudioOutput(voice=CustomVoice(id="voice_1"))),
            tool_choice=ToolChoiceFunction(name="look_up"),
            tracing="auto",
            truncation="disabled",
        )
    ),
    ev.SessionUpdate(session=SessionConfig(tool_choice=ToolChoiceMcp(server_label="files", name="read"), tracing=None)),
    ev.SessionUpdate(
        session=SessionConfig(
            output_modalities=["text"],
            max_output_tokens=4096,
            audio=SessionAudio(
                input=AudioInput(
                    format=AudioFormat(type="audio/pcmu"),
                    turn_detection=SemanticVad(eagerness="low", create_response=False, interrupt_response=False),
                )
            ),
        )
    ),
    ev.InputAudioBufferAppend(audio="AAA="),
    ev.InputAudioBufferCommit(),
    ev.InputAudioBufferClear(event_id="e2"),
    ev.ItemCreate(item=user_text("hello"), previous_item_id="root"),
    ev.ItemCreate(item=Item(type="function_call_output", call_id="c1", output="42")),
    ev.ItemRetrieve(item_id="i1"),
    ev.ItemTruncate(item_id="i1", content_index=0, audio_end_ms=1500),
    ev.ItemDelete(item_id="i1"),
    ev.ResponseCreate(),
    ev.ResponseCreate(event_id="e3", response=FULL_RESPONSE),
    ev.ResponseCancel(),
    ev.ResponseCancel(response_id="r1"),
    ev.OutputAudioBufferClear(),
]


@pytest.mark.parametrize("event", CLIENT_EVENTS, ids=lambda event: event.type)
def test_every_event_we_send_is_one_that_openai_knows(event: ev.ClientEvent) -> None:
    theirs = _openai_client.validate_json(event.to_json())
    assert theirs.type == event.type
    assert strangers(theirs) == []
    assert theirs.model_dump(mode="json", exclude_unset=True) == event.to_dict()


@pytest.mark.parametrize("event", CLIENT_EVENTS, ids=lambda event: event.type)
def test_a_client_event_survives_the_wire(event: ev.ClientEvent) -> None:
    again = ev.parse_client_event(event.to_json())
    assert again == event
    assert again.to_json() == event.to_json()


def test_the_examples_cover_every_event_that_a_client_can_send() -> None:
    assert {type(event) for event in CLIENT_EVENTS} == set(get_args(ev.ClientEvent))
    assert {_type_of(model) for model in _members(RealtimeClientEvent)} == {event.type for event in CLIENT_EVENTS}


def _fields(annotation: Any, path: str = "") -> set[str]:
    """The paths of all fields that a type of openai's has, at every depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inside = {name: field.annotation for name, field in annotation.model_fields.items()}
        return set().union(*({f"{path}.{name}", *_fields(kind, f"{path}.{name}")} for name, kind in inside.items()))
    return set().union(*(_fields(argument, path) for argument in get_args(annotation)), set())


def _paths(value: Any, path: str = "") -> set[str]:
    """The paths of all fields that an object has."""
    if isinstance(value, dict):
        return set().union(*({f"{path}.{name}", *_paths(inside, f"{path}.{name}")} for name, inside in value.items()))
    return set().union(*(_paths(inside, path) for inside in value)) if isinstance(value, list) else set()


def test_every_setting_of_openai_s_sessions_can_be_sent() -> None:
    """A newer package that has more of them shows here what is missing."""
    updates = [event.session for event in CLIENT_EVENTS if isinstance(event, ev.SessionUpdate)]
    sent = [session.to_dict() for session in updates if isinstance(session, SessionConfig)]
    reached = set().union(*map(_paths, sent))
    free = (".prompt.variables", ".tools.parameters", ".tools.headers", ".tracing.metadata")
    known = {path for path in _fields(RealtimeSessionCreateRequest) if not path.startswith(free)}
    assert {path for path in reached if not path.startswith(free)} == known


def test_every_setting_of_openai_s_transcription_sessions_can_be_sent() -> None:
    reached = set().union(*(_paths(session.to_dict()) for session in TRANSCRIPTION_SESSIONS))
    assert reached == _fields(RealtimeTranscriptionSessionCreateRequest)


OLD_NAMES = {
    "response.audio.delta": ev.OutputAudioDelta,
    "response.audio.done": ev.OutputAudioDone,
    "response.audio_transcript.delta": ev.OutputTranscriptDelta,
    "response.audio_transcript.done": ev.OutputTranscriptDone,
    "response.text.delta": ev.OutputTextDelta,
    "response.text.done": ev.OutputTextDone,
}


@pytest.mark.parametrize("old", sorted(OLD_NAMES))
def test_an_event_by_its_old_name_is_what_it_is(old: str) -> None:
    raw = {"type": old, "response_id": "r", "item_id": "i", "delta": "AAAA", "text": "Hi.", "transcript": "Hi."}
    event = ev.parse_server_event(json.dumps(raw))
    assert type(event) is OLD_NAMES[old]
    assert OLD_NAMES[old].model_fields["type"].default.startswith("response.output_")


NONSENSE: list[object] = [None, 5, 1.5, "x", [], {"id": 7}, [{"type": 1}]]

DECIDES = {"response_id", "content_index"}
"""Optional in what a response puts out, but what is there decides where it goes: it is not guessed."""


def _may_be_nonsense(model: type[BaseModel]) -> list[str]:
    kept = {"type", *(DECIDES if "output_index" in model.model_fields else ())}
    return [name for name, field in model.model_fields.items() if not field.is_required() and name not in kept]


@pytest.mark.parametrize("kind", sorted(OURS))
def test_no_event_is_lost_to_a_field_that_it_can_do_without(kind: str) -> None:
    raw = example(THEIRS[kind], full=True)
    changed = [raw | {name: nonsense} for name in _may_be_nonsense(OURS[kind]) for nonsense in NONSENSE]
    assert changed
    assert [each for each in changed if type(ev.parse_server_event(json.dumps(each))) is not OURS[kind]] == []


@pytest.mark.parametrize("nonsense", [5, [], {"id": 7}])
@pytest.mark.parametrize("field", ["object", "status", "server_label", "approve", "reason", "tools", "error"])
def test_an_item_is_not_lost_with_its_details(field: str, nonsense: object) -> None:
    item = {"type": "function_call", "id": "i", "call_id": "c", "name": "look_up", "arguments": "{}", field: nonsense}
    event = ev.parse_server_event(json.dumps({"type": "response.output_item.done", "item": item}))
    assert isinstance(event, ev.OutputItemDone)
    assert (event.item.call_id, event.item.name) == ("c", "look_up")


def test_an_error_s_code_is_not_lost_with_its_other_details() -> None:
    raw = {"type": "error", "error": {"type": None, "message": None, "code": "session_expired", "event_id": "mine"}}
    event = ev.parse_server_event(json.dumps(raw))
    assert isinstance(event, ev.ErrorEvent)
    assert (event.error.code, event.error.event_id, event.error.type) == ("session_expired", "mine", "error")


def test_a_count_of_tokens_that_is_null_costs_no_other_count() -> None:
    details = {"audio_tokens": 3, "image_tokens": None, "cached_tokens": "some"}
    usage = {"total_tokens": None, "input_tokens": 3, "output_tokens": 4, "input_token_details": details}
    event = ev.parse_server_event(json.dumps({"type": "response.done", "response": {"id": "r", "usage": usage}}))
    assert isinstance(event, ev.ResponseDone)
    assert event.response.usage is not None
    assert event.response.usage.to_dict() == {
        "total_tokens": 0,
        "input_tokens": 3,
        "output_tokens": 4,
        "input_token_details": {"audio_tokens": 3, "image_tokens": 0, "cached_tokens": 0},
    }


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("field", ["usage", "status_details", "output", "metadata", "audio", "id", "status"])
def test_a_response_s_end_is_not_lost_with_its_details(field: str, nonsense: object) -> None:
    event = ev.parse_server_event(json.dumps({"type": "response.done", "response": {"id": "r1", field: nonsense}}))
    assert isinstance(event, ev.ResponseDone)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ('{"type": "response.done"}', ev.ResponseDone),
        ('{"type": "response.created", "response": null}', ev.ResponseCreated),
        ('{"type": "error", "error": "overloaded"}', ev.ErrorEvent),
        ('{"type": "error", "error": {"code": 429, "message": "slow down"}}', ev.ErrorEvent),
        ('{"type": "session.created"}', ev.SessionCreated),
        ('{"type": "input_audio_buffer.speech_started"}', ev.SpeechStarted),
        ('{"type": "input_audio_buffer.speech_started", "audio_start_ms": 12.7, "item_id": "u"}', ev.SpeechStarted),
        ('{"type": "conversation.item.truncated", "item_id": "a"}', ev.ItemTruncated),
        ('{"type": "conversation.item.input_audio_transcription.completed", "item_id": "u", "transcript": "Hi.",'
         ' "usage": 5}', ev.TranscriptionCompleted),
    ],
)  # fmt: skip
def test_what_others_wait_for_is_read_however_little_it_says(message: str, kind: type[BaseModel]) -> None:
    assert type(ev.parse_server_event(message)) is kind


def test_null_is_sent_and_absent_is_not() -> None:
    null = ev.SessionUpdate(session=SessionConfig(audio=SessionAudio(input=AudioInput(turn_detection=None))))
    absent = ev.SessionUpdate(session=SessionConfig(audio=SessionAudio(input=AudioInput())))
    assert null.to_dict()["session"]["audio"]["input"] == {"turn_detection": None}
    assert absent.to_dict()["session"]["audio"]["input"] == {}
    for event in (null, absent):
        assert ev.parse_client_event(event.to_json()).to_json() == event.to_json()


def test_every_event_of_openai_s_is_one_of_ours() -> None:
    assert set(OURS) == set(THEIRS)
    assert (len(get_args(ev.ClientEvent)), len(OURS)) == (11, 46)


@pytest.mark.parametrize("full", [False, True], ids=["required fields", "all fields"])
@pytest.mark.parametrize("kind", sorted(THEIRS))
def test_every_event_of_openai_s_server_is_read(kind: str, full: bool) -> None:
    raw = example(THEIRS[kind], full=full)
    event = ev.parse_server_event(json.dumps(raw))
    assert type(event) is OURS[kind]
    assert event.type == kind


@pytest.mark.parametrize("full", [False, True], ids=["required fields", "all fields"])
@pytest.mark.parametrize("model", get_args(get_args(ConversationItem)[0]), ids=lambda model: model.__name__)
def test_every_kind_of_item_of_openai_s_server_is_read(model: type[BaseModel], full: bool) -> None:
    raw = example(model, full=full)
    event = ev.parse_server_event(json.dumps({"type": "conversation.item.done", "event_id": "e", "item": raw}))
    assert isinstance(event, ev.ItemDone)
    assert event.item.type == raw["type"]


@pytest.mark.parametrize("kind", sorted(OURS))
def test_a_server_event_survives_the_wire(kind: str) -> None:
    event = ev.parse_server_event(json.dumps(example(THEIRS[kind], full=True)))
    assert ev.parse_server_event(event.to_json()) == event


def test_an_event_that_is_new_or_lacks_a_field_is_kept_whole_and_harms_nothing() -> None:
    new = ev.parse_server_event('{"type": "response.hologram.delta", "voxels": [1, 2]}')
    assert new == ev.UnknownEvent(
        type="response.hologram.delta", raw={"type": "response.hologram.delta", "voxels": [1, 2]}
    )
    assert isinstance(ev.parse_server_event('{"type": "response.output_audio.delta"}'), ev.UnknownEvent)


def test_a_field_that_a_server_added_is_ignored() -> None:
    event = ev.parse_server_event('{"type": "input_audio_buffer.cleared", "event_id": "e", "mood": "good"}')
    assert event == ev.InputAudioBufferCleared(event_id="e")


def test_audio_is_decoded() -> None:
    delta = ev.OutputAudioDelta(response_id="r", item_id="i", delta=base64.b64encode(b"\1\2\3\4").decode())
    assert delta.pcm() == b"\1\2\3\4"


@pytest.mark.parametrize("text", ["AAA", "A===", "!!!!", "AA\nAA", "ÄÖÜß"])
def test_audio_that_is_not_base64_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message is the standard library's
        ev.OutputAudioDelta(response_id="r", item_id="i", delta=text).pcm()


@pytest.mark.parametrize(
    ("message", "code", "param", "event_id"),
    [
        ("", "invalid_json", None, None),
        ("{", "invalid_json", None, None),
        ("[]", "invalid_json", None, None),
        (b"\xff\xfe", "invalid_json", None, None),
        ('{"type": "response.cancel", "event_id": "\\ud800"}', "invalid_json", None, None),
        ('{"type": "response.cancel", "deep": ' + "[" * 5000 + "]" * 5000 + "}", "invalid_json", None, None),
        ("{}", "missing_required_parameter", "type", None),
        ('{"type": 7, "event_id": "e"}', "missing_required_parameter", "type", "e"),
        ('{"type": "session.create", "event_id": "e"}', "invalid_value", "type", "e"),
        ('{"type": "session.created", "event_id": "e", "session": {}}', "invalid_value", "type", "e"),
        ('{"type": "conversation.item.truncate", "event_id": 5}', "invalid_value", "event_id", None),
        ('{"type": "conversation.item.delete", "event_id": "e"}', "missing_required_parameter", "item_id", "e"),
        ('{"type": "response.cancel", "why": 1, "event_id": "e"}', "unknown_parameter", "why", "e"),
        ('{"type": "conversation.item.truncate", "item_id": "i", "audio_end_ms": -1}',
         "invalid_value", "audio_end_ms", None),
        ('{"type": "session.update", "session": {"temperature": 1}}', "unknown_parameter", "session.temperature", None),
        ('{"type": "session.update", "session": {"type": "translation"}}', "invalid_value", "session.type", None),
        ('{"type": "session.update", "session": {"max_output_tokens": 0}}',
         "invalid_value", "session.max_output_tokens", None),
        ('{"type": "session.update", "session": {"tool_choice": 5}}', "invalid_value", "session.tool_choice", None),
        ('{"type": "session.update", "session": {"tools": [{"type": "function", "name": "a"}, {"type": "function"}]}}',
         "missing_required_parameter", "session.tools.1.name", None),
        ('{"type": "session.update", "session": {"tools": [{"name": "a"}]}}',
         "missing_required_parameter", "session.tools.0.type", None),
        ('{"type": "session.update", "session": {"audio": {"output": {"voice": 5}}}}',
         "invalid_value", "session.audio.output.voice", None),
        ('{"type": "session.update", "session": {"audio": {"input": {"turn_detection": '
         '{"type": "server_vad", "threshold": 2}}}}}',
         "invalid_value", "session.audio.input.turn_detection.threshold", None),
        ('{"type": "session.update", "session": {"audio": {"input": {"turn_detection": {"type": "psychic"}}}}}',
         "invalid_value", "session.audio.input.turn_detection.type", None),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_client_s_event_is_told(
    message: str | bytes, code: str, param: str | None, event_id: str | None
) -> None:
    with pytest.raises(InvalidEvent) as caught:
        ev.parse_client_event(message)
    assert (caught.value.code, caught.value.param, caught.value.event_id) == (code, param, event_id)
    assert str(caught.value).endswith(".")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(), inside, max_size=4),
    max_leaves=12,
)
kinds = st.sampled_from(sorted(THEIRS)) | st.text()
fields = st.sampled_from(["item", "response", "response_id", "item_id", "delta", "error", "session", "event_id"])


@patient
@given(kinds, st.dictionaries(fields | st.text(), json_values, max_size=5))
def test_no_object_with_a_type_is_refused(kind: str, rest: dict[str, Any]) -> None:
    event = ev.parse_server_event(json.dumps({**rest, "type": kind}))
    assert event.type == kind


@patient
@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_a_message_is_an_event_or_an_invalid_one_and_nothing_else_happens(message: bytes) -> None:
    for parse in (ev.parse_server_event, ev.parse_client_event):
        with suppress(InvalidEvent):
            assert isinstance(parse(message).type, str)


@patient
@given(st.sampled_from(CLIENT_EVENTS), st.dictionaries(fields | st.text(), json_values, min_size=1, max_size=3))
def test_what_a_client_sends_is_read_or_refused_with_its_own_event_id(
    event: ev.ClientEvent, changes: dict[str, Any]
) -> None:
    raw = event.to_dict() | changes
    error: InvalidEvent | None = None
    try:
        ev.parse_client_event(json.dumps(raw))
    except InvalidEvent as caught:
        error = caught
    assert error is None or error.event_id in (None, raw.get("event_id"))
