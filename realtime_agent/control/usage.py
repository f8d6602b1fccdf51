"""What models cost: the sum over responses and transcriptions, by kind of token."""

from __future__ import annotations

from collections.abc import Callable
from operator import add, sub
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from realtime_agent.realtime.types import TranscriptionUsage, Usage

__all__ = ["TotalUsage"]

Count = Annotated[int, Field(description="Tokens.")]

_KINDS = {
    "input": ("text", "audio", "image"),
    "output": ("text", "audio"),
    "cached": ("text", "audio", "image"),
    "transcription_input": ("text", "audio"),
}
"""The sums that a model may tell by kind too."""


class TotalUsage(BaseModel):
    """Responses, transcriptions and what they cost, in tokens and seconds.

    The totals are the model's own; where it leaves its details out, the kinds add up to less. A transcription is the
    work of another model with another price, so the totals of the responses are without it.
    """

    model_config = ConfigDict(frozen=True)

    responses: int = Field(0, description="How many responses were made.")
    input_tokens: int = Field(0, description="What the responses took in, of every kind, cached ones included.")
    output_tokens: int = Field(0, description="What the responses gave, of every kind.")
    total_tokens: int = Field(0, description="Both, as the model counts them.")
    cached_tokens: int = Field(0, description="Those of the input that were cached.")

    input_text_tokens: Count = 0
    input_audio_tokens: Count = 0
    input_image_tokens: Count = 0
    cached_text_tokens: Count = 0
    cached_audio_tokens: Count = 0
    cached_image_tokens: Count = 0
    output_text_tokens: Count = 0
    output_audio_tokens: Count = 0

    transcriptions: int = Field(0, description="How many times the user's words were written down.")
    transcription_input_tokens: int = Field(0, description="What the transcriptions took in, of every kind.")
    transcription_input_text_tokens: Count = 0
    transcription_input_audio_tokens: Count = 0
    transcription_output_tokens: int = Field(0, description="What the transcriptions gave.")
    transcription_seconds: float = Field(0, description="Of the user's audio, where transcription is paid by time.")

    @classmethod
    def of_response(cls, usage: Usage) -> Self:
        """That of one response."""
        taken, given = usage.input_token_details, usage.output_token_details
        cached = taken.cached_tokens_details if taken is not None else None
        return cls(
            responses=1,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            total_tokens=usage.total_tokens,
            cached_tokens=_count(taken, "cached_tokens"),
            input_text_tokens=_count(taken, "text_tokens"),
            input_audio_tokens=_count(taken, "audio_tokens"),
            input_image_tokens=_count(taken, "image_tokens"),
            cached_text_tokens=_count(cached, "text_tokens"),
            cached_audio_tokens=_count(cached, "audio_tokens"),
            cached_image_tokens=_count(cached, "image_tokens"),
            output_text_tokens=_count(given, "text_tokens"),
            output_audio_tokens=_count(given, "audio_tokens"),
        )

    @classmethod
    def of_transcription(cls, usage: TranscriptionUsage) -> Self:
        """That of one transcription."""
        return cls(
            transcriptions=1,
            transcription_input_tokens=usage.input_tokens or 0,
            transcription_input_text_tokens=_count(usage.input_token_details, "text_tokens"),
            transcription_input_audio_tokens=_count(usage.input_token_details, "audio_tokens"),
            transcription_output_tokens=usage.output_tokens or 0,
            transcription_seconds=usage.seconds or 0,
        )

    def by_kind(self, of: str) -> dict[str, int]:
        """The tokens of one sum, such as `input`, by kind."""
        return {kind: getattr(self, f"{of}_{kind}_tokens") for kind in _KINDS[of]}

    def untold(self) -> dict[str, int]:
        """Of each sum the tokens that the model did not tell the kind of."""
        return {of: max(0, getattr(self, f"{of}_tokens") - sum(self.by_kind(of).values())) for of in _KINDS}

    def __add__(self, other: TotalUsage) -> TotalUsage:
        return self._with(other, add)

    def __sub__(self, other: TotalUsage) -> TotalUsage:
        """What came since `other`, an earlier sum of the same."""
        return self._with(other, sub)

    def _with(self, other: TotalUsage, combine: Callable[[Any, Any], Any]) -> TotalUsage:
        names = type(self).model_fields
        return TotalUsage(**{name: combine(getattr(self, name), getattr(other, name)) for name in names})


def _count(details: BaseModel | None, name: str) -> int:
    """A number that the model may leave out, alone or with all the others."""
    return getattr(details, name, None) or 0
