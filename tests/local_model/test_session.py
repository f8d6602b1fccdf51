"""Session settings on the wire."""

from __future__ import annotations

import pytest

from tests.local_model.fakes import Client, Voices, session


async def test_the_first_event_is_the_whole_session() -> None:
    async with session() as client:
        created = client.events[0]["session"]
    assert created["id"].startswith("sess_")
    assert created["expires_at"] > 0
    assert {name: created[name] for name in ("object", "type", "model", "output_modalities")} == {
        "object": "realtime.session",
        "type": "realtime",
        "model": "test",
        "output_modalities": ["audio"],
    }
    assert created["audio"] == {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "noise_reduction": None,
            "transcription": None,
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 500,
                "idle_timeout_ms": None,
                "create_response": True,
                "interrupt_response": True,
            },
        },
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.0},
    }


async def test_an_update_changes_only_what_it_sets() -> None:
    async with session() as client:
        await client.configure(
            instructions="Be kind.", audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}}
        )
        updated = await client.configure(
            audio={"output": {"voice": "cedar"}, "input": {"transcription": {"model": "whisper-1"}}}
        )
    assert updated["instructions"] == "Be kind."
    assert updated["audio"]["input"]["turn_detection"]["threshold"] == 0.7
    assert updated["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
    assert updated["audio"]["input"]["transcription"] == {"model": "whisper-1"}
    assert updated["audio"]["output"]["voice"] == "cedar"


async def test_null_turns_off_what_can_be_off_and_changes_nothing_else() -> None:
    async with session() as client:
        await client.configure(audio={"input": {"transcription": {"model": "whisper-1"}}})
        updated = await client.configure(
            instructions=None, audio={"input": {"turn_detection": None, "transcription": None, "format": None}}
        )
    assert updated["instructions"] == ""
    assert updated["audio"]["input"]["turn_detection"] is None
    assert updated["audio"]["input"]["transcription"] is None
    assert updated["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}


async def test_null_turns_the_idle_timeout_off() -> None:
    async with session() as client:
        detection = {"type": "server_vad", "idle_timeout_ms": 5000, "threshold": 0.7}
        await client.configure(audio={"input": {"turn_detection": detection}})
        updated = await client.configure(
            audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": None}}}
        )
    found = updated["audio"]["input"]["turn_detection"]
    assert (found["idle_timeout_ms"], found["threshold"]) == (None, 0.7)


async def test_another_kind_of_turn_detection_replaces_the_first() -> None:
    async with session() as client:
        await client.configure(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}})
        updated = await client.configure(
            audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}}
        )
    assert updated["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "low",
        "create_response": True,
        "interrupt_response": True,
    }


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"audio": {"input": {"format": {"type": "audio/pcmu"}}}}, "invalid_value", "session.audio.input.format.type"),
        (
            {"audio": {"output": {"format": {"type": "audio/pcma"}}}},
            "invalid_value",
            "session.audio.output.format.type",
        ),
        ({"audio": {"output": {"speed": 9}}}, "invalid_value", "session.audio.output.speed"),
        ({"output_modalities": ["text", "audio"]}, "invalid_value", "session.output_modalities"),
        ({"temperature": 0.8}, "unknown_parameter", "session.temperature"),
    ],
)
async def test_a_wrong_setting_is_refused_by_name_and_nothing_changes(
    change: dict[str, object], code: str, param: str
) -> None:
    async with session() as client:
        before = client.events[0]["session"]
        error = await client.error("session.update", session={"type": "realtime", "instructions": "New.", **change})
        after = await client.configure()
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)
    assert after == before


async def test_the_voice_is_locked_by_the_first_audio() -> None:
    async with session() as client:
        await client.respond(output_modalities=["text"])
        await client.configure(audio={"output": {"voice": "cedar"}})
        await client.respond()
        error = await client.error(
            "session.update", session={"type": "realtime", "audio": {"output": {"voice": "ash"}}}
        )
        assert error["code"] == "cannot_update_voice"
        await client.configure(audio={"output": {"voice": "cedar", "speed": 1.2}})
        error = await client.error("response.create", response={"audio": {"output": {"voice": "ash"}}})
        assert (error["code"], error["param"]) == ("cannot_update_voice", "response.audio.output.voice")


async def test_the_session_instructions_reach_the_brain() -> None:
    voices = Voices()
    async with session(voices) as client:
        await client.configure(instructions="Speak like a pirate.")
        await client.respond()
    assert voices.brain.prompts[0].instructions == "Speak like a pirate."


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "invalid_json"),
        ("[]", "invalid_json"),
        ("{}", "missing_required_parameter"),
        ('{"type": "response.explode", "event_id": "mine"}', "invalid_value"),
        ('{"type": "session.update", "event_id": "mine"}', "missing_required_parameter"),
        ("[" * 100_000, "invalid_json"),
    ],
)
async def test_what_is_not_an_event_is_an_error_and_the_session_goes_on(message: str, code: str) -> None:
    async with session() as client:
        await client.connection.send(message)
        error = (await client.next("error"))["error"]
        assert error["code"] == code
        assert error.get("event_id") == ("mine" if "mine" in message else None)
        await still_works(client)


async def still_works(client: Client) -> None:
    assert (await client.respond())["status"] == "completed"
