"""The user's voice on its way to whoever is to hear it: the model, and the ear that listens for phrases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime.session import Ear, Session

__all__ = ["Hearing"]

_GAP_MS = 300
"""Far more than networks make of the 20 ms between two frames, and little beside the silence that ends a turn."""

_SILENT_GAPS = 4
"""So many make a silence after which an ear has ended any utterance."""

_MAX_KEPT = 3000 * BYTES_PER_MS
"""More than an ear takes to write down the phrase that ends a pause."""


class Hearing:
    """Passes the user's audio on.

    Args:
        session: The agent's model.
        ear: Listens on this machine; where there is one, the model hears nothing while the agent is paused.
        clock: Seconds of a monotonic clock.
    """

    def __init__(self, session: Session, ear: Ear | None, clock: Callable[[], float]) -> None:
        self._session = session
        self._ear = ear
        self._clock = clock
        self._last_heard = clock()
        self._gaps = 0
        self._is_private = False
        self._speech = asyncio.Event()
        # While the model must not hear, what it may hear when the pause ends; not a sample other than the ear heard.
        self._kept = bytearray()
        self._ear_heard = 0

    @property
    def ear_heard_ms(self) -> int:
        """How much the ear was given, silence that was filled in included; nothing if there is none."""
        return self._ear_heard // BYTES_PER_MS

    @property
    def has_ear(self) -> bool:
        """Whether anybody hears the user whom the model may not tell."""
        return self._ear is not None

    def hear(self, pcm: bytes) -> None:
        """The user says more."""
        self._last_heard = self._clock()
        self._gaps = 0
        if self._ear is not None:
            self._tell_ear(self._ear, pcm)
        if not self._is_private:
            self._session.append(pcm)

    def user_speaks(self, speaking: bool) -> None:
        """The model takes the user to be in the middle of a turn, or no longer."""
        if speaking:
            self._speech.set()
        else:
            self._speech.clear()

    def pause(self) -> None:
        """Let only the ear hear from now on, if there is one, and the model forget what it has made no message of."""
        if self._ear is not None:
            self._is_private = True
            self._session.clear()

    def resume(self, since_ms: int = 0) -> None:
        """Let the model hear again, from so long ago on."""
        if self._is_private:
            self._is_private = False
            start = max(0, len(self._kept) - since_ms * BYTES_PER_MS)
            if tail := bytes(self._kept[start:]):
                self._session.append(tail)
            self._kept.clear()

    def forget(self) -> None:
        """The user has gone: what they said is no part of what the next one says."""
        self._kept.clear()
        self._speech.clear()
        self._session.clear()
        if self._ear is not None:
            self._ear.clear()

    async def fill_gaps(self) -> None:
        """A voice that stops coming in the middle of a turn would never end it: let silence be heard instead."""
        while True:
            if self._ear is None:
                await self._speech.wait()
            await asyncio.sleep(_GAP_MS / 1000)
            if self._clock() - self._last_heard <= _GAP_MS / 1000:
                continue
            silence = bytes(_GAP_MS * BYTES_PER_MS)
            self._gaps += 1
            if self._gaps <= _SILENT_GAPS and self._ear is not None:
                self._tell_ear(self._ear, silence)
            if self._speech.is_set() and not self._is_private:
                self._session.append(silence)

    def _tell_ear(self, ear: Ear, pcm: bytes) -> None:
        ear.append(pcm)
        self._ear_heard += len(pcm)
        if self._is_private:
            self._kept += pcm
            if (excess := len(self._kept) - _MAX_KEPT) > 0:
                del self._kept[:excess]
