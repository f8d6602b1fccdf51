"""The words of an assistant and the audio that speaks them, sans-I/O."""

from __future__ import annotations

from realtime_agent.pcm import BYTES_PER_MS

__all__ = ["Spoken"]

_MAX_CHARS = 100_000
"""Far above what a response can say; a server that sends without end must not fill the memory."""

_MARK_MS = 100

_LONG_WORD = 30


class Spoken:
    """One part of an item: which of its words were heard by a moment of its audio.

    Words and audio come side by side, the words a little ahead. So each delta of words marks how much audio had come
    by then, and what lies between two marks is spoken evenly. It is an estimate, right to a word or two.
    """

    def __init__(self) -> None:
        self.text = ""
        self.is_whole = False
        """Whether all its words are there, or no more will be taken."""
        self.is_written = False
        """Whether it is text, that nobody speaks."""
        self._received = 0
        self._heard_ms: int | None = None
        # Milliseconds of audio, and how many characters had come before.
        self._marks: list[tuple[int, int]] = []

    @property
    def received_ms(self) -> int:
        """How much of its audio came."""
        return self._received // BYTES_PER_MS

    @property
    def is_begun(self) -> bool:
        """Whether there was anything to hear or to read."""
        return bool(self._received or (self.is_written and self.text))

    @property
    def heard_text(self) -> str:
        """The words that were heard: all of them, unless it was cut."""
        return self.text if self._heard_ms is None else self._text_by(self._heard_ms)

    def add_audio(self, pcm: bytes) -> None:
        """More of its audio came."""
        self._received += len(pcm)

    def add_words(self, delta: str) -> None:
        """More of its words came."""
        if not self._marks or self.received_ms - self._marks[-1][0] >= _MARK_MS:
            self._marks.append((self.received_ms, len(self.text)))
        self.text = (self.text + delta)[:_MAX_CHARS]

    def complete(self, text: str) -> None:
        """All its words came."""
        self.text = text[:_MAX_CHARS]
        self.is_whole = True

    def stop(self) -> None:
        """No more of it will come, though it is not whole: words whose audio had not begun will never be heard."""
        if self._marks and not self.is_written and self._marks[-1][0] == self.received_ms:
            self.text = self.text[: self._marks[-1][1]].rstrip()
        self.is_whole = True

    def freeze(self) -> None:
        """It will not be cut any more: only the words that were heard are kept."""
        self.text = self.heard_text
        self.is_whole = True
        self._heard_ms = None
        self._marks.clear()

    def cut(self, heard_ms: int) -> None:
        """It was heard up to this moment and no further."""
        if not self.is_whole:
            self.stop()
        self._heard_ms = heard_ms if self._heard_ms is None else min(self._heard_ms, heard_ms)

    def _text_by(self, ms: int) -> str:
        """The words that are spoken whole by this moment."""
        if not self._received:
            return ""
        if ms >= self.received_ms:
            return self.text
        marks = [*(mark for mark in self._marks if mark[0] < self.received_ms), (self.received_ms, len(self.text))]
        # Before its first words came, audio speaks the first of them.
        begin = (0, 0)
        for mark in marks:
            if mark[0] > ms:
                share = (ms - begin[0]) / (mark[0] - begin[0])
                return _whole_words(self.text, begin[1] + int(share * (mark[1] - begin[1])))
            begin = (mark[0], min(mark[1], len(self.text)))
        return self.text


def _whole_words(text: str, chars: int) -> str:
    """The first words of a text, as many as fit into so many characters. Not every script puts spaces between them."""
    if chars < len(text) and not text[chars].isspace():
        word = next((back for back in range(chars, max(-1, chars - _LONG_WORD), -1) if _begins_word(text, back)), chars)
        chars = word
    return text[:chars].rstrip()


def _begins_word(text: str, index: int) -> bool:
    return index == 0 or text[index - 1].isspace()
