"""A recording's file, which is good at every moment."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import wave
from pathlib import Path

import miniaudio
import pytest

from realtime_agent.audio import wav_file
from realtime_agent.audio.wav_file import StereoWavFile
from realtime_agent.errors import AudioFileError

SECOND = bytes(range(256)) * 375


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "call.wav"


def read(path: Path) -> bytes:
    """All of it, as a player reads it."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 24_000)
        pcm: bytes = file.readframes(file.getnframes())
        assert len(pcm) == file.getnframes() * 4, "the header tells of more than there is"
    if pcm:
        assert miniaudio.decode_file(str(path), nchannels=2, sample_rate=24_000).num_frames == len(pcm) // 4
    return pcm


def test_what_is_appended_is_in_it(path: Path) -> None:
    file = StereoWavFile(path)
    assert read(path) == b""
    file.append(SECOND)
    assert read(path) == SECOND
    file.append(SECOND[:400])
    file.close()
    file.close()
    assert read(path) == SECOND + SECOND[:400]


def test_it_is_its_owner_s_alone(path: Path) -> None:
    StereoWavFile(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_there_is_not_written_over(path: Path) -> None:
    path.write_bytes(b"mine")
    with pytest.raises(AudioFileError, match=r"call\.wav cannot be written: File exists"):
        StereoWavFile(path)
    assert path.read_bytes() == b"mine"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match="No such file"):
        StereoWavFile(tmp_path / "nowhere" / "call.wav")


def test_a_disk_that_is_full_leaves_what_was_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = StereoWavFile(path)
    file.append(SECOND)

    def full(descriptor: int, data: bytes, at: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(AudioFileError, match="No space left"):
        file.append(SECOND)
    monkeypatch.undo()
    file.close()
    assert read(path) == SECOND


def test_a_file_that_has_no_room_for_its_header_is_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes, at: int) -> int:
        raise OSError(28, "No space left on device")

    open_before = set(Path("/proc/self/fd").iterdir())
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(AudioFileError, match="No space left"):
        StereoWavFile(path)
    assert set(Path("/proc/self/fd").iterdir()) == open_before


@pytest.mark.parametrize("left", [0, 1, 2, 3, 4, 5, 100, 1000, len(SECOND) - 1, len(SECOND)])
def test_an_append_that_was_cut_half_way_leaves_a_good_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    file = StereoWavFile(path)
    file.append(SECOND)
    write, budget = os.pwrite, left

    def cut(descriptor: int, data: bytes, at: int) -> int:
        nonlocal budget
        if not budget:
            raise OSError(5, "Input/output error")
        written = write(descriptor, bytes(data)[:budget], at)
        budget -= written
        return written

    monkeypatch.setattr(os, "pwrite", cut)
    with pytest.raises(AudioFileError):
        file.append(SECOND)
    monkeypatch.undo()
    file.close()
    assert read(path).startswith(SECOND)


def test_a_process_that_is_killed_while_it_writes_leaves_a_good_file(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from realtime_agent.audio.wav_file import StereoWavFile\n"
        "file = StereoWavFile(Path(sys.argv[1]))\n"
        "for number in range(1000000):\n"
        "    file.append(bytes([number % 256]) * 9600)\n"
        "    number == 20 and print('writes', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    pcm = read(path)
    assert len(pcm) >= 20 * 9600
    assert all(pcm[at : at + 9600] == bytes([at // 9600 % 256]) * 9600 for at in range(0, len(pcm) - 9600, 9600))


def test_a_file_that_is_full_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wav_file, "_MAX_DATA", len(SECOND) * 2)
    file = StereoWavFile(path)
    file.append(SECOND)
    assert not file.is_full
    file.append(SECOND)
    assert file.is_full
    file.close()
