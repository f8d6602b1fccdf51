"""An agent's life: its state, and the timers that end it, sans-I/O.

    starting → connecting → waiting → active ⇄ paused → ended(reason)

Times are seconds of any monotonic clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import StrEnum

from realtime_agent.control.spec import Limits

__all__ = ["EndReason", "Life", "Remark", "State"]

_BEGIN_S = 15.0
"""How long a remark may take to begin, or to go on; a model that says none must not hold the agent."""

_GOODBYE_S = 180.0
"""How long a goodbye may take at all: more than the longest text that may be set for one."""

_HEARD_S = 1.0
"""How long after its last frame a remark has been heard."""


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


class Remark(StrEnum):
    """What an agent says of its own accord when nobody speaks."""

    IDLE_PROMPT = "idle_prompt"
    GOODBYE = "goodbye"


class Life:
    """The state of one agent, when it must say something of its own accord, and when it must end by itself.

    Args:
        limits: How long it may wait and live.
        now: The time.
        remarks: What it has words for.
    """

    def __init__(self, limits: Limits, now: float, remarks: Collection[Remark] = ()) -> None:
        self._limits = limits
        self._remarks = remarks
        self._state = State.STARTING
        self._born = now
        self._waiting_since = now
        self._last_speech = now
        self._user_came = False
        self._user_speaking = False
        self._is_paused = False
        # Whether it has asked into this silence, and until when what it says is that: it is no end of the silence.
        self._has_prompted = False
        self._prompts_until: float | None = None
        self._prompted_at: float | None = None
        # Until when it waits for its goodbye to be heard, and until when at the most.
        self._leaves_at: float | None = None
        self._leaves_by = 0.0

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
        self._converse(now)

    def user_left(self, now: float) -> None:
        """The user went; they may come back within the grace."""
        self._state = State.WAITING
        self._waiting_since = now
        self._user_speaking = False

    def user_speaks(self, speaking: bool, now: float) -> None:
        """The user began or stopped speaking."""
        self._user_speaking = speaking
        self._converse(now)

    def agent_speaks(self, now: float) -> None:
        """A frame of the agent's speech was given out."""
        if self._leaves_at is not None:
            self._leaves_at = min(now + _BEGIN_S, self._leaves_by)
        elif self._prompts_until is None or now > self._prompts_until:
            self._converse(now)
        else:
            self._prompts_until = now + _BEGIN_S

    def agent_responds(self, now: float) -> None:
        """The agent is about to speak, or may have spoken and its model has not said that this was all."""
        if self._prompted_at is None or now - self._prompted_at > _BEGIN_S:
            self.agent_speaks(now)

    def agent_stopped(self, now: float) -> None:
        """The agent has given out all that it had to say."""
        if self._prompts_until is not None:
            self._prompted_at = now
        self._prompts_until = None
        if self._leaves_at is not None:
            self._leaves_at = min(self._leaves_at, now + _HEARD_S)

    def remarks(self, remark: Remark, now: float) -> None:
        """The agent says this now."""
        if remark is Remark.GOODBYE:
            self._leaves_at, self._leaves_by = now + _BEGIN_S, now + _GOODBYE_S
        else:
            self._has_prompted = True
            self._prompts_until = now + _BEGIN_S

    def pause(self) -> None:
        """The agent is silent from now on: silence does not end it."""
        self._is_paused = True

    def resume(self, now: float) -> None:
        """The agent converses again."""
        self._is_paused = False
        self._converse(now)

    def ended(self) -> None:
        """The agent is gone."""
        self._state = State.ENDED

    def deadline(self) -> tuple[float, EndReason | Remark] | None:
        """The next moment at which the agent must end, and why, or say something; `None` for never."""
        return min(self._deadlines(), default=None)

    def _deadlines(self) -> Iterator[tuple[float, EndReason | Remark]]:
        limits = self._limits
        yield from _after(self._born, limits.max_duration_s, EndReason.MAX_DURATION)
        if self.state is State.ACTIVE and not self._user_speaking:
            yield from self._of_silence()
        elif self._state is State.WAITING and self._user_came:
            yield from _after(self._waiting_since, limits.user_left_grace_s, EndReason.USER_LEFT)
        elif self._state is State.WAITING:
            yield from _after(self._waiting_since, limits.user_wait_timeout_s, EndReason.USER_NEVER_CAME)

    def _of_silence(self) -> Iterator[tuple[float, EndReason | Remark]]:
        limits, since = self._limits, self._last_speech
        if self._leaves_at is not None:
            yield self._leaves_at, EndReason.IDLE
            return
        says_goodbye = Remark.GOODBYE in self._remarks
        yield from _after(since, limits.idle_timeout_s, Remark.GOODBYE if says_goodbye else EndReason.IDLE)
        if Remark.IDLE_PROMPT in self._remarks and not self._has_prompted:
            yield from _after(since, limits.idle_prompt_s, Remark.IDLE_PROMPT)

    def _converse(self, now: float) -> None:
        """Somebody speaks, or is there to: a silence is over."""
        self._last_speech = now
        self._has_prompted = False
        self._prompts_until = self._prompted_at = self._leaves_at = None


def _after(since: float, limit: float, what: EndReason | Remark) -> Iterator[tuple[float, EndReason | Remark]]:
    if limit:
        yield since + limit, what
