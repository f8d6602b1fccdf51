"""An agent's life: its state, and the timers that end it, sans-I/O.

    starting → connecting → waiting → active ⇄ paused → ended(reason)

Times are seconds of any monotonic clock.
"""

from __future__ import annotations

from enum import StrEnum

from realtime_agent.control.spec import Limits

__all__ = ["EndReason", "Life", "State"]


class State(StrEnum):
    """What an agent is doing."""

    STARTING = "starting"
    CONNECTING = "connecting"
    WAITING = "waiting"
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


class EndReason(StrEnum):
    """Why an agent ended."""

    STOPPED = "stopped"
    USER_LEFT = "user_left"
    USER_NEVER_CAME = "user_never_came"
    IDLE = "idle"
    MAX_DURATION = "max_duration"
    MODEL_FAILED = "model_failed"
    RTC_FAILED = "rtc_failed"
    CRASHED = "crashed"
    DRAINED = "drained"


class Life:
    """The state of one agent, and when it must end by itself."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._state = State.STARTING
        self._born = now
        self._waiting_since = now
        self._last_speech = now
        self._user_came = False
        self._user_speaking = False
        self._is_paused = False

    @property
    def state(self) -> State:
        """Where in its life the agent is; `paused` also where its user is away meanwhile."""
        is_ready = self._state in (State.WAITING, State.ACTIVE)
        return State.PAUSED if self._is_paused and is_ready else self._state

    @property
    def is_paused(self) -> bool:
        """Whether the agent is to be silent until somebody lets it resume, be its user there or away."""
        return self._is_paused

    @property
    def user_speaking(self) -> bool:
        """Whether the user is in the middle of a turn."""
        return self._user_speaking

    def connecting(self) -> None:
        """The worker runs, and opens its channel and its session."""
        self._state = State.CONNECTING

    def ready(self, now: float) -> None:
        """Both ends are open: wait for the user."""
        self._state = State.WAITING
        self._waiting_since = now

    def user_joined(self, now: float) -> None:
        """The user is here."""
        self._state = State.ACTIVE
        self._user_came = True
        self._user_speaking = False
        self._last_speech = now

    def user_left(self, now: float) -> None:
        """The user went; they may come back within the grace."""
        self._state = State.WAITING
        self._waiting_since = now
        self._user_speaking = False

    def user_speaks(self, speaking: bool, now: float) -> None:
        """The user began or stopped speaking."""
        self._user_speaking = speaking
        self._last_speech = now

    def agent_speaks(self, now: float) -> None:
        """The agent is speaking, or about to."""
        self._last_speech = now

    def pause(self) -> None:
        """The agent is silent from now on: silence does not end it."""
        self._is_paused = True

    def resume(self, now: float) -> None:
        """The agent converses again."""
        self._is_paused = False
        self._last_speech = now

    def ended(self) -> None:
        """The agent is gone."""
        self._state = State.ENDED

    def deadline(self) -> tuple[float, EndReason] | None:
        """The next moment at which the agent must end, and why; `None` for never."""
        limits = self._limits
        ends = [(self._born, limits.max_duration_s, EndReason.MAX_DURATION)]
        if self.state is State.ACTIVE and not self._user_speaking:
            ends.append((self._last_speech, limits.idle_timeout_s, EndReason.IDLE))
        elif self._state is State.WAITING and self._user_came:
            ends.append((self._waiting_since, limits.user_left_grace_s, EndReason.USER_LEFT))
        elif self._state is State.WAITING:
            ends.append((self._waiting_since, limits.user_wait_timeout_s, EndReason.USER_NEVER_CAME))
        return min(((since + limit, reason) for since, limit, reason in ends if limit), default=None)
