"""The input audio buffer."""

from __future__ import annotations

import pytest

from realtime_agent.errors import InvalidEvent
from realtime_agent.local_model.buffer import MAX_BUFFER_MS, InputBuffer, decode_pcm
from realtime_agent.pcm import BYTES_PER_MS


def ms(*values: int) -> bytes:
    return b"".join(bytes([value]) * BYTES_PER_MS for value in values)


def test_audio_is_found_by_its_time_in_the_session() -> None:
    buffer = InputBuffer()
    buffer.append(ms(0, 1, 2, 3))
    assert buffer.take(1, 3) == ms(1, 2)
    assert (buffer.start_ms, buffer.end_ms) == (3, 4)
    buffer.append(ms(4))
    assert buffer.peek(0, 5) == ms(3, 4)


def test_forgetting_drops_only_what_is_before() -> None:
    buffer = InputBuffer()
    buffer.append(ms(0, 1, 2))
    buffer.forget(-5)
    buffer.forget(1)
    assert buffer.peek(0, 3) == ms(1, 2)
    buffer.forget(10)
    assert (buffer.start_ms, buffer.duration_ms) == (3, 0)


def test_clearing_does_not_turn_back_time() -> None:
    buffer = InputBuffer()
    buffer.append(ms(0, 1, 2))
    buffer.clear()
    assert (buffer.start_ms, buffer.end_ms) == (3, 3)


def test_a_commit_needs_100_ms() -> None:
    buffer = InputBuffer()
    buffer.append(bytes(99 * BYTES_PER_MS))
    with pytest.raises(InvalidEvent, match=r"99\.00ms") as caught:
        buffer.check_commit()
    assert caught.value.code == "input_audio_buffer_commit_empty"
    buffer.append(bytes(BYTES_PER_MS))
    buffer.check_commit()


def test_beyond_five_minutes_the_oldest_audio_goes() -> None:
    buffer = InputBuffer()
    buffer.append(ms(1, 2) + bytes((MAX_BUFFER_MS - 2) * BYTES_PER_MS))
    assert buffer.start_ms == 0
    buffer.append(ms(3))
    assert (buffer.start_ms, buffer.end_ms) == (1, MAX_BUFFER_MS + 1)
    assert buffer.duration_ms == MAX_BUFFER_MS == 300_000
    assert buffer.peek(0, 2) == ms(2)
    assert buffer.peek(MAX_BUFFER_MS, MAX_BUFFER_MS + 1) == ms(3)


@pytest.mark.parametrize("audio", ["#", "AAA", "AAAA", "AA AA", "ÄÄÄÄ"])
def test_what_is_not_base64_of_whole_samples_is_refused(audio: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        decode_pcm(audio, "audio")
    assert (caught.value.code, caught.value.param) == ("invalid_value", "audio")
