"""The nouns that Realtime events carry: session settings, items, responses, usage.

Shapes follow OpenAI's GA Realtime API; the tests hold them against the types of the official `openai` package.
What we send is strict, so that a misspelt setting is an error and not a silence; what a server sends is read
tolerantly, because servers add fields.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from realtime_agent.lenient import Lenient, OrEmpty

__all__ = [
    "AnySessionConfig",
    "ApprovalFilter",
    "AudioFormat",
    "AudioInput",
    "AudioOutput",
    "CachedTokenDetails",
    "ContentPart",
    "CustomVoice",
    "ErrorDetail",
    "FunctionTool",
    "InputTokenDetails",
    "Item",
    "LenientInt",
    "LenientText",
    "MaxTokens",
    "McpTool",
    "Metadata",
    "Modalities",
    "NoiseReduction",
    "OutputTokenDetails",
    "Prompt",
    "Reasoning",
    "Response",
    "ResponseAudio",
    "ResponseConfig",
    "ResponseStatus",
    "RetentionRatio",
    "SemanticVad",
    "Sent",
    "ServerVad",
    "SessionAudio",
    "SessionConfig",
    "TokenLimits",
    "Tool",
    "ToolChoice",
    "ToolChoiceFunction",
    "ToolChoiceMcp",
    "ToolFilter",
    "Tracing",
    "Transcription",
    "TranscriptionSessionAudio",
    "TranscriptionSessionConfig",
    "TranscriptionTokenDetails",
    "TranscriptionUsage",
    "Truncation",
    "TurnDetection",
    "Usage",
    "Voice",
    "Wire",
]


LenientText = Annotated[str, OrEmpty(str)]
"""A text, or an empty one for what is none."""

LenientInt = Annotated[int, OrEmpty(int)]
"""A whole number, or 0 for what is none."""

_MAX_SPENT = 2**53
"""Tokens or seconds; no sum of more is exact, or finite in the end."""

_Count = Annotated[int, Field(ge=0, le=_MAX_SPENT)]

_Tokens = Annotated[_Count, OrEmpty(int)]
"""A count, or 0 for what is none: sums of them never go down."""


class Wire(BaseModel):
    """Something that travels as JSON. Only what was set is sent, since `null` and absent differ in this protocol."""

    model_config = ConfigDict(extra="ignore", validate_default=False)

    def model_post_init(self, _context: Any) -> None:
        """Mark a fixed `type` as set, so that it is sent too."""
        if "type" in self.__dict__:
            self.__pydantic_fields_set__.add("type")

    def to_json(self) -> str:
        """The JSON text that goes on the wire."""
        return self.model_dump_json(exclude_unset=True)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object, for embedding in another."""
        return self.model_dump(mode="json", exclude_unset=True)


class Sent(Wire):
    """Something that a client sends: an unknown field is an error, and so is a value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True)

    def in_full(self) -> Self:
        """The same with every field set, so that all of it is sent and nothing of an earlier setting stays."""
        return type(self).model_validate(self.model_dump())


class ServerVad(Sent):
    """A turn ends after a silence."""

    type: Literal["server_vad"] = "server_vad"
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    prefix_padding_ms: Annotated[int, Field(ge=0, le=5000)] = 300
    silence_duration_ms: Annotated[int, Field(ge=0, le=10_000)] = 500
    idle_timeout_ms: Annotated[int, Field(ge=5000, le=30_000)] | None = None
    create_response: bool = True
    interrupt_response: bool = True


class SemanticVad(Sent):
    """A turn ends when the words sound finished."""

    type: Literal["semantic_vad"] = "semantic_vad"
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection = Annotated[ServerVad | SemanticVad, Field(discriminator="type")]


class AudioFormat(Sent):
    """PCM at 24 kHz, or G.711 at 8 kHz."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] = "audio/pcm"
    rate: Literal[24000] | None = None


class NoiseReduction(Sent):
    """What the model does to the user's audio before it listens."""

    type: Literal["near_field", "far_field"]
    strength: float | None = None


class Transcription(Sent):
    """How the user's words are written down."""

    model: str | None = None
    language: str | None = None
    prompt: str | None = None
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None
    keywords: list[str] | None = None
    languages: list[str] | None = None


class AudioInput(Sent):
    """The user's audio."""

    format: AudioFormat | None = None
    noise_reduction: NoiseReduction | None = None
    transcription: Transcription | None = None
    turn_detection: TurnDetection | None = None


