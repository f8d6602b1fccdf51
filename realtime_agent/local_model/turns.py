"""Where the user's turns begin and end, from how likely each window of audio is speech. No I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass

from realtime_agent.realtime.types import SemanticVad, ServerVad

__all__ = ["MAX_TURN_MS", "WINDOW_MS", "IdleTimeout", "TurnEnded", "TurnEvent", "TurnPaused", "TurnStarted", "Turns"]

WINDOW_MS = 32
"""How much audio one probability stands for: silero's window, 512 samples at 16 kHz."""

MAX_TURN_MS = 240_000
"""A turn this long ends even without a silence, so that the input buffer has a bound."""

_ONSET_MS = 96
"""Speech shorter than this is a click, not a turn."""

_PAUSE_MS = 224
"""A silence this long may be the end of the turn."""

_HYSTERESIS = 0.15
"""Speech goes on while it is this much less likely than what began it."""

_SILENCE_MS = {"low": 1200, "medium": 700, "auto": 700, "high": 400}
"""`semantic_vad` on this machine: an eagerness is a length of silence, since no part here judges words."""


@dataclass(frozen=True)
class TurnStarted:
    """The user speaks, from `start_ms` (the prefix padding included) on."""

    start_ms: int


@dataclass(frozen=True)
class TurnPaused:
    """The user is silent for the moment: what was said from `start_ms` to `end_ms` may be all."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class TurnResumed:
    """The user goes on after a pause: the turn was not over."""


@dataclass(frozen=True)
class TurnEnded:
    """The turn is the audio from `start_ms` to `end_ms`."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class IdleTimeout:
    """Nobody spoke from `start_ms`, when the last response had been played, to `end_ms`."""

    start_ms: int
    end_ms: int


TurnEvent = TurnStarted | TurnPaused | TurnResumed | TurnEnded | IdleTimeout


@dataclass(frozen=True)
class _Rules:
    threshold: float
    prefix_ms: int
    silence_ms: int
    idle_ms: int | None


def _rules(detection: ServerVad | SemanticVad) -> _Rules:
    if isinstance(detection, SemanticVad):
        defaults = ServerVad()
        return _Rules(defaults.threshold, defaults.prefix_padding_ms, _SILENCE_MS[detection.eagerness], None)
    return _Rules(
        detection.threshold, detection.prefix_padding_ms, detection.silence_duration_ms, detection.idle_timeout_ms
    )


class Turns:
    """Follows one session's audio window by window. Times are milliseconds since the session's first audio.

    Without turn detection it only counts time.
    """

    def __init__(self, detection: ServerVad | SemanticVad | None) -> None:
        self.position_ms = 0
        self._detection = detection
        self._rules = _rules(detection) if detection else None
        self._floor_ms = 0
        self._idle_from_ms: int | None = None
        self._start_ms: int | None = None
        self._speech_end_ms = 0
        self._onset_ms = 0

    @property
    def start_ms(self) -> int | None:
        """Where the turn began that is still going on, if one is."""
        return self._start_ms

    def configure(self, detection: ServerVad | SemanticVad | None) -> None:
        """Follow other rules from now on. A turn that is going on goes on, unless detection is turned off."""
        if detection == self._detection:
            return
        self._detection = detection
        self._rules = _rules(detection) if detection else None
        if detection is None:
            self.reset()

    def reset(self) -> None:
        """Forget the turn that is going on; the next one can't begin before now."""
        self._floor_ms = self.position_ms
        self._start_ms = None
        self._onset_ms = 0

    def expect_speech(self, from_ms: int | None) -> None:
        """Start the idle timeout at `from_ms`, when the last response will have been played; None stops it."""
        self._idle_from_ms = from_ms

    def hear(self, probability: float) -> TurnEvent | None:
        """Take the next window, which is speech with this probability."""
        self.position_ms += WINDOW_MS
        if self._rules is None:
            return None
        if self._start_ms is None:
            return self._listen(self._rules, probability)
        return self._follow(self._rules, self._start_ms, probability)

    def _listen(self, rules: _Rules, probability: float) -> TurnStarted | IdleTimeout | None:
        if probability < rules.threshold - (_HYSTERESIS if self._onset_ms else 0):
            self._onset_ms = 0
            return self._idle(rules)
        self._onset_ms += WINDOW_MS
        if self._onset_ms < _ONSET_MS:
            return None
        self._start_ms = max(self._floor_ms, self.position_ms - self._onset_ms - rules.prefix_ms)
        self._speech_end_ms = self.position_ms
        self._idle_from_ms = None
        return TurnStarted(self._start_ms)

    def _idle(self, rules: _Rules) -> IdleTimeout | None:
        if self._idle_from_ms is None or rules.idle_ms is None:
            return None
        if self.position_ms - self._idle_from_ms < rules.idle_ms:
            return None
        event = IdleTimeout(self._idle_from_ms, self.position_ms)
        self._idle_from_ms = None
        self.reset()
        return event

    def _follow(self, rules: _Rules, start_ms: int, probability: float) -> TurnPaused | TurnResumed | TurnEnded | None:
        was_silent_ms = self.position_ms - WINDOW_MS - self._speech_end_ms
        if probability >= rules.threshold - _HYSTERESIS:
            self._speech_end_ms = self.position_ms
        silence_ms = self.position_ms - self._speech_end_ms
        too_long = self.position_ms - start_ms >= MAX_TURN_MS
        if too_long or (silence_ms and silence_ms >= rules.silence_ms):
            self.reset()
            return TurnEnded(start_ms, self.position_ms)
        if silence_ms == _PAUSE_MS:
            return TurnPaused(start_ms, self.position_ms)
        if was_silent_ms >= _PAUSE_MS and not silence_ms:
            return TurnResumed()
        return None
