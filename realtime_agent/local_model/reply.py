"""One response from `response.created` to `response.done`: its events, in the protocol's order. No I/O."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Literal

from realtime_agent.local_model.items import Conversation, Entry, new_id
from realtime_agent.local_model.session import SessionSettings
from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime.events import (
    ContentPartAdded,
    ContentPartDone,
    ItemAdded,
    ItemDone,
    KnownServerEvent,
    OutputAudioDelta,
    OutputAudioDone,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    OutputTextDone,
    OutputTranscriptDelta,
    OutputTranscriptDone,
    ResponseCreated,
    ResponseDone,
)
from realtime_agent.realtime.types import (
    ContentPart,
    InputTokenDetails,
    Item,
    OutputTokenDetails,
    Response,
    ResponseConfig,
    ResponseStatus,
    Usage,
)

__all__ = ["INPUT_MS_PER_TOKEN", "Reply", "count_words"]

INPUT_MS_PER_TOKEN = 100
_OUTPUT_MS_PER_TOKEN = 50
"""What OpenAI counts for audio. For text a token is a word here, since no part of this model has a tokenizer."""

FinalStatus = Literal["completed", "cancelled", "incomplete", "failed"]


def count_words(text: str) -> int:
    """How many tokens a text costs."""
    return len(text.split())


class Reply:
    """A response that is being spoken or written. Its item joins the conversation with the first words.

    Attributes:
        active: Whether it is still going on.
        in_conversation: Whether it belongs to the default conversation; else it is out-of-band.
        is_audio: Whether it speaks; else it writes.
        speed: How fast it speaks; 1.0 is normal.
        input_tokens: What its prompt cost.
    """

    def __init__(
        self,
        emit: Callable[[KnownServerEvent], None],
        conversation: Conversation,
        settings: SessionSettings,
        config: ResponseConfig,
    ) -> None:
        self.id = new_id("resp")
        self.active = True
        self.in_conversation = config.conversation != "none"
        self.input_tokens = InputTokenDetails(text_tokens=0, audio_tokens=0, cached_tokens=0)
        self._modalities = config.output_modalities or settings.config.output_modalities or ["audio"]
        self.is_audio = self._modalities == ["audio"]
        output = (config.audio.output if config.audio else None) or settings.output
        self.speed = output.speed or settings.output.speed or 1.0
        self._voice = output.voice or settings.output.voice
        self._limit = config.max_output_tokens or settings.config.max_output_tokens or "inf"
        self._metadata = config.metadata
        self._emit = emit
        self._conversation = conversation
        self._entry: Entry | None = None
        self._words = 0
        self._audio_ms = 0.0

    @property
    def audio_ms(self) -> float:
        """How much audio it has made."""
        return self._audio_ms

    def begin(self) -> None:
        """Announce it."""
        self._emit(ResponseCreated(response=self._describe("in_progress")))

    def fit(self, text: str, pcm: bytes) -> tuple[str, bytes]:
        """Cut a sentence to what `max_output_tokens` leaves room for."""
        if self._limit == "inf":
            return text, pcm
        words = text.split()
        cost = len(words) + len(pcm) / BYTES_PER_MS / _OUTPUT_MS_PER_TOKEN
        left = int(self._limit) - self._words - self._audio_ms / _OUTPUT_MS_PER_TOKEN
        if cost <= left:
            return text, pcm
        share = max(0.0, left / cost)
        kept = words[: int(len(words) * share)]
        return " ".join(kept), pcm[: int(len(pcm) * share) // 2 * 2] if kept else b""

    def say(self, text: str, duration_ms: float) -> None:
        """Give the next sentence, whose audio (if any) will last so long."""
        entry = self._open()
        entry.say(text, duration_ms)
        delta = f" {text}" if self._words else text
        self._words += count_words(text)
        event = OutputTranscriptDelta if self.is_audio else OutputTextDelta
        self._emit(event(**self._where(entry), delta=delta))

    def play(self, pcm: bytes) -> None:
        """Give the next piece of the last sentence's audio."""
        entry = self._open()
        entry.play(len(pcm) / BYTES_PER_MS)
        self._audio_ms += len(pcm) / BYTES_PER_MS
        delta = base64.b64encode(pcm).decode()
        self._emit(OutputAudioDelta(**self._where(entry), delta=delta))

    def finish(self, status: FinalStatus, reason: str | None = None, error: dict[str, Any] | None = None) -> None:
        """Close what is open and say how it ended."""
        self.active = False
        if self._entry is not None:
            self._close(self._entry, "completed" if status == "completed" else "incomplete")
        details = ResponseStatus(type=status)
        if reason:
            details.reason = reason
        if error:
            details.error = error
        response = self._describe(status)
        response.status_details = details
        response.output = [self._entry.item] if self._entry else []
        response.usage = self._usage()
        self._emit(ResponseDone(response=response))

    def _open(self) -> Entry:
        if self._entry is not None:
            return self._entry
        item = Item(
            id=new_id("item"),
            object="realtime.item",
            type="message",
            status="in_progress",
            role="assistant",
            content=[],
        )
        entry = self._entry = Entry(item)
        self._emit(OutputItemAdded(response_id=self.id, output_index=0, item=item))
        if self.in_conversation:
            previous = self._conversation.add(entry)
            self._emit(ItemAdded(item=item, previous_item_id=previous))
        part = ContentPart(type="audio", transcript="") if self.is_audio else ContentPart(type="text", text="")
        self._emit(ContentPartAdded(**self._where(entry), part=part))
        return entry

    def _close(self, entry: Entry, status: str) -> None:
        text = entry.close(status, is_audio=self.is_audio)
        where = self._where(entry)
        if self.is_audio:
            self._emit(OutputAudioDone(**where))
            self._emit(OutputTranscriptDone(**where, transcript=text))
            part = ContentPart(type="audio", transcript=text)
        else:
            self._emit(OutputTextDone(**where, text=text))
            part = ContentPart(type="text", text=text)
        self._emit(ContentPartDone(**where, part=part))
        self._emit(OutputItemDone(response_id=self.id, output_index=0, item=entry.item))
        if self.in_conversation:
            self._emit(ItemDone(item=entry.item, previous_item_id=self._conversation.previous_id(entry)))

    def _where(self, entry: Entry) -> dict[str, Any]:
        """The place of the only part of the only item."""
        return {"response_id": self.id, "item_id": entry.id, "output_index": 0, "content_index": 0}

    def _describe(self, status: str) -> Response:
        return Response(
            id=self.id,
            object="realtime.response",
            status=status,
            status_details=None,
            output=[],
            conversation_id=self._conversation.id if self.in_conversation else None,
            output_modalities=list(self._modalities),
            max_output_tokens=self._limit,
            audio={"output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": self._voice}},
            metadata=self._metadata,
            usage=None,
        )

    def _usage(self) -> Usage:
        audio = int(self._audio_ms / _OUTPUT_MS_PER_TOKEN)
        input_tokens = self.input_tokens.text_tokens + self.input_tokens.audio_tokens
        output_tokens = self._words + audio
        return Usage(
            total_tokens=input_tokens + output_tokens,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            input_token_details=self.input_tokens,
            output_token_details=OutputTokenDetails(text_tokens=self._words, audio_tokens=audio),
        )
