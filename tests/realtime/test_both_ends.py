"""The wire: one set of tests for both servers of ours, the embedded model and the scripted one, and for two clients.

What a test sees at one end, it must see at every other: so the scripted server is as true to the protocol as the
embedded model is, and our client takes what the official one does.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.local_model.fakes import WORD_MS, speech
from tests.realtime.both_clients import CLIENTS, Dialing, WireClient
from tests.realtime.both_servers import SERVERS, TURN, Serving, voices
from tests.speech import silence


@pytest.fixture(params=SERVERS)
def serving(request: pytest.FixtureRequest) -> Serving:
    """A server."""
    return SERVERS[request.param]


@pytest.fixture(params=CLIENTS)
def dialing(request: pytest.FixtureRequest) -> Dialing:
    """A client."""
    return CLIENTS[request.param]


@pytest.fixture
async def client(serving: Serving, dialing: Dialing) -> AsyncIterator[WireClient]:
    """A client that has been greeted by a server which answers by the rules."""
    async with serving(voices()) as url, dialing(url) as connected:
        await connected.until("session.created")
        yield connected


@asynccontextmanager
async def in_the_middle_of_a_reply(serving: Serving, dialing: Dialing) -> AsyncIterator[WireClient]:
    """A client that has heard half of a response."""
    async with serving(voices("One two three.", "Four five six.")) as url, dialing(url) as client:
        await client.until("session.created")
        await client.ask("response.create", "response.created")
        for _ in range(2):
            await client.until("response.output_audio.delta")
        yield client


def message(text: str, role: str = "user", **fields: object) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}], **fields}


def base64_of(pcm: bytes) -> str:
    return base64.b64encode(pcm).decode()


# The session and its items.


async def test_a_client_is_greeted_with_the_settings_and_changes_them(serving: Serving, dialing: Dialing) -> None:
    async with serving(voices()) as url, dialing(url) as client:
        greeting = await client.receive()
        assert greeting["type"] == "session.created"
        assert greeting["session"]["model"] == "m"
        updated = await client.configure(instructions="Sing.", audio={"input": {"turn_detection": None}})
    assert updated["id"] == greeting["session"]["id"]
    assert updated["instructions"] == "Sing."
    assert updated["audio"]["input"]["turn_detection"] is None
    assert updated["audio"]["output"] == greeting["session"]["audio"]["output"]


async def test_items_stand_where_the_client_puts_them(client: WireClient) -> None:
    behind = [
        (await client.add(message(name, id=name), **({"previous_item_id": after} if after else {})))["previous_item_id"]
        for name, after in (("a", None), ("b", None), ("c", "root"), ("d", "a"))
    ]
    assert behind == [None, "a", None, "a"]
    assert (await client.add(message("e", id="e")))["previous_item_id"] == "b"


async def test_an_item_without_an_id_gets_one(client: WireClient) -> None:
    first, second = [(await client.add(message("Hello?")))["item"]["id"] for _ in range(2)]
    assert first != second


async def test_an_item_can_be_retrieved_until_it_is_deleted(client: WireClient) -> None:
    added = await client.add(message("Hello?", id="a"))
    retrieved = await client.ask("conversation.item.retrieve", "conversation.item.retrieved", item_id="a")
    assert retrieved["item"] == added["item"]
    assert retrieved["item"]["content"] == [{"type": "input_text", "text": "Hello?"}]
    deleted = await client.ask("conversation.item.delete", "conversation.item.deleted", item_id="a")
    assert deleted["item_id"] == "a"
    for kind in ("conversation.item.retrieve", "conversation.item.delete"):
        assert await client.refused(kind, item_id="a") == "item_not_found"


async def test_an_item_that_can_t_be_put_there_is_refused(client: WireClient) -> None:
    await client.add(message("Hello?", id="a"))
    create = "conversation.item.create"
    assert await client.refused(create, item=message("Again", id="a")) == "invalid_value"
    assert await client.refused(create, item=message("b"), previous_item_id="x") == "item_not_found"
    assert (await client.add(message("c")))["previous_item_id"] == "a"


@pytest.mark.parametrize(
    "item",
    [
        message("It rains.", "system"),
        message("What is it?", "user"),
        message("It is Paris.", "assistant"),
        {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": base64_of(TURN)}]},
        {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "42"},
    ],
    ids=["system", "user", "assistant", "user's audio", "call", "output"],
)
async def test_whatever_was_said_can_be_told_again(client: WireClient, item: dict[str, Any]) -> None:
    if item["type"] == "function_call_output":
        await client.add({"type": "function_call", "call_id": "call_1", "name": "add", "arguments": "{}"})
    told = (await client.add({"id": "told", **item}))["item"]
    expected = {"id": "told", "status": "completed", **item}
    content = expected.get("content", [])
    if content and content[0]["type"] == "input_audio":
        # The audio does not come back.
        assert [part["type"] for part in told.pop("content")] == ["input_audio"]
        del expected["content"]
    assert told.items() >= expected.items()


# Responses.


async def test_a_spoken_response_is_told_from_its_beginning_to_its_end(serving: Serving, dialing: Dialing) -> None:
    those = voices()
    those.brain.pieces = ["Hello."]
    async with serving(those) as url, dialing(url) as client:
        await client.until("session.created")
        response = await client.respond()
    events = client.events[1:]
    kinds = [event["type"] for event in events]
    assert [kind for kind, before in zip(kinds, [None, *kinds], strict=False) if kind != before] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    assert {event["response_id"] for event in events if "response_id" in event} == {response["id"]}
    (item,) = response["output"]
    assert {event["item_id"] for event in events if "item_id" in event} == {item["id"]}
    assert (response["status"], item["status"]) == ("completed", "completed")
    assert item["content"] == [{"type": "output_audio", "transcript": "Hello."}]
    audio = b"".join(base64.b64decode(e["delta"]) for e in events if e["type"] == "response.output_audio.delta")
    assert audio == silence(WORD_MS / 1000)
    assert response["usage"]["total_tokens"]


async def test_a_written_response_is_told_from_its_beginning_to_its_end(client: WireClient) -> None:
    response = await client.respond(output_modalities=["text"])
    kinds = [event["type"] for event in client.events[1:]]
    assert [kind for kind, before in zip(kinds, [None, *kinds], strict=False) if kind != before] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    said = "".join(event["delta"] for event in client.events if event["type"] == "response.output_text.delta")
    assert said == "Hello! How can I help?"
    assert response["output"][0]["content"] == [{"type": "output_text", "text": said}]


async def test_a_response_tells_which_request_it_answers(client: WireClient) -> None:
    for request in ("first", "second"):
        done = await client.respond(metadata={"request": request})
        created = [event["response"] for event in client.events if event["type"] == "response.created"][-1]
        assert created["metadata"] == done["metadata"] == {"request": request}


async def test_a_response_beside_the_conversation_leaves_it_as_it_is(client: WireClient) -> None:
    await client.add(message("Hello?", id="a"))
    response = await client.respond(conversation="none")
    assert response["conversation_id"] is None
    assert (await client.add(message("Again?")))["previous_item_id"] == "a"


async def test_a_second_response_is_refused_until_the_first_is_over(serving: Serving, dialing: Dialing) -> None:
    async with in_the_middle_of_a_reply(serving, dialing) as client:
        refusal = await client.refused("response.create")
        assert refusal == "conversation_already_has_active_response"
        cancelled = (await client.ask("response.cancel", "response.done"))["response"]
        assert cancelled["status"] == "cancelled"
        assert cancelled["status_details"]["reason"] == "client_cancelled"
        assert cancelled["output"][0]["status"] == "incomplete"
        await client.ask("response.create", "response.created", response={"metadata": {"request": "again"}})
        assert client.events[-1]["response"]["metadata"] == {"request": "again"}


async def test_cancelling_nothing_is_told_to_the_one_who_did(client: WireClient) -> None:
    assert await client.refused("response.cancel") == "response_cancel_not_active"
    await client.respond()
    assert await client.refused("response.cancel") == "response_cancel_not_active"


async def test_speech_is_truncated_where_it_was_heard_and_not_behind_its_end(client: WireClient) -> None:
    item = (await client.respond())["output"][0]["id"]
    said_ms = 5 * WORD_MS
    truncate, where = "conversation.item.truncate", {"item_id": item, "content_index": 0}
    assert await client.refused(truncate, audio_end_ms=said_ms + 1, **where) == "invalid_value"
    truncated = await client.ask(truncate, "conversation.item.truncated", audio_end_ms=said_ms, **where)
    assert truncated.items() >= {"audio_end_ms": said_ms, **where}.items()
    await client.ask(truncate, "conversation.item.truncated", audio_end_ms=said_ms - 1, **where)
    gone = {"item_id": "nobody", "content_index": 0, "audio_end_ms": 0}
    assert await client.refused(truncate, **gone) == "item_not_found"


# The user's audio, and what is wrong with an event.


async def test_audio_is_committed_by_hand(client: WireClient) -> None:
    await client.configure(audio={"input": {"turn_detection": None}})
    await client.add(message("Hello?", id="a"))
    await client.send("input_audio_buffer.append", audio=base64_of(speech(0.5)))
    committed = await client.ask("input_audio_buffer.commit", "input_audio_buffer.committed")
    assert committed["previous_item_id"] == "a"
    added = await client.until("conversation.item.added")
    assert (added["item"]["id"], added["item"]["role"]) == (committed["item_id"], "user")
    assert [part["type"] for part in added["item"]["content"]] == ["input_audio"]


async def test_a_buffer_with_nothing_in_it_can_t_be_committed(client: WireClient) -> None:
    await client.send("input_audio_buffer.commit", event_id="mine")
    answer = await client.receive()
    assert answer["type"] == "error"
    assert answer["error"].items() >= {"code": "input_audio_buffer_commit_empty", "event_id": "mine"}.items()


async def test_a_buffer_that_was_cleared_can_t_be_committed(client: WireClient) -> None:
    await client.configure(audio={"input": {"turn_detection": None}})
    await client.send("input_audio_buffer.append", audio=base64_of(speech(0.5)))
    await client.ask("input_audio_buffer.clear", "input_audio_buffer.cleared")
    await client.send("input_audio_buffer.commit", event_id="mine")
    answer = await client.receive()
    assert answer["type"] == "error"
    assert answer["error"].items() >= {"code": "input_audio_buffer_commit_empty", "event_id": "mine"}.items()


async def test_a_turn_is_told_from_its_beginning_to_the_answer(client: WireClient) -> None:
    await client.configure(audio={"input": {"transcription": {"model": "whisper-1"}}})
    await client.send("input_audio_buffer.append", audio=base64_of(TURN))
    response = (await client.until("response.done"))["response"]
    assert response["metadata"] is None
    kinds = [event["type"] for event in client.events]
    wanted = [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert kinds[2:7] == wanted
    heard = client.events[kinds.index("conversation.item.input_audio_transcription.completed")]
    assert heard["transcript"] == "Hello."
    assert {event.get("item_id") or event["item"]["id"] for event in client.events[2:7]} == {heard["item_id"]}
    assert response["output"][0]["content"][0]["transcript"] == "Hello! How can I help?"


async def test_an_event_of_no_known_type_is_told_and_harms_nothing(client: WireClient) -> None:
    await client.send_any({"type": "conversation.item.paint", "event_id": "mine"})
    assert await client.is_refused("mine") == "invalid_value"
    assert (await client.respond())["status"] == "completed"


async def test_a_session_that_is_too_old_is_closed_with_a_word(serving: Serving, dialing: Dialing) -> None:
    async with serving(voices(), max_session_s=0.2) as url, dialing(url) as client:
        await client.until("session.created")
        await client.send("session.update", session={"type": "realtime"})
        words = await client.ended()
    assert "1001" in words
    assert "Your session hit the maximum duration" in words
