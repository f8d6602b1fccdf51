"""The one format of all audio here: PCM, signed 16-bit little-endian, mono, 24 kHz.

It is the Realtime protocol's only PCM format, and that of the embedded channel.
"""

from __future__ import annotations

__all__ = ["BYTES_PER_MS", "BYTES_PER_SAMPLE", "SAMPLE_RATE"]

SAMPLE_RATE = 24_000
"""Samples a second."""

BYTES_PER_SAMPLE = 2

BYTES_PER_MS = SAMPLE_RATE * BYTES_PER_SAMPLE // 1000
