"""What can be asked of a running agent, as it comes over HTTP and goes over the agent's command queue."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StrictBool, Tag, TypeAdapter, model_validator

from realtime_agent.control.life import State
from realtime_agent.control.session_fields import SessionFields
from realtime_agent.control.spec import NOT_BLANK, ChannelName, Instruction
from realtime_agent.realtime.types import (
    AudioInput,
    SemanticVad,
    ServerVad,
    SessionAudio,
    SessionConfig,
    TurnDetection,
)

__all__ = [
    "DEFAULT_TURN_DETECTION",
    "MAX_COMMANDS",
    "ClearAudioBuffer",
    "Command",
    "CommandResult",
    "CommitAudioBuffer",
    "CreateResponse",
    "Interrupt",
    "Pause",
    "Resume",
    "Say",
    "SendSystemText",
    "SendUserText",
    "UpdateInstruction",
    "UpdateSession",
    "UpdateTurnDetection",
    "command_adapter",
]

DEFAULT_TURN_DETECTION = ServerVad(
    threshold=0.5, prefix_padding_ms=300, silence_duration_ms=500, create_response=True, interrupt_response=True
)
"""A turn ends after half a second of silence; the user may speak over the agent."""

MAX_COMMANDS = 64
"""Commands that an agent may be busy with."""

InputText = Annotated[str, Field(min_length=1, max_length=32_000, pattern=NOT_BLANK)]


def _kind_of_turn_detection(value: object) -> str | None:
    # Told apart first, so that whoever sends a wrong object does not hear that it is no boolean.
    if isinstance(value, bool):
        return "switch"
    return "object" if isinstance(value, dict | ServerVad | SemanticVad) else None


SwitchOrTurnDetection = Annotated[
    Annotated[StrictBool, Tag("switch")] | Annotated[TurnDetection, Tag("object")],
    Discriminator(
        _kind_of_turn_detection,
        custom_error_type="turn_detection",
        custom_error_message="Input should be true, false or an object",
    ),
]


class _Command(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    channel_name: ChannelName


class UpdateInstruction(_Command):
    """Give the agent a new system instruction."""

    command: Literal["update_instruction"]
    new_instruction: Instruction


class UpdateTurnDetection(_Command):
    """Turn detection: `true` is the default kind, `false` none (push-to-talk), an object sets it in full."""

    command: Literal["update_turn_detection"]
    new_turn_detection: SwitchOrTurnDetection

    def change(self) -> SessionConfig:
        """The settings that it asks for; in full, so that nothing of an earlier one stays in force."""
        wanted = self.new_turn_detection
        chosen = (DEFAULT_TURN_DETECTION if wanted else None) if isinstance(wanted, bool) else wanted
        turn_detection = None if chosen is None else chosen.in_full()
        return SessionConfig(audio=SessionAudio(input=AudioInput(turn_detection=turn_detection)))


class UpdateSession(SessionFields, _Command):
    """Change other settings of the session: those that are given. What may change is up to the model."""

    command: Literal["update_session"]

    @model_validator(mode="after")
    def _changes_something(self) -> UpdateSession:
        says_something = (
            self.functions is not None or self.language is not None or self.session().model_fields_set - {"type"}
        )
        if not says_something:
            raise ValueError("give at least one setting, such as voice, speed or tools; a null is as if left out")
        return self


class SendSystemText(_Command):
    """Tell the agent something, without an answer: it knows it from the next response on."""

    command: Literal["send_system_text"]
    input_text: InputText


class SendUserText(_Command):
    """Say something to the agent in the user's name; it answers."""

    command: Literal["send_user_text"]
    input_text: InputText


class CreateResponse(_Command):
    """Let the agent speak now, by this instruction or as it sees fit; it waits its turn if it is speaking."""

    command: Literal["create_response"]
    new_instruction: Instruction | None = None


class Say(_Command):
    """Let the agent speak this text, word for word; it waits its turn as with `create_response`."""

    command: Literal["say"]
    input_text: InputText


class Interrupt(_Command):
    """Cut what the agent is saying."""

    command: Literal["interrupt"]


class CommitAudioBuffer(_Command):
    """Make what the user said so far a message; for push-to-talk."""

    command: Literal["commit_audio_buffer"]


class ClearAudioBuffer(_Command):
    """Forget what the user said since their last message; for push-to-talk, where they begin to talk."""

    command: Literal["clear_audio_buffer"]


class Pause(_Command):
    """Let the agent be silent and take no part, as "Hey … Stop" does."""

    command: Literal["pause"]


class Resume(_Command):
    """Let the agent converse again, as "Hey … Start" does."""

    command: Literal["resume"]


Command = (
    UpdateInstruction
    | UpdateTurnDetection
    | UpdateSession
    | SendSystemText
    | SendUserText
    | CreateResponse
    | Say
    | Interrupt
    | CommitAudioBuffer
    | ClearAudioBuffer
    | Pause
    | Resume
)

command_adapter: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="command")])
"""Reads a command; raises pydantic's ValidationError."""


class CommandResult(BaseModel):
    """What came of a command; what it does not concern is left out."""

    model_config = ConfigDict(frozen=True)

    session: dict[str, Any] | None = Field(None, description="The settings that the model has taken.")
    item_id: str | None = Field(None, description="The message that was made.")
    response: Literal["begun", "waiting"] | None = Field(
        None, description="Whether the agent's model has begun to answer, or will when it is the answer's turn."
    )
    interrupted: bool | None = Field(None, description="Whether there was anything to cut.")
    state: State | None = Field(None, description="The agent's state now.")
