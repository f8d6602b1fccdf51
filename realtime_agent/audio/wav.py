"""Sound files in and out, as 24 kHz mono s16le, and where the speech in them ends."""

from __future__ import annotations

import math
import wave
from operator import mul
from pathlib import Path

from realtime_agent.audio.library import miniaudio
from realtime_agent.errors import AudioFileError
from realtime_agent.pcm import BYTES_PER_SAMPLE, SAMPLE_RATE

__all__ = ["read_wav", "rms", "speech_end", "write_wav"]

_RESAMPLING_RATE = 48_000
_WINDOW = 480
"""Samples in 20 ms."""

_SPEECH_LEVEL = 0.05
_SILENCE_RMS = 10.0


def read_wav(path: Path) -> bytes:
    """A WAV file of any rate and width as PCM: mono (the channels' average), s16le, 24 kHz.

    MP3, FLAC and Ogg Vorbis are read too; the file's name says which it is.

    Raises:
        AudioFileError: the file cannot be read, is not such a sound file, or holds no audio.
        ConfigError: the sound library is not installed.
    """
    sound = miniaudio()
    try:
        path.open("rb").close()
        info = sound.get_file_info(str(path))
        # miniaudio interpolates linearly. On the way over twice the rate, the images that this leaves lie where its
        # filters take them away: 5 kHz from a 16 kHz file then has none over -65 dB below 8 kHz, not one at -19.
        rate = SAMPLE_RATE if info.sample_rate == SAMPLE_RATE else _RESAMPLING_RATE
        pcm = sound.decode_file(str(path), nchannels=1, sample_rate=rate).samples.tobytes()
    except FileNotFoundError:
        raise AudioFileError(f"{path} does not exist") from None
    except OSError as error:
        raise AudioFileError(f"{path} cannot be read: {error.strerror}") from None
    except sound.MiniaudioError:
        raise AudioFileError(f"{path} is not a WAV, MP3, FLAC or Ogg Vorbis file that can be read") from None
    if not pcm:
        raise AudioFileError(f"{path} holds no audio")
    if rate == SAMPLE_RATE:
        return bytes(pcm)
    s16 = sound.SampleFormat.SIGNED16
    return bytes(sound.convert_frames(s16, 1, rate, pcm, s16, 1, SAMPLE_RATE))


def write_wav(path: Path, pcm: bytes) -> None:
    """Write PCM (mono, s16le, 24 kHz) as a WAV file.

    Raises:
        AudioFileError: the file cannot be written.
    """
    try:
        with path.open("wb") as raw, wave.open(raw, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(BYTES_PER_SAMPLE)
            file.setframerate(SAMPLE_RATE)
            file.writeframes(pcm)
    except OSError as error:
        raise AudioFileError(f"{path} cannot be written: {error.strerror}") from None


def rms(pcm: bytes | bytearray) -> float:
    """The root mean square of s16le PCM, 0..32768; 0 for none."""
    samples = memoryview(pcm).cast("h")
    return math.sqrt(sum(map(mul, samples, samples)) / len(samples)) if samples else 0.0


def speech_end(pcm: bytes) -> int:
    """Where speech ends in a clip of 24 kHz PCM, in samples; 0 if all of it is silent.

    The rule: the end of the last 20 ms window whose RMS is over a twentieth (-26 dB) of the loudest window's, which
    lies over room noise and under the quiet end of a word. A clip whose loudest window is under 10 of 32768 is silent.
    """
    size = _WINDOW * BYTES_PER_SAMPLE
    levels = [rms(pcm[start : start + size]) for start in range(0, len(pcm), size)]
    loudest = max(levels, default=0.0)
    if loudest < _SILENCE_RMS:
        return 0
    last = max(index for index, level in enumerate(levels) if level > loudest * _SPEECH_LEVEL)
    return min((last + 1) * _WINDOW, len(pcm) // BYTES_PER_SAMPLE)
