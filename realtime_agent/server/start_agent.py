"""What can be asked of a new agent: its model's settings under the names and in the shapes of the Realtime API."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Discriminator, Field, StrictBool, Tag
from pydantic.config import JsonDict

from realtime_agent.config import Settings
from realtime_agent.control.commands import DEFAULT_TURN_DETECTION
from realtime_agent.control.spec import AgentSpec, ChannelName, Instruction, Language, Limits, Seconds, Uid
from realtime_agent.errors import FieldError, InvalidRequest
from realtime_agent.realtime.types import (
    AudioFormat,
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
    TurnDetection,
    Voice,
)
from realtime_agent.server.schemas import Request, random_uid

__all__ = ["StartAgent"]

W = TypeVar("W")
T = TypeVar("T")


def _shape(value: object) -> str:
    return "word" if isinstance(value, str) else "other"


# Told apart first, so that whoever sends a wrong object does not hear that it is no word.
WordOr = Annotated[Annotated[W, Tag("word")] | Annotated[T, Tag("other")], Discriminator(_shape)]

MaxTokens = Annotated[int, Field(strict=True, ge=1, le=4096)]
ModelName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\w.:/@-]+$")]
Speed = Annotated[float, Field(strict=True, ge=0.25, le=1.5)]
ToolChoice = Annotated[ToolChoiceFunction | ToolChoiceMcp, Field(discriminator="type")]
ToolName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+$")]


def _no_default(schema: JsonDict) -> None:
    """Leave it out of the description where a null is not what being left out is."""
    del schema["default"]


_PCM = AudioFormat(type="audio/pcm", rate=24000)


class StartAgent(Request):
    """Start an agent. What is left out is the server's default or the model's; so is a null, but where it says more."""

    channel_name: ChannelName = Field(description="The channel that the agent joins.")
    uid: Uid = Field(description="The number that the agent joins with; 0 lets the server choose.")
    system_instruction: Instruction | None = Field(
        None, description="How the agent should behave. The server's default, unless there is a prompt."
    )
    voice: WordOr[str, CustomVoice] | None = Field(
        None, description="One of the server's VOICES, or the id of a custom voice."
    )
    language: Language | None = Field(
        None, description="What the user speaks, as ISO 639, such as en: helps the transcription."
    )
    model: ModelName | None = Field(None, description="The model's name, or an Azure deployment.")
    user_uid: Uid | None = Field(None, description="The participant that the agent hears; the first who comes.")
    greeting: Annotated[str, Field(min_length=1, max_length=1000)] | None = Field(
        None, description="What the agent says first, once its user is there."
    )
    turn_detection: TurnDetection | None = Field(
        DEFAULT_TURN_DETECTION, description="When the user's turn ends; null is push-to-talk."
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
    user_wait_timeout_s: Seconds | None = Field(None, description="How long to wait for the user; 0 is for ever.")
    user_left_grace_s: Seconds | None = Field(None, description="How long to wait for a user who left.")
    idle_timeout_s: Seconds | None = Field(None, description="How long nobody may speak.")
    max_duration_s: Seconds | None = Field(None, description="How long the agent may run.")

    def to_spec(self, settings: Settings) -> AgentSpec:
        """Complete it with the server's defaults.

        Raises:
            InvalidRequest: the voice is not one of the server's, the agent would hear itself, or the language is given
                where it can't be.
        """
        uid = self.uid or random_uid()
        if self.user_uid == uid:
            raise InvalidRequest(FieldError("user_uid", "the agent can't hear itself: user_uid equals uid"))
        limits = {name: getattr(settings, name) for name in Limits.model_fields}
        return AgentSpec(
            channel_name=self.channel_name,
            uid=uid,
            # As in Agora, 0 is nobody in particular.
            user_uid=self.user_uid or None,
            greeting=self.greeting,
            session=self._session(settings),
            tools=None if self.tools is None else tuple(tool for tool in self.tools if isinstance(tool, str)),
            limits=Limits(**limits | self._given(*limits)),
        )

    def _session(self, settings: Settings) -> SessionConfig:
        config = SessionConfig(
            model=self.model or settings.openai_model,
            output_modalities=self.output_modalities or ["audio"],
            audio=SessionAudio(
                input=AudioInput(
                    format=_PCM,
                    transcription=self._transcription(settings),
                    turn_detection=self.turn_detection and self.turn_detection.in_full(),
                    **self._given_or_null("noise_reduction"),
                ),
                output=AudioOutput(format=_PCM, voice=self._voice(settings), **self._given("speed")),
            ),
            **self._given(
                "max_output_tokens", "tool_choice", "parallel_tool_calls", "truncation", "reasoning", "include"
            ),
            **self._given_or_null("tracing", "prompt"),
        )
        if self.system_instruction is not None or self.prompt is None:
            # The server's default would take the place of what the prompt says.
            config.instructions = self.system_instruction or settings.system_instruction
        if servers := [tool for tool in self.tools or () if not isinstance(tool, str)]:
            config.tools = [*servers]
        return config

    def _voice(self, settings: Settings) -> str | Voice:
        voice = self.voice or settings.default_voice
        if isinstance(voice, str) and voice not in settings.voices:
            message = f"unknown voice {voice[:40]!r}; it is one of {', '.join(settings.voices)}"
            raise InvalidRequest(FieldError("voice", message))
        return voice

    def _transcription(self, settings: Settings) -> Transcription | None:
        if "transcription" in self.model_fields_set and self.transcription is None:
            if self.language is not None:
                raise InvalidRequest(FieldError("language", "there is no transcription that it could help"))
            return None
        given = {} if self.transcription is None else self.transcription.to_dict()
        if self.language is not None and given.get("language") is not None:
            raise InvalidRequest(FieldError("language", "it is in transcription too: leave one of them out"))
        defaults = {"model": settings.transcription_model, **self._given("language")}
        return Transcription.model_validate(defaults | given)

    def _given(self, *names: str) -> dict[str, Any]:
        """Those that say something."""
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def _given_or_null(self, *names: str) -> dict[str, Any]:
        """Those that were not left out."""
        return {name: getattr(self, name) for name in names if name in self.model_fields_set}
