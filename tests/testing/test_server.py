"""A scripted server, as clients and tests see it."""

from __future__ import annotations

import asyncio
import base64
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import pytest
from openai import AsyncOpenAI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from realtime_agent.testing import (
    Call,
    Cut,
    Event,
    HangUp,
    Mute,
    Refuse,
    RefuseSettings,
    ScriptedConnection,
    ScriptedServer,
    Speech,
    StopReading,
    Text,
    scripted_server,
    tone,
)
from tests.testing.client import TIMEOUT_S, client_of


def message(text: str = "hi", **more: Any) -> Event:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **more}


def kinds(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


async def everything(websocket: ClientConnection) -> list[str | bytes]:
    """What comes until the connection ends, however it does."""
    messages = []
    with suppress(ConnectionClosed):
        while True:
            messages.append(await asyncio.wait_for(websocket.recv(), TIMEOUT_S))
    return messages


SPOKEN = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
]


async def test_a_spoken_reply_is_whole(script: ScriptedServer) -> None:
    pcm = tone(250)
    async with client_of(script) as client:
        item_id = await script.speak("Hello there.", pcm)
        events = await client.until("response.done")
    assert kinds(events) == SPOKEN
    heard = b"".join(base64.b64decode(e["delta"]) for e in events if e["type"] == "response.output_audio.delta")
    assert heard == pcm
    said = "".join(e["delta"] for e in events if e["type"] == "response.output_audio_transcript.delta")
    assert said == "Hello there."
    done = events[-1]["response"]
    assert (done["status"], done["usage"]["total_tokens"]) == ("completed", 30)
    assert done["output"][0]["id"] == item_id
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": "Hello there."}]
    assert len({event["event_id"] for event in events}) == len(events)


async def test_a_reply_speaks_writes_and_calls_as_it_is_told(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        await script.send_all(script.reply(Speech("Let me look."), Call("weather", {"city": "Paris"}), Call("f", "{")))
        (*_, done) = await client.until("response.done")
        speech, weather, broken = done["response"]["output"]
        assert (speech["role"], weather["name"], weather["arguments"]) == ("assistant", "weather", '{"city": "Paris"}')
        assert broken["arguments"] == "{"
        assert weather["call_id"] != broken["call_id"]
        await script.write("Written words.", response_id="r", usage=None, metadata={"a": "b"})
        events = await client.until("response.done")
        assert "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta") == "Written words."
        done = events[-1]["response"]
        assert done["id"] == "r"
        assert (done["usage"], done["metadata"], done["output_modalities"]) == (None, {"a": "b"}, ["text"])


