"""The user's audio on its way to the model: nothing of it is lost, and nothing kept without need."""

from __future__ import annotations

import random

import pytest

from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime.conversation.uplink import Uplink


def audio(ms: int, first: int = 0) -> bytes:
    """Audio of which every millisecond is another."""
    return b"".join((first + index).to_bytes(4, "big") * (BYTES_PER_MS // 4) for index in range(ms))


def spans(pcm: bytes) -> list[int]:
    """Which milliseconds of `audio` these are."""
    return [int.from_bytes(pcm[at : at + 4], "big") for at in range(0, len(pcm), BYTES_PER_MS)]


@pytest.fixture
def uplink() -> Uplink:
    return Uplink(max_kept_s=10)


def test_audio_is_sent_once_and_in_order(uplink: Uplink) -> None:
    uplink.append(audio(20))
    assert spans(uplink.take()) == list(range(20))
    assert uplink.take() == b""
    uplink.append(audio(20, 20))
    uplink.append(audio(20, 40))
    assert spans(uplink.take()) == list(range(20, 60))


def test_what_could_not_be_sent_is_sent_later(uplink: Uplink) -> None:
    uplink.append(audio(5000))
    assert spans(uplink.take()) == list(range(5000))


def test_more_than_the_bound_drops_the_oldest_and_is_counted(uplink: Uplink) -> None:
    uplink.append(audio(9000))
    uplink.append(audio(3000, 9000))
    assert spans(uplink.take()) == list(range(2000, 12_000))
    assert uplink.dropped_bytes == 2000 * BYTES_PER_MS


def test_positions_count_only_what_was_sent(uplink: Uplink) -> None:
    """What was dropped before it was sent has no position at the model."""
    uplink.append(audio(12_000))
    uplink.take()
    uplink.speech_started(9000)  # the 9,000th millisecond that the model has heard is ours of 11,000
    uplink.speech_stopped(9500)
    assert spans(uplink.committed(None)) == list(range(11_000, 11_500))


def test_of_silence_the_last_two_seconds_are_sent_again(uplink: Uplink) -> None:
    uplink.append(audio(5000))
    uplink.take()
    uplink.confirm(uplink.sent)
    uplink.append(audio(20, 5000))
    uplink.take()
    uplink.reconnected()
    assert spans(uplink.take()) == list(range(3000, 5020))


def test_what_was_sent_at_once_counts_as_what_was_taken(uplink: Uplink) -> None:
    for first in range(0, 10_000, 20):
        uplink.pass_on(audio(20, first))
        uplink.confirm(uplink.sent)
    assert (uplink.unsent_bytes, uplink.take()) == (0, b"")
    uplink.reconnected()
    assert spans(uplink.take()) == list(range(8000, 10_000))


def test_little_more_than_what_is_needed_is_kept(uplink: Uplink) -> None:
    for first in range(0, 60_000, 20):
        uplink.pass_on(audio(20, first))
        uplink.confirm(uplink.sent)
        assert len(uplink._kept) <= len(audio(3040))


def test_what_the_model_may_never_have_had_is_sent_again(uplink: Uplink) -> None:
    """What is sent into a dead network is not heard by anybody."""
    uplink.append(audio(3000))
    uplink.take()
    uplink.confirm(uplink.sent)
    for first in range(3000, 8000, 500):
        uplink.append(audio(500, first))
        uplink.take()
    uplink.reconnected()
    assert spans(uplink.take()) == list(range(1000, 8000))
    # Nothing of it is known to be there either.
    for first in range(8000, 11_000, 500):
        uplink.append(audio(500, first))
        uplink.take()
    uplink.reconnected()
    assert spans(uplink.take()) == list(range(1000, 11_000))


def test_what_was_sent_again_is_kept_until_the_model_would_have_told_what_it_heard(uplink: Uplink) -> None:
    uplink.append(audio(3000))
    uplink.reconnected()
    uplink.take()
    for first in range(3000, 6000, 20):
        uplink.confirm(uplink.sent)
        uplink.append(audio(20, first))
        uplink.take()
    uplink.reconnected()
    assert spans(uplink.take()) == list(range(6000))
    for first in range(6000, 10_000, 20):
        uplink.confirm(uplink.sent)
        uplink.append(audio(20, first))
        uplink.take()
    uplink.reconnected()
    assert spans(uplink.take()) == list(range(7980, 10_000))


def test_a_turn_that_has_begun_is_sent_again_from_its_beginning(uplink: Uplink) -> None:
    uplink.append(audio(3000))
    uplink.take()
    uplink.speech_started(2500)
    uplink.append(audio(4000, 3000))
    uplink.take()
    assert uplink.holds_turn
    uplink.reconnected()
    assert not uplink.holds_turn
    assert spans(uplink.take()) == list(range(2500, 7000))


def test_a_turn_that_became_a_message_is_not_sent_again(uplink: Uplink) -> None:
    uplink.append(audio(3000))
    uplink.take()
    uplink.speech_started(1500)
    uplink.speech_stopped(2500)
    assert spans(uplink.committed(None)) == list(range(1500, 2500))
    uplink.reconnected()
    assert spans(uplink.take()) == list(range(2500, 3000))


def test_positions_begin_anew_on_another_connection(uplink: Uplink) -> None:
    uplink.append(audio(5000))
    uplink.take()
    uplink.confirm(uplink.sent)
    uplink.append(audio(1000, 5000))
    uplink.reconnected()
    assert spans(uplink.take()) == list(range(3000, 6000))
    uplink.speech_started(500)
    uplink.speech_stopped(1500)
    assert spans(uplink.committed(None)) == list(range(3500, 4500))


def test_without_turn_detection_all_since_the_last_commit_is_kept(uplink: Uplink) -> None:
    uplink.keep_all(True)
    uplink.append(audio(5000))
    uplink.take()
    uplink.confirm(uplink.sent)
    uplink.append(b"")
    uplink.reconnected()
    assert spans(uplink.take()) == list(range(5000))
    uplink.commit(1)
    uplink.append(audio(1000, 5000))
    uplink.take()
    assert spans(uplink.committed(1)) == list(range(5000))
    uplink.reconnected()
    assert spans(uplink.take()) == list(range(5000, 6000))


def test_a_commit_is_of_what_waits_too(uplink: Uplink) -> None:
    uplink.keep_all(True)
    uplink.append(audio(100))
    uplink.commit(1)
    uplink.take()
    assert spans(uplink.committed(1)) == list(range(100))


def test_a_commit_that_was_refused_leaves_the_audio_where_it_is(uplink: Uplink) -> None:
    uplink.keep_all(True)
    uplink.append(audio(50))
    uplink.take()
    uplink.commit(1)
    uplink.withdraw(1)
    uplink.append(audio(50, 50))
    uplink.take()
    uplink.commit(2)
    assert spans(uplink.committed(2)) == list(range(100))


def test_what_is_cleared_is_neither_sent_nor_sent_again(uplink: Uplink) -> None:
    uplink.append(audio(100))
    uplink.take()
    uplink.append(audio(100, 100))
    uplink.clear()
    assert uplink.take() == b""
    uplink.append(audio(20, 200))
    assert spans(uplink.take()) == list(range(200, 220))
    uplink.reconnected()
    assert spans(uplink.take()) == list(range(200, 220))


def test_each_commit_that_waited_for_a_connection_is_of_what_was_said_before_it(uplink: Uplink) -> None:
    uplink.keep_all(True)
    uplink.append(audio(80))
    uplink.take()
    uplink.commit(0)
    uplink.committed(0)
    uplink.append(audio(100))
    uplink.take()
    uplink.commit(1)
    uplink.append(audio(50, 100))
    uplink.commit(2)
    uplink.commit(3)
    uplink.append(audio(20, 150))
    uplink.reconnected()
    assert spans(uplink.take(1)) == list(range(100))
    assert spans(uplink.take(2)) == list(range(100, 150))
    assert uplink.take(3) == b""
    assert spans(uplink.take()) == list(range(150, 170))
    assert spans(uplink.committed(1)) == list(range(100))
    assert spans(uplink.committed(2)) == list(range(100, 150))
    uplink.withdraw(3)
    assert spans(uplink.committed(None)) == list(range(150, 170))


def test_a_commit_is_of_the_same_words_when_the_bound_drops_what_is_in_front(uplink: Uplink) -> None:
    uplink.keep_all(True)
    uplink.append(audio(4000))
    uplink.commit(1)
    uplink.append(audio(8000, 4000))
    assert spans(uplink.take(1)) == list(range(2000, 4000))
    uplink.take()
    assert spans(uplink.committed(1)) == list(range(2000, 4000))


@pytest.mark.parametrize("by_command", [True, False])
def test_what_is_said_after_a_clear_is_not_of_the_message_that_was_made_before(
    uplink: Uplink, by_command: bool
) -> None:
    uplink.append(audio(100))
    uplink.take()
    if by_command:
        uplink.append(audio(50, 90))
        uplink.commit(1)
    else:
        uplink.speech_started(0)
        uplink.speech_stopped(90)
    uplink.clear()
    uplink.append(audio(50, 100))
    uplink.take()
    assert uplink.committed(1 if by_command else None) == b""
    uplink.reconnected()
    assert spans(uplink.take()) == list(range(100, 150))


def test_a_turn_by_push_to_talk_that_is_longer_than_what_is_kept_is_known_to_be(uplink: Uplink) -> None:
    uplink.append(audio(5000))
    uplink.take()
    uplink.confirm(uplink.sent)
    uplink.append(audio(20, 5000))
    uplink.keep_all(True)
    assert uplink.holds_all
    uplink.append(audio(9000, 5020))
    uplink.take()
    assert not uplink.holds_all
    uplink.commit(1)
    uplink.committed(1)
    assert uplink.holds_all
    uplink.append(audio(9000))
    uplink.take()
    uplink.append(audio(2000))
    uplink.take()
    assert not uplink.holds_all
    uplink.clear()
    assert uplink.holds_all
    uplink.keep_all(False)
    uplink.append(audio(11_000))
    assert uplink.holds_all


def test_a_beginning_that_was_never_sent_is_as_if_it_were_not_told(uplink: Uplink) -> None:
    uplink.append(audio(1000))
    uplink.take()
    uplink.speech_started(10**9)
    uplink.append(audio(20, 1000))
    uplink.reconnected()
    assert spans(uplink.take()) == list(range(1020))


def test_a_turn_that_has_begun_does_not_end_where_one_before_it_did(uplink: Uplink) -> None:
    uplink.append(audio(2000))
    uplink.take()
    uplink.speech_started(100)
    uplink.speech_stopped(1500)
    uplink.speech_started(600)
    assert spans(uplink.committed(None)) == list(range(600, 2000))


@pytest.mark.parametrize("end_ms", [0, 500], ids=["not told", "told to be before the beginning"])
def test_a_turn_whose_end_is_not_known_is_all_that_was_sent(uplink: Uplink, end_ms: int) -> None:
    uplink.append(audio(2000))
    uplink.take()
    uplink.speech_started(500)
    uplink.speech_stopped(end_ms)
    assert spans(uplink.committed(None)) == list(range(500, 2000))


@pytest.mark.parametrize("ms", [-5, 10**9])
def test_a_position_that_never_was_harms_nothing(uplink: Uplink, ms: int) -> None:
    uplink.append(audio(100))
    uplink.take()
    uplink.speech_started(ms)
    uplink.speech_stopped(ms)
    assert len(uplink.committed(None)) <= 100 * BYTES_PER_MS
    uplink.append(audio(20, 100))
    assert spans(uplink.take()) == list(range(100, 120))


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_each_connection_hears_the_audio_in_order_and_without_a_hole(seed: int) -> None:
    chance = random.Random(seed)
    uplink = Uplink(max_kept_s=10)
    said, manual = 0, False
    heard: list[int] = []
    for _ in range(300):
        match chance.choice(["say", "say", "send", "send", "started", "stopped", "committed", "reconnect", "manual"]):
            case "say":
                ms = chance.randrange(1, 400)
                uplink.append(audio(ms, said))
                said += ms
            case "send":
                heard += spans(uplink.take())
            case "started":
                uplink.speech_started(chance.randrange(len(heard) + 1))
            case "stopped":
                uplink.speech_stopped(chance.randrange(len(heard) + 1))
            case "committed":
                turn = spans(uplink.committed(None))
                assert turn == sorted(turn)
                assert set(turn) <= set(heard)
            case "reconnect":
                uplink.reconnected()
                heard = []
            case "manual":
                manual = not manual
                uplink.keep_all(manual)
        assert heard == list(range(heard[0], heard[0] + len(heard))) if heard else True
        assert len(uplink._kept) <= 10_000 * BYTES_PER_MS
    assert uplink.dropped_bytes == 0 or said > 10_000
