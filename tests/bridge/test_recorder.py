"""The files of a recording."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from realtime_agent.audio import wav_file
from realtime_agent.bridge import recorder
from realtime_agent.bridge.recorder import Kept, Recorder, file_name
from realtime_agent.control.events import AgentEvent, AgentTranscript, ErrorReported, RecordingBegun

FRAME = b"\1\0" * 480
ALL = Kept(conversation=True, user_pcm=True, agent_pcm=True)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_EVERY_S", 0.01)


class Scene:
    def __init__(self, folder: Path, kept: Kept = ALL) -> None:
        self.told: list[AgentEvent] = []
        self.now = 100.0
        self.unheard: set[str] = set()
        self.recorder = Recorder(
            folder, lambda: "call", kept, far_end_delay_s=0, notify=self.told.append, clock=lambda: self.now
        )

    async def run(self) -> None:
        await self.recorder.run(lambda: self.unheard)

    async def until_told(self, kind: type[AgentEvent]) -> None:
        async with asyncio.timeout(30):
            while not any(isinstance(event, kind) for event in self.told):
                await asyncio.sleep(0.005)


@asynccontextmanager
async def recording(folder: Path, kept: Kept = ALL) -> AsyncIterator[Scene]:
    """A recorder that runs; it is closed at the end, as an agent does."""
    scene = Scene(folder, kept)
    running = asyncio.create_task(scene.run())
    await scene.until_told(RecordingBegun)
    try:
        yield scene
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await scene.recorder.close()
        await scene.recorder.close()


def seconds(path: Path) -> float:
    with wave.open(str(path)) as file:
        return float(file.getnframes() / file.getframerate())


def files_in(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in folder.iterdir()}


def test_a_name_is_safe_and_tells_the_channel_and_the_time() -> None:
    began = datetime(2026, 3, 1, 12, 30, 5, 250_000, tzinfo=UTC)
    assert file_name("a/b: ?", began) == "a%2Fb%3A%20%3F-20260301T123005.250000Z"


async def test_all_files_are_made_and_filled(tmp_path: Path) -> None:
    async with recording(tmp_path / "calls") as scene:
        scene.now = 101
        scene.recorder.user_spoke(FRAME)
        scene.recorder.agent_spoke(FRAME, 0, 101)
        scene.recorder.note(AgentTranscript(role="user", item_id="i", place=1, text="Hello?", final=True))
        scene.now = 105
    files = files_in(tmp_path / "calls")
    assert set(files) == {"call.wav", "call.jsonl", "call.user.pcm", "call.agent.pcm"}
    assert seconds(files["call.wav"]) == 5
    assert json.loads(files["call.jsonl"].read_text())["text"] == "Hello?"
    assert files["call.user.pcm"].read_bytes() == files["call.agent.pcm"].read_bytes() == FRAME
    assert scene.told == [RecordingBegun(file="call")]


async def test_only_what_is_wanted_is_kept(tmp_path: Path) -> None:
    async with recording(tmp_path, Kept(conversation=False, user_pcm=True, agent_pcm=False)) as scene:
        scene.recorder.user_spoke(FRAME)
        scene.recorder.agent_spoke(FRAME, 0, 101)
    assert list(files_in(tmp_path)) == ["call.user.pcm"]


async def test_what_is_settled_is_on_the_disk_before_the_end(tmp_path: Path) -> None:
    async with recording(tmp_path) as scene:
        scene.now = 110
        async with asyncio.timeout(30):
            while seconds(tmp_path / "call.wav") < 8:
                await asyncio.sleep(0.005)


async def test_a_reply_s_line_is_written_when_it_was_heard(tmp_path: Path) -> None:
    async with recording(tmp_path) as scene:
        scene.unheard = {"i"}
        scene.recorder.speaks("i")
        scene.recorder.note(AgentTranscript(role="assistant", item_id="i", place=1, text="Noon.", final=True))
        scene.now = 150
        async with asyncio.timeout(30):
            while seconds(tmp_path / "call.wav") < 48:
                await asyncio.sleep(0.005)
        assert (tmp_path / "call.jsonl").read_text() == ""
        scene.unheard = set()
        async with asyncio.timeout(30):
            while not (tmp_path / "call.jsonl").read_text():
                await asyncio.sleep(0.005)


async def test_half_a_character_breaks_nothing(tmp_path: Path) -> None:
    async with recording(tmp_path) as scene:
        scene.recorder.note(AgentTranscript(role="user", item_id="i", place=1, text="Oh \ud83d", final=True))
    assert json.loads((tmp_path / "call.jsonl").read_text())["text"] == "Oh ?"


async def test_a_folder_that_can_t_be_made_is_told_and_nothing_else_happens(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    scene = Scene(tmp_path / "file" / "calls")
    await scene.run()
    (error,) = scene.told
    assert isinstance(error, ErrorReported)
    assert (error.of, error.code) == ("recording", "recording_failed")
    scene.recorder.user_spoke(FRAME)
    scene.recorder.agent_spoke(FRAME, 0, 100)
    await scene.recorder.close()


async def test_a_name_that_is_taken_writes_over_nothing(tmp_path: Path) -> None:
    (tmp_path / "call.jsonl").write_text("mine")
    scene = Scene(tmp_path)
    await scene.run()
    assert isinstance(scene.told[0], ErrorReported)
    assert (tmp_path / "call.jsonl").read_text() == "mine"
    await scene.recorder.close()


async def test_a_disk_that_fills_up_ends_the_recording_and_keeps_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(descriptor: int, data: bytes, at: int) -> int:
        raise OSError(28, "No space left on device")

    async with recording(tmp_path) as scene:
        scene.now = 104
        async with asyncio.timeout(30):
            while seconds(tmp_path / "call.wav") < 2:
                await asyncio.sleep(0.005)
        monkeypatch.setattr(os, "pwrite", full)
        scene.now = 110
        await scene.until_told(ErrorReported)
        for _ in range(5):
            scene.recorder.user_spoke(FRAME)
    assert len(scene.told) == 2
    assert "No space left on device" in caplog.text
    monkeypatch.undo()
    assert seconds(tmp_path / "call.wav") == 2


async def test_a_disk_that_is_full_for_the_transcript_leaves_no_file_open(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with recording(tmp_path) as scene:
        files = scene.recorder._files
        assert files is not None
        assert files._wav is not None
        assert files._lines is not None
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, files._lines.fileno())
        os.close(full)
        scene.recorder.note(AgentTranscript(role="user", item_id="i", place=1, text="Hello?", final=True))
        await scene.until_told(ErrorReported)
    assert len(scene.told) == 2
    assert "No space left on device" in caplog.text
    assert files._lines.closed
    assert files._wav._file == -1


async def test_a_file_that_can_t_be_closed_is_told_and_the_others_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(file: wav_file.StereoWavFile) -> None:
        raise OSError(5, "Input/output error")

    async with recording(tmp_path) as scene:
        files = scene.recorder._files
        assert files is not None
        assert files._wav is not None
        assert files._lines is not None
        monkeypatch.setattr(wav_file.StereoWavFile, "close", fail)
    assert isinstance(scene.told[-1], ErrorReported)
    assert files._lines.closed
    monkeypatch.undo()
    files._wav.close()


async def test_files_that_are_opened_when_nobody_waits_for_them_any_more_are_written_and_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, may_make, made = recorder._Files, threading.Event(), []

    def slowly(folder: Path, name: str, kept: Kept) -> recorder._Files:
        may_make.wait(20)
        made.append(make(folder, name, kept))
        return made[-1]

    monkeypatch.setattr(recorder, "_Files", slowly)
    scene = Scene(tmp_path)
    running = asyncio.create_task(scene.run())
    await asyncio.sleep(0.05)
    scene.recorder.user_spoke(FRAME)
    scene.now = 104
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    may_make.set()
    await scene.recorder.close()
    assert seconds(tmp_path / "call.wav") == 4
    assert (tmp_path / "call.user.pcm").read_bytes() == FRAME
    assert made[0]._lines is not None
    assert made[0]._lines.closed


async def test_files_that_could_not_be_opened_when_nobody_waits_for_them_any_more_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    scene = Scene(tmp_path / "file" / "calls")
    running = asyncio.create_task(scene.run())
    while scene.recorder._opening is None:
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await scene.recorder.close()
    assert [type(event) for event in scene.told] == [ErrorReported]


async def test_a_recording_that_is_too_long_for_one_file_goes_on_in_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wav_file, "_MAX_DATA", 96_000)
    async with recording(tmp_path) as scene:
        scene.now = 104
        async with asyncio.timeout(30):
            while not (tmp_path / "call.wav").exists() or seconds(tmp_path / "call.wav") < 2:
                await asyncio.sleep(0.005)
        scene.now = 106
    assert (seconds(tmp_path / "call.wav"), seconds(tmp_path / "call.2.wav")) == (2, 4)


async def test_a_disk_that_is_slow_at_the_end_mixes_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, may_write = os.pwrite, threading.Event()
    async with recording(tmp_path) as scene:

        def slowly(descriptor: int, data: bytes, at: int) -> int:
            may_write.wait(20)
            return write(descriptor, data, at)

        monkeypatch.setattr(os, "pwrite", slowly)
        scene.now = 104
        await asyncio.sleep(0.05)
        asyncio.get_running_loop().call_later(0.1, may_write.set)
    assert seconds(tmp_path / "call.wav") == 4


async def test_audio_that_a_disk_is_too_slow_for_is_bounded_and_what_is_lost_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with recording(tmp_path) as scene:
        for _ in range(70):
            scene.recorder.user_spoke(FRAME * 50)
        assert len(scene.recorder._user_pcm) == 60 * 48_000
        assert "too slow" not in caplog.text
    assert "0.0 s of speech are not in the recording, 10.0 s not in the raw audio" in caplog.text


async def test_an_hour_that_is_due_at_once_is_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(wav_file.StereoWavFile, "append", lambda _, pcm: sizes.append(len(pcm)), raising=True)
    async with recording(tmp_path) as scene:
        scene.now += 3600
    assert sum(sizes) == 3600 * 96_000
    assert max(sizes) <= 12 * 96_000
