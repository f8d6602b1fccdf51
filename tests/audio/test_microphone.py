from __future__ import annotations

import asyncio
from collections.abc import Generator
from functools import partial

import miniaudio
import pytest

from realtime_agent.audio.microphone import Headset, open_device
from realtime_agent.errors import ConfigError

BLOCK = 960
"""Bytes in 20 ms."""

null_device = partial(open_device, [miniaudio.Backend.NULL])


class HandDevice:
    """A device whose clock the test turns."""

    def __init__(self, failure: miniaudio.MiniaudioError | None = None) -> None:
        self._failure = failure
        self._exchange: Generator[bytes, bytes, None] | None = None
        self.closed = False

    def start(self, callback_generator: Generator[bytes, bytes, None]) -> None:
        if self._failure is not None:
            raise self._failure
        self._exchange = callback_generator

    def close(self) -> None:
        self.closed = True

    async def turn(self, heard: bytes) -> bytes:
        """What is played while this is heard; from another thread, as with a device."""
        assert self._exchange is not None
        return await asyncio.to_thread(self._exchange.send, heard)


async def test_a_real_time_device_carries_blocks_both_ways() -> None:
    async with Headset(null_device, patience_s=30) as headset:
        for count in range(1, 21):
            assert await headset.read() == bytes(BLOCK)
            await headset.write(bytes(BLOCK))
            assert headset.time == pytest.approx(count * 0.02)


async def test_what_is_heard_in_any_pieces_comes_in_blocks() -> None:
    device = HandDevice()
    heard = bytes(range(256)) * 15
    async with Headset(lambda: device) as headset:
        for start in range(0, len(heard), 700):
            await device.turn(heard[start : start + 700])
        assert b"".join([await headset.read() for _ in range(4)]) == heard


async def test_of_what_nobody_reads_the_newest_half_second_is_kept() -> None:
    device = HandDevice()
    async with Headset(lambda: device) as headset:
        for number in range(60):
            await device.turn(bytes([number]) * BLOCK)
        assert [(await headset.read())[0] for _ in range(25)] == list(range(35, 60))


async def test_what_is_written_is_played_once_and_never_more_than_is_asked_for() -> None:
    device = HandDevice()
    async with Headset(lambda: device) as headset:
        await headset.write(b"\x01" * 600)
        await headset.write(b"\x02" * 600)
        assert await device.turn(bytes(800)) == b"\x01" * 600 + b"\x02" * 200
        assert await device.turn(bytes(800)) == b"\x02" * 400
        assert await device.turn(bytes(800)) == b""


async def test_writing_waits_for_the_device() -> None:
    device = HandDevice()
    async with Headset(lambda: device) as headset:
        for _ in range(4):
            await headset.write(bytes(BLOCK))
        writing = asyncio.create_task(headset.write(bytes(BLOCK)))
        await asyncio.sleep(0.05)
        assert not writing.done()
        await device.turn(bytes(BLOCK))
        await asyncio.wait_for(writing, 30)


async def test_a_device_that_stops_is_named() -> None:
    async with Headset(HandDevice, patience_s=0.05) as headset:
        with pytest.raises(ConfigError, match="have stopped"):
            await headset.read()
        with pytest.raises(ConfigError, match="have stopped"):
            await headset.write(bytes(10 * BLOCK))


async def test_a_cancelled_read_still_closes_the_device() -> None:
    device = HandDevice()
    reading = asyncio.Event()

    async def use() -> None:
        async with Headset(lambda: device) as headset:
            reading.set()
            await headset.read()

    using = asyncio.create_task(use())
    await asyncio.wait_for(reading.wait(), 30)
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert device.closed


async def test_a_machine_without_a_device_is_told_so() -> None:
    # The custom backend is one that a program brings along, and none does.
    with pytest.raises(ConfigError, match=r"no microphone and loudspeaker to be used: cannot init context -\d+"):
        await Headset(partial(open_device, [miniaudio.Backend.CUSTOM])).__aenter__()


async def test_a_device_that_does_not_start_is_closed_and_named() -> None:
    device = HandDevice(miniaudio.MiniaudioError("failed to start audio device", -1))
    with pytest.raises(ConfigError, match="do not start: failed to start audio device -1"):
        await Headset(lambda: device).__aenter__()
    assert device.closed
