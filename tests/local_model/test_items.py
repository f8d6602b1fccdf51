"""Items on the wire: create, retrieve, truncate, delete."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from realtime_agent.local_model.items import Conversation, Entry
from realtime_agent.realtime.types import Item
from tests.local_model.fakes import Client, Voices, session, speech


def message(role: str = "user", type_: str = "input_text", **content: object) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": type_, **content}]}


async def test_an_item_is_added_behind_the_last() -> None:
    async with session() as client:
        first = await client.add("One.", id="item_1")
        second = await client.add("Two.")
        previous = [e["previous_item_id"] for e in client.events if e["type"] == "conversation.item.added"]
    assert first == {
        "id": "item_1",
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_text", "text": "One."}],
    }
    assert second["id"].startswith("item_")
    assert previous == [None, "item_1"]


async def test_an_item_can_be_put_in_front_or_between() -> None:
    voices = Voices()
    async with session(voices) as client:
        await client.add("Two.", id="two")
        for text, after in (("One.", "root"), ("Three.", "two"), ("Two and a half.", "two")):
            await client.send("conversation.item.create", item=message(text=text), previous_item_id=after)
            await client.next("conversation.item.done")
        await client.respond()
    said = [entry.text for entry in voices.brain.prompts[0].messages]
    assert said == ["One.", "Two.", "Two and a half.", "Three."]


async def test_all_kinds_of_items_are_accepted() -> None:
    async with session() as client:
        await client.add("Be brief.", role="system")
        await client.add("Hi.", role="assistant")
        for item in (
            {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c1"},
            {"type": "function_call_output", "call_id": "c1", "output": "42"},
        ):
            await client.send("conversation.item.create", item=item)
            done = await client.next("conversation.item.done")
            assert item.items() <= done["item"].items()
        assert (await client.respond())["status"] == "completed"


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        (message(type_="output_text", text="x"), "invalid_value", "item.content[0].type"),
        (message(type_="input_image", text="x"), "invalid_value", "item.content[0].type"),
        (message("assistant", "output_audio", transcript="x"), "invalid_value", "item.content[0].type"),
        (message(), "missing_required_parameter", "item.content[0].text"),
        (message(type_="input_audio"), "missing_required_parameter", "item.content[0].audio"),
        (message(type_="input_audio", audio="#"), "invalid_value", "item.content[0].audio"),
        ({"type": "message", "content": []}, "missing_required_parameter", "item.role"),
        ({"type": "message", "role": "user"}, "missing_required_parameter", "item.content"),
        ({"type": "function_call_output", "output": "x"}, "missing_required_parameter", "item.call_id"),
        ({"type": "mcp_call"}, "invalid_value", "item.type"),
        ({}, "missing_required_parameter", "item.type"),
    ],
)
async def test_a_wrong_item_is_refused_by_name(item: dict[str, Any], code: str, param: str) -> None:
    async with session() as client:
        error = await client.error("conversation.item.create", item=item)
        assert (error["code"], error["param"]) == (code, param)
        assert "conversation.item.added" not in await client.settle()


async def test_an_id_is_used_once_and_a_previous_item_must_exist() -> None:
    async with session() as client:
        await client.add("One.", id="one")
        error = await client.error("conversation.item.create", item={**message(text="x"), "id": "one"})
        assert (error["code"], error["param"]) == ("invalid_value", "item.id")
        error = await client.error("conversation.item.create", item=message(text="x"), previous_item_id="nobody")
        assert (error["code"], error["param"]) == ("item_not_found", "previous_item_id")


@pytest.mark.parametrize("verb", ["retrieve", "truncate", "delete"])
async def test_an_unknown_item_is_not_found(verb: str) -> None:
    fields = {"content_index": 0, "audio_end_ms": 0} if verb == "truncate" else {}
    async with session() as client:
        error = await client.error(f"conversation.item.{verb}", item_id="nobody", **fields)
    assert (error["code"], error["param"]) == ("item_not_found", "item_id")


async def test_an_item_can_be_retrieved_until_it_is_deleted() -> None:
    async with session() as client:
        item = await client.add("One.", id="one")
        await client.send("conversation.item.retrieve", item_id="one")
        assert (await client.next("conversation.item.retrieved"))["item"] == item
        await client.send("conversation.item.delete", item_id="one")
        assert (await client.next("conversation.item.deleted"))["item_id"] == "one"
        assert (await client.error("conversation.item.retrieve", item_id="one"))["code"] == "item_not_found"


async def test_audio_in_an_item_is_written_down_and_answered() -> None:
    voices = Voices()
    voices.transcriber.text = "What is 2 plus 2?"
    async with session(voices) as client:
        await client.configure(audio={"input": {"transcription": {"model": "x"}}})
        audio = base64.b64encode(speech(1)).decode()
        await client.send("conversation.item.create", item=message(type_="input_audio", audio=audio))
        await client.next("conversation.item.input_audio_transcription.completed")
        response = await client.respond()
    assert response["output"][0]["content"][0]["transcript"] == "2 plus 2 is 4."


async def test_a_system_message_is_followed_by_the_next_response() -> None:
    async with session() as client:
        await client.add('Say exactly this, word for word, and nothing else: "Welcome back."', role="system")
        response = await client.respond()
    assert response["output"][0]["content"][0]["transcript"] == "Welcome back."


async def spoken(client: Client, voices: Voices) -> str:
    """The id of an assistant's message of two sentences, 800 and 600 ms long."""
    voices.brain.pieces = ["One two three four. ", "Five six seven."]
    response = await client.respond()
    item_id: str = response["output"][0]["id"]
    return item_id