async def test_a_reply_may_be_sent_in_part_and_is_ended_by_a_cancel(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        await script.send_all(script.reply(Speech("One two three", tone(300)))[:7])
        await client.until("response.output_audio.delta")
        await client.send("response.cancel")
        *_, done = await client.until("response.done")
        response = done["response"]
        assert (response["status"], response["status_details"]["reason"]) == ("cancelled", "client_cancelled")
        (item,) = response["output"]
        assert item["status"] == "incomplete"
        assert item["content"][0]["transcript"] in ("One", "One two")
        (refused,) = await client.ask("response.cancel", event_id="c")
        assert (refused["error"]["code"], refused["error"]["event_id"]) == ("response_cancel_not_active", "c")


async def test_a_reply_may_end_badly_or_belong_to_no_conversation(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        await script.speak("So far", status="incomplete", reason="max_output_tokens")
        *_, done = await client.until("response.done")
        assert done["response"]["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
        assert done["response"]["output"][0]["status"] == "incomplete"
        await script.speak("Beside", in_conversation=False)
        events = await client.until("response.done")
        assert not any(kind.startswith("conversation.") for kind in kinds(events))
        assert events[-1]["response"]["conversation_id"] is None


async def test_a_reply_is_marked_as_its_request_says(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        await client.ask("response.create", response={"metadata": {"request": "1"}})
        await client.ask("response.create", response={"metadata": {"request": "2"}, "conversation": "none"})
        found = []
        for _ in range(3):
            await script.speak()
            created, *_, done = await client.until("response.done")
            assert created["response"]["metadata"] == done["response"]["metadata"]
            found.append((done["response"]["metadata"], done["response"]["conversation_id"] is None))
        assert found == [({"request": "1"}, False), ({"request": "2"}, True), (None, False)]


async def test_a_function_call_gets_its_output(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        first = await script.call_function("weather", {"city": "Paris"})
        second = await script.call_function("clock")
        for call_id in (first, second):
            await client.until("response.done")
            item = {"type": "function_call_output", "call_id": call_id, "output": f"of {call_id}"}
            await client.send("conversation.item.create", item=item)
        assert await script.output_of(second) == f"of {second}"
        assert await script.output_of(first) == f"of {first}"


async def test_a_turn_of_the_user_s_is_told_as_by_voice_detection_and_interrupts(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        await client.send("input_audio_buffer.append", audio=base64.b64encode(bytes(48_000)).decode())
        await script.expect("input_audio_buffer.append")
        await script.send_all(script.reply(Speech("One two"))[:6])
        await client.until("response.output_audio.delta")
        item_id = await script.hear("What?", speech_ms=400)
        events = await client.until("conversation.item.input_audio_transcription.completed")
        assert kinds(events) == [
            "input_audio_buffer.speech_started",
            "response.output_item.done",
            "conversation.item.done",
            "response.done",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "conversation.item.input_audio_transcription.delta",
            "conversation.item.input_audio_transcription.completed",
        ]
        assert (events[0]["audio_start_ms"], events[4]["audio_end_ms"]) == (600, 1000)
        assert events[3]["response"]["status_details"]["reason"] == "turn_detected"
        assert events[5]["previous_item_id"] == events[1]["item"]["id"]
        assert events[-1]["item_id"] == item_id


async def test_a_user_does_not_interrupt_where_the_settings_say_so(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        turn_detection = {"type": "server_vad", "interrupt_response": False}
        audio = {"input": {"turn_detection": turn_detection}}
        (updated,) = await client.ask("session.update", session={"type": "realtime", "audio": audio})
        assert updated["session"]["audio"]["input"]["turn_detection"] == turn_detection
        assert updated["session"]["audio"]["output"]["voice"] == "marin"
        await script.send_all(script.reply(Speech("One two"))[:6])
        await script.hear(None)
        assert "response.done" not in kinds(await client.until("conversation.item.done"))


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
    ("kind", "fields", "code"),
    [
        ("conversation.item.delete", {"item_id": "x"}, "item_not_found"),
        ("conversation.item.truncate", {"item_id": "x", "content_index": 0, "audio_end_ms": 5}, "item_not_found"),
        ("conversation.item.create", {"item": message(id="there")}, "invalid_value"),
        ("conversation.item.create", {"item": message(), "previous_item_id": "x"}, "item_not_found"),
        ("conversation.item.create", {}, "invalid_value"),
        ("input_audio_buffer.append", {"audio": "?"}, "invalid_value"),
        ("output_audio_buffer.clear", {}, "invalid_value"),
        ("response.sing", {}, "invalid_value"),
    ],
)
async def test_what_can_t_be_is_an_error_that_names_its_event(
    script: ScriptedServer, kind: str, fields: dict[str, Any], code: str
) -> None:
    async with client_of(script) as client:
        await client.ask("conversation.item.create", item=message(id="there"))
        (answer,) = await client.ask(kind, event_id="mine", **fields)
        assert (answer["error"]["code"], answer["error"]["event_id"]) == (code, "mine")


async def test_audio_is_truncated_where_it_was_heard_and_nowhere_else(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        item_id = await script.speak("Hello.", tone(300))
        await client.until("response.done")
        where = {"item_id": item_id, "content_index": 0}
        (cut,) = await client.ask("conversation.item.truncate", audio_end_ms=300, **where)
        assert (cut["type"], cut["audio_end_ms"]) == ("conversation.item.truncated", 300)
        (refused,) = await client.ask("conversation.item.truncate", audio_end_ms=301, **where)
        assert "already shorter" in refused["error"]["message"]


async def test_the_user_s_audio_becomes_an_item_or_is_forgotten(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        (refused,) = await client.ask("input_audio_buffer.commit")
        assert refused["error"]["code"] == "input_audio_buffer_commit_empty"
        await client.ask("input_audio_buffer.append", audio=base64.b64encode(tone(100)).decode())
        committed, added, _ = await client.ask("input_audio_buffer.commit")
        assert committed["item_id"] == added["item"]["id"]
        await script.transcribe("Hello?", item_id=committed["item_id"])
        await client.until("conversation.item.input_audio_transcription.completed")
        assert kinds(await client.ask("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]


async def test_a_second_response_is_refused_while_one_is_given_but_not_beside_it(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        assert await client.ask("response.create") == []
        await script.send_all(script.reply(Speech("One"), response_id="r1")[:1])
        await client.until("response.created")
        (refused,) = await client.ask("response.create", event_id="second")
        assert refused["error"]["code"] == "conversation_already_has_active_response"
        assert await client.ask("response.create", response={"conversation": "none"}) == []


@pytest.mark.parametrize("garbage", ["words", "[]", "{}", b"\xff"])
async def test_what_is_no_event_is_an_error(script: ScriptedServer, garbage: str | bytes) -> None:
    async with client_of(script) as client:
        await client.websocket.send(garbage)
        assert (await client.next())["type"] == "error"


async def test_a_test_may_answer_itself_or_not_at_all(script: ScriptedServer) -> None:
    async def answer(connection: ScriptedConnection, event: Event) -> None:
        assert event["event_id"] == "ask"
        call_id = await connection.call_function("clock")
        await connection.speak(await connection.output_of(call_id))

    script.on("response.create", answer)
    script.silent_on("conversation.item.create")
    async with client_of(script) as client:
        await client.send("response.create", event_id="ask")
        *_, done = await client.until("response.done")
        (call,) = done["response"]["output"]
        item = {"type": "function_call_output", "call_id": call["call_id"], "output": "noon"}
        await client.send("conversation.item.create", item=item)
        *_, done = await client.until("response.done")
        assert done["response"]["output"][0]["content"][0]["transcript"] == "noon"


async def test_what_a_test_s_own_answer_raises_the_test_gets() -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug in a test")

    async def converse() -> None:
        async with scripted_server() as model:
            model.on("response.create", fail)
            async with client_of(model) as client:
                await client.send("response.create")
                with pytest.raises(ZeroDivisionError, match="a bug"):
                    await model.expect("never.sent")
                await client.send("response.create")
                await client.ask("input_audio_buffer.clear")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        await converse()


async def test_events_are_expected_one_after_another_by_number_and_by_their_fields(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        for name in "abc":
            await client.send("conversation.item.create", item=message(name, id=name))
        assert (await script.expect("conversation.item.create"))["item"]["id"] == "a"
        assert (await script.expect("conversation.item.create"))["item"]["id"] == "b"
        assert (await script.expect("conversation.item.create", 1))["item"]["id"] == "a"
        wanted = {"content": [{"text": "c"}]}
        assert (await script.expect("conversation.item.create", item=wanted))["item"]["id"] == "c"
        assert kinds(script.received) == ["conversation.item.create"] * 3


async def test_what_does_not_come_is_told_with_what_did(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        await client.send("input_audio_buffer.clear")
        for _ in range(2):
            await client.send("conversation.item.delete", item_id="x")
        await script.expect("conversation.item.delete", 2)
        with pytest.raises(AssertionError) as caught:
            await script.expect("conversation.item.delete", timeout=0.01, item_id="y")
    words = str(caught.value)
    assert 'another conversation.item.delete with {"item_id": "y"} did not come' in words
    assert "what came: input_audio_buffer.clear, conversation.item.delete x2" in words
    assert '{"type": "conversation.item.delete", "item_id": "x"}' in words


async def test_nobody_there_is_told() -> None:
    async with scripted_server(timeout_s=0.01) as model:
        for waiting in (model.expect("response.create"), model.speak(), model.connected(2)):
            with pytest.raises(AssertionError, match="connect"):
                await waiting
        assert model.received == []


async def test_connections_come_one_after_another_and_at_once(script: ScriptedServer) -> None:
    async with client_of(script) as first, client_of(script) as second:
        await script.connected(2)
        one, two = script.connections
        await first.send("response.create", event_id="1")
        assert (await one.expect("response.create"))["event_id"] == "1"
        assert two.received == script.received == []
        await one.speak("One")
        await script.speak("Two")
        for client, words in ((first, "One"), (second, "Two")):
            *_, done = await client.until("response.done")
            assert done["response"]["output"][0]["content"][0]["transcript"] == words
        assert one.path == two.path == script.path == "/v1/realtime?model=m"
        assert "Host" in script.headers
        assert one.conversation.session["model"] == "m"
        two.cut()
        assert await two.ended() == 1006
        with pytest.raises(AssertionError, match=r"ended with 1006"):
            await two.expect("response.create")
        waiting = asyncio.create_task(script.expect("response.create"))
        async with client_of(script) as third:
            await third.send("response.create", event_id="3")
            assert (await waiting)["event_id"] == "3"


async def test_the_next_connections_are_refused(script: ScriptedServer) -> None:
    script.fail(Refuse(HTTPStatus.TOO_MANY_REQUESTS), times=2)
    for _ in range(2):
        with pytest.raises(InvalidStatus) as caught:
            await connect(script.url)
        assert caught.value.response.status_code == 429
    async with client_of(script):
        assert (script.refused, len(script.connections)) == (2, 1)
    script.fail(Refuse())
    with pytest.raises(InvalidStatus):
        await connect(script.url)
    script.heal()
    async with client_of(script):
        pass


async def test_settings_are_refused(script: ScriptedServer) -> None:
    script.fail(RefuseSettings("model_not_found", "no such model"))
    async with client_of(script) as client:
        (answer,) = await client.ask("session.update", session={"type": "realtime"}, event_id="s")
        assert answer["error"]["code"] == "model_not_found"
        assert answer["error"]["event_id"] == "s"


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(("fault", "code"), [(HangUp, 1001), (Cut, 1006)])
async def test_a_connection_ends_when_it_is_told_to(
    script: ScriptedServer, fault: type[HangUp | Cut], code: int, at_once: bool
) -> None:
    script.fail(fault(at_once=at_once), times=1)
    async with connect(script.url, compression=None) as websocket:
        if not at_once:
            await websocket.send('{"type": "session.update", "session": {"type": "realtime"}}')
        messages = await everything(websocket)
        assert websocket.close_code == code
        assert len(messages) == (0 if at_once else 2)
    async with client_of(script) as client:
        assert kinds(await client.ask("session.update", session={"type": "realtime"})) == ["session.updated"]


async def test_a_goodbye_has_its_reason(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        await script.close(1001, "Your session hit the maximum duration of 60 minutes.")
        with pytest.raises(ConnectionClosed, match="maximum duration"):
            await client.next()


async def test_a_mute_server_hears_all_and_says_only_what_it_is_told(script: ScriptedServer) -> None:
    script.fail(Mute())
    async with connect(script.url, compression=None) as websocket:
        await websocket.send('{"type": "input_audio_buffer.clear"}')
        await script.expect("input_audio_buffer.clear")
        await script.error("server_busy", kind="server_error")
        assert "server_busy" in str(await websocket.recv())


async def test_a_server_that_hangs_reads_nothing_and_can_be_left(script: ScriptedServer) -> None:
    script.fail(StopReading(), times=1)
    async with connect(script.url, compression=None, close_timeout=0.1) as websocket:
        assert "session.created" in str(await websocket.recv())
        pong = await websocket.ping()
        await websocket.send('{"type": "input_audio_buffer.clear"}')
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(pong), 0.1)
        assert script.received == []
        script.cut()
        with pytest.raises(ConnectionClosedError):
            await pong


async def test_a_slow_network_delays_every_event(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        script.delay(0.03)
        before = time.monotonic()
        await script.send_all(script.reply(Speech("One", tone(100)))[:3])
        assert time.monotonic() - before >= 0.09
        await client.until("conversation.item.added")


async def test_the_official_client_understands_it(script: ScriptedServer) -> None:
    official = AsyncOpenAI(api_key="sk-1", websocket_base_url=script.url)
    async with asyncio.timeout(TIMEOUT_S), official, official.realtime.connect(model="m") as connection:
        await connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
        await connection.response.create()
        await script.expect("response.create")
        await script.speak("Hello there.")
        words = ""
        async for event in connection:
            if event.type == "session.updated":
                assert getattr(event.session, "instructions", None) == "Be brief."
            if event.type == "response.output_audio_transcript.delta":
                words += event.delta
            if event.type == "response.done":
                break
        assert words == "Hello there."
    assert script.headers["Authorization"] == "Bearer sk-1"


@pytest.mark.parametrize("output", [Speech("Hello"), Text("Hello"), Call("f", {})])
async def test_a_reply_can_be_cut_at_every_event(script: ScriptedServer, output: Speech | Text | Call) -> None:
    async with client_of(script):
        count = len(script.reply(output))
    for index in range(count):
        async with client_of(script) as client:
            await script.send_all(script.reply(output)[:index])
            script.cut()
            assert len(await everything(client.websocket)) <= index
