"""What a model says in a test: replies, and the turns of a user."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from realtime_agent.testing import Call, Output, ScriptedServer, Speech, Text, tone
from tests.testing.client import client_of, kinds

_WORDS = ("response.output_audio_transcript.delta", "response.output_text.delta")


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


async def test_a_reply_has_the_ids_and_the_sound_it_is_given(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        assert await script.speak("One two.", item_id="a", response_id="r1") == "a"
        assert await script.write("Three.", item_id="b") == "b"
        assert await script.call_function("f", {"x": 1}, call_id="c") == "c"
        assert await script.hear("Four.", item_id="d") == "d"
        await script.send_all(script.reply(Speech("Five", tone(200), piece_ms=200, item_id="e")))
        events = await client.until("response.done")
        assert events[-1]["response"]["id"] == "r1"
        assert b"".join(_audio(events)) == tone(600)
        assert [len(pcm) for pcm in _audio(events)] == [len(tone(100))] * 6
        for _ in range(3):
            events = await client.until("response.done")
        assert _audio(events) == [tone(200)]
    items = script.conversation.items
    assert list(items)[:2] == ["a", "b"]
    assert list(items)[3:] == ["d", "e"]
    call = next(item for item in items.values() if item["type"] == "function_call")
    assert (call["call_id"], call["arguments"]) == ("c", '{"x": 1}')


async def test_words_come_one_by_one_with_all_their_blanks(script: ScriptedServer) -> None:
    text = " One\n two  three. "
    async with client_of(script) as client:
        for say in (script.speak, script.write):
            await say(text)
            events = await client.until("response.done")
            words = [event["delta"] for event in events if event["type"] in _WORDS]
            assert words == [" One", "\n two", "  three. "]


@pytest.mark.parametrize(
    ("output", "sent", "so_far"),
    [
        (Speech("One two three"), 8, {"content": [{"type": "output_audio", "transcript": "One two"}]}),
        (Text("One two three"), 6, {"content": [{"type": "output_text", "text": "One two"}]}),
        (Call("f", '{"x": 1}'), 4, {"arguments": '{"x"'}),
    ],
)
async def test_a_reply_that_is_broken_off_has_what_was_said_so_far(
    script: ScriptedServer, output: Output, sent: int, so_far: dict[str, Any]
) -> None:
    async with client_of(script) as client:
        await script.send_all(script.reply(output)[:sent])
        await client.send("response.cancel")
        *_, done = await client.until("response.done")
        (item,) = done["response"]["output"]
        assert item.items() >= {"status": "incomplete", **so_far}.items()


async def test_a_reply_has_the_voice_of_the_settings(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        audio = {"output": {"voice": "cedar"}}
        (updated,) = await client.ask("session.update", session={"type": "realtime", "audio": audio})
        assert updated["session"]["audio"]["output"]["voice"] == "cedar"
        await script.speak()
        created, *_ = await client.until("response.done")
        output = created["response"]["audio"]["output"]
        assert output == {"voice": "cedar", "format": updated["session"]["audio"]["output"]["format"]}


async def test_items_of_a_reply_are_one_behind_another(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        await script.send_all(script.reply(Speech("One", item_id="a"), Call("f", {}, item_id="b"), status="incomplete"))
        events = await client.until("response.done")
        added = [event for event in events if event["type"] == "conversation.item.added"]
        assert [(event["previous_item_id"], event["item"]["id"]) for event in added] == [(None, "a"), ("a", "b")]
        assert [item["status"] for item in events[-1]["response"]["output"]] == ["completed", "incomplete"]
        await script.write(in_conversation=False)
        assert script.conversation.last_id == "b"


async def test_what_was_left_open_is_no_part_of_the_next_response(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        begun = script.reply(Speech("One"))
        await script.send_all([*begun[:5], begun[-1]])
        await client.until("response.done")
        await script.send_all(script.reply(Speech("Two"))[:1])
        await client.send("response.cancel")
        *_, done = await client.until("response.done")
        assert done["response"]["output"] == []


@pytest.mark.parametrize(
    ("outputs", "modality"),
    [((Speech("One"), Call("f", {})), "audio"), ((Text("One"), Call("f", {})), "text"), ((Call("f", {}),), "audio")],
)
async def test_a_reply_is_text_where_it_is_written(
    script: ScriptedServer, outputs: tuple[Output, ...], modality: str
) -> None:
    async with client_of(script):
        created, *_ = script.reply(*outputs)
    assert created["response"]["output_modalities"] == [modality]


async def test_a_turn_is_as_long_as_is_said_and_ends_with_the_audio(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        await script.hear("Hi!")
        started, stopped, *_, done = await client.until("conversation.item.input_audio_transcription.completed")
        assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (0, 500)
        assert done["usage"] == {"type": "duration", "seconds": 0.5}
        for _ in range(2):
            await client.ask("input_audio_buffer.append", audio=base64.b64encode(tone(500)).decode())
        await script.hear("Hi!", speech_ms=300)
        started, stopped, *_ = await client.until("conversation.item.done")
        assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (700, 1000)


async def test_a_response_beside_the_conversation_is_not_what_a_user_interrupts(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        await script.send_all(script.reply(Speech("One"), response_id="r1")[:2])
        await script.send_all(script.reply(Speech("Two"), in_conversation=False, response_id="r2"))
        assert script.conversation.response is not None
        assert script.conversation.response["id"] == "r1"
        await client.until("response.done")
        await script.hear(None)
        *_, done = await client.until("response.done")
        assert (done["response"]["id"], len(done["response"]["output"])) == ("r1", 1)
        await script.hear(None)
        assert script.conversation.response is None
        await script.send_all(script.reply(Speech("Three"))[:1])
        await client.send("response.cancel")
        *_, done = await client.until("response.done")
        assert done["response"]["output"] == []


async def test_without_turn_detection_nobody_interrupts(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        audio = {"input": {"turn_detection": None}}
        await client.ask("session.update", session={"type": "realtime", "audio": audio})
        await script.send_all(script.reply(Speech("One two"))[:6])
        await script.hear(None)
        assert "response.done" not in kinds(await client.until("conversation.item.done"))
        assert script.conversation.response is not None


async def test_a_turn_without_words_has_no_transcript(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        await script.hear(None)
        await script.error("server_busy", kind="server_error", param="p", event_id="e")
        *events, error = await client.until("error")
        assert not any("transcription" in kind for kind in kinds(events))
        words = {"type": "server_error", "code": "server_busy", "message": "server_busy", "param": "p", "event_id": "e"}
        assert error["error"] == words
        await script.error(None, "Something went wrong.")
        error = (await client.next())["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", None)
        assert error["message"] == "Something went wrong."


def _audio(events: list[dict[str, Any]]) -> list[bytes]:
    return [base64.b64decode(event["delta"]) for event in events if event["type"] == "response.output_audio.delta"]
