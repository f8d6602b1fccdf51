"""Marks in the audio."""

from __future__ import annotations

import base64
import time

from bench import marks


def test_a_mark_is_read_as_it_was_written() -> None:
    before = time.monotonic_ns()
    read = marks.read_mark(marks.mark(7, is_first=True) + bytes(100))
    assert read is not None
    assert (read.is_first, read.number) == (True, 7)
    assert before <= read.sent_ns <= time.monotonic_ns()


def test_a_mark_is_read_from_the_first_characters_of_base64_alone() -> None:
    text = base64.b64encode(marks.mark(1) + bytes(942))
    read = marks.read_mark(base64.b64decode(text[: marks.BASE64_LENGTH]))
    assert read is not None
    assert read.number == 1


def test_other_audio_has_none() -> None:
    assert marks.read_mark(bytes(960)) is None
    assert marks.read_mark(b"mark") is None
