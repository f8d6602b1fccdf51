"""The machine's own microphone and loudspeaker, through miniaudio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Protocol, Self

from realtime_agent.audio.library import miniaudio
from realtime_agent.errors import ConfigError
from realtime_agent.pcm import BYTES_PER_MS, SAMPLE_RATE

if TYPE_CHECKING:
    from miniaudio import Backend

__all__ = ["Device", "Headset", "open_device"]

_BLOCK_MS = 20
_BLOCK = _BLOCK_MS * BYTES_PER_MS
"""Bytes in 20 ms."""

_HEARD_LIMIT = _BLOCK * 25
_PLAY_LIMIT = _BLOCK * 5


class Device(Protocol):
    """A microphone and a loudspeaker that run on one clock, as `miniaudio.DuplexStream` has them."""

    def start(self, callback_generator: Generator[bytes, bytes, None]) -> None:
        """Begin, in a thread of the device's own, to send what was heard, and to play what comes back for it."""

    def close(self) -> None:
        """Stop, and wait until the thread has ended."""


def open_device(backends: Sequence[Backend] | None = None) -> Device:
    """Open the default microphone and loudspeaker: mono s16le at 24 kHz, 20 ms at a time.

    Args:
        backends: The sound systems to try, in order; `None` is all that are real. `Backend.NULL` hears silence, plays
            to nobody and keeps real time without any sound card.

    Raises:
        ConfigError: there is no such device.
    """
    sound = miniaudio()
    if backends is None:
        # Left to itself, miniaudio would end its search with the null one.
        backends = [backend for backend in sound.Backend if backend is not sound.Backend.NULL]
    s16 = sound.SampleFormat.SIGNED16
    try:
        device: Device = sound.DuplexStream(s16, 1, s16, 1, SAMPLE_RATE, _BLOCK_MS, backends=list(backends))
    except sound.MiniaudioError as error:
        raise ConfigError(f"there is no microphone and loudspeaker to be used: {_in_words(error)}") from None
    return device


class Headset:
    """A microphone and a loudspeaker, 20 ms of 24 kHz mono s16le at a time; use as `async with`, once.

    Reading and writing wait for the device, which so keeps the time. What the loudspeaker is not given in time is
    silence. There is no echo cancellation.
    """

    def __init__(self, open_device: Callable[[], Device] = open_device, *, patience_s: float = 5) -> None:
        """Prepare.

        Args:
            open_device: Opens the device when this is entered.
            patience_s: How long the device may ask for nothing until it counts as failed, as one that was unplugged.
        """
        self._open = open_device
        self._patience_s = patience_s
        self._device: Device | None = None
        self._lock = threading.Lock()
        """Over the two buffers, which the device's thread shares."""
        self._heard = bytearray()
        self._to_play = bytearray()
        self._exchanged = asyncio.Event()
        self._written = 0

    async def __aenter__(self) -> Self:
        """Open the device and start it.

        Raises:
            ConfigError: there is none.
        """
        device = self._open()
        exchange = self._exchange(asyncio.get_running_loop())
        next(exchange)
        try:
            device.start(exchange)
        except miniaudio().MiniaudioError as error:
            device.close()
            raise ConfigError(f"the microphone and the loudspeaker do not start: {_in_words(error)}") from None
        self._device = device
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._device is not None:
            self._device.close()

    @property
    def time(self) -> float:
        """Seconds of audio handed to the loudspeaker: the clock of what is heard.

        It is ahead of what is heard by what waits here, 0.1 s at most, and in the device, about 0.06 s.
        """
        return self._written / BYTES_PER_MS / 1000

    async def read(self) -> bytes:
        """The next 20 ms from the microphone; of what nobody reads, the newest half second is kept.

        Raises:
            ConfigError: the device failed.
        """
        await self._until(lambda: len(self._heard) >= _BLOCK)
        with self._lock:
            block = bytes(self._heard[:_BLOCK])
            del self._heard[:_BLOCK]
        return block

    async def write(self, pcm: bytes) -> None:
        """Play PCM; returns when there is room for more: when less than 0.1 s of it waits.

        Raises:
            ConfigError: the device failed.
        """
        with self._lock:
            self._to_play += pcm
        self._written += len(pcm)
        await self._until(lambda: len(self._to_play) < _PLAY_LIMIT)

    async def _until(self, met: Callable[[], bool]) -> None:
        """Wait until the exchange with the device has met a condition."""
        try:
            async with asyncio.timeout(self._patience_s):
                while not met():
                    self._exchanged.clear()
                    await self._exchanged.wait()
        except TimeoutError:
            raise ConfigError("the microphone and the loudspeaker have stopped") from None

    def _exchange(self, loop: asyncio.AbstractEventLoop) -> Generator[bytes, bytes, None]:
        """Give and take sound, as the device's thread asks for it: as much to play as was heard, never more."""
        to_play = b""
        while True:
            heard = yield to_play
            with self._lock:
                self._heard += heard
                del self._heard[:-_HEARD_LIMIT]
                to_play = bytes(self._to_play[: len(heard)])
                del self._to_play[: len(to_play)]
            loop.call_soon_threadsafe(self._exchanged.set)


def _in_words(error: Exception) -> str:
    """What miniaudio says, and its number for it."""
    return " ".join(map(str, error.args))
