"""A conversation that is recorded, by a user at whose end the microphone hears the loudspeaker."""

from __future__ import annotations

import asyncio
import json
import stat
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from realtime_agent.rtc.channel import AudioFrame, Flushed
from realtime_agent.rtc.server_client import ServerClient
from realtime_agent.rtc.web_client import WebUser
from tests.e2e.program import post, running
from tests.e2e.watch import Watcher, watching

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("recording"),
]

RATE = 24_000
FRAME, FRAME_S = 960, 0.02
BUFFERED = 4
"""Frames that the far end waits for before it plays: 80 ms."""
TOLERANCE = RATE // 50
SENTENCE = "The quick brown fox jumps over the lazy dog, and nobody has ever asked it why."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recorded")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(folder: Path) -> AsyncIterator[str]:
    async with running(folder, "server", RECORD_DIR="calls", WRITE_RTC_PCM="true", WRITE_AGENT_PCM="1") as (_, address):
        yield address


class EchoingUser:
    """Plays what comes, and sends it back as it sounds."""

    def __init__(self, user: WebUser) -> None:
        self.user = user
        self.sent = bytearray()
        self._buffer = bytearray()
        self._position = 0

    async def listen(self) -> None:
        async for event in self.user.events():
            match event:
                case AudioFrame(_, pcm):
                    self._buffer += pcm
                case Flushed(position):
                    self.user.report_played(self._position)
                    self._buffer.clear()
                    self._position = position

    async def play(self) -> None:
        now = asyncio.get_running_loop().time
        due, is_playing = now(), False
        for number in range(100_000):
            is_playing = len(self._buffer) >= FRAME and (is_playing or len(self._buffer) >= BUFFERED * FRAME)
            frame = bytes(FRAME)
            if is_playing:
                frame = bytes(self._buffer[:FRAME])
                del self._buffer[:FRAME]
                self._position += FRAME // 2
            self.user.push(frame)
            self.sent += frame
            if is_playing and number % 5 == 0:
                self.user.report_played(self._position)
            due += FRAME_S
            await asyncio.sleep(max(0, due - now()))


def read(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, RATE)
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    return both[0::2], both[1::2]


def offset(left: NDArray[np.float64], right: NDArray[np.float64]) -> int:
    """By how many samples the left is behind the right, by correlation."""
    size = 1 << (len(left) + len(right)).bit_length()
    likeness = np.fft.irfft(np.fft.rfft(left, size) * np.conj(np.fft.rfft(right, size)))
    at = int(likeness.argmax())
    return at if at < size // 2 else at - size


async def say(server: str, watcher: Watcher, text: str) -> None:
    before = len(watcher.events)
    await post(server, "/control_agent", channel_name="a call/1?".replace("/", " "), command="say", input_text=text)
    await watcher.until(lambda event: event["type"] == "speech" and event["speaking"], before)


async def test_what_was_simultaneous_is_so_in_the_recording_and_what_was_cut_is_not_in_it(
    server: str, folder: Path
) -> None:
    channel = "a call 1?"
    wishes: dict[str, Any] = {"turn_detection": None}
    await post(server, "/start_agent", channel_name=channel, uid=5, **wishes)
    user = WebUser(await ServerClient(server).ask_token(channel, 0))
    echo = EchoingUser(user)
    async with watching(server, channel) as watcher:
        await user.join()
        tasks = [asyncio.create_task(echo.listen()), asyncio.create_task(echo.play())]
        name = (await watcher.until(lambda event: event["type"] == "recording"))["file"]
        before = len(watcher.events)
        await say(server, watcher, SENTENCE)
        await watcher.until(lambda event: event["type"] == "speech" and not event["speaking"], before)
        await asyncio.sleep(1)
        cut_from = len(watcher.events)
        await say(server, watcher, "one two three four five six seven eight nine ten eleven twelve thirteen")
        await asyncio.sleep(1)
        await post(server, "/control_agent", channel_name=channel, command="interrupt")
        cut = await watcher.until(lambda event: bool(event.get("interrupted")), cut_from)
        await asyncio.sleep(0.5)
        await post(server, "/stop_agent", channel_name=channel)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await user.leave()
    files = {path.name: path for path in (folder / "calls").iterdir()}
    assert set(files) == {f"{name}.{ending}" for ending in ("wav", "jsonl", "user.pcm", "agent.pcm")}
    assert "%3F" in name
    assert {stat.S_IMODE(path.stat().st_mode) for path in files.values()} == {0o600}
    assert stat.S_IMODE((folder / "calls").stat().st_mode) == 0o700
    left, right = read(files[f"{name}.wav"])
    # All of it, and the first reply and the one that was cut each by itself.
    quiet = int(np.flatnonzero(right)[-1]) - int(2.2 * RATE)
    for part in (slice(None), slice(0, quiet), slice(quiet, None)):
        apart = offset(left[part], right[part])
        assert abs(apart) <= TOLERANCE, f"the sides are {apart / 24:.1f} ms apart"
    # What was cut off is not in it: both sides fall silent together, long before the agent's own audio does.
    ends = [int(np.flatnonzero(np.abs(side) > 100)[-1]) for side in (left, right)]
    assert abs(ends[0] - ends[1]) <= RATE // 10
    said = np.frombuffer(files[f"{name}.agent.pcm"].read_bytes(), "<i2")
    assert np.count_nonzero(said) >= np.count_nonzero(right)
    assert files[f"{name}.user.pcm"].read_bytes() in bytes(echo.sent)
    lines = [json.loads(line) for line in files[f"{name}.jsonl"].read_text().splitlines()]
    assert [line["text"] for line in lines] == [SENTENCE, cut["text"]]
    assert lines[1]["interrupted"] is True
    assert 0 < lines[0]["at_s"] < lines[1]["at_s"]


async def test_an_agent_may_be_spared(server: str, folder: Path) -> None:
    await post(server, "/start_agent", channel_name="spared", uid=5, record=False)
    await post(server, "/stop_agent", channel_name="spared")
    assert not list((folder / "calls").glob("spared*"))
