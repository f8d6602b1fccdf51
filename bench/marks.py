"""Marks in the audio: when a piece of it left, so that whoever gets it knows how long it took.

All processes of a machine share the monotonic clock. A mark takes the first 18 bytes of a frame or a delta, which are
24 characters of base64: it can be read and written without the rest.
"""

from __future__ import annotations

import struct
import time
from typing import NamedTuple

__all__ = ["BASE64_LENGTH", "LENGTH", "Mark", "mark", "read_mark"]

_MARK = struct.Struct("<4sHIQ")
_MAGIC = b"mark"

LENGTH = _MARK.size
BASE64_LENGTH = LENGTH * 4 // 3


class Mark(NamedTuple):
    """What a mark says.

    Attributes:
        is_first: Whether the audio before it belonged to something else.
        number: Of what it marks, as its writer counts.
        sent_ns: When it was written, on the monotonic clock.
    """

    is_first: bool
    number: int
    sent_ns: int


def mark(number: int, *, is_first: bool = False) -> bytes:
    """A mark of now."""
    return _MARK.pack(_MAGIC, is_first, number, time.monotonic_ns())


def read_mark(pcm: bytes) -> Mark | None:
    """The mark at the beginning of some audio, if there is one."""
    if pcm[:4] != _MAGIC or len(pcm) < LENGTH:
        return None
    _, is_first, number, sent_ns = _MARK.unpack_from(pcm)
    return Mark(bool(is_first), number, sent_ns)
