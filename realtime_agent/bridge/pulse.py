"""How well a worker keeps up: how late its event loop is, and what waits in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from realtime_agent.audio.playout import Playout
from realtime_agent.control.events import Load
from realtime_agent.loop_lag import running_lag
from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime.session import Session

__all__ = ["Pulse"]

_EVERY_S = 5.0


class Pulse:
    """Reports every five seconds until cancelled, and then once more, so that nothing that was lost goes uncounted.

    Args:
        session: Has the user's audio.
        playout: Has the agent's.
        notify: Is given each report.
    """

    def __init__(self, session: Session, playout: Playout, notify: Callable[[Load], None]) -> None:
        self._session = session
        self._playout = playout
        self._notify = notify

    async def run(self) -> None:
        """Beat."""
        lag = running_lag()
        try:
            while True:
                await asyncio.sleep(_EVERY_S)
                self._notify(self._load(lag.take()))
        finally:
            self._notify(self._load(lag.take()))

    def _load(self, lag_s: float) -> Load:
        return Load(
            loop_lag_ms=round(lag_s * 1000, 1),
            uplink_ms=self._session.unsent_ms,
            downlink_ms=self._playout.waiting_ms,
            dropped_uplink_ms=self._session.dropped_ms,
            dropped_downlink_ms=self._playout.dropped_bytes // BYTES_PER_MS,
        )
