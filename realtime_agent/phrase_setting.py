"""How STOP_PHRASES and START_PHRASES are read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from realtime_agent.words import words_of

__all__ = ["PhrasePattern", "Spellings", "parse_phrases"]

_GAP = re.compile(r"(?:…|\.\.\.)+")

Spellings = tuple[tuple[str, ...], ...]
"""The ways to write one word; each may be several words, as in a script that puts no spaces between them."""


@dataclass(frozen=True, slots=True)
class PhrasePattern:
    """A phrase.

    Attributes:
        first: The words that it begins with.
        last: Those that it ends with.
    """

    first: tuple[Spellings, ...]
    last: tuple[Spellings, ...]

    def is_like(self, other: PhrasePattern) -> bool:
        """Whether the same words may be both."""
        pairs = (self.first, other.first), (self.last, other.last)
        return all(
            len(one) == len(two) and all(set(a) & set(b) for a, b in zip(one, two, strict=True)) for one, two in pairs
        )


def parse_phrases(setting: str) -> tuple[PhrasePattern, ...]:
    """Read phrases such as `hey|hay … stop, hé … arrête`.

    A comma stands between phrases, `…` or `...` between the first words and the last, `|` between spellings of a word.

    Raises:
        ValueError: there is none; one has no first or no last words; or what should be a word is none.
    """
    return tuple(map(_pattern, [each for each in setting.split(",") if each.strip()] or [""]))


def _pattern(phrase: str) -> PhrasePattern:
    sides = [tuple(map(_spellings, side.split())) for side in _GAP.split(phrase)]
    if len(sides) != 2 or not all(sides):
        raise ValueError(f"{phrase.strip()!r} is not first words, … and last words, such as: hey … stop")
    return PhrasePattern(*sides)


def _spellings(word: str) -> Spellings:
    spellings = tuple(words for each in word.split("|") if (words := tuple(words_of(each))))
    if not spellings:
        raise ValueError(f"{word!r} is no word")
    return spellings
