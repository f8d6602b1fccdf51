"""The user's audio: the buffer's events, turns, and what was said."""

from __future__ import annotations

import pytest

from tests.local_model.fakes import Client, Voices, session, speech
from tests.speech import silence

TURN = silence(1) + speech(1) + silence(1)
"""Silence, a second of speech from 1.0 to 2.0 s, silence."""

SPOKEN_TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.completed",
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


async def transcribed(client: Client, **detection: object) -> None:
    turn_detection = {"type": "server_vad", **detection}
    await client.configure(audio={"input": {"transcription": {"model": "x"}, "turn_detection": turn_detection}})


async def test_a_spoken_turn_is_committed_transcribed_and_answered() -> None:
    voices = Voices()
    voices.brain.pieces = ["I heard you."]
    async with session(voices) as client:
        await transcribed(client)
        await client.append(TURN)
        response = await client.response()
        events = {event["type"]: event for event in client.events}
        assert client.types(since="input_audio_buffer.speech_started") == SPOKEN_TURN
    started, stopped = (events[f"input_audio_buffer.speech_{name}"] for name in ("started", "stopped"))
    assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (692, 2528)
    committed = events["input_audio_buffer.committed"]
    assert committed["previous_item_id"] is None
    completed = events["conversation.item.input_audio_transcription.completed"]
    assert {event["item_id"] for event in (started, stopped, committed, completed)} == {started["item_id"]}
    assert completed["transcript"] == "Hello."
    assert completed["usage"] == {"type": "duration", "seconds": 1.836}
    assert response["status"] == "completed"
    assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": "I heard you."}]
    assert events["conversation.item.done"]["previous_item_id"] == started["item_id"]


async def test_times_go_on_from_turn_to_turn() -> None:
    async with session() as client:
        await client.append(TURN)
        await client.response()
        await client.append(TURN)
        await client.response()
        starts = [e["audio_start_ms"] for e in client.events if e["type"] == "input_audio_buffer.speech_started"]
    assert starts == [692, 3700]


async def test_audio_in_pieces_is_the_same_as_audio_at_once() -> None:
    async with session() as client:
        for start in range(0, len(TURN), 960):
            await client.append(TURN[start : start + 960])
        await client.response()
        events = {event["type"]: event for event in client.events}
    assert events["input_audio_buffer.speech_started"]["audio_start_ms"] == 692
    assert events["input_audio_buffer.speech_stopped"]["audio_end_ms"] == 2528


async def test_what_is_said_after_a_pause_is_part_of_the_turn() -> None:
    voices = Voices()
    async with session(voices) as client:
        await transcribed(client)
        await client.append(speech(1) + silence(0.45))
        await client.settle()
        voices.transcriber.text = "Hello again."
        await client.append(speech(1) + silence(1))
        await client.response()
        assert client.types().count("input_audio_buffer.committed") == 1
        completed = [event for event in client.events if event["type"].endswith("transcription.completed")]
    assert [event["transcript"] for event in completed] == ["Hello again."]
    assert [round(seconds, 1) for seconds, _ in voices.transcriber.heard] == [1.2, 2.7]


async def test_what_was_written_down_in_a_pause_is_dropped_as_soon_as_the_user_goes_on() -> None:
    voices = Voices()
    voices.transcriber.may_end.clear()
    async with session(voices) as client:
        await client.append(speech(1) + silence(0.45))
        await client.settle()
        assert (voices.transcriber.working, voices.transcriber.cancelled) == (1, 0)
        await client.append(speech(0.2))
        await client.settle()
        assert (voices.transcriber.working, voices.transcriber.cancelled) == (0, 1)


async def test_what_was_written_down_in_a_turn_that_was_given_up_is_not_of_the_next() -> None:
    voices = Voices()
    async with session(voices) as client:
        await transcribed(client)
        await client.append(speech(1) + silence(0.45))
        await client.settle()
        await client.configure(audio={"input": {"turn_detection": None}})
        await transcribed(client)
        voices.transcriber.text = "Goodbye."
        await client.append(speech(0.5) + silence(0.1) + speech(0.5) + silence(1))
        completed = await client.next("conversation.item.input_audio_transcription.completed")
    assert completed["transcript"] == "Goodbye."


async def test_a_long_turn_is_written_down_at_its_end_only() -> None:
    voices = Voices()
    async with session(voices) as client:
        await client.append((speech(1) + silence(0.35)) * 15 + silence(1))
        await client.response()
    *early, whole = (seconds for seconds, _ in voices.transcriber.heard)
    # At first each pause might have been the end.
    assert max(early) <= 15
    assert whole > 20


async def test_a_turn_is_written_down_once() -> None:
    voices = Voices()
    async with session(voices) as client:
        await client.append(TURN)
        await client.response()
    assert len(voices.transcriber.heard) == 1


async def test_without_transcription_the_client_is_told_no_words() -> None:
    async with session() as client:
        await client.append(TURN)
        await client.response()
        assert not [type_ for type_ in client.types() if "transcription" in type_]


async def test_a_failed_transcription_is_told_and_answered() -> None:
    voices = Voices()
    voices.transcriber.broken = True
    async with session(voices) as client:
        await transcribed(client)
        await client.append(TURN)
        failed = await client.next("conversation.item.input_audio_transcription.failed")
        response = await client.response()
    assert failed["error"]["code"] == "transcription_failed"
    assert response["output"][0]["content"][0]["transcript"] == "I did not hear anything. Are you still there?"


async def test_the_language_reaches_the_transcriber() -> None:
    voices = Voices()
    async with session(voices) as client:
        await client.configure(audio={"input": {"transcription": {"model": "x", "language": "de"}}})
        await client.append(TURN)
        await client.response()
    assert voices.transcriber.heard[0][1] == "de"


