"""A stereo WAV file that is good at every moment, however its writing ends. Blocking: for use in a thread."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from realtime_agent.errors import AudioFileError
from realtime_agent.pcm import BYTES_PER_SAMPLE, SAMPLE_RATE

__all__ = ["StereoWavFile"]

_CHANNELS = 2
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_SIZES_AT = 4, _HEADER.size - 4
_MAX_DATA = 4_000_000_000
"""Bytes: the sizes in the header have 32 bits."""


class StereoWavFile:
    """A file of s16le PCM at 24 kHz, two channels. Only its owner may read it.

    Attributes:
        path: Where it is.

    Raises:
        AudioFileError: it is there already, or can't be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size = 0
        self._file = -1
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._write(_header(), 0)
        except OSError as error:
            self.close()
            raise AudioFileError(f"{path} cannot be written: {error.strerror}") from None

    @property
    def is_full(self) -> bool:
        """Whether another file should take what comes."""
        return self._size >= _MAX_DATA

    def append(self, pcm: bytes) -> None:
        """Add interleaved PCM: first the audio, then its size, so that the header never tells of more than there is.

        Raises:
            AudioFileError: it can't be written; what was written before stays good.
        """
        try:
            self._write(pcm, _HEADER.size + self._size)
            self._size += len(pcm)
            for at, size in zip(_SIZES_AT, (_HEADER.size - 8 + self._size, self._size), strict=True):
                self._write(size.to_bytes(4, "little"), at)
        except OSError as error:
            raise AudioFileError(f"{self.path} cannot be written: {error.strerror}") from None

    def close(self) -> None:
        """Nothing more will come; harmless when repeated."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)

    def _write(self, data: bytes, at: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._file, view, at)
            view, at = view[written:], at + written


def _header() -> bytes:
    block = _CHANNELS * BYTES_PER_SAMPLE
    return _HEADER.pack(
        b"RIFF", _HEADER.size - 8, b"WAVE",
        b"fmt ", 16, 1, _CHANNELS, SAMPLE_RATE, SAMPLE_RATE * block, block, 8 * BYTES_PER_SAMPLE,
        b"data", 0,
    )  # fmt: skip
