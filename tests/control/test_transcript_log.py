"""What was said, one line a message in the order of the conversation."""

from __future__ import annotations

import json
from typing import Literal

import pytest

from realtime_agent.control.events import AgentTranscript
from realtime_agent.control.transcript_log import TranscriptLog


@pytest.fixture
def log() -> TranscriptLog:
    return TranscriptLog()


def words(
    role: Literal["user", "assistant"],
    place: int,
    text: str | None,
    *,
    interrupted: Literal[True] | None = None,
    typed: Literal[True] | None = None,
) -> AgentTranscript:
    """Words of a message: all of them, or where there is no text, that it has begun."""
    return AgentTranscript(
        role=role,
        item_id=f"i{place}",
        place=place,
        delta="" if text is None else None,
        text=text,
        final=None if text is None else True,
        interrupted=interrupted,
        typed=typed,
    )


def texts(lines: list[str]) -> list[str]:
    return [json.loads(line)["text"] for line in lines]


def test_a_line_has_who_said_what_and_when(log: TranscriptLog) -> None:
    log.note(words("user", 1, None), 2.34567)
    log.note(words("user", 1, "Hello?"), 3)
    (line,) = log.take(4, ())
    assert json.loads(line) == {"at_s": 2.346, "role": "user", "text": "Hello?", "place": 1, "item_id": "i1"}
    assert log.take(5, ()) == []


def test_a_line_can_be_read_in_every_language(log: TranscriptLog) -> None:
    log.note(words("user", 1, "Привет, 你好"), 1)
    (line,) = log.take(1, ())
    assert "Привет, 你好" in line


def test_a_reply_is_told_once_it_was_heard_to_its_end(log: TranscriptLog) -> None:
    log.note(words("assistant", 1, "It was a dark night."), 1)
    log.speaks("i1")
    assert log.take(2, {"i1"}) == []
    assert texts(log.take(3, ())) == ["It was a dark night."]


def test_a_reply_of_minutes_is_not_told_before_it_is_over(log: TranscriptLog) -> None:
    log.note(words("assistant", 1, "It was a dark night."), 1)
    log.speaks("i1")
    assert not any(log.take(second, {"i1"}) for second in range(2, 200))
    log.note(words("assistant", 1, "It was a dark", interrupted=True), 200)
    assert texts(log.take(200, ())) == ["It was a dark"]


def test_of_a_reply_that_was_cut_only_what_was_heard_is_told(log: TranscriptLog) -> None:
    log.note(words("assistant", 1, "It was a dark night."), 1)
    log.speaks("i1")
    log.note(words("assistant", 1, "It was", interrupted=True), 2)
    (line,) = log.take(2, ())
    assert (json.loads(line)["text"], json.loads(line)["interrupted"]) == ("It was", True)


def test_a_reply_that_broke_off_and_is_still_being_spoken_may_yet_be_cut(log: TranscriptLog) -> None:
    log.speaks("i1")
    log.note(words("assistant", 1, "It was a dark", interrupted=True), 1)
    assert log.take(2, {"i1"}) == []
    log.note(words("assistant", 1, "It was", interrupted=True), 3)
    assert texts(log.take(3, ())) == ["It was"]


def test_words_that_come_after_the_last_of_their_audio_are_told_at_once(log: TranscriptLog) -> None:
    log.note(words("assistant", 1, None), 1)
    log.speaks("i1")
    assert log.take(2, ()) == []
    log.note(words("assistant", 1, "Noon."), 3)
    assert texts(log.take(3, ())) == ["Noon."]


def test_words_that_come_before_their_audio_wait_for_it(log: TranscriptLog) -> None:
    log.note(words("assistant", 1, "One."), 1)
    log.speaks("i1")
    log.note(words("assistant", 2, "Two is a long sentence."), 1)
    assert texts(log.take(2, ())) == ["One."]
    log.speaks("i2")
    log.note(words("assistant", 2, "Two is", interrupted=True), 3)
    assert texts(log.take(3, ())) == ["Two is"]


def test_a_silence_before_a_reply_is_spoken_is_not_its_end(log: TranscriptLog) -> None:
    log.note(words("assistant", 1, None), 1)
    assert log.take(2, ()) == []
    log.note(words("assistant", 1, "Noon."), 3)
    assert log.take(4, ()) == []


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_what_nobody_speaks_is_told_when_it_is_whole(log: TranscriptLog, role: Literal["user", "assistant"]) -> None:
    log.note(words(role, 1, None, typed=True), 1)
    assert log.take(1, ()) == []
    log.note(words(role, 1, "Written.", typed=True), 2)
    assert texts(log.take(2, ())) == ["Written."]


def test_nothing_is_told_before_what_came_before_it(log: TranscriptLog) -> None:
    log.note(words("user", 1, None), 1)
    log.note(words("assistant", 2, "Noon."), 2)
    log.speaks("i2")
    assert log.take(4, ()) == []
    log.note(words("user", 1, "What time is it?"), 5)
    assert texts(log.take(5, ())) == ["What time is it?", "Noon."]


def test_words_that_never_come_hold_the_others_for_a_while_only(log: TranscriptLog) -> None:
    log.note(words("user", 1, None), 1)
    log.note(words("assistant", 2, "Noon."), 2)
    log.speaks("i2")
    assert log.take(30.9, ()) == []
    assert texts(log.take(31, ())) == ["Noon."]
    log.note(words("user", 1, "What time is it?"), 40)
    assert texts(log.take(40, ())) == ["What time is it?"]


def test_the_while_begins_when_nothing_more_of_it_comes_or_is_spoken(log: TranscriptLog) -> None:
    log.note(words("assistant", 1, None), 1)
    log.speaks("i1")
    log.note(words("user", 2, "Hello?"), 2)
    assert log.take(50, {"i1"}) == []
    log.note(words("assistant", 1, None), 60)
    assert log.take(89.9, ()) == []
    assert texts(log.take(90, ())) == ["Hello?"]


def test_audio_that_never_comes_is_waited_for_a_while_only(log: TranscriptLog) -> None:
    log.note(words("assistant", 1, "Noon."), 1)
    assert log.take(30.9, ()) == []
    assert texts(log.take(31, ())) == ["Noon."]


def test_no_place_has_two_lines(log: TranscriptLog) -> None:
    log.note(words("assistant", 1, "Noon."), 1)
    assert texts(log.take(31, ())) == ["Noon."]
    log.speaks("i1")
    log.note(words("assistant", 1, "No", interrupted=True), 32)
    assert log.take(33, ()) == log.finish() == []


def test_at_the_end_all_is_told_in_order(log: TranscriptLog) -> None:
    log.note(words("user", 3, "And now?"), 3)
    log.note(words("user", 1, None), 1)
    log.note(words("assistant", 2, "Noon."), 2)
    assert texts(log.finish()) == ["Noon.", "And now?"]
    assert log.finish() == []


def test_what_waits_is_bounded(log: TranscriptLog) -> None:
    for place in range(1, 5000):
        log.note(words("user", place, None), 1)
        log.speaks(f"i{place}")
    assert (len(log._waiting), len(log._voiced)) == (1000, 256)


def test_words_are_waited_for_from_when_the_message_was_last_being_spoken(log: TranscriptLog) -> None:
    log.note(words("assistant", 1, None), 1)
    log.speaks("i1")
    assert not any(log.take(second, {"i1"}) for second in range(2, 60))
    assert log.take(61, ()) == []
    log.note(words("assistant", 1, "It was a long, dark night."), 62)
    (line,) = log.take(62, ())
    assert json.loads(line)["at_s"] == 1
