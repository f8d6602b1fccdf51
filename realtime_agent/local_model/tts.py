"""Text to speech by hibari, on this machine."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hibari import Hibari
from numpy.typing import NDArray

from realtime_agent.errors import ConfigError

__all__ = ["HibariSynthesizer"]

_AUDIBLE = 0.001
"""What is quieter, of 1.0, nobody hears."""

_LEAD = 20 * 24
_PAUSE = 250 * 24
"""Samples of silence that a sentence keeps before and behind it. hibari leaves about 280 and 430 ms, and the first is
time that the user waits for an answer."""


class HibariSynthesizer:
    """Speaks one sentence at a time, about a hundred times faster than it sounds."""

    def __init__(self, voice: str) -> None:
        """Load a voice. "heart" is inside the package; hibari downloads any other on first use.

        Raises:
            ConfigError: hibari has no such voice, or can't download it.
        """
        try:
            self._hibari = Hibari(voice=voice)
        except (ValueError, RuntimeError) as error:
            raise ConfigError(f"LOCAL_TTS_VOICE: {error}") from None
        self._pool = ThreadPoolExecutor(1, "tts")

    async def speak(self, text: str, speed: float) -> bytes:
        """Say a sentence as PCM16 mono at 24 kHz; empty if there is nothing to pronounce. 1.0 is the normal speed."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._speak, text, speed)

    def close(self) -> None:
        """Wait for the sentence in work; drop those that wait."""
        self._pool.shutdown(cancel_futures=True)

    def warm_up(self) -> None:
        """Run once, since the first sentence loads the pronunciation rules."""
        self._speak("Hello.", 1.0)

    def _speak(self, text: str, speed: float) -> bytes:
        samples = _trim(self._hibari(text, speed=speed))
        pcm: bytes = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
        return pcm


def _trim(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    audible = np.flatnonzero(np.abs(samples) > _AUDIBLE)
    if not audible.size:
        return samples[:0]
    return samples[max(0, audible[0] - _LEAD) : audible[-1] + _PAUSE]
