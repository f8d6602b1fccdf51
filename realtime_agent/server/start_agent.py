"""What can be asked of a new agent: its model's settings under the names and in the shapes of the Realtime API."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool

from realtime_agent.config import Settings
from realtime_agent.control.commands import DEFAULT_TURN_DETECTION
from realtime_agent.control.session_fields import SessionFields
from realtime_agent.control.spec import AgentSpec, ChannelName, Instruction, Limits, Seconds, Uid
from realtime_agent.errors import FieldError, InvalidRequest
from realtime_agent.realtime.conversation.settings import merge_settings
from realtime_agent.realtime.types import (
    AudioFormat,
    AudioInput,
    AudioOutput,
    SessionAudio,
    SessionConfig,
    Transcription,
    TurnDetection,
)
from realtime_agent.server.schemas import Request, random_uid

__all__ = ["StartAgent"]

ModelName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\w.:/@-]+$")]

Remark = Annotated[str, Field(max_length=1000)]
"""Said word for word; empty is nothing, where the server has a default too."""

_REMARKS = ("greeting", "idle_prompt", "goodbye")

_PCM = AudioFormat(type="audio/pcm", rate=24000)


class _Agent(Request):
    """Which agent it is to be."""

    channel_name: ChannelName = Field(description="The channel that the agent joins.")
    uid: Uid = Field(description="The number that the agent joins with; 0 lets the server choose.")
    system_instruction: Instruction | None = Field(
        None, description="How the agent should behave. The server's default, unless there is a prompt."
    )
    model: ModelName | None = Field(None, description="The model's name, or an Azure deployment.")
    user_uid: Uid | None = Field(None, description="The participant that the agent hears; the first who comes.")


class StartAgent(SessionFields, _Agent):
    """Start an agent. What is left out is the server's default or the model's; so is a null, but where it says more."""

    greeting: Remark | None = Field(None, description="What the agent says first, once its user is there.")
    idle_prompt: Remark | None = Field(None, description="What it says when nobody has spoken for idle_prompt_s.")
    goodbye: Remark | None = Field(None, description="What it says before it leaves after idle_timeout_s.")
    turn_detection: TurnDetection | None = Field(
        DEFAULT_TURN_DETECTION, description="When the user's turn ends; null is push-to-talk."
    )
    record: StrictBool | None = Field(
        None, description="Whether the conversation is recorded; where RECORD_DIR is set, it is."
    )
    user_wait_timeout_s: Seconds | None = Field(None, description="How long to wait for the user; 0 is for ever.")
    user_left_grace_s: Seconds | None = Field(None, description="How long to wait for a user who left.")
    idle_prompt_s: Seconds | None = Field(None, description="After what silence it says its idle_prompt; 0 is never.")
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
            **{name: getattr(settings, name) if (said := getattr(self, name)) is None else said for name in _REMARKS},
            record=self.record,
            session=self._session_of_agent(settings),
            tools=self.functions,
            limits=Limits(**limits | self._given(*limits)),
        )

    def _session_of_agent(self, settings: Settings) -> SessionConfig:
        detection = self.turn_detection and self.turn_detection.in_full()
        transcription = Transcription(model=settings.transcription_model)
        defaults = SessionConfig(
            model=self.model or settings.openai_model,
            output_modalities=["audio"],
            audio=SessionAudio(
                input=AudioInput(format=_PCM, transcription=transcription, turn_detection=detection),
                output=AudioOutput(format=_PCM, voice=settings.default_voice),
            ),
        )
        if self.system_instruction is not None or self.prompt is None:
            # The server's default would take the place of what the prompt says.
            defaults.instructions = self.system_instruction or settings.system_instruction
        given = self.completed(settings).session()
        merged = merge_settings(defaults.to_dict(), given.to_dict())
        if given.transcription is not None:
            merged["audio"]["input"]["transcription"] = transcription.to_dict() | given.transcription.to_dict()
        return SessionConfig.model_validate(merged)
