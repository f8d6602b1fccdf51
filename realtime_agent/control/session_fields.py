"""The settings of a session that somebody may give, to a new agent or a running one, in the Realtime API's shapes."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StrictBool, Tag
from pydantic.config import JsonDict

from realtime_agent.config import Settings
from realtime_agent.control.spec import Language
from realtime_agent.errors import FieldError, InvalidRequest
from realtime_agent.realtime.types import (
    AudioInput,
    AudioOutput,
    CustomVoice,
    McpTool,
    Modalities,
    NoiseReduction,
    Prompt,
    Reasoning,
    RetentionRatio,
    SessionAudio,
    SessionConfig,
    ToolChoiceFunction,
    ToolChoiceMcp,
    Tracing,
    Transcription,
)

__all__ = ["SessionFields"]

W = TypeVar("W")
T = TypeVar("T")


def _shape(value: object) -> str:
    return "word" if isinstance(value, str) else "other"


# Told apart first, so that whoever sends a wrong object does not hear that it is no word.
WordOr = Annotated[Annotated[W, Tag("word")] | Annotated[T, Tag("other")], Discriminator(_shape)]

MaxTokens = Annotated[int, Field(strict=True, ge=1, le=4096)]
Speed = Annotated[float, Field(strict=True, ge=0.25, le=1.5)]
ToolChoice = Annotated[ToolChoiceFunction | ToolChoiceMcp, Field(discriminator="type")]
ToolName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+$")]


_AS_THEY_ARE = ("max_output_tokens", "tool_choice", "parallel_tool_calls", "truncation", "reasoning", "include")


def _no_default(schema: JsonDict) -> None:
    """Leave it out of the description where a null is not what being left out is."""
    del schema["default"]


class SessionFields(BaseModel):
    """What is left out is left as it is; so is what is null, but where the description says more."""

    model_config = ConfigDict(extra="forbid")

    voice: WordOr[str, CustomVoice] | None = Field(
        None, description="One of the server's VOICES, or the id of a custom voice."
    )
    language: Language | None = Field(
        None, description="What the user speaks, as ISO 639, such as en: helps the transcription."
    )
    speed: Speed | None = Field(None, description="How fast it speaks, as a multiple of the voice's own speed.")
    noise_reduction: NoiseReduction | None = Field(
        None,
        description="What the model does to the user's audio before it listens; null is nothing.",
        json_schema_extra=_no_default,
    )
    transcription: Transcription | None = Field(
        None,
        description="How the user's words are written down, by TRANSCRIPTION_MODEL unless it names another; null is "
        "not at all.",
        json_schema_extra=_no_default,
    )
    output_modalities: Annotated[Modalities, Field(min_length=1, max_length=1)] | None = Field(
        None, description='["audio"], which is the default, or ["text"].'
    )
    max_output_tokens: WordOr[Literal["inf"], MaxTokens] | None = Field(
        None, description="The longest that a response may be."
    )
    tools: list[WordOr[ToolName, McpTool]] | None = Field(
        None,
        description="What the model may use: names of functions of AGENT_TOOLS, and MCP servers. Left out, it is every "
        "function.",
    )
    tool_choice: WordOr[Literal["auto", "none", "required"], ToolChoice] | None = Field(
        None, description="Whether the model must use a tool, and which."
    )
    parallel_tool_calls: StrictBool | None = Field(
        None, description="Whether it may call several at once; for models that reason."
    )
    truncation: WordOr[Literal["auto", "disabled"], RetentionRatio] | None = Field(
        None, description="What the model forgets when the conversation is too long for it."
    )
    tracing: WordOr[Literal["auto"], Tracing] | None = Field(
        None,
        description="Whether the model's operator keeps a trace of the session, and under what name; null is none.",
        json_schema_extra=_no_default,
    )
    prompt: Prompt | None = Field(
        None, description="A prompt that is kept by the model's operator; null is none.", json_schema_extra=_no_default
    )
    reasoning: Reasoning | None = Field(None, description="How hard the model thinks; for models that reason.")
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = Field(
        None, description="What the model should tell beyond what it usually does."
    )

    @property
    def functions(self) -> tuple[str, ...] | None:
        """The functions that the model may call; `None` where nothing is said of tools."""
        return None if self.tools is None else tuple(tool for tool in self.tools if isinstance(tool, str))

    @property
    def servers(self) -> list[McpTool]:
        """The MCP servers that it may use."""
        return [tool for tool in self.tools or () if not isinstance(tool, str)]

    def completed(self, settings: Settings) -> Self:
        """The same with what the deployment adds to it.

        Raises:
            InvalidRequest: the voice is not one of the deployment's, or the language is given where it can't be.
        """
        if isinstance(self.voice, str) and self.voice not in settings.voices:
            message = f"unknown voice {self.voice[:40]!r}; it is one of {', '.join(settings.voices)}"
            raise InvalidRequest(FieldError("voice", message))
        transcription = self._transcription(settings)
        return self.model_copy(update={"transcription": transcription, "language": None}) if transcription else self

    def session(self) -> SessionConfig:
        """What is given, as the model is told it, but for the functions."""
        fields = self._given("output_modalities", *_AS_THEY_ARE) | self._given_or_null("tracing", "prompt")
        if listening := self._given_or_null("noise_reduction", "transcription"):
            fields["audio"] = SessionAudio(input=AudioInput(**listening))
        if speaking := self._given("voice", "speed"):
            fields.setdefault("audio", SessionAudio()).output = AudioOutput(**speaking)
        if self.servers:
            fields["tools"] = self.servers
        return SessionConfig(**fields)

    def _transcription(self, settings: Settings) -> Transcription | None:
        """What is given of it, of the deployment's model unless it names another; a language alone has none."""
        given = {} if self.transcription is None else self.transcription.to_dict()
        if self.language is not None:
            if "transcription" in self.model_fields_set and self.transcription is None:
                raise InvalidRequest(FieldError("language", "there is no transcription that it could help"))
            if given.get("language") is not None:
                raise InvalidRequest(FieldError("language", "it is in transcription too: leave one of them out"))
            given["language"] = self.language
        if self.transcription is not None:
            given.setdefault("model", settings.transcription_model)
        return Transcription.model_validate(given) if given else None

    def _given(self, *names: str) -> dict[str, Any]:
        """Those that say something."""
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def _given_or_null(self, *names: str) -> dict[str, Any]:
        """Those that were not left out."""
        return {name: getattr(self, name) for name in names if name in self.model_fields_set}
