"""Text that comes in pieces, cut into sentences, so that the first can be spoken while the rest is being written."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

__all__ = ["Sentences", "split_sentences"]

_END = re.compile("[.!?…]+[\"'”\N{RIGHT SINGLE QUOTATION MARK})\\]]*\\s+|\n+")
_ABBREVIATION = re.compile(r"\b(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|vs|e\.g|i\.e)\.\s+$")
_CLAUSE = re.compile(r"[,;:]\s+|\s+-+\s+")

_MAX_CHARS = 240
"""A sentence longer than this is cut at a clause or a word, so that speaking it does not wait for its end."""


class Sentences:
    """Collects pieces; gives each sentence once it is whole, stripped."""

    def __init__(self) -> None:
        self._text = ""
        self._start = 0

    def push(self, piece: str) -> Iterator[str]:
        """Take more text; give the sentences that it completes, each found when it is asked for."""
        self._text = self._text[self._start :] + piece
        self._start = 0
        while (end := self._end(self._start)) is not None:
            sentence = self._text[self._start : end].strip()
            self._start = end
            if sentence:
                yield sentence

    def flush(self) -> str:
        """Give what is left."""
        rest = self._text[self._start :].strip()
        self._text, self._start = "", 0
        return rest

    def _end(self, start: int) -> int | None:
        """Where the sentence ends that begins at `start`, if that can be told."""
        # A longer search would only find what is too far, and thousands of dots would take it seconds.
        for match in _END.finditer(self._text, start, start + _MAX_CHARS):
            end = match.end()
            if end < len(self._text) and not _ABBREVIATION.search(self._text[start:end]):
                return end
        if len(self._text) - start <= _MAX_CHARS:
            return None
        limit = start + _MAX_CHARS
        clauses = [clause.end() for clause in _CLAUSE.finditer(self._text, start, limit)]
        return clauses[-1] if clauses else self._text.rfind(" ", start + 1, limit) + 1 or limit


async def split_sentences(pieces: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    """Give the sentences of a text that comes in pieces."""
    sentences = Sentences()
    async with aclosing(pieces):
        async for piece in pieces:
            for sentence in sentences.push(piece):
                yield sentence
    if rest := sentences.flush():
        yield rest
