"""Responses on the wire: their order, their settings, and how they end."""

from __future__ import annotations

from typing import Any

from realtime_agent.errors import SessionError
from tests.local_model.fakes import WORD_MS, Client, Voices, session


def text_of(response: dict[str, Any]) -> str:
    content = response["output"][0]["content"][0]
    text: str = content["transcript"] if content["type"] == "output_audio" else content["text"]
    return text


async def hold(client: Client, voices: Voices, **response: object) -> str:
    """Begin a response that speaks one sentence and stops before the next; give its id."""
    voices.brain.pieces = ["One two three. ", "Four five six."]
    voices.synthesizer.sentences = 1
    await client.send("response.create", response=response)
    delta = await client.next("response.output_audio.delta")
    response_id: str = delta["response_id"]
    return response_id


async def test_a_spoken_response_comes_sentence_by_sentence() -> None:
    voices = Voices()
    voices.brain.pieces = ["One two", " three. Fo", "ur five."]
    async with session(voices) as client:
        response = await client.respond()
        events = client.events[1:]
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "output_item.added",
        "conversation.item.added",
        "content_part.added",
        "output_audio_transcript.delta",
        *["output_audio.delta"] * 6,
        "output_audio_transcript.delta",
        *["output_audio.delta"] * 4,
        "output_audio.done",
        "output_audio_transcript.done",
        "content_part.done",
        "output_item.done",
        "conversation.item.done",
        "done",
    ]
    deltas = "".join(event["delta"] for event in events if event["type"].endswith("audio_transcript.delta"))
    assert deltas == text_of(response) == "One two three. Four five."
    assert {event["response_id"] for event in events if "response_id" in event} == {response["id"]}
    assert events[0]["response"]["status"] == "in_progress"
    assert events[1]["item"]["status"] == "in_progress"
    assert response["conversation_id"] == events[0]["response"]["conversation_id"]


async def test_a_response_says_what_it_cost() -> None:
    voices = Voices()
    voices.brain.pieces = ["One two three."]
    async with session(voices) as client:
        await client.configure(instructions="Be very brief.")
        await client.add("Count to three, please.")
        usage = (await client.respond())["usage"]
    audio_tokens = 3 * WORD_MS // 50
    assert usage["input_token_details"] == {"text_tokens": 7, "audio_tokens": 0, "cached_tokens": 0}
    assert usage["output_token_details"] == {"text_tokens": 3, "audio_tokens": audio_tokens}
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] == 7 + 3 + audio_tokens


