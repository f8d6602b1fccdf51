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
        self.recorder = Recorder(
            folder, lambda: "call", kept, far_end_delay_s=0, notify=self.told.append, clock=lambda: self.now
        )

    async def until_told(self, kind: type[AgentEvent]) -> None:
        async with asyncio.timeout(30):
            while not any(isinstance(event, kind) for event in self.told):
                await asyncio.sleep(0.005)


@asynccontextmanager
async def recording(folder: Path, kept: Kept = ALL) -> AsyncIterator[Scene]:
    """A recorder that runs; it is closed at the end, as an agent does."""
    scene = Scene(folder, kept)
    running = asyncio.create_task(scene.recorder.run())
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


async def test_a_folder_that_can_t_be_made_is_told_and_nothing_else_happens(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    scene = Scene(tmp_path / "file" / "calls")
    await scene.recorder.run()
    (error,) = scene.told
    assert isinstance(error, ErrorReported)
    assert (error.of, error.code) == ("recording", "recording_failed")
    scene.recorder.user_spoke(FRAME)
    scene.recorder.agent_spoke(FRAME, 0, 100)
    await scene.recorder.close()


async def test_a_name_that_is_taken_writes_over_nothing(tmp_path: Path) -> None:
    (tmp_path / "call.jsonl").write_text("mine")
    scene = Scene(tmp_path)
    await scene.recorder.run()
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


async def test_audio_that_a_disk_is_too_slow_for_is_bounded(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    for _ in range(70):
        scene.recorder.user_spoke(FRAME * 50)
    assert len(scene.recorder._user_pcm) == 60 * 48_000
