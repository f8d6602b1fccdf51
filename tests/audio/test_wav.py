from __future__ import annotations

import base64
import math
import struct
import wave
from array import array
from pathlib import Path

import pytest

from realtime_agent.audio.wav import read_wav, rms, speech_end, write_wav
from realtime_agent.errors import AudioFileError

RATE = 24_000
FLAC = base64.b64decode(
    "ZkxhQwAAACIQABAAAAA/AAA/A+gA8AAAAUApISuMoNMQLpt4WnNab3jShAAARCAAAAByZWZlcmVuY2UgbGliRkxBQyAxLjQuMiAyMDIyMTAyMgEA"
    "AAAYAAAAQ29tbWVudD1Qcm9jZXNzZWQgYnkgU29Y//h1CAABP18TAAkAP/+P//D//x//4f/+P//D//x//4f/+P//D//x//4f/+P//D//x//4f/+P"
    "//D//x//4OHi"
)
"""20 ms of a square wave of 500 Hz and a quarter of full scale, at 16 kHz."""


def sine(hz: float, rate: int, seconds: float, level: float = 8000) -> list[float]:
    return [level * math.sin(2 * math.pi * hz * index / rate) for index in range(round(rate * seconds))]


def encode(samples: list[float], width: int) -> bytes:
    """Samples on the scale of 16 bits, as PCM of another width."""
    if width == 1:
        return bytes(round(sample / 256) + 128 for sample in samples)
    shift = 8 * (width - 2)
    return b"".join(round(sample * (1 << shift)).to_bytes(width, "little", signed=True) for sample in samples)


def wav(data: bytes, *, rate: int = RATE, width: int = 2, channels: int = 1, extensible: bool = False) -> bytes:
    tag = 0xFFFE if extensible else 1
    layout = struct.pack("<HHIIHH", tag, channels, rate, rate * width * channels, width * channels, width * 8)
    if extensible:
        layout += struct.pack("<HHIH14s", 22, width * 8, 4, 1, bytes.fromhex("000000001000800000aa00389b71"))
    # A chunk of odd length before the data, which a pad byte follows.
    body = b"WAVE" + chunk(b"fmt ", layout) + chunk(b"LIST", b"abc") + chunk(b"data", data)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def read(tmp_path: Path, raw: bytes) -> array[int]:
    path = tmp_path / "clip.wav"
    path.write_bytes(raw)
    return array("h", read_wav(path))


