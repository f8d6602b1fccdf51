"""Cutting a stream of text into sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_agent.local_model.sentences import Sentences


def split(*pieces: str) -> list[str]:
    sentences = Sentences()
    found = [sentence for piece in pieces for sentence in sentences.push(piece)]
    rest = sentences.flush()
    return [*found, rest] if rest else found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Hello", ["Hello"]),
        ("Hello. How are you?", ["Hello.", "How are you?"]),
        ('He said "no!" Then he left.', ['He said "no!"', "Then he left."]),
        ("Mr. Smith is in St. Louis. Good.", ["Mr. Smith is in St. Louis.", "Good."]),
        ("J. K. Rowling wrote it.", ["J. K. Rowling wrote it."]),
        ("It is 3.5 metres.", ["It is 3.5 metres."]),
        ("First line\nSecond line", ["First line", "Second line"]),
        ("Wait... What?", ["Wait...", "What?"]),
    ],
)
def test_text_is_cut_behind_each_sentence(text: str, expected: list[str]) -> None:
    assert split(text) == expected
    assert split(*text) == expected


def test_a_sentence_is_given_as_soon_as_the_next_begins() -> None:
    sentences = Sentences()
    assert list(sentences.push("Hello there.")) == []
    assert list(sentences.push(" ")) == []
    assert list(sentences.push("H")) == ["Hello there."]


def test_a_long_sentence_is_cut_at_a_clause() -> None:
    clause = "a word and another one and then some more of them, "
    first, *_ = split(clause * 10)
    assert first.endswith(",")
    assert len(first) <= 240


def test_a_long_sentence_without_clauses_is_cut_between_words() -> None:
    first, *rest = split("word " * 100)
    assert set(first.split()) | set(" ".join(rest).split()) == {"word"}


def test_thousands_of_full_stops_are_cut_with_bounded_work(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = 0

    class CountingPattern:
        def finditer(self, text: str, start: int, end: int | None = None) -> Iterator[re.Match[str]]:
            nonlocal searched
            searched += min(end or len(text), len(text)) - start
            return iter(())

    monkeypatch.setattr("realtime_agent.local_model.sentences._END", CountingPattern())
    # Whoever speaks the first sentence does not wait for the last to be found.
    assert next(Sentences().push("." * 1_000_000)) == "." * 240
    assert searched < 1000
    assert "".join(split("." * 32_000)) == "." * 32_000
    assert searched < 100_000


@given(st.lists(st.text(alphabet="ab .!?\n,\"'", max_size=80), max_size=20))
def test_nothing_is_lost_or_made_up(pieces: list[str]) -> None:
    def letters(text: str) -> str:
        return "".join(text.split())

    assert letters("".join(split(*pieces))) == letters("".join(pieces))
