"""Audio for tests."""

from __future__ import annotations

import array
import math
import sys

from realtime_agent.pcm import SAMPLE_RATE

__all__ = ["tone"]

_LEVEL = 8000


def tone(ms: int, hz: int = 440) -> bytes:
    """A sine of so many milliseconds, as PCM; never all zeros, so that it can be told from silence."""
    count = SAMPLE_RATE * ms // 1000
    samples = array.array("h", (int(_LEVEL * math.sin(math.tau * hz * n / SAMPLE_RATE)) for n in range(count)))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
