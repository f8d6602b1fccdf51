"""The words of a text in any script, without what writing may do one way or another: case, accents, apostrophes."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["is_sign", "words_of"]

_SIGN = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u312f\u31a0-\u31ff\u3400-\u9fff\ua9e0-\ua9ff"
    r"\uaa60-\uaa7f\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Of the scripts that put no spaces between words: Thai, Lao, Burmese, Khmer, Japanese and Chinese."""

_OPTIONAL = re.compile(
    r"[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u0652\u0670\ufe00-\ufe0f"
    r"\U000e0100-\U000e01ef]"
)
"""Marks that writing may leave out: accents of Latin, Greek and Cyrillic letters, the points of Hebrew and Arabic, and
variants of a sign. In other scripts a mark is as much as a letter."""

_APOSTROPHES = "\u2018\u2019\u201b\u02b9\u02bb\u02bc\u02bd\u02c8`\u00b4\u2032\uff07\u055a\u05f3"

_ONE_WAY = str.maketrans({**dict.fromkeys(_APOSTROPHES, "'"), "\N{ZERO WIDTH SPACE}": " "})


def words_of(text: str) -> list[str]:
    """The words: letters and digits with the marks that belong to them, and apostrophes inside.

    Of a script that puts no spaces between words, each sign is one.
    """
    words: list[str] = []
    goes_on = False
    for character in _plain(text):
        kind = unicodedata.category(character)[0]
        if kind in "LN":
            if goes_on and not is_sign(character) and not is_sign(words[-1]):
                words[-1] += character
            else:
                words.append(character)
            goes_on = True
        elif goes_on and (kind == "M" or character == "'"):
            words[-1] += character
        else:
            goes_on = False
    return [word.rstrip("'") for word in words]


def is_sign(word: str) -> bool:
    """Whether a word is one sign of a script that puts no spaces between words."""
    return _SIGN.match(word) is not None


def _plain(text: str) -> str:
    # Some apostrophes are no more to be seen when they are decomposed, and others only then.
    decomposed = unicodedata.normalize("NFKD", text.translate(_ONE_WAY)).translate(_ONE_WAY)
    letters = _OPTIONAL.sub("", decomposed.casefold())
    # Format characters join letters or turn their direction, and are not seen.
    return unicodedata.normalize("NFC", "".join(each for each in letters if unicodedata.category(each) != "Cf"))