async def test_a_written_response_has_no_audio() -> None:
    voices = Voices()
    voices.brain.pieces = ["One. Two."]
    async with session(voices) as client:
        await client.configure(output_modalities=["text"])
        response = await client.respond()
        types = client.types(since="response.created")
    assert types == [
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
    assert response["output"][0]["content"] == [{"type": "output_text", "text": "One. Two."}]
    assert response["output_modalities"] == ["text"]


async def test_settings_of_one_response_hold_for_that_one_only() -> None:
    async with session() as client:
        exact = 'Say exactly this, word for word, and nothing else: "One two three. Four."'
        response = await client.respond(
            instructions=exact, output_modalities=["text"], metadata={"topic": "counting"}, max_output_tokens=100
        )
        assert text_of(response) == "One two three. Four."
        assert (response["metadata"], response["max_output_tokens"]) == ({"topic": "counting"}, 100)
        await client.add("2 + 2")
        response = await client.respond()
    assert (response["output_modalities"], text_of(response)) == (["audio"], "2 plus 2 is 4.")


async def test_a_faster_voice_takes_less_time() -> None:
    voices = Voices()
    voices.brain.pieces = ["One two three."]
    async with session(voices) as client:
        await client.configure(audio={"output": {"speed": 1.5}})
        usage = (await client.respond())["usage"]
    assert usage["output_token_details"]["audio_tokens"] == 8


async def test_a_written_response_stops_at_its_limit() -> None:
    voices = Voices()
    voices.brain.pieces = ["One two three. ", "Four five six."]
    async with session(voices) as client:
        response = await client.respond(output_modalities=["text"], max_output_tokens=4)
    assert (response["status"], response["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
    assert text_of(response) == "One two three. Four"


async def test_a_spoken_response_stops_at_its_limit_in_words_and_in_sound() -> None:
    voices = Voices()
    voices.brain.pieces = ["One two three four. ", "Five six."]
    async with session(voices) as client:
        response = await client.respond(max_output_tokens=10)
    assert (response["status"], response["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
    assert text_of(response) == "One two"
    assert response["usage"]["output_token_details"] == {"text_tokens": 2, "audio_tokens": 8}


async def test_a_response_within_its_limit_is_complete() -> None:
    voices = Voices()
    voices.brain.pieces = ["One two. ", "Three."]
    async with session(voices) as client:
        response = await client.respond(max_output_tokens=15)
    assert response["status"] == "completed"


async def test_a_limit_too_small_for_a_word_gives_an_incomplete_response() -> None:
    voices = Voices()
    voices.brain.pieces = ["One."]
    async with session(voices) as client:
        response = await client.respond(max_output_tokens=1)
    assert (response["status"], response["output"]) == ("incomplete", [])


async def test_a_second_response_waits_for_the_first() -> None:
    voices = Voices()
    async with session(voices) as client:
        response_id = await hold(client, voices)
        error = await client.error("response.create")
        assert error["code"] == "conversation_already_has_active_response"
        assert response_id in error["message"]
        voices.synthesizer.allowed.set()
        assert (await client.response())["status"] == "completed"
        assert (await client.respond())["status"] == "completed"


async def test_a_response_can_be_cancelled() -> None:
    voices = Voices()
    async with session(voices) as client:
        await hold(client, voices)
        await client.send("response.cancel")
        response = await client.response()
        assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        assert response["output"][0]["status"] == "incomplete"
        voices.synthesizer.allowed.set()
        types = await client.settle()
        assert types[-1] == "response.done"
        assert (await client.respond())["status"] == "completed"


async def test_a_response_that_has_said_nothing_yet_is_cancelled_without_an_item() -> None:
    voices = Voices()
    voices.synthesizer.sentences = 0
    async with session(voices) as client:
        await client.send("response.create")
        await client.next("response.created")
        await client.send("response.cancel")
        response = await client.response()
        assert (response["status"], response["output"]) == ("cancelled", [])
        assert client.types()[1:] == ["response.created", "response.done"]


async def test_without_a_response_there_is_nothing_to_cancel() -> None:
    async with session() as client:
        assert (await client.error("response.cancel"))["code"] == "response_cancel_not_active"
        response = await client.respond()
        error = await client.error("response.cancel", response_id=response["id"])
    assert error["code"] == "response_cancel_not_active"


async def test_a_response_beside_the_conversation_leaves_no_trace_in_it() -> None:
    voices = Voices()
    async with session(voices) as client:
        await hold(client, voices)
        voices.brain.pieces = None
        question = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "2 + 3"}]}
        response = await client.respond(
            conversation="none", input=[question], output_modalities=["text"], metadata={"for": "test"}
        )
        assert (text_of(response), response["conversation_id"]) == ("2 plus 3 is 5.", None)
        assert response["metadata"] == {"for": "test"}
        assert "conversation.item.done" not in client.types()
        voices.synthesizer.allowed.set()
        assert (await client.response())["conversation_id"]
        await client.respond()
        assert [message.role for message in voices.brain.prompts[-1].messages] == ["assistant"]


async def test_a_response_can_be_given_items_of_the_conversation() -> None:
    voices = Voices()
    async with session(voices) as client:
        await client.add("One.", id="one")
        await client.add("Two.", id="two")
        await client.respond(input=[{"type": "item_reference", "id": "one"}])
        error = await client.error("response.create", response={"input": [{"type": "item_reference", "id": "x"}]})
    assert [message.text for message in voices.brain.prompts[0].messages] == ["One."]
    assert error["code"] == "item_not_found"


async def test_responses_beside_the_conversation_are_bounded_and_cancelled_by_id() -> None:
    voices = Voices()
    voices.synthesizer.sentences = 0
    async with session(voices) as client:
        ids = []
        for _ in range(8):
            await client.send("response.create", response={"conversation": "none"})
            ids.append((await client.next("response.created"))["response"]["id"])
        assert (await client.error("response.create"))["code"] == "too_many_responses"
        assert (await client.error("response.cancel"))["code"] == "response_cancel_not_active"
        await client.send("response.cancel", response_id=ids[3])
        assert (await client.response())["id"] == ids[3]


async def test_both_modalities_at_once_are_refused() -> None:
    async with session() as client:
        error = await client.error("response.create", response={"output_modalities": ["audio", "text"]})
    assert (error["code"], error["param"]) == ("invalid_value", "response.output_modalities")


async def test_a_brain_that_fails_is_apologised_for_and_reported() -> None:
    voices = Voices()
    voices.brain.pieces, voices.brain.error = ["So. ", "Well."], SessionError("no model there")
    async with session(voices) as client:
        response = await client.respond()
        assert response["status"] == "failed"
        assert response["status_details"]["error"]["message"] == "no model there"
        assert text_of(response) == "So. I am sorry, I can't reach my language model."
        voices.brain.error = None
        assert (await client.respond())["status"] == "completed"


async def test_a_voice_that_fails_fails_the_response_only() -> None:
    voices = Voices()
    voices.synthesizer.broken = True
    async with session(voices) as client:
        response = await client.respond()
        assert (response["status"], response["output"]) == ("failed", [])
        assert "no voice" not in str(response)
        voices.synthesizer.broken = False
        assert (await client.respond())["status"] == "completed"


async def test_there_is_no_output_audio_buffer_to_clear() -> None:
    async with session() as client:
        error = await client.error("output_audio_buffer.clear")
        assert (error["code"], error["param"]) == ("invalid_value", "type")
        assert (await client.respond())["status"] == "completed"
