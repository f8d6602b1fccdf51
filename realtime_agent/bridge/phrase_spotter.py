"""Where phrases are heard: in what the model writes down, or by an ear on this machine."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from realtime_agent.control.phrases import Phrase, Phrases
from realtime_agent.realtime.session import Ear, Lost, Restored, Transcript, Utterance
from realtime_agent.recent import Recent

__all__ = ["PhraseSpotter"]

_MAX_ITEMS = 64
"""Items whose words may still come."""


class PhraseSpotter:
    """Spots phrases in what the user says.

    Args:
        phrases: Those that there are.
        ear: Listens for them; without one they are spotted in the model's transcripts.
        pause: Is called with the id of the item that asked for it, if the model has made one of it.
        resume: Is called with how many milliseconds ago the phrase ended.
        tell: Is told when the ear does not hear for now, and when it does again.
        ear_heard_ms: How much the ear was given so far: the clock that its utterances go by.
    """

    def __init__(
        self,
        phrases: Phrases | None,
        ear: Ear | None,
        *,
        pause: Callable[[str | None], None],
        resume: Callable[[int], None],
        tell: Callable[[Lost | Restored], None],
        ear_heard_ms: Callable[[], int],
    ) -> None:
        self._phrases = phrases
        self._ear = ear
        self._pause = pause
        self._resume = resume
        self._tell = tell
        self._ear_heard_ms = ear_heard_ms
        # When the user's items became such, by what the ear had heard.
        self._items: Recent[str, int] = Recent(_MAX_ITEMS)
        # What was said before does nothing.
        self._pauses_from = self._resumes_from = -inf

    async def run(self) -> None:
        """Listen, if that is not the model's work, until cancelled."""
        if self._ear is not None:
            await self._ear.run(self._handle)

    def user_said(self, words: Transcript) -> None:
        """The model has written down more of what the user said."""
        if words.item_id not in self._items:
            self._items[words.item_id] = self._ear_heard_ms()
        if words.final and self._ear is None and self._spot(words.text) is Phrase.STOP:
            self._pause(words.item_id)

    def overheard(self, text: str) -> None:
        """The model has written down what the user said while the agent was paused."""
        if self._ear is None and self._spot(text) is Phrase.START:
            self._resume(0)

    def disregard_earlier(self) -> None:
        """Nothing that was said so far lets the agent resume: it was paused since."""
        self._resumes_from = self._ear_heard_ms()

    def user_left(self) -> None:
        """Nothing that was said so far does anything: it was said by somebody else."""
        self._pauses_from = self._resumes_from = self._ear_heard_ms()

    def _handle(self, event: Utterance | Lost | Restored) -> None:
        if isinstance(event, Utterance):
            self._understand(event)
        else:
            self._tell(event)

    def _understand(self, utterance: Utterance) -> None:
        now = self._ear_heard_ms()
        match self._spot(utterance.text):
            case Phrase.STOP if now - utterance.began_ms_ago >= self._pauses_from:
                silent_since = now - utterance.ended_ms_ago - utterance.silence_ms
                # The model may have made an item of it already. An earlier one is of what was said before.
                items = (item_id for item_id, since in self._items.items() if since >= silent_since)
                resumes_from = max(self._resumes_from, silent_since)
                self._pause(next(items, None))
                # The pause began with the phrase, though its words are known only now.
                self._resumes_from = resumes_from
            case Phrase.START if now - utterance.began_ms_ago >= self._resumes_from:
                self._resume(utterance.ended_ms_ago)

    def _spot(self, utterance: str) -> Phrase | None:
        return self._phrases.spot(utterance) if self._phrases is not None else None
