"""How long a user waits for an answer, sans-I/O. Times are seconds of any monotonic clock, positions playout's."""

from __future__ import annotations

from realtime_agent.control.events import TurnMeasured

__all__ = ["TurnTimer"]

_MAX_WAIT_S = 60.0
"""What comes later is no answer any more."""


class TurnTimer:
    """Measures each turn once: from the user's last word to the first sound of the answer.

    The answer is what the agent says first of what it had not begun to say when the turn ended.
    """

    def __init__(self) -> None:
        # The item that audio came of last, and the one of that kind when the turn ended.
        self._last_item = self._item_before = ""
        self._end_of_speech: float | None = None
        self._silence_s = 0.0
        # When the answer's first audio came, and where it begins.
        self._answer: tuple[float, int] | None = None

    @property
    def has_answer(self) -> bool:
        """Whether the first audio of an answer has come, and no frame of it was given out."""
        return self._answer is not None

    def user_stopped(self, now: float, silence_ms: int = 0, late_ms: int = 0) -> None:
        """The user's turn has ended: `late_ms` ago, after they had been silent for `silence_ms`."""
        self._silence_s = silence_ms / 1000
        self._end_of_speech = now - self._silence_s - late_ms / 1000
        self._item_before = self._last_item
        self._answer = None

    def forget(self) -> None:
        """The turn goes on, or gets no answer."""
        self._end_of_speech = self._answer = None

    def audio_came(self, item_id: str, position: int, now: float) -> None:
        """Audio of this item came from the model, which is going to be spoken from `position` on."""
        self._last_item = item_id
        if self._end_of_speech is None or self._answer is not None or item_id == self._item_before:
            return
        if now - self._end_of_speech > _MAX_WAIT_S:
            self.forget()
        else:
            self._answer = now, position

    def frame_given(self, position: int, now: float) -> TurnMeasured | None:
        """The channel was given all up to `position`; the first frame of an answer ends the measurement."""
        if self._end_of_speech is None or self._answer is None or position <= self._answer[1]:
            return None
        measured = TurnMeasured(
            first_audio_ms=round(max(0.0, self._answer[0] - self._end_of_speech) * 1000, 1),
            first_frame_ms=round(max(0.0, now - self._end_of_speech) * 1000, 1),
            silence_ms=self._silence_s * 1000,
        )
        self.forget()
        return measured