class CustomVoice(Sent):
    """A voice that was made for one's own account."""

    id: str


Voice = str | CustomVoice


class AudioOutput(Sent):
    """The agent's audio. The voice can't change once the model has spoken."""

    format: AudioFormat | None = None
    voice: Voice | None = None
    speed: Annotated[float, Field(ge=0.25, le=1.5)] | None = None


class SessionAudio(Sent):
    """Both directions."""

    input: AudioInput | None = None
    output: AudioOutput | None = None


class FunctionTool(Sent):
    """A function that the model may call."""

    type: Literal["function"] = "function"
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolFilter(Sent):
    """Some tools of an MCP server."""

    tool_names: list[str] | None = None
    read_only: bool | None = None


class ApprovalFilter(Sent):
    """Which tools of an MCP server want to be approved."""

    always: ToolFilter | None = None
    never: ToolFilter | None = None


class McpTool(Sent):
    """A server of tools, which the service asks and calls by itself."""

    type: Literal["mcp"] = "mcp"
    server_label: str
    server_url: str | None = None
    connector_id: str | None = None
    tunnel_id: str | None = None
    server_description: str | None = None
    authorization: str | None = None
    headers: dict[str, str] | None = None
    allowed_tools: list[str] | ToolFilter | None = None
    allowed_callers: list[Literal["direct", "programmatic"]] | None = None
    require_approval: Literal["always", "never"] | ApprovalFilter | None = None
    defer_loading: bool | None = None

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if not (self.server_url or self.connector_id or self.tunnel_id):
            raise ValueError("needs a server_url, a connector_id or a tunnel_id")
        return self


Tool = Annotated[FunctionTool | McpTool, Field(discriminator="type")]

Metadata = dict[str, str]
Modalities = list[Literal["text", "audio"]]
MaxTokens = Annotated[int, Field(ge=1, le=4096)] | Literal["inf"]


class ToolChoiceFunction(Sent):
    """The model must call this function."""

    type: Literal["function"] = "function"
    name: str


class ToolChoiceMcp(Sent):
    """The model must call a tool of this MCP server."""

    type: Literal["mcp"] = "mcp"
    server_label: str
    name: str | None = None


ToolChoice = (
    Literal["auto", "none", "required"] | Annotated[ToolChoiceFunction | ToolChoiceMcp, Field(discriminator="type")]
)


class Tracing(Sent):
    """What a session's trace is filed under."""

    workflow_name: str | None = None
    group_id: str | None = None
    metadata: dict[str, Any] | None = None


class TokenLimits(Sent):
    """Bounds of a truncation."""

    post_instructions: Annotated[int, Field(ge=0)] | None = None


class RetentionRatio(Sent):
    """When the conversation is too long for the model, this part of it is kept."""

    type: Literal["retention_ratio"] = "retention_ratio"
    retention_ratio: Annotated[float, Field(ge=0, le=1)]
    token_limits: TokenLimits | None = None


Truncation = Literal["auto", "disabled"] | RetentionRatio

Included = Literal["item.input_audio_transcription.logprobs"]


class Reasoning(Sent):
    """How much the model thinks before it speaks."""

    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class Prompt(Sent):
    """A prompt that is kept at the service."""

    id: str
    version: str | None = None
    variables: dict[str, Any] | None = None


class SessionConfig(Sent):
    """The settings of `session.update`."""

    type: Literal["realtime"] = "realtime"
    model: str | None = None
    instructions: str | None = None
    output_modalities: Modalities | None = None
    audio: SessionAudio | None = None
    max_output_tokens: MaxTokens | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    tracing: Literal["auto"] | Tracing | None = None
    truncation: Truncation | None = None
    include: list[Included] | None = None
    prompt: Prompt | None = None

    @property
    def turn_detection(self) -> TurnDetection | None:
        """What decides that the user's turn has ended; `None` where only a command does."""
        return self.audio.input.turn_detection if self.audio is not None and self.audio.input is not None else None

    @property
    def transcription(self) -> Transcription | None:
        """How what the user says is written down; `None` where it is not."""
        return self.audio.input.transcription if self.audio is not None and self.audio.input is not None else None


class TranscriptionSessionAudio(Sent):
    """The one direction of a transcription session."""

    input: AudioInput | None = None


class TranscriptionSessionConfig(Sent):
    """The settings of `session.update` in a session that only writes down what it hears."""

    type: Literal["transcription"] = "transcription"
    audio: TranscriptionSessionAudio | None = None
    include: list[Included] | None = None


