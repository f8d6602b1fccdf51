"""Whatever a client sends, its session goes on."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.local_model.fakes import dictation, session

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_ITEM_ID = st.sampled_from(["a", "b", "root", ""])
_CONTENT = st.fixed_dictionaries(
    {"type": st.sampled_from(["input_text", "input_audio", "output_text", "output_audio", "x"])},
    optional={
        "text": st.text(max_size=20),
        "audio": st.sampled_from(["", "AAAA", "AAAAAAA=", "#"]),
        "transcript": _JSON,
    },
)
_ITEM = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "function_call", "function_call_output", "item_reference", "x"])},
    optional={
        "id": _ITEM_ID,
        "role": st.sampled_from(["user", "assistant", "system", "x"]),
        "content": st.lists(_CONTENT, max_size=2) | _JSON,
        "call_id": _JSON,
        "name": _JSON,
        "arguments": _JSON,
        "output": _JSON,
    },
)
_DETECTION = st.none() | st.fixed_dictionaries(
    {"type": st.sampled_from(["server_vad", "semantic_vad"])},
    optional={"threshold": _JSON, "silence_duration_ms": st.integers(-1, 20_000), "eagerness": _JSON},
)
_SESSION = st.fixed_dictionaries(
    {"type": st.sampled_from(["realtime", "transcription"])},
    optional={
        "model": st.none() | st.text(max_size=5),
        "instructions": _JSON,
        "output_modalities": st.sampled_from([["text"], ["audio"], ["text", "audio"], [], None]),
        "max_output_tokens": st.sampled_from([1, 20, "inf", 0, None]),
        "tool_choice": _JSON,
        "tracing": _JSON,
        "audio": st.fixed_dictionaries(
            {},
            optional={
                "input": st.fixed_dictionaries({}, optional={"turn_detection": _DETECTION, "transcription": _JSON}),
                "output": st.fixed_dictionaries({}, optional={"voice": _JSON, "speed": _JSON, "format": _JSON}),
            },
        )
        | _JSON,
    },
)
_RESPONSE = st.fixed_dictionaries(
    {},
    optional={
        "instructions": _JSON,
        "conversation": st.sampled_from(["auto", "none", None, "x"]),
        "input": st.lists(_ITEM, max_size=2),
        "output_modalities": st.sampled_from([["text"], ["audio"], None]),
        "max_output_tokens": st.sampled_from([1, 3, "inf", None]),
        "metadata": _JSON,
    },
)
_EVENT = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            [
                "session.update",
                "input_audio_buffer.append",
                "input_audio_buffer.commit",
                "input_audio_buffer.clear",
                "conversation.item.create",
                "conversation.item.retrieve",
                "conversation.item.truncate",
                "conversation.item.delete",
                "response.create",
                "response.cancel",
            ]
        )
    },
    optional={
        "event_id": _JSON,
        "audio": st.sampled_from(["", "AAAA", "//9/", "AEAAQABAAEAA" * 2000, "ÿ"]),
        "item_id": _ITEM_ID,
        "content_index": st.integers(-1, 1),
        "audio_end_ms": st.sampled_from([-1, 0, 100, 10**30]),
        "previous_item_id": _ITEM_ID,
        "response_id": _ITEM_ID,
        "item": _ITEM,
        "session": _SESSION,
        "response": _RESPONSE,
    },
)


def only_its_own_fields(event: dict[str, Any]) -> dict[str, Any]:
    """Drop what the event's type does not know, so that more than the first check is reached."""
    fields = {
        "session.update": ["session"],
        "input_audio_buffer.append": ["audio"],
        "conversation.item.create": ["item", "previous_item_id"],
        "conversation.item.retrieve": ["item_id"],
        "conversation.item.truncate": ["item_id", "content_index", "audio_end_ms"],
        "conversation.item.delete": ["item_id"],
        "response.create": ["response"],
        "response.cancel": ["response_id"],
    }.get(event["type"], [])
    return {name: value for name, value in event.items() if name in ("type", "event_id", *fields)}


@settings(max_examples=80, deadline=None)
@given(st.lists(_EVENT.map(only_its_own_fields) | _EVENT | _JSON, max_size=25))
async def test_no_event_ends_a_session(events: list[Any]) -> None:
    async with session() as client:
        for event in events:
            await client.connection.send(json.dumps(event))
        await client.settle()
        assert not [e for e in client.events if e["type"] == "error" and e["error"]["type"] == "server_error"]
        await client.send("conversation.item.create", item={"type": "message", "role": "user", "content": []})
        await client.next("conversation.item.done")


@settings(max_examples=40, deadline=None)
@given(st.lists(_EVENT.map(only_its_own_fields) | _EVENT | _JSON, max_size=25))
async def test_no_event_ends_a_transcription_session(events: list[Any]) -> None:
    async with dictation() as client:
        for event in events:
            await client.connection.send(json.dumps(event))
        await client.settle()
        assert not [e for e in client.events if e["type"] == "error" and e["error"]["type"] == "server_error"]
        await client.append(bytes(4800))
        await client.send("input_audio_buffer.commit")
        await client.next("conversation.item.done")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text() | st.binary(), max_size=10))
async def test_no_message_ends_a_session(messages: list[str | bytes]) -> None:
    async with session() as client:
        for message in messages:
            await client.connection.send(message)
        await client.settle()
