"""What a scripted server answers by itself."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from realtime_agent.testing import Cut, ScriptedServer, Speech, tone
from tests.testing.client import client_of, kinds, message


async def test_what_a_client_adds_is_acknowledged_in_its_place(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        added, done = await client.ask("conversation.item.create", item=message(id="a"))
        assert (added["type"], done["type"]) == ("conversation.item.added", "conversation.item.done")
        assert (added["previous_item_id"], added["item"]["id"], added["item"]["status"]) == (None, "a", "completed")
        made, _ = await client.ask("conversation.item.create", item=message())
        assert made["item"]["id"]
        front, _ = await client.ask("conversation.item.create", item=message(id="b"), previous_item_id="root")
        behind, _ = await client.ask("conversation.item.create", item=message(id="c"), previous_item_id="a")
        assert (front["previous_item_id"], behind["previous_item_id"]) == (None, "a")
        assert list(script.conversation.items) == ["b", "a", "c", made["item"]["id"]]
        (retrieved,) = await client.ask("conversation.item.retrieve", item_id="a")
        assert retrieved["item"] == added["item"]
        (deleted,) = await client.ask("conversation.item.delete", item_id="a")
        assert (deleted["type"], deleted["item_id"]) == ("conversation.item.deleted", "a")
        assert "a" not in script.conversation.items


@pytest.mark.parametrize(
    ("kind", "fields", "code", "param"),
    [
        ("conversation.item.delete", {"item_id": "x"}, "item_not_found", "item_id"),
        ("conversation.item.retrieve", {"item_id": "x"}, "item_not_found", "item_id"),
        ("conversation.item.truncate", {"item_id": "x", "audio_end_ms": 5}, "item_not_found", "item_id"),
        ("conversation.item.create", {"item": message(id="there")}, "invalid_value", "item.id"),
        (
            "conversation.item.create",
            {"item": message(), "previous_item_id": "x"},
            "item_not_found",
            "previous_item_id",
        ),
        ("input_audio_buffer.append", {"audio": "?"}, "invalid_value", "audio"),
        ("output_audio_buffer.clear", {}, "invalid_value", "type"),
    ],
)
async def test_what_can_t_be_is_an_error_that_names_its_event(
    script: ScriptedServer, kind: str, fields: dict[str, Any], code: str, param: str
) -> None:
    async with client_of(script) as client:
        await client.ask("conversation.item.create", item=message(id="there"))
        (answer,) = await client.ask(kind, event_id="mine", **fields)
        error = answer["error"]
        assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
        assert list(script.conversation.items) == ["there"]


@pytest.mark.parametrize(
    ("kind", "fields", "code", "param"),
    [
        ("conversation.item.create", {}, "missing_required_parameter", "item"),
        ("conversation.item.delete", {}, "missing_required_parameter", "item_id"),
        ("session.update", {"session": {"type": "realtime", "voice": "cedar"}}, "unknown_parameter", "session.voice"),
        ("response.create", {"response": {"conversation": "some"}}, "invalid_value", "response.conversation"),
        ("response.sing", {}, "invalid_value", "type"),
    ],
)
async def test_an_invalid_event_is_refused_with_its_field_and_no_handler_is_asked(
    script: ScriptedServer, kind: str, fields: dict[str, Any], code: str, param: str
) -> None:
    async def never(*_: object) -> None:
        raise AssertionError("a handler was asked")

    script.on(kind, never)
    script.fail(Cut())
    async with client_of(script) as client:
        (answer,) = await client.ask(kind, event_id="mine", **fields)
        error = answer["error"]
        assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
        assert script.received[0] == {"type": kind, "event_id": "mine", **fields}
        assert not script.conversation.requests
        assert kinds(await client.ask("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]


async def test_an_invalid_event_that_is_not_to_be_answered_is_not(script: ScriptedServer) -> None:
    script.silent_on("conversation.item.create")
    async with client_of(script) as client:
        assert await client.ask("conversation.item.create") == []


async def test_audio_is_truncated_where_it_was_heard_and_nowhere_else(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        item_id = await script.speak("Hello.", tone(300))
        await client.until("response.done")
        where = {"item_id": item_id, "content_index": 0}
        (refused,) = await client.ask("conversation.item.truncate", audio_end_ms=301, event_id="far", **where)
        assert (refused["error"]["code"], refused["error"]["event_id"]) == ("invalid_value", "far")
        assert "of 300ms is already shorter than 301ms" in refused["error"]["message"]
        (cut,) = await client.ask("conversation.item.truncate", audio_end_ms=300, **where)
        assert cut.items() >= {"type": "conversation.item.truncated", "audio_end_ms": 300, **where}.items()
        await client.ask("conversation.item.truncate", audio_end_ms=100, **where)
        (refused,) = await client.ask("conversation.item.truncate", audio_end_ms=101, **where)
        assert "of 100ms is already shorter than 101ms" in refused["error"]["message"]


async def test_only_the_model_s_speech_in_the_conversation_is_truncated(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        spoken, written = await script.speak(), await script.write()
        user = await script.hear("Hi!")
        beside = await script.speak(in_conversation=False)
        for _ in range(3):
            await client.until("response.done")
        for item_id, content_index, code in (
            (written, 0, "unsupported_content_type"),
            (user, 0, "unsupported_content_type"),
            (spoken, 1, "unsupported_content_type"),
            (beside, 0, "item_not_found"),
        ):
            where = {"item_id": item_id, "content_index": content_index}
            (refused,) = await client.ask("conversation.item.truncate", audio_end_ms=0, event_id="t", **where)
            assert (refused["error"]["code"], refused["error"]["event_id"]) == (code, "t")
        await client.ask("conversation.item.delete", item_id=spoken)
        (refused,) = await client.ask("conversation.item.truncate", item_id=spoken, content_index=0, audio_end_ms=0)
        assert refused["error"]["code"] == "item_not_found"


async def test_of_a_truncated_item_the_words_remain_that_were_heard(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        item_id = await script.speak("One two three four five six seven eight nine ten.", tone(3000))
        await client.until("response.done")
        where = {"item_id": item_id, "content_index": 0}
        for end_ms, words in (
            (3000, "One two three four five six seven eight nine ten."),
            (2000, "One two three four five six"),
            (2000, "One two three four five six"),
            (600, "One two"),
            (299, ""),
        ):
            await client.ask("conversation.item.truncate", audio_end_ms=end_ms, **where)
            (retrieved,) = await client.ask("conversation.item.retrieve", item_id=item_id)
            assert retrieved["item"]["content"] == [{"type": "output_audio", "transcript": words}]
            assert script.conversation.items[item_id] == retrieved["item"]


async def test_words_that_come_after_a_truncation_were_not_heard(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        events = script.reply(Speech("One two three four", tone(400), item_id="a"))
        halfway = kinds(events).index("response.output_audio.delta", 7)
        await script.send_all(events[: halfway + 1])
        await client.until("response.output_audio.delta")
        await client.ask("conversation.item.truncate", item_id="a", content_index=0, audio_end_ms=100)
        await script.send_all(events[halfway + 1 :])
        await client.until("response.done")
        assert script.conversation.items["a"]["content"][0]["transcript"] == "One"
        await client.ask("conversation.item.delete", item_id="a")
        await script.speak("Another.", item_id="a")
        assert script.conversation.items["a"]["content"][0]["transcript"] == "Another."
        where = {"item_id": "a", "content_index": 0}
        *_, refused = await client.ask("conversation.item.truncate", audio_end_ms=301, **where)
        assert "of 300ms is already shorter" in refused["error"]["message"]


async def test_the_user_s_audio_becomes_an_item_or_is_forgotten(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        await client.ask("input_audio_buffer.append", audio=base64.b64encode(tone(99)).decode())
        (refused,) = await client.ask("input_audio_buffer.commit", event_id="early")
        assert (refused["error"]["code"], refused["error"]["event_id"]) == ("input_audio_buffer_commit_empty", "early")
        await client.ask("input_audio_buffer.append", audio=base64.b64encode(tone(1)).decode())
        committed, added, _ = await client.ask("input_audio_buffer.commit")
        assert committed["item_id"] == added["item"]["id"]
        await script.transcribe("Hello?", item_id=committed["item_id"])
        await client.until("conversation.item.input_audio_transcription.completed")
        for forgotten in ("input_audio_buffer.commit", "input_audio_buffer.clear"):
            await client.ask("input_audio_buffer.append", audio=base64.b64encode(tone(100)).decode())
            await client.ask(forgotten)
            (refused,) = await client.ask("input_audio_buffer.commit")
            assert refused["error"]["code"] == "input_audio_buffer_commit_empty"
        assert kinds(await client.ask("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]


async def test_the_user_s_audio_may_be_an_item_and_is_not_sent_back(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        part = {"type": "input_audio", "audio": base64.b64encode(tone(20)).decode()}
        item = {"type": "message", "role": "user", "content": [part]}
        added, _ = await client.ask("conversation.item.create", item=item)
        assert added["item"]["content"] == [{"type": "input_audio"}]
        assert (await script.expect("conversation.item.create"))["item"] == item


async def test_only_the_response_that_is_given_can_be_cancelled(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        await script.send_all(script.reply(Speech("One"), response_id="r1")[:1])
        await client.until("response.created")
        (refused,) = await client.ask("response.cancel", response_id="r0")
        assert refused["error"]["code"] == "response_cancel_not_active"
        (done,) = await client.ask("response.cancel", response_id="r1")
        assert (done["response"]["id"], done["response"]["status"]) == ("r1", "cancelled")


async def test_a_second_response_is_refused_while_one_is_given_but_not_beside_it(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        assert await client.ask("response.create") == []
        await script.send_all(script.reply(Speech("One"), response_id="r1")[:1])
        await client.until("response.created")
        (refused,) = await client.ask("response.create", event_id="second")
        assert refused["error"]["code"] == "conversation_already_has_active_response"
        assert refused["error"]["event_id"] == "second"
        assert await client.ask("response.create", response={"conversation": "none"}) == []
        assert list(script.conversation.requests) == [{"conversation": "none"}]


@pytest.mark.parametrize(
    ("garbage", "code"),
    [
        ("words", "invalid_json"),
        ("[]", "invalid_json"),
        (b"\xff", "invalid_json"),
        ("[" * 100_000, "invalid_json"),
        ("{}", "missing_required_parameter"),
        ('{"type": []}', "missing_required_parameter"),
    ],
)
async def test_what_is_no_event_is_an_error_and_the_conversation_goes_on(
    script: ScriptedServer, garbage: str | bytes, code: str
) -> None:
    async with client_of(script) as client:
        await client.websocket.send(garbage)
        assert (await client.next())["error"]["code"] == code
        assert kinds(await client.ask("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
        assert kinds(script.received)[0] == "input_audio_buffer.clear"