def _kind_of_session(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return "TranscriptionSessionConfig" if kind == "transcription" else "SessionConfig"


AnySessionConfig = Annotated[
    Annotated[SessionConfig, Tag("SessionConfig")]
    | Annotated[TranscriptionSessionConfig, Tag("TranscriptionSessionConfig")],
    Discriminator(_kind_of_session),
]
"""Without a type it is that of a conversation."""


class ContentPart(Wire):
    """A part of a message: `input_text`, `input_audio`, `input_image`, `output_text` or `output_audio`."""

    type: str
    text: str | None = None
    audio: str | None = None
    transcript: str | None = None
    image_url: str | None = None
    detail: str | None = None


class Item(Wire):
    """One entry of the conversation: a message, a function call, a call's output, or what an MCP server did."""

    type: str
    id: str | None = None
    object: Lenient[str] = None
    status: Lenient[str] = None
    role: Literal["user", "assistant", "system"] | None = None
    content: list[ContentPart] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | None = None
    server_label: Lenient[str] = None
    approval_request_id: Lenient[str] = None
    approve: Lenient[bool] = None
    reason: Lenient[str] = None
    tools: Lenient[list[dict[str, Any]]] = None
    error: Any = None


class ResponseAudio(Sent):
    """The audio settings of one response."""

    output: AudioOutput | None = None


class ResponseConfig(Sent):
    """The settings of `response.create`, for one response only."""

    instructions: str | None = None
    output_modalities: Modalities | None = None
    audio: ResponseAudio | None = None
    conversation: Literal["auto", "none"] | None = None
    input: list[Item] | None = None
    max_output_tokens: MaxTokens | None = None
    metadata: Metadata | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    prompt: Prompt | None = None


class ErrorDetail(Wire):
    """What went wrong; `event_id` names the client's event at fault."""

    type: Annotated[str, OrEmpty(lambda: "error")] = "error"
    message: LenientText = ""
    code: Lenient[str] = None
    param: Lenient[str] = None
    event_id: Lenient[str] = None


class ResponseStatus(Wire):
    """Why a response ended as it did."""

    type: Lenient[str] = None
    reason: Lenient[str] = None
    error: Lenient[dict[str, Any]] = None


class CachedTokenDetails(Wire):
    """Cached tokens by kind."""

    text_tokens: _Tokens = 0
    audio_tokens: _Tokens = 0
    image_tokens: _Tokens = 0


class InputTokenDetails(Wire):
    """Input tokens by kind; `cached_tokens` are part of the others."""

    text_tokens: _Tokens = 0
    audio_tokens: _Tokens = 0
    image_tokens: _Tokens = 0
    cached_tokens: _Tokens = 0
    cached_tokens_details: Lenient[CachedTokenDetails] = None


class OutputTokenDetails(Wire):
    """Output tokens by kind."""

    text_tokens: _Tokens = 0
    audio_tokens: _Tokens = 0


class Usage(Wire):
    """What a response cost."""

    total_tokens: _Tokens = 0
    input_tokens: _Tokens = 0
    output_tokens: _Tokens = 0
    input_token_details: Lenient[InputTokenDetails] = None
    output_token_details: Lenient[OutputTokenDetails] = None


class TranscriptionTokenDetails(Wire):
    """Input tokens of a transcription by kind."""

    text_tokens: _Tokens = 0
    audio_tokens: _Tokens = 0


class TranscriptionUsage(Wire):
    """What a transcription cost, in tokens or in seconds."""

    type: str
    seconds: Lenient[Annotated[float, Field(ge=0, le=_MAX_SPENT)]] = None
    total_tokens: Lenient[_Count] = None
    input_tokens: Lenient[_Count] = None
    output_tokens: Lenient[_Count] = None
    input_token_details: Lenient[TranscriptionTokenDetails] = None


class Response(Wire):
    """One turn of the model."""

    id: Lenient[str] = None
    object: Lenient[str] = None
    status: Lenient[str] = None
    status_details: Lenient[ResponseStatus] = None
    output: Lenient[list[Item]] = None
    conversation_id: Lenient[str] = None
    output_modalities: Lenient[list[str]] = None
    max_output_tokens: Lenient[int | str] = None
    audio: Lenient[dict[str, Any]] = None
    metadata: Lenient[Metadata] = None
    usage: Lenient[Usage] = None