async def test_create_response_off_commits_without_an_answer() -> None:
    async with session() as client:
        await transcribed(client, create_response=False)
        await client.append(TURN)
        await client.next("conversation.item.input_audio_transcription.completed")
        assert "response.created" not in await client.settle()


async def test_barge_in_ends_the_response_before_anything_else() -> None:
    voices = Voices()
    async with session(voices) as client:
        await talk_until_first_audio(client, voices)
        await client.append(speech(0.2))
        response = await client.response()
        types = client.types(since="input_audio_buffer.speech_started")
    assert types == [
        "input_audio_buffer.speech_started",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    assert response["status"] == "cancelled"
    assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert response["output"][0]["status"] == "incomplete"
    assert response["output"][0]["content"][0]["transcript"] == "One two three."


async def test_with_interrupt_response_off_the_response_goes_on_and_the_turn_gets_none() -> None:
    voices = Voices()
    async with session(voices) as client:
        await transcribed(client, interrupt_response=False)
        await talk_until_first_audio(client, voices)
        await client.append(TURN)
        error = (await client.next("error"))["error"]
        assert error["code"] == "conversation_already_has_active_response"
        voices.synthesizer.allowed.set()
        assert (await client.response())["status"] == "completed"


async def talk_until_first_audio(client: Client, voices: Voices) -> None:
    """Begin a response of two sentences that stops behind the first until the synthesizer is allowed to go on."""
    voices.brain.pieces = ["One two three. ", "Four five six."]
    voices.synthesizer.sentences = 1
    await client.send("response.create")
    await client.next("response.output_audio.delta")


async def test_nobody_speaking_after_a_response_is_a_timeout() -> None:
    async with session() as client:
        await transcribed(client, idle_timeout_ms=5000)
        await client.append(TURN)
        spoken = await client.response()
        audio_ms = spoken["usage"]["output_token_details"]["audio_tokens"] * 50
        await client.append(silence(8))
        event = await client.next("input_audio_buffer.timeout_triggered")
        response = await client.response()
        types = client.types(since="input_audio_buffer.timeout_triggered")
    assert event["audio_start_ms"] == 3000 + audio_ms
    assert 5000 <= event["audio_end_ms"] - event["audio_start_ms"] <= 5032
    assert types[:5] == [
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    assert response["output"][0]["content"][0]["transcript"] == "I did not hear anything. Are you still there?"


async def test_push_to_talk_commits_and_asks_by_hand() -> None:
    async with session() as client:
        await client.configure(audio={"input": {"turn_detection": None, "transcription": {"model": "x"}}})
        await client.append(TURN)
        await client.send("input_audio_buffer.commit")
        await client.next("conversation.item.input_audio_transcription.completed")
        types = await client.settle()
        assert "input_audio_buffer.speech_started" not in types
        assert "response.created" not in types
        assert (await client.respond())["output"][0]["content"][0]["transcript"] == "Hello! How can I help?"


async def test_a_commit_in_the_middle_of_a_turn_ends_it_and_takes_its_item() -> None:
    async with session() as client:
        await client.append(speech(1))
        started = await client.next("input_audio_buffer.speech_started")
        await client.send("input_audio_buffer.commit")
        stopped = await client.receive()
        committed = await client.receive()
        await client.append(silence(2))
        types = await client.settle()
    assert [event["type"] for event in (stopped, committed)] == [
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
    ]
    assert stopped["audio_end_ms"] == 1000
    assert committed["item_id"] == stopped["item_id"] == started["item_id"]
    assert types.count("input_audio_buffer.speech_stopped") == 1
    assert "response.created" not in types


async def test_clear_forgets_the_turn() -> None:
    async with session() as client:
        await client.append(speech(1))
        await client.send("input_audio_buffer.clear")
        await client.next("input_audio_buffer.cleared")
        assert (await client.error("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"
        await client.append(silence(2))
        assert "input_audio_buffer.speech_stopped" not in await client.settle()


@pytest.mark.parametrize("audio", ["#", "AAAA", "AAA"])
async def test_audio_that_is_none_is_refused(audio: str) -> None:
    async with session() as client:
        error = await client.error("input_audio_buffer.append", audio=audio)
    assert (error["code"], error["param"]) == ("invalid_value", "audio")


async def test_push_to_talk_still_hears_after_five_minutes_without_a_commit() -> None:
    voices = Voices()
    async with session(voices) as client:
        await client.configure(audio={"input": {"turn_detection": None, "transcription": {"model": "x"}}})
        await client.append(silence(200))
        await client.append(silence(200))
        await client.append(speech(1))
        await client.send("input_audio_buffer.commit")
        completed = await client.next("conversation.item.input_audio_transcription.completed")
    assert completed["transcript"] == "Hello."
    assert [seconds for seconds, _ in voices.transcriber.heard] == [300]


async def test_silence_does_not_fill_the_buffer_with_turn_detection() -> None:
    async with session() as client:
        for _ in range(4):
            await client.append(silence(100))
        await client.append(TURN)
        assert (await client.next("input_audio_buffer.speech_started"))["audio_start_ms"] == 400_692


async def test_a_client_that_commits_faster_than_it_is_understood_has_to_wait() -> None:
    voices = Voices()
    async with session(voices) as client:
        await client.configure(audio={"input": {"turn_detection": None, "transcription": {"model": "x"}}})
        for _ in range(30):
            await client.append(speech(0.1))
            await client.send("input_audio_buffer.commit")
        for _ in range(30):
            await client.next("conversation.item.input_audio_transcription.completed")
    assert len(voices.transcriber.heard) == 30
    assert voices.transcriber.most <= 8
