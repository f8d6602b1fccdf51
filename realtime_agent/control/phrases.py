"""Phrases by which a user pauses and resumes the agent, such as "Hey … Stop" and "Hey … Start"; sans-I/O.

An utterance is a phrase if it begins with the phrase's first words, ends with its last words, and has at most three
words between: "Hey, could you please stop?". Case, punctuation and accents do not count. In scripts that put no spaces
between words, four signs are taken for one. A negation between makes it another sentence: "Hey, don't stop." Who is
impatient may say it several times in one breath.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum

from realtime_agent.phrase_setting import PhrasePattern, Spellings, parse_phrases
from realtime_agent.words import is_sign, words_of

__all__ = ["Phrase", "Phrases"]

_MAX_BETWEEN = 3

_SIGNS_OF_A_WORD = 4

_CONTRACTED = "ai|are|ca|could|dare|did|do|does|had|has|have|is|may|might|must|need|ought|sha|should|was|were|wo|would"
"""What a "nt" without an apostrophe negates; "agent" and "want" end in the same letters."""

_NEGATIONS = (
    "not cannot never no nobody none nothing nowhere neither nor hardly barely scarcely rarely seldom without "
    "nicht nichts nie niemals niemand nein kein keine keinem keinen keiner keines "
    "pas ne non jamais rien aucun aucune sans nunca jamás nada nadie ningún ninguno ninguna tampoco sin "
    "não nem ninguém nenhum nenhuma niente nulla nessuno nessuna senza niet niets nooit geen nee "
    "inte ikke ikkje aldrig aldri ingen inget nej nei nigdy nikt не нет ни ні никогда никто ничего нельзя ніколи "
    "δεν μη μην ποτέ όχι değil asla sak\N{LATIN SMALL LETTER DOTLESS I}n hiç नहीं मत न لا لم لن ليس לא אל אין 안 못 "
    "không đừng tidak jangan 不 别 別 没 沒 勿 莫 อย่า ไม่"
)

_NEGATION = re.compile(
    rf"(?<!\S)(?:\S+n't|(?:{_CONTRACTED})nt|{'|'.join(' '.join(words_of(each)) for each in _NEGATIONS.split())})(?!\S)"
)


class Phrase(StrEnum):
    """What a phrase asks for."""

    STOP = "stop"
    START = "start"


class Phrases:
    """Spots phrases in what was said.

    Args:
        stop: The phrases that pause, as `parse_phrases` reads them. Speech-to-text mishears: give it several spellings.
        start: Those that resume.

    Raises:
        ValueError: they can't be read.
    """

    def __init__(self, stop: str, start: str) -> None:
        self._patterns = {Phrase.STOP: parse_phrases(stop), Phrase.START: parse_phrases(start)}

    def spot(self, utterance: str) -> Phrase | None:
        """The phrase that a whole utterance is, if it is one."""
        words = words_of(utterance)
        return next((phrase for phrase, patterns in self._patterns.items() if _are_said(words, patterns)), None)


def _are_said(words: Sequence[str], patterns: Sequence[PhrasePattern]) -> bool:
    """Whether the words are one of these phrases, or several one after the other, and nothing else."""
    starts, seen = [0], {0}
    while starts:
        start = starts.pop()
        ends = {end for pattern in patterns for end in _ends(words, start, pattern)}
        if len(words) in ends:
            return True
        starts += ends - seen
        seen |= ends
    return False


def _ends(words: Sequence[str], start: int, pattern: PhrasePattern) -> Iterator[int]:
    """Where a phrase may end that begins here."""
    for begin in _after(words, start, pattern.first):
        for end in range(begin, len(words)):
            if not _may_stand_between(words[begin:end]):
                break
            yield from _after(words, end, pattern.last)


def _after(words: Sequence[str], place: int, side: Sequence[Spellings]) -> set[int]:
    """Where the first words of a phrase, or the last, may end that begin here."""
    places = {place}
    for spellings in side:
        places = {
            place + len(spelling)
            for place in places
            for spelling in spellings
            if tuple(words[place : place + len(spelling)]) == spelling
        }
    return places


def _may_stand_between(words: Sequence[str]) -> bool:
    signs = sum(map(is_sign, words))
    count = len(words) - signs - (-signs // _SIGNS_OF_A_WORD)
    return count <= _MAX_BETWEEN and _NEGATION.search(" ".join(words)) is None