@pytest.mark.parametrize(
    ("audio_end_ms", "heard"),
    [
        (0, ""),
        (450, "One two"),
        (800, "One two three four."),
        (1199, "One two three four. Five"),
        (1400, "One two three four. Five six seven."),
    ],
)
async def test_truncating_forgets_the_words_that_were_not_heard(audio_end_ms: int, heard: str) -> None:
    voices = Voices()
    async with session(voices) as client:
        item_id = await spoken(client, voices)
        await client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=audio_end_ms)
        truncated = await client.next("conversation.item.truncated")
        assert (truncated["item_id"], truncated["audio_end_ms"]) == (item_id, audio_end_ms)
        await client.send("conversation.item.retrieve", item_id=item_id)
        item = (await client.next("conversation.item.retrieved"))["item"]
        assert item["content"][0]["transcript"] == heard
        await client.respond()
        assert voices.brain.prompts[-1].messages[0].text == heard


async def test_only_heard_audio_of_an_assistant_can_be_truncated() -> None:
    voices = Voices()
    async with session(voices) as client:
        user = await client.add("One.")
        text = (await client.respond(output_modalities=["text"]))["output"][0]["id"]
        item_id = await spoken(client, voices)
        for item, index, end_ms, param in (
            (user["id"], 0, 0, "item_id"),
            (text, 0, 0, "content_index"),
            (item_id, 1, 0, "content_index"),
            (item_id, 0, 1401, "audio_end_ms"),
        ):
            error = await client.error(
                "conversation.item.truncate", item_id=item, content_index=index, audio_end_ms=end_ms
            )
            assert (error["code"], error["param"]) == ("invalid_value", param)
        assert error["message"] == "Audio content of 1400ms is already shorter than 1401ms"


def test_what_is_said_after_a_truncation_was_not_heard() -> None:
    entry = Entry(Item(type="message", role="assistant", content=[]))
    entry.say("One two.", 400)
    entry.play(400)
    entry.truncate(200)
    entry.say("Three four.", 400)
    entry.play(400)
    assert (entry.close("incomplete", is_audio=True), entry.audio_ms) == ("One", 200)


def test_of_a_bounded_conversation_the_newest_items_are_kept() -> None:
    conversation = Conversation(max_items=2)
    entries = [Entry(Item(type="message", id=str(number))) for number in range(5)]
    assert [conversation.add(entry) for entry in entries] == [None, "0", "1", "2", "3"]
    assert conversation.entries() == entries[3:]
    assert conversation.last_id == "4"
