"""Whisper for short utterances, in a fifth of the time.

Whisper encodes half a minute whatever was said, nearly all of it padding behind two seconds of speech. But its decoder
needs to see that much: behind the encoding of the speech alone, it says the same words again and again. So the speech
is encoded with two seconds of padding, and behind that comes the encoding of padding alone, which was made once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ctranslate2 import StorageView
from faster_whisper import WhisperModel
from numpy.typing import NDArray

__all__ = ["BriefWhisper"]

_FRAMES = 3000
"""What Whisper encodes, in frames of 10 ms."""

_STRIDE = 2
"""Frames that become one position of the encoding."""

_PADDING = 200
"""Frames that are encoded behind the speech. With half as many more words are misheard, with more hardly fewer."""


class BriefWhisper(WhisperModel):  # type: ignore[misc]
    """A Whisper whose work grows with the audio."""

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(path, **options)
        silence = np.zeros((self.model.n_mels, _FRAMES), np.float32)
        self._silence: NDArray[np.float32] = np.array(super().encode(silence))

    def encode(self, features: NDArray[np.float32]) -> StorageView:
        """Encode log-mel features that are padded to half a minute with zeros, as all of the model's methods do."""
        sounding = np.flatnonzero(features.any(axis=0))
        used = int(sounding[-1]) + 1 if sounding.size else 0
        positions = -(-(used + _PADDING) // _STRIDE)
        if positions >= self._silence.shape[1]:
            return super().encode(features)
        speech = np.array(super().encode(np.ascontiguousarray(features[:, : positions * _STRIDE])))
        return StorageView.from_array(np.concatenate([speech, self._silence[:, positions:]], axis=1))
