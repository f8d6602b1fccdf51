"""What was said in a call and when, sans-I/O: is it over, did the agent answer, how long did it take.

The answer to the user's words is what began after their end. So neither a greeting that came before or is still being
spoken then counts, nor anything that a flush cut off: a flush says that the agent took the user to be speaking still.
Text to which no audio comes is an answer too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from realtime_agent.audio.speaker import Speaker

__all__ = ["LINGER_S", "TIMEOUT_S", "CallLog", "ExitReason", "Transcript"]

TIMEOUT_S = 30.0
LINGER_S = 1.0

ExitReason = Literal["answered", "timeout", "lost", "stopped", "refused"]


@dataclass(slots=True)
class Transcript:
    """One item of the conversation, in words."""

    role: Literal["user", "assistant"]
    item_id: str
    began: float
    """When the first of it came."""
    text: str = ""
    final_since: float | None = None
    interrupted: bool = False
    corrected: bool = False
    """Whether `text` takes the place of one that had been whole already."""


class CallLog:
    """Follows one call. Times are seconds of the clock that `speaker` is driven by.

    Args:
        speaker: What the user hears.
        scripted: Whether the user's words are a clip with a known end. Else the call is over only when `end` says so,
            and anything heard, or told in text, is an answer.
        linger_s: The quiet after the answer that ends the call.
        timeout_s: How long after the clip the call ends in any case.
    """

    def __init__(
        self, speaker: Speaker, *, scripted: bool = True, linger_s: float = LINGER_S, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._speaker = speaker
        self._scripted = scripted
        self._linger_s = linger_s
        self._timeout_s = timeout_s
        self._transcripts: dict[str, Transcript] = {}
        self._speech_ended: float | None = None
        self._clip_ended: float | None = None
        self._flushed = float("-inf")
        self._interrupted = False
        self._end: tuple[ExitReason, str | None] | None = None

    @property
    def transcripts(self) -> list[Transcript]:
        """The conversation in its order, which is that of the items' first messages."""
        return list(self._transcripts.values())

    @property
    def cause(self) -> str | None:
        """What `end` was told."""
        return None if self._end is None else self._end[1]

    def speech_ended(self, now: float) -> None:
        """The user has spoken the last of the clip's words."""
        self._speech_ended = now

    def clip_ended(self, now: float) -> None:
        """The clip is over."""
        self._clip_ended = now

    def flushed(self, now: float) -> None:
        """The agent took back what was not heard yet. Call before the speaker's own `flush`."""
        self._flushed = now
        self._interrupted = self._interrupted or self._speaker.is_playing(now)

    def end(self, reason: ExitReason, cause: str | None = None) -> None:
        """The call is over for a reason from outside; the first one stays."""
        self._end = self._end or (reason, cause)

    def add_transcript(self, body: Mapping[str, Any], now: float) -> Transcript | None:
        """Take a `transcript` message, as on the wire.

        Returns:
            The transcript, if it is whole now; `None` if more is to come or the message is not well formed.
        """
        role, item_id = body.get("role"), body.get("item_id")
        if role not in ("user", "assistant") or not isinstance(item_id, str):
            return None
        transcript = self._transcripts.get(item_id)
        if transcript is None:
            transcript = self._transcripts[item_id] = Transcript(role, item_id, now)
        if body.get("final") is True and isinstance(text := body.get("text"), str):
            transcript.corrected = transcript.final_since is not None
            transcript.text, transcript.final_since = text, now
            if body.get("interrupted") is True:
                transcript.interrupted = self._interrupted = True
            return transcript
        if isinstance(delta := body.get("delta"), str) and transcript.final_since is None:
            transcript.text += delta
        return None

    def first_audio(self, now: float) -> float | None:
        """When the first of the answer to a clip was heard."""
        if self._speech_ended is None:
            return None
        return self._speaker.first_audible(max(self._speech_ended, self._flushed), now)

    def exit_reason(self, now: float) -> ExitReason | None:
        """Why the call is over; `None` while it is not."""
        if self._end is not None:
            return self._end[0]
        if self._scripted and self._is_over(now):
            return "answered"
        if self._clip_ended is not None and now - self._clip_ended >= self._timeout_s:
            return "timeout"
        return None

    def report(self, now: float) -> dict[str, Any]:
        """The call in plain values, for JSON."""
        first_audio, heard_s = self.first_audio(now), self._speaker.heard_s(now)
        latency_ms = None
        if first_audio is not None and self._speech_ended is not None:
            latency_ms = round((first_audio - self._speech_ended) * 1000)
        return {
            "answered": self._is_answered(now),
            "exit_reason": self.exit_reason(now),
            "cause": self.cause,
            "transcripts": [
                {
                    "role": transcript.role,
                    "item_id": transcript.item_id,
                    "text": transcript.text,
                    "interrupted": transcript.interrupted,
                }
                for transcript in self.transcripts
            ],
            "latencies": {"first_audio_ms": latency_ms},
            "heard_s": round(heard_s, 3),
            "interrupted": self._interrupted,
        }

    def _answer(self) -> list[Transcript]:
        """What the agent says to the user's words, and nobody cut off; without a clip, whatever it says."""
        if self._scripted and self._speech_ended is None:
            return []
        since = float("-inf") if self._speech_ended is None else max(self._speech_ended, self._flushed)
        return [
            transcript
            for transcript in self._transcripts.values()
            if transcript.role == "assistant" and transcript.began > since and not transcript.interrupted
        ]

    def _is_answered(self, now: float) -> bool:
        """Whether anything of the answer was heard, or it is text alone."""
        heard = self.first_audio(now) is not None if self._scripted else self._speaker.heard_s(now) > 0
        return heard or self._is_text()

    def _is_text(self) -> bool:
        """Whether an answer came whole, and no audio with it."""
        texts = [each for each in self._answer() if each.final_since is not None and each.text.strip()]
        quiet_since = self._speaker.quiet_since()
        return bool(texts) and (quiet_since is None or quiet_since <= texts[0].began)

    def _is_over(self, now: float) -> bool:
        """Whether the answer came to its end, and it has been quiet since."""
        answer = self._answer()
        finals = [each.final_since for each in answer if each.final_since is not None]
        if not finals or len(finals) < len(answer) or not self._is_answered(now):
            return False
        quiet_since = self._speaker.quiet_since() or finals[0]
        return now - max(quiet_since, *finals) >= self._linger_s
