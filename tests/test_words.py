"""The words of a text, in any script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_agent.words import words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hey, Agent - STOP!", "hey agent stop"),
        ("don\N{RIGHT SINGLE QUOTATION MARK}t 'quote' O`Neill's'", "don't quote o'neill's"),
        ("Straße Fußgänger", "strasse fussganger"),
        ("Ἀθῆναι έι", "αθηναι ει"),
        ("ёлка", "елка"),
        ("re\N{SOFT HYPHEN}start", "restart"),
        ("snake_case 42nd №5", "snake case 42nd no5"),
        ("हिन्दी में", "हिन्दी में"),
        ("אַל־תעצור", "אל תעצור"),
        ("توقّف", "توقف"),
        ("می\N{ZERO WIDTH NON-JOINER}روم", "میروم"),
        ("ガラス", "ガ ラ ス"),
        ("ｶﾞﾗｽ", "ガ ラ ス"),
        ("หยุด", "ห ยุ ด"),
        ("葛\N{VARIATION SELECTOR-17}城town", "葛 城 town"),
        ("ห\N{ZERO WIDTH SPACE}word\N{ZERO WIDTH SPACE}word", "ห word word"),
        ("\N{HEAVY BLACK HEART}\N{VARIATION SELECTOR-16} \N{COMBINING ACUTE ACCENT} ' _", ""),
    ],
)
def test_words_are_found(text: str, words: str) -> None:
    assert words_of(text) == words.split()


@given(st.text())
def test_words_are_told_again_as_they_are(text: str) -> None:
    words = words_of(text)
    assert words_of(" ".join(words)) == words