def gain_and_noise_db(found: array[int], hz: float) -> tuple[float, float]:
    """What became of a sine of level 8000: its own level, and that of everything else; edges aside."""
    middle = found[1200:-1200]
    middle = middle[: len(middle) // 240 * 240]  # whole periods of every multiple of 100 Hz
    angles = [2 * math.pi * hz * index / RATE for index in range(len(middle))]
    a = 2 * sum(x * math.cos(t) for x, t in zip(middle, angles, strict=True)) / len(middle)
    b = 2 * sum(x * math.sin(t) for x, t in zip(middle, angles, strict=True)) / len(middle)
    rest = sum((x - a * math.cos(t) - b * math.sin(t)) ** 2 for x, t in zip(middle, angles, strict=True)) / len(middle)
    return 20 * math.log10(math.hypot(a, b) / 8000), 10 * math.log10(2 * rest / 8000**2)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    pcm = array("h", [0, 1, -1, 32767, -32768, 5]).tobytes()
    write_wav(tmp_path / "a.wav", pcm)
    assert read_wav(tmp_path / "a.wav") == pcm
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (1, 2, RATE, 6)


@pytest.mark.parametrize(
    ("rate", "hz"),
    [(8000, 1000), (11_025, 1000), (22_050, 3000), (96_000, 3000)]
    + [(rate, hz) for rate in (16_000, 44_100, 48_000) for hz in (1000, 3000)],
)
def test_any_rate_becomes_24_khz_with_the_same_tone_and_no_others(tmp_path: Path, rate: int, hz: int) -> None:
    found = read(tmp_path, wav(encode(sine(hz, rate, 0.4), 2), rate=rate))
    assert len(found) == pytest.approx(RATE * 2 // 5, abs=2)
    gain_db, noise_db = gain_and_noise_db(found, hz)
    assert abs(gain_db) < 1
    assert noise_db < -40


@pytest.mark.parametrize(("width", "limit_db"), [(1, -30), (2, -60), (3, -60), (4, -60)])
@pytest.mark.parametrize("extensible", [False, True])
def test_every_width_is_read(tmp_path: Path, width: int, limit_db: float, extensible: bool) -> None:
    found = read(tmp_path, wav(encode(sine(400, RATE, 0.2), width), width=width, extensible=extensible))
    gain_db, noise_db = gain_and_noise_db(found, 400)
    assert abs(gain_db) < 0.1
    assert noise_db < limit_db


def test_other_sound_files_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "clip.flac"
    path.write_bytes(FLAC)
    pcm = read_wav(path)
    assert len(pcm) / 48 == pytest.approx(20, abs=0.1)
    assert rms(pcm) == pytest.approx(8192, rel=0.1)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = [1000.0, -2000.0, 300.0], [3000.0, 2000.0, -100.0]
    both = [sample for pair in zip(left, right, strict=True) for sample in pair]
    assert list(read(tmp_path, wav(encode(both, 2), channels=2))) == [2000, 0, 100]


def test_loud_peaks_do_not_wrap(tmp_path: Path) -> None:
    square = ([32_767.0] * 40 + [-32_768.0] * 40) * 40
    found = read(tmp_path, wav(encode(square, 2), rate=16_000))
    assert max(found) == 32_767
    assert min(found) == -32_768
    assert all(sample > 0 for sample in found[20:40])


def test_an_unfinished_header_means_as_much_as_there_is(tmp_path: Path) -> None:
    raw = bytearray(wav(encode([1.0, 2.0, 3.0], 2)))
    at = raw.index(b"data") + 4
    raw[at : at + 4] = b"\xff" * 4
    raw += b"\x07"
    assert list(read(tmp_path, bytes(raw))) == [1, 2, 3]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is not a WAV, MP3, FLAC or Ogg Vorbis file"),
        (b"hello, and so on, for a while", "is not a WAV"),
        (b"RIFF\0\0\0\0WAVE", "is not a WAV"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"data", b"1234"), "is not a WAV"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", b"12"), "is not a WAV"),
        (wav(b"1234", channels=0), "is not a WAV"),
        (wav(b"1234", rate=0), "is not a WAV"),
        (wav(b"1234", width=5), "is not a WAV"),
        (wav(b""), "holds no audio"),
        (wav(b"1"), "holds no audio"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, raw: bytes, words: str) -> None:
    with pytest.raises(AudioFileError, match=words) as caught:
        read(tmp_path, raw)
    assert "clip.wav" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match=r"nothing\.wav does not exist"):
        read_wav(tmp_path / "nothing.wav")
    with pytest.raises(AudioFileError, match="cannot be read"):
        read_wav(tmp_path)
    with pytest.raises(AudioFileError, match="cannot be written"):
        write_wav(tmp_path / "no" / "where.wav", b"")


def test_rms_of_a_sine_is_its_level_over_root_two() -> None:
    assert rms(encode(sine(500, RATE, 0.2), 2)) == pytest.approx(8000 / math.sqrt(2), rel=1e-3)
    assert rms(b"") == 0


def test_speech_ends_with_the_last_window_within_26_db_of_the_loudest() -> None:
    loud, quiet_word = sine(300, RATE, 0.5), sine(300, RATE, 0.1, level=500)
    noise = sine(300, RATE, 1, level=300)
    assert speech_end(encode(loud + quiet_word + noise, 2)) == round(0.6 * RATE)
    assert speech_end(encode(loud, 2)) == round(0.5 * RATE)
    assert speech_end(encode(loud[:1000], 2)) == 1000


def test_silence_has_no_speech() -> None:
    assert speech_end(bytes(48_000)) == 0
    assert speech_end(b"") == 0
    assert speech_end(encode(sine(300, RATE, 0.5, level=9), 2)) == 0
