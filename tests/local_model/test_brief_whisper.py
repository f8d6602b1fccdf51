"""What Whisper is given to encode, and what it makes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from faster_whisper import WhisperModel
from numpy.typing import NDArray

from realtime_agent.local_model.brief_whisper import BriefWhisper
from realtime_agent.local_model.parts import Parts
from realtime_agent.local_model.stt import Whisper
from tests.speech import clip, word_error_rate


@pytest.fixture
def model(parts: Parts) -> BriefWhisper:
    assert isinstance(parts.transcriber, Whisper)
    return parts.transcriber._model


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many frames were really encoded, each time."""
    lengths: list[int] = []
    encode = WhisperModel.encode

    def watched(self: WhisperModel, features: NDArray[np.float32]) -> Any:
        lengths.append(features.shape[-1])
        return encode(self, features)

    monkeypatch.setattr(WhisperModel, "encode", watched)
    return lengths


def features(frames: int) -> NDArray[np.float32]:
    """Some sound, padded to half a minute."""
    padded = np.zeros((80, 3000), np.float32)
    padded[:, :frames] = np.random.default_rng(0).normal(0, 0.5, (80, frames))
    return padded


@pytest.mark.parametrize(("sound", "work"), [(0, 200), (1, 202), (150, 350), (151, 352), (2797, 2998)])
def test_what_is_encoded_is_the_sound_and_two_seconds(
    model: BriefWhisper, encoded: list[int], sound: int, work: int
) -> None:
    assert np.array(model.encode(features(sound))).shape == (1, 1500, 384)
    assert encoded == [work]


@pytest.mark.parametrize("sound", [2799, 3000])
def test_what_is_long_is_encoded_as_it_is(model: BriefWhisper, encoded: list[int], sound: int) -> None:
    given = features(sound)
    result = np.array(model.encode(given))
    assert encoded == [3000]
    assert np.array_equal(result, np.array(WhisperModel.encode(model, given)))


def test_behind_it_comes_the_encoding_of_silence(model: BriefWhisper) -> None:
    result = np.array(model.encode(features(150)))
    silence = np.array(WhisperModel.encode(model, features(0)))
    assert np.array_equal(result[:, 175:], silence[:, 175:])
    assert not np.array_equal(result[:, :175], silence[:, :175])


async def test_short_speech_is_written_down_once(parts: Parts) -> None:
    """Without the silence behind it, Whisper says these four words over and over."""
    understood = await parts.transcriber.transcribe(clip("forward").pcm, "en")
    assert word_error_rate(clip("forward").transcript, understood) == 0


@pytest.mark.parametrize("words", ["five five", "no", "seven times eight"])
async def test_a_few_words_are_enough(parts: Parts, words: str) -> None:
    said = await parts.synthesizer.speak(words.capitalize() + ".", 1.0)
    assert word_error_rate(words, await parts.transcriber.transcribe(said, "en")) == 0
