"""A scripted server, as clients and tests see it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from openai import AsyncOpenAI

from realtime_agent.testing import Event, ScriptedConnection, ScriptedServer, scripted_server
from tests.testing.client import TIMEOUT_S, client_of, kinds, message


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
        assert await script.connected(2) is script.newest
        one, two = script.connections
        assert await script.connected() is one
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


async def test_what_the_test_got_it_gets_once() -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    async with scripted_server() as model:
        model.on("response.create", fail)
        async with client_of(model) as client:
            await client.send("response.create")
            with pytest.raises(ZeroDivisionError):
                await model.expect("never.sent")
            await client.ask("input_audio_buffer.clear")
            await model.expect("input_audio_buffer.clear")


async def test_a_test_s_own_answer_ends_with_its_connection() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(*_: object) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with asyncio.timeout(TIMEOUT_S), scripted_server() as model:
        model.on("response.create", wait)
        async with client_of(model) as client:
            await client.send("response.create")
            await begun.wait()
        await model.newest.ended()
    assert cancelled.is_set()


async def test_a_client_that_goes_while_it_is_answered_is_no_failure() -> None:
    sent = asyncio.Event()

    async def answer(connection: ScriptedConnection, _: Event) -> None:
        try:
            connection.cut()
            await connection.ended()
            await connection.speak()
        finally:
            sent.set()

    async with scripted_server() as model:
        model.on("response.create", answer)
        async with client_of(model) as client:
            await client.send("response.create")
            await sent.wait()


async def test_what_a_client_sent_before_it_went_is_taken(script: ScriptedServer) -> None:
    script.delay(0.05)
    async with client_of(script) as client:
        for name in "abc":
            await client.send("conversation.item.create", item=message(name, id=name))
    assert (await script.expect("conversation.item.create", 3))["item"]["id"] == "c"


async def test_an_event_may_have_an_id_and_need_not_be_of_the_protocol(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        await script.send({"type": "rate_limits.updated", "rate_limits": []}, event_id="mine")
        assert (await client.next())["event_id"] == "mine"
        await script.send_raw("no JSON")
        assert await client.websocket.recv() == "no JSON"
        await script.send_raw(b"\0")
        assert await client.websocket.recv() == b"\0"


async def test_what_a_test_sends_itself_the_model_knows(script: ScriptedServer) -> None:
    async with client_of(script):
        await script.send("conversation.item.added", item={"id": "a"})
        await script.send("conversation.item.added", item={"id": "b"}, previous_item_id="nowhere")
        await script.send("conversation.item.added", item={"id": "c"}, previous_item_id="a")
        assert list(script.conversation.items) == ["a", "c", "b"]
        await script.send("response.created", response={"id": "r"})
        assert script.conversation.response == {"id": "r"}
        await script.send("response.done", response={"id": "another"})
        assert script.conversation.response is not None
        await script.send("response.done", response={"id": "r"})
        assert script.conversation.response is None


async def test_only_so_many_requests_are_remembered(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        for number in range(101):
            await client.send("response.create", response={"instructions": str(number)})
        await script.expect("response.create", 101)
        assert [request["instructions"] for request in script.conversation.requests] == [str(n) for n in range(1, 101)]


async def test_a_connection_that_goes_on_is_told() -> None:
    async with scripted_server(timeout_s=0.01) as model, client_of(model):
        assert model.newest.is_open
        with pytest.raises(AssertionError, match="did not end"):
            await model.newest.ended()


async def test_nobody_waits_for_a_connection_that_has_ended() -> None:
    async with asyncio.timeout(TIMEOUT_S), scripted_server(timeout_s=1000) as model:
        async with client_of(model):
            waiting = asyncio.create_task(model.newest.expect("response.create"))
        with pytest.raises(AssertionError, match=r"response\.create did not come.* ended with 1000"):
            await waiting


async def test_a_test_waits_as_long_as_it_says() -> None:
    async with scripted_server(timeout_s=0.01) as model, client_of(model) as client:
        waiting = asyncio.create_task(model.expect("input_audio_buffer.clear", timeout=TIMEOUT_S))
        await asyncio.sleep(0.05)
        await client.send("input_audio_buffer.clear")
        await waiting


async def test_a_model_has_the_name_that_its_client_asked_for() -> None:
    async with scripted_server() as model, client_of(model), client_of(model):
        names = [connection.conversation.session["model"] for connection in model.connections]
        assert names == ["m", "m"]
        # What one test changes, no other sees.
        model.connections[0].conversation.session["audio"]["input"]["turn_detection"]["type"] = "none"
        assert model.newest.conversation.session["audio"]["input"]["turn_detection"]["type"] == "server_vad"


async def test_fields_are_wanted_at_any_depth_and_no_others(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        await client.ask("conversation.item.create", item=message("a", id="a"))
        kind = "conversation.item.create"
        unlike: list[dict[str, Any]] = [
            {"content": []},
            {"content": [{"text": "a"}, {"text": "b"}]},
            {"content": [{"text": "b"}]},
            {"name": None},
            {"id": {"text": "a"}},
        ]
        for wanted in unlike:
            with pytest.raises(AssertionError, match="did not come"):
                await script.expect(kind, timeout=0.01, item=wanted)
        await script.expect(kind, item={"content": [{"type": "input_text"}]})


async def test_what_was_expected_once_is_not_expected_again_but_by_its_number(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        kind = "conversation.item.create"
        for name in "abc":
            await client.ask(kind, item=message(name, id=name))
        await script.expect(kind, item={"id": "b"})
        assert (await script.expect(kind, 1))["item"]["id"] == "a"
        assert (await script.expect(kind))["item"]["id"] == "c"
        assert (await script.expect(kind, 1, item={"id": "c"}))["item"]["id"] == "c"
        with pytest.raises(AssertionError, match=r"4\. conversation.item.create did not come"):
            await script.expect(kind, 4, timeout=0.01)
        with pytest.raises(AssertionError, match=r"^never\.sent did not come"):
            await script.expect("never.sent", timeout=0.01)


async def test_what_came_is_told_in_few_words(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        with pytest.raises(AssertionError, match="what came: nothing"):
            await script.expect("response.create", timeout=0.01)
        await client.ask("conversation.item.create", item=message("word " * 1000))
        with pytest.raises(AssertionError) as caught:
            await script.expect("conversation.item.create", 2, timeout=0.01)
        assert len(str(caught.value)) < 600
        assert "…" in str(caught.value)
