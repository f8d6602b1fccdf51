"""Sounds whose every sample is known, to compare with what came through."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "PERIOD_S",
    "Samples",
    "correlation",
    "dominant_frequency",
    "murmur",
    "pcm16",
    "rms",
    "samples",
    "tone",
    "write_wav",
]

Samples = NDArray[np.float64]

PERIOD_S = 2
"""After this time `murmur` begins again, without a seam."""


def tone(frequency: float, seconds: float, rate: int, peak: float = 0.3) -> Samples:
    """A sine."""
    return peak * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def murmur(rate: int, rms: float = 0.1) -> Samples:
    """One period of sixty sines between 200 Hz and 8 kHz with random phases: no part of it is like another."""
    random = np.random.default_rng(7)
    cycles = random.choice(np.arange(200 * PERIOD_S, 8000 * PERIOD_S), 60, replace=False)
    phases = random.uniform(0, 2 * np.pi, 60)
    time = np.arange(PERIOD_S * rate) / rate / PERIOD_S
    summed: Samples = np.sin(2 * np.pi * np.outer(time, cycles) + phases).sum(axis=1)
    scaled: Samples = summed * (rms / np.sqrt(np.mean(summed**2)))
    return scaled


def correlation(heard: Samples, period: Samples) -> float:
    """How alike `heard` is to the best-fitting place in an endlessly repeated `period`, from 0 to 1.

    The place is found to an eighth of a sample: at 8 kHz half a sample is already another phase.
    """
    finer = 8
    padded = np.zeros_like(period)
    padded[: len(heard)] = heard
    spectrum = np.fft.rfft(period)
    products = np.fft.irfft(spectrum * np.conj(np.fft.rfft(padded)), finer * len(period))
    at = int(np.argmax(products)) / finer
    turns = np.exp(2j * np.pi * np.arange(len(spectrum)) * at / len(period))
    matched = np.fft.irfft(spectrum * turns, len(period))[: len(heard)]
    return float(np.sum(heard * matched) / np.sqrt(np.sum(heard**2) * np.sum(matched**2)))


def dominant_frequency(heard: Samples, rate: int) -> float:
    """The strongest frequency, in Hz."""
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    return float(np.argmax(spectrum)) * rate / len(heard)


def rms(heard: Samples) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(heard**2)))


def pcm16(sound: Samples) -> bytes:
    """As PCM s16le."""
    return (sound * 32767).round().astype("<i2").tobytes()


def samples(pcm: bytes) -> Samples:
    """From PCM s16le."""
    return np.frombuffer(pcm, "<i2").astype(np.float64) / 32767


def write_wav(path: Path, sound: Samples, rate: int) -> Path:
    """Write a mono WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm16(sound))
    return path
