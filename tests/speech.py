"""Speech for tests: recordings of people where they are installed, and a measure of how well words were understood.

The recordings come with Debian's package pocketsphinx-testdata. On a machine without it the embedded model's own
voice says the same words.
"""

from __future__ import annotations

import re
import wave
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soxr

__all__ = ["CLIPS", "RATE", "Clip", "clip", "in_words", "silence", "word_error_rate"]

RATE = 24_000

CLIPS = {
    "amiable": "he might even have been made amiable himself",
    "forward": "go forward ten meters",
    "leisure": (
        "and mister john dashwood had then leisure to consider how much there might be prudently in his power "
        "to do for them"
    ),
    "respectable": ("had he married a more amiable woman he might have been made still more respectable than he was"),
}
"""What is said in each clip, as its transcription has it."""

_RECORDINGS = Path("/usr/share/pocketsphinx/test/data")
_FILES = {
    "amiable": "librivox/sense_and_sensibility_01_austen_64kb-0930.wav",
    "forward": "goforward.raw",
    "leisure": "librivox/sense_and_sensibility_01_austen_64kb-0870.wav",
    "respectable": "librivox/sense_and_sensibility_01_austen_64kb-0920.wav",
}
_RECORDING_RATE = 16_000


class Clip(NamedTuple):
    """Somebody speaking."""

    pcm: bytes
    """PCM16 mono at 24 kHz."""
    transcript: str


@cache
def clip(name: str) -> Clip:
    """A clip of `CLIPS`, as a recording of a person or, without one, as synthetic speech."""
    path = _RECORDINGS / _FILES[name]
    pcm = _recording(path) if path.is_file() else _synthetic(CLIPS[name])
    return Clip(pcm, CLIPS[name])


def silence(seconds: float) -> bytes:
    """PCM16 mono at 24 kHz with nothing in it."""
    return bytes(int(seconds * RATE) * 2)


def word_error_rate(reference: str, hypothesis: str) -> float:
    """Insertions, deletions and substitutions per word of the reference; spelling of numbers does not count."""
    expected, heard = _words(reference), _words(hypothesis)
    distances = list(range(len(heard) + 1))
    for i, word in enumerate(expected, 1):
        diagonal, distances[0] = distances[0], i
        for j, other in enumerate(heard, 1):
            substituted = diagonal + (word != other)
            diagonal, distances[j] = distances[j], min(substituted, distances[j] + 1, distances[j - 1] + 1)
    return distances[-1] / max(1, len(expected))


def _recording(path: Path) -> bytes:
    if path.suffix == ".wav":
        with wave.open(str(path)) as file:
            pcm = file.readframes(file.getnframes())
    else:
        pcm = path.read_bytes()
    samples = soxr.resample(np.frombuffer(pcm, "<i2"), _RECORDING_RATE, RATE)
    return bytes(samples.astype("<i2").tobytes())


def _synthetic(text: str) -> bytes:
    from hibari import Hibari

    samples = np.asarray(Hibari()(text, seed=0), np.float32)
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


_SMALL = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ALIASES = {"mr": "mister", "mrs": "missus", "dr": "doctor", "metres": "meters", "okay": "ok"}


def _words(text: str) -> list[str]:
    text = re.sub(r"\d+", lambda number: f" {in_words(int(number[0]))} ", text.lower().replace(",", ""))
    found = re.findall(r"[a-z']+", text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    return [_ALIASES.get(word, word) for word in found]


def in_words(number: int) -> str:
    """A number below a million as English words; a longer one digit by digit."""
    if number < 20:
        return _SMALL[number]
    if number < 100:
        return f"{_TENS[number // 10 - 2]} {_SMALL[number % 10] if number % 10 else ''}"
    if number < 1000:
        return f"{_SMALL[number // 100]} hundred {in_words(number % 100) if number % 100 else ''}"
    if number < 1_000_000:
        return f"{in_words(number // 1000)} thousand {in_words(number % 1000) if number % 1000 else ''}"
    return " ".join(_SMALL[int(digit)] for digit in str(number))
