"""The settings of a session that is a conversation: defaults, changes, and what this model refuses. No I/O."""

from __future__ import annotations

from typing import Any, Protocol

from realtime_agent.errors import InvalidEvent
from realtime_agent.local_model.items import new_id
from realtime_agent.realtime.types import (
    AnySessionConfig,
    AudioFormat,
    AudioInput,
    AudioOutput,
    ResponseConfig,
    ServerVad,
    SessionAudio,
    SessionConfig,
)

__all__ = ["AnySettings", "SessionSettings", "check_format", "merge", "wrong_kind"]

_NULLABLE = {
    "noise_reduction", "transcription", "turn_detection", "idle_timeout_ms",
    "tracing", "prompt", "include", "reasoning",
}  # fmt: skip
"""Settings that `null` turns off; for any other it changes nothing."""


class AnySettings(Protocol):
    """What the settings of every kind of session have."""

    @property
    def input(self) -> AudioInput:
        """The settings of the user's audio."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """The session object of `session.created` and `session.updated`."""
        ...

    def update(self, change: AnySessionConfig) -> None:
        """Apply what is set in a change, all or nothing.

        Raises:
            InvalidEvent: this session can't do that.
        """
        ...


class SessionSettings:
    """One session's settings, always whole."""

    def __init__(self, model: str, voice: str, expires_at: int) -> None:
        self._identity = {"id": new_id("sess"), "object": "realtime.session", "model": model, "expires_at": expires_at}
        self._voice_locked = False
        self._config = SessionConfig(
            instructions="",
            output_modalities=["audio"],
            max_output_tokens="inf",
            tools=[],
            tool_choice="auto",
            tracing=None,
            truncation="auto",
            audio=SessionAudio(
                input=AudioInput(
                    format=AudioFormat(rate=24000),
                    noise_reduction=None,
                    transcription=None,
                    turn_detection=ServerVad(),
                ),
                output=AudioOutput(format=AudioFormat(rate=24000), voice=voice, speed=1.0),
            ),
        )

    @property
    def config(self) -> SessionConfig:
        """The settings in force."""
        return self._config

    @property
    def input(self) -> AudioInput:
        """The settings of the user's audio."""
        return (self._config.audio or SessionAudio()).input or AudioInput()

    @property
    def output(self) -> AudioOutput:
        """The settings of the model's audio."""
        return (self._config.audio or SessionAudio()).output or AudioOutput()

    def to_dict(self) -> dict[str, Any]:
        """The session object of `session.created` and `session.updated`."""
        session = self._config.to_dict()
        detection = self.input.turn_detection
        session["audio"]["input"]["turn_detection"] = detection.model_dump() if detection else None
        return session | self._identity

    def lock_voice(self) -> None:
        """From the first audio on, the voice can't change."""
        self._voice_locked = True

    def update(self, change: AnySessionConfig) -> None:
        """Apply what is set in a change, all or nothing.

        Raises:
            InvalidEvent: this model can't do that, or not any more.
        """
        if not isinstance(change, SessionConfig):
            raise wrong_kind(change.type, "realtime")
        _check_modalities(change.output_modalities, "session.output_modalities")
        audio = change.audio or SessionAudio()
        check_format(audio.input.format if audio.input else None, "session.audio.input.format.type")
        self._check_output(audio.output, "session.audio.output")
        merged = merge(self._config.to_dict(), change.to_dict())
        self._identity["model"] = merged.pop("model", self._identity["model"])
        self._config = SessionConfig.model_validate(merged)

    def check_response(self, config: ResponseConfig) -> None:
        """Refuse a response that this model can't give.

        Raises:
            InvalidEvent: it asks for another format, another voice, or for both modalities.
        """
        _check_modalities(config.output_modalities, "response.output_modalities")
        self._check_output(config.audio.output if config.audio else None, "response.audio.output")

    def _check_output(self, output: AudioOutput | None, param: str) -> None:
        if output is None:
            return
        check_format(output.format, f"{param}.format.type")
        if self._voice_locked and output.voice not in (None, self.output.voice):
            message = "Cannot update a conversation's voice if assistant audio is present."
            raise InvalidEvent(message, "cannot_update_voice", f"{param}.voice")


def _check_modalities(modalities: list[Any] | None, param: str) -> None:
    if modalities is not None and modalities not in (["audio"], ["text"]):
        raise InvalidEvent("The output modalities are ['audio'] or ['text'].", "invalid_value", param)


def wrong_kind(given: str, kind: str) -> InvalidEvent:
    """The settings of one kind of session were sent to one of another kind."""
    message = f"Passing a {given} session update event to a {kind} session is not allowed."
    return InvalidEvent(message, "invalid_value", "session.type")


def check_format(audio_format: AudioFormat | None, param: str) -> None:
    """Refuse a format that this model does not know.

    Raises:
        InvalidEvent: it is not PCM.
    """
    if audio_format and audio_format.type != "audio/pcm":
        message = f"This model speaks audio/pcm at 24 kHz only, not {audio_format.type}."
        raise InvalidEvent(message, "invalid_value", param)


def merge(settings: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """The settings with what is set in a change; what has another `type` replaces the first."""
    merged = dict(settings)
    for name, value in change.items():
        old = settings.get(name)
        if isinstance(value, dict) and isinstance(old, dict) and value.get("type") == old.get("type"):
            merged[name] = merge(old, value)
        elif value is not None or name in _NULLABLE:
            merged[name] = value
    return merged
