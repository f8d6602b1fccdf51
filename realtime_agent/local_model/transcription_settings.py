"""The settings of a session that only writes down what it hears. No I/O."""

from __future__ import annotations

from typing import Any

from realtime_agent.local_model.items import new_id
from realtime_agent.local_model.session import check_format, merge, wrong_kind
from realtime_agent.realtime.types import (
    AnySessionConfig,
    AudioFormat,
    AudioInput,
    ServerVad,
    Transcription,
    TranscriptionSessionAudio,
    TranscriptionSessionConfig,
)

__all__ = ["TranscriptionSettings"]

_OF_RESPONSES = {"create_response", "interrupt_response", "idle_timeout_ms"}
"""Of turn detection: they may be set, as in any session, and mean nothing where there are no responses."""


class TranscriptionSettings:
    """One transcription session's settings, always whole. Words are written down from the beginning."""

    def __init__(self, expires_at: int) -> None:
        self._identity = {"id": new_id("sess"), "object": "realtime.transcription_session", "expires_at": expires_at}
        self._config = TranscriptionSessionConfig(
            audio=TranscriptionSessionAudio(
                input=AudioInput(
                    format=AudioFormat(rate=24000),
                    noise_reduction=None,
                    transcription=Transcription(),
                    turn_detection=ServerVad(),
                )
            ),
            include=None,
        )

    @property
    def input(self) -> AudioInput:
        """The settings of the user's audio."""
        return (self._config.audio or TranscriptionSessionAudio()).input or AudioInput()

    def to_dict(self) -> dict[str, Any]:
        """The session object of `session.created` and `session.updated`."""
        session = self._config.to_dict()
        detection = self.input.turn_detection
        shown = detection.model_dump(exclude=_OF_RESPONSES) if detection else None
        session["audio"]["input"]["turn_detection"] = shown
        return session | self._identity

    def update(self, change: AnySessionConfig) -> None:
        """Apply what is set in a change, all or nothing.

        Raises:
            InvalidEvent: it is for another kind of session, or for a format that this model does not know.
        """
        if not isinstance(change, TranscriptionSessionConfig):
            raise wrong_kind(change.type, "transcription")
        audio = change.audio or TranscriptionSessionAudio()
        check_format(audio.input.format if audio.input else None, "session.audio.input.format.type")
        self._config = TranscriptionSessionConfig.model_validate(merge(self._config.to_dict(), change.to_dict()))
