"""Where phrases are heard: in what the model writes down, or by an ear on this machine."""

from __future__ import annotations

from collections.abc import Callable

from realtime_agent.control.phrases import Phrase, Phrases
from realtime_agent.realtime.session import Ear, Transcript, Utterance

__all__ = ["PhraseSpotter"]


class PhraseSpotter:
    """Spots phrases in what the user says.

    Args:
        phrases: Those that there are.
        ear: Listens for them; without one they are spotted in the model's transcripts.
        pause: Is called with the id of the item that asked for it, if the model has made one of it.
        resume: Is called with how many milliseconds ago the phrase ended.
        clock: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        phrases: Phrases | None,
        ear: Ear | None,
        *,
        pause: Callable[[str | None], None],
        resume: Callable[[int], None],
        clock: Callable[[], float],
    ) -> None:
        self._phrases = phrases
        self._ear = ear
        self._pause = pause
        self._resume = resume
        self._clock = clock
        # The user's last item, and when it became one.
        self._last_item, self._last_at = "", clock()

    async def run(self) -> None:
        """Listen, if that is not the model's work, until cancelled."""
        if self._ear is not None:
            await self._ear.run(self._understand)

    def user_said(self, words: Transcript) -> None:
        """The model has written down more of what the user said."""
        if words.item_id != self._last_item:
            self._last_item, self._last_at = words.item_id, self._clock()
        if words.final and self._ear is None and self._spot(words.text) is Phrase.STOP:
            self._pause(words.item_id)

    def overheard(self, text: str) -> None:
        """The model has written down what the user said while the agent was paused."""
        if self._ear is None and self._spot(text) is Phrase.START:
            self._resume(0)

    def _understand(self, utterance: Utterance) -> None:
        match self._spot(utterance.text):
            case Phrase.STOP:
                # The model may have made an item of it already, since the user began to say it.
                is_it = self._clock() - self._last_at <= utterance.began_ms_ago / 1000
                self._pause(self._last_item if is_it and self._last_item else None)
            case Phrase.START:
                self._resume(utterance.ended_ms_ago)

    def _spot(self, utterance: str) -> Phrase | None:
        return self._phrases.spot(utterance) if self._phrases is not None else None
