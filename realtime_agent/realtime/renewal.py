"""When a session gets another connection, sans-I/O. Times are seconds of any monotonic clock."""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["Renewal"]

_PROVEN_S = 10.0
"""A connection that lived so long was a good one. What ends sooner belongs to the same outage, or a server that accepts
and then closes would be asked for ever."""

_FIRST_DELAY_S = 0.25
_MAX_DELAY_S = 5.0
_MAX_DOUBLINGS = 10
_RETRY_ROTATION_S = 60.0


class Renewal:
    """Counts what an outage has cost, and watches the age of a connection.

    Args:
        rotate_s: After how long a connection is to be replaced in good time; 0 is never.
        reconnect_timeout_s: How long an outage may last; `inf` is for ever.
        jitter: Gives numbers from 0 to 1, so that agents that lost their model together don't come back together.
    """

    def __init__(
        self, *, rotate_s: float, reconnect_timeout_s: float, jitter: Callable[[], float] = random.random
    ) -> None:
        self._rotate_s = rotate_s
        self._reconnect_timeout_s = reconnect_timeout_s
        self._jitter = jitter
        self._opened: float | None = None
        self._outage: float | None = None
        self._attempts = 0
        self._rotate_at: float | None = None

    def rotate_in(self, now: float) -> float | None:
        """In how many seconds to look whether the connection is to be replaced: now, if none are left; or never."""
        if not self._rotate_s:
            return None
        return self._rotate_s if self._rotate_at is None else self._rotate_at - now

    def opened(self, now: float, *, age: float = 0) -> None:
        """A connection comes into use, on which the settings were taken so many seconds ago."""
        self._settle(now)
        self._opened = now
        self._rotate_at = now - age + self._rotate_s if self._rotate_s else None

    def rotation_failed(self, now: float) -> None:
        """No other connection could be had; the present one goes on."""
        self._rotate_at = now + _RETRY_ROTATION_S

    def lost(self, now: float) -> float | None:
        """The connection is lost, or another try has failed.

        Returns:
            How many seconds to wait before the next try; `None` when it is time to give up.
        """
        self._settle(now)
        self._opened = self._rotate_at = None
        if self._outage is None:
            self._outage, self._attempts = now, 0
        self._attempts += 1
        if self._attempts == 1:
            return 0.0
        # Bounded before it is a float: an outage may last for more tries than a power of two can be counted in.
        doublings = min(self._attempts - 2, _MAX_DOUBLINGS)
        delay = min(_FIRST_DELAY_S * 2**doublings, _MAX_DELAY_S) * (0.5 + self._jitter() / 2)
        left = self._outage + self._reconnect_timeout_s - now
        # The last try comes when the time is up, not before.
        return min(delay, left) if left > 0 else None

    def _settle(self, now: float) -> None:
        """The present connection, if there is one, has come to its end: see what its life says of the outage before."""
        lived = 0.0 if self._opened is None else now - self._opened
        if lived >= _PROVEN_S:
            self._outage = None
        elif self._outage is not None:
            # The time that it was there for is no outage.
            self._outage += lived
