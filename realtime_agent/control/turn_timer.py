"""How long a user waits for an answer, sans-I/O. Times are seconds of any monotonic clock."""

from __future__ import annotations

from realtime_agent.control.events import TurnMeasured

__all__ = ["TurnTimer"]


class TurnTimer:
    """Measures each turn once: from the user's last word to the first sound of the answer."""

    def __init__(self) -> None:
        self._end_of_speech: float | None = None
        self._silence_s = 0.0
        self._first_audio: float | None = None

    def user_stopped(self, now: float, silence_ms: int = 0) -> None:
        """The user's turn has ended; they had been silent for `silence_ms` by then."""
        self._silence_s = silence_ms / 1000
        self._end_of_speech = now - self._silence_s
        self._first_audio = None

    def forget(self) -> None:
        """The turn goes on, or gets no answer."""
        self._end_of_speech = self._first_audio = None

    def audio_came(self, now: float) -> None:
        """Audio came from the model."""
        if self._end_of_speech is not None and self._first_audio is None:
            self._first_audio = now

    def frame_given(self, now: float) -> TurnMeasured | None:
        """A frame was given to the channel; the first one of an answer ends the measurement."""
        if self._end_of_speech is None or self._first_audio is None:
            return None
        measured = TurnMeasured(
            first_audio_ms=round(max(0.0, self._first_audio - self._end_of_speech) * 1000, 1),
            first_frame_ms=round(max(0.0, now - self._end_of_speech) * 1000, 1),
            silence_ms=self._silence_s * 1000,
        )
        self.forget()
        return measured
