"""Phrases by which a user pauses and resumes the agent, such as "Hey … Stop" and "Hey … Start"; sans-I/O.

An utterance is a phrase if it begins with the phrase's first words, ends with its last words, and has at most three
words between: "Hey, could you please stop?". Case, punctuation and accents do not count. A negation between makes it
another sentence: "Hey, don't stop."
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from typing import NamedTuple

__all__ = ["Phrase", "Phrases"]

_MAX_BETWEEN = 3

_GAP = re.compile(r"…|\.\.\.")

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+(?:'[^\W_]+)*")
"""A run of letters and digits, or one sign of a script that puts no space between words."""

_NEGATIONS = frozenset(
    ("not", "never", "no", "dont", "cannot", "cant", "wont", "nicht", "nie", "kein", "pas", "jamais", "nunca", "non",
     "nao", "niet", "nooit", "不", "别", "別")
)  # fmt: skip


class Phrase(StrEnum):
    """What a phrase asks for."""

    STOP = "stop"
    START = "start"


class _Pattern(NamedTuple):
    """The words that an utterance begins and ends with, each in all its spellings."""

    first: tuple[frozenset[str], ...]
    last: tuple[frozenset[str], ...]

    def matches(self, words: list[str]) -> bool:
        between = len(words) - len(self.first) - len(self.last)
        if not 0 <= between <= _MAX_BETWEEN:
            return False
        middle = words[len(self.first) : len(words) - len(self.last)]
        if any(word.replace("'", "") in _NEGATIONS for word in middle):
            return False
        outer = words[: len(self.first)] + words[len(words) - len(self.last) :]
        return all(word in spellings for spellings, word in zip((*self.first, *self.last), outer, strict=True))


class Phrases:
    """Spots phrases in what was said.

    Args:
        stop: The phrases that pause, as `hey|hay … stop, hé … arrête`: a comma between phrases, `…` or `...` between
            the first words and the last, `|` between spellings of one word. Speech-to-text mishears: give it several.
        start: Those that resume.

    Raises:
        ValueError: a phrase has no first or no last word.
    """

    def __init__(self, stop: str, start: str) -> None:
        texts = [(Phrase.STOP, each) for each in _split(stop)] + [(Phrase.START, each) for each in _split(start)]
        self._patterns = [(phrase, _pattern(text)) for phrase, text in texts]
        self._keywords = [" ".join(word.split("|")[0] for word in _GAP.sub(" ", text).split()) for _, text in texts]

    @property
    def keywords(self) -> list[str]:
        """What to listen for in particular: every phrase in its first spelling, without a gap."""
        return list(self._keywords)

    def spot(self, utterance: str) -> Phrase | None:
        """The phrase that a whole utterance is, if it is one."""
        words = _words(utterance)
        return next((phrase for phrase, pattern in self._patterns if pattern.matches(words)), None)


def _split(text: str) -> list[str]:
    return [phrase for phrase in text.split(",") if phrase.strip()]


def _pattern(phrase: str) -> _Pattern:
    first, *rest = (_spellings(side) for side in _GAP.split(phrase))
    if len(rest) != 1 or not first or not rest[0]:
        raise ValueError(f"{phrase.strip()!r} is not first words, … and last words, such as hey … stop")
    return _Pattern(first, rest[0])


def _spellings(side: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(_plain(spelling) for spelling in word.split("|")) for word in side.split())


def _words(text: str) -> list[str]:
    return _WORD.findall(_plain(text))


def _plain(text: str) -> str:
    """Without what writing may do one way or another: case, accents, the kind of apostrophe."""
    letters = unicodedata.normalize("NFKD", text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")).casefold()
    return unicodedata.normalize("NFC", "".join(each for each in letters if not unicodedata.combining(each)))
