"""Phrases by which a user pauses and resumes the agent, such as "Hey … Stop" and "Hey … Start"; sans-I/O.

An utterance is a phrase if it begins with the phrase's first words, ends with its last words, and has at most three
words between: "Hey, could you please stop?". Case, punctuation and accents do not count. A negation between makes it
another sentence: "Hey, don't stop."
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum

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


class Phrases:
    """Spots phrases in what was said.

    Args:
        stop: The phrases that pause, as `hey|hay … stop, hé … arrête`: a comma between phrases, `…` or `...` between
            the first words and the last, `|` between spellings of one word. Speech-to-text mishears: give it several.
        start: Those that resume.

    Raises:
        ValueError: a phrase has no first or no last word, or what should be a word is none.
    """

    def __init__(self, stop: str, start: str) -> None:
        texts = [(Phrase.STOP, each) for each in _split(stop)] + [(Phrase.START, each) for each in _split(start)]
        self._patterns = [(phrase, _pattern(text)) for phrase, text in texts]

    def spot(self, utterance: str) -> Phrase | None:
        """The phrase that a whole utterance is, if it is one."""
        words = " ".join(_words(utterance))
        for phrase, pattern in self._patterns:
            match = pattern.fullmatch(words)
            if match is not None and _NEGATIONS.isdisjoint(match["between"].replace("'", "").split()):
                return phrase
        return None


def _split(text: str) -> list[str]:
    return [phrase for phrase in text.split(",") if phrase.strip()]


def _pattern(phrase: str) -> re.Pattern[str]:
    first, *rest = (" ".join(map(_spellings, side.split())) for side in _GAP.split(phrase))
    if len(rest) != 1 or not first or not rest[0]:
        raise ValueError(f"{phrase.strip()!r} is not first words, … and last words, such as hey … stop")
    return re.compile(rf"{first}(?P<between>(?: \S+){{0,{_MAX_BETWEEN}}}) {rest[0]}")


def _spellings(word: str) -> str:
    """A pattern for one word of a phrase, in all its spellings."""
    spellings = [re.escape(spelling) for each in word.split("|") if (spelling := " ".join(_words(each)))]
    if not spellings:
        raise ValueError(f"{word!r} is no word")
    return f"(?:{'|'.join(spellings)})"


def _words(text: str) -> list[str]:
    return _WORD.findall(_plain(text))


def _plain(text: str) -> str:
    """Without what writing may do one way or another: case, accents, the kind of apostrophe."""
    letters = unicodedata.normalize("NFKD", text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")).casefold()
    return unicodedata.normalize("NFC", "".join(each for each in letters if not unicodedata.combining(each)))
