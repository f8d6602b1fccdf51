"""What was said, one line a message in the order of the conversation."""

from __future__ import annotations

import json
from typing import Literal

import pytest

from realtime_agent.control.events import AgentTranscript, SpeechChanged
from realtime_agent.control.transcript_log import TranscriptLog


@pytest.fixture
def log() -> TranscriptLog:
    return TranscriptLog()


def words(
    role: Literal["user", "assistant"], place: int, text: str | None, *, interrupted: Literal[True] | None = None
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
    )


QUIET = SpeechChanged(role="assistant", speaking=False)


def texts(lines: list[str]) -> list[str]:
    return [json.loads(line)["text"] for line in lines]


def test_a_line_has_who_said_what_and_when(log: TranscriptLog) -> None:
    log.note(words("user", 1, None), 2.34567)
    log.note(words("user", 1, "Hello?"), 3)
    (line,) = log.take(4)
    assert json.loads(line) == {"at_s": 2.346, "role": "user", "text": "Hello?", "place": 1, "item_id": "i1"}
    assert log.take(5) == []


def test_a_reply_is_told_once_it_is_over(log: TranscriptLog) -> None:
    log.note(words("assistant", 1, "It was a dark night."), 1)
    assert log.take(2) == []
    log.note(QUIET, 3)
    assert texts(log.take(3)) == ["It was a dark night."]


def test_of_a_reply_that_was_cut_only_what_was_heard_is_told(log: TranscriptLog) -> None:
    log.note(words("assistant", 1, "It was a dark night."), 1)
    log.note(words("assistant", 1, "It was", interrupted=True), 2)
    (line,) = log.take(2)
    assert (json.loads(line)["text"], json.loads(line)["interrupted"]) == ("It was", True)


def test_nothing_is_told_before_what_came_before_it(log: TranscriptLog) -> None:
    log.note(words("user", 1, None), 1)
    log.note(words("assistant", 2, "Noon."), 2)
    log.note(QUIET, 3)
    assert log.take(4) == []
    log.note(words("user", 1, "What time is it?"), 5)
    assert texts(log.take(5)) == ["What time is it?", "Noon."]


def test_words_that_never_come_hold_the_others_for_a_while_only(log: TranscriptLog) -> None:
    log.note(words("user", 1, None), 1)
    log.note(words("assistant", 2, "Noon."), 2)
    log.note(QUIET, 3)
    assert log.take(30.9) == []
    assert texts(log.take(31)) == ["Noon."]
    log.note(words("user", 1, "What time is it?"), 40)
    assert texts(log.take(40)) == ["What time is it?"]


def test_at_the_end_all_is_told_in_order(log: TranscriptLog) -> None:
    log.note(words("user", 3, "And now?"), 3)
    log.note(words("user", 1, None), 1)
    log.note(words("assistant", 2, "Noon."), 2)
    assert texts(log.finish()) == ["Noon.", "And now?"]
    assert log.finish() == []


def test_a_silence_before_a_reply_is_written_is_not_its_end(log: TranscriptLog) -> None:
    log.note(words("assistant", 1, None), 1)
    log.note(QUIET, 2)
    log.note(words("assistant", 1, "Noon."), 3)
    assert log.take(4) == []
    log.note(SpeechChanged(role="user", speaking=False), 5)
    assert log.take(5) == []
