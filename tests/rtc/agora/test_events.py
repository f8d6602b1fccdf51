"""What the library tells becomes values, and nothing that it tells raises."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from realtime_agent.rtc.agora.events import (
    ConnectionChanged,
    ConnectionState,
    NativeError,
    NativeEvent,
    NativeEvents,
    Received,
    TokenExpires,
    in_words,
)
from realtime_agent.rtc.channel import AudioFrame, UserJoined, UserLeft


@pytest.fixture
def told() -> list[NativeEvent]:
    return []


@pytest.fixture
def events(told: list[NativeEvent]) -> NativeEvents:
    return NativeEvents(told.append, 24_000)


def frame(rate: int = 24_000, channels: int = 1, width: int = 2) -> SimpleNamespace:
    return SimpleNamespace(
        samples_per_sec=rate, channels=channels, bytes_per_sample=width, buffer=bytearray(b"\1\0" * 240)
    )


@pytest.mark.parametrize("name", ["connected", "disconnected", "connecting", "reconnecting", "reconnected"])
def test_every_state_of_the_connection_is_told(events: NativeEvents, told: list[NativeEvent], name: str) -> None:
    getattr(events, f"on_{name}")(None, SimpleNamespace(state=4), 2)
    assert told == [ConnectionChanged(ConnectionState.RECONNECTING, 2)]


def test_the_rest_of_what_is_of_use_is_told(events: NativeEvents, told: list[NativeEvent]) -> None:
    events.on_connection_failure(None, SimpleNamespace(state=5), 8)
    events.on_token_privilege_will_expire(None, "a token")
    events.on_token_privilege_did_expire(None)
    events.on_error(None, 17, "words")
    events.on_user_joined(None, "4294967295")
    events.on_user_left(None, "5", 0)
    events.on_stream_message(None, "5", 1, "a|1|1|e30=", 10)
    assert events.on_playback_audio_frame_before_mixing(None, "room", "5", frame(), -1, None) == 0
    assert told == [
        ConnectionChanged(ConnectionState.FAILED, 8),
        TokenExpires(),
        TokenExpires(),
        NativeError(17, "words"),
        UserJoined(4294967295),
        UserLeft(5),
        Received(5, "a|1|1|e30="),
        AudioFrame(5, b"\1\0" * 240),
    ]
    assert "a token" not in repr(told)


def test_a_frame_is_kept_though_the_library_takes_its_memory_back(
    events: NativeEvents, told: list[NativeEvent]
) -> None:
    heard = frame()
    events.on_playback_audio_frame_before_mixing(None, "room", "5", heard, -1, None)
    heard.buffer[:] = bytes(480)
    assert told == [AudioFrame(5, b"\1\0" * 240)]


@pytest.mark.parametrize("other", [frame(rate=48_000), frame(channels=2), frame(width=4)])
def test_audio_of_another_kind_is_not_passed_on(
    events: NativeEvents, told: list[NativeEvent], other: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        assert events.on_playback_audio_frame_before_mixing(None, "room", "5", other, -1, None) == 0
    assert told == []
    assert len(caplog.records) == 1
    assert "is not heard" in caplog.text


@pytest.mark.parametrize("name", ["", "somebody", "-5", "5.0", "\u0665", "12345678901", " 5"])
def test_whoever_has_no_number_is_nobody(events: NativeEvents, told: list[NativeEvent], name: str) -> None:
    events.on_user_joined(None, name)
    events.on_user_left(None, name, 0)
    events.on_stream_message(None, name, 1, "x", 1)
    assert events.on_playback_audio_frame_before_mixing(None, "room", name, frame(), -1, None) == 0
    assert told == []


def test_only_each_participant_s_own_audio_is_asked_for(events: NativeEvents) -> None:
    assert events.on_get_audio_frame_position(None) == 8


def test_other_events_are_taken_and_left_alone(events: NativeEvents, told: list[NativeEvent]) -> None:
    assert events.on_network_type_changed(None, 1) == 0
    assert events.on_audio_subscribe_state_changed(None, "room", "5", 2, 3, 0) == 0
    assert told == []


def test_what_is_no_event_is_not_there(events: NativeEvents) -> None:
    assert not hasattr(events, "release")


def test_reasons_are_told_in_words() -> None:
    assert in_words(19) == "another participant joined with the same uid"
    assert in_words(77) == "reason 77 of Agora's"
