"""The settings that the model has agreed to, and the changes that it was not asked for yet or has not answered.

While the agent is paused, the model hears and must not answer. That is no change of what was agreed, so that all of it
is in force again afterwards: it only changes what the model is told.
"""

from __future__ import annotations

from dataclasses import dataclass

from realtime_agent.realtime.conversation.settings import merge_settings
from realtime_agent.realtime.types import AudioInput, ServerVad, SessionAudio, SessionConfig

__all__ = ["Agreed", "Change"]


_MAX_UNANSWERED = 2
"""Changes of ours that the model may not have answered; a further one waits."""

_MAX_REFUSALS = 3
"""After so many in a row, it is asked no more whether it answers by itself or not."""


@dataclass(slots=True, eq=False)
class Change:
    """A change of settings, and the command that asked for it.

    Attributes:
        command: `None` where nothing is to be agreed to: the agent pauses or resumes.
        is_sent: Whether the model was told on the present connection.
        is_withdrawn: Whether nobody waits for it any more, so that another connection is not told.
        changes_silence: Whether by it the model answers by itself and had not, or no more.
    """

    config: SessionConfig
    command: int | None
    is_sent: bool = False
    is_withdrawn: bool = False
    changes_silence: bool = False


class Agreed:
    """What a new connection begins with, and what is to be changed then.

    Attributes:
        config: What was agreed.
        is_paused: Whether the model must answer nothing by itself for the time being.
    """

    def __init__(self, config: SessionConfig) -> None:
        self.config = config
        self.is_paused = False
        self._muted = config, _muted(config)
        self._changes: list[Change] = []
        # Whether the model was told last to answer nothing by itself; `None` where it has refused that.
        self._is_silent: bool | None = False
        self._refusals = 0

    def __len__(self) -> int:
        """How many changes that somebody asked for wait for their answer."""
        return sum(change.command is not None for change in self._changes)

    @property
    def opening(self) -> SessionConfig:
        """What a connection begins with now; the same object as long as it is the same."""
        if self._muted[0] is not self.config:
            self._muted = self.config, _muted(self.config)
        return self._muted[1] if self.is_paused else self.config

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the answer to a change."""
        return any(change.command is not None and not change.is_withdrawn for change in self._changes)

    @property
    def is_silent(self) -> bool:
        """Whether the model is known to answer nothing by itself."""
        return self.is_paused and self._is_silent is True and not any(each.changes_silence for each in self._changes)

    @property
    def is_resuming(self) -> bool:
        """Whether the agent converses and the model does not know yet that it may answer by itself."""
        if self.is_paused or self.config.turn_detection is None:
            return False
        return self._is_silent is not False or any(each.changes_silence for each in self._changes)

    def in_full(self, change: SessionConfig) -> SessionConfig | None:
        """A change of the language alone, as one of the transcription that there is; `None` where there is none."""
        given = change.transcription
        if given is None or given.model is not None:
            return change
        present = self._expected().transcription
        if present is None:
            return None
        listening = AudioInput(transcription=present.model_copy(update=given.to_dict()))
        merged = merge_settings(change.to_dict(), SessionConfig(audio=SessionAudio(input=listening)).to_dict())
        return SessionConfig.model_validate(merged)

    def propose(self, config: SessionConfig, command: int) -> None:
        """A command asks for a change."""
        self._changes.append(Change(config, command))

    def pause(self, is_paused: bool) -> None:
        """Let the model answer nothing by itself from now on, or all that it is to answer as agreed."""
        self.is_paused = is_paused
        self._refusals = 0

    def to_send(self) -> list[Change]:
        """The changes that the model is to be told now, in order."""
        changes = [change for change in self._changes if not change.is_sent]
        for change in changes:
            self._send(change)
        if (listening := self._listening()) is not None:
            self._changes.append(listening)
            self._send(listening)
            changes.append(listening)
        return changes

    def as_told(self, change: Change) -> SessionConfig:
        """What the model is told of a change."""
        return _muted(change.config) if self.is_paused else change.config

    def accepted(self) -> Change | None:
        """The model has taken the change that it was told first, of those that somebody waits for if there are any."""
        sent = [change for change in self._changes if change.is_sent]
        change = next((change for change in sent if not change.is_withdrawn), next(iter(sent), None))
        if change is not None:
            # A guess: what it did not answer in time it has not taken. If it has, the next connection does not know.
            del self._changes[: self._changes.index(change) + 1]
            if change.command is not None:
                merged = merge_settings(self.config.to_dict(), change.config.to_dict())
                self.config = SessionConfig.model_validate(merged)
            else:
                self._refusals = 0
        return change

    def refused(self, change: Change | None = None) -> Change | None:
        """The model has refused this change, or else the one that it was told first."""
        change = change or self._first_sent()
        if change is None or change not in self._changes:
            return None
        self._changes.remove(change)
        if change.changes_silence:
            self._is_silent = None
        if change.command is None:
            self._refusals += 1
        return change

    def withdraw(self, command: int) -> bool:
        """Nobody waits for this command any more. Returns whether it was a change that the model was not told."""
        change = next((change for change in self._changes if change.command == command), None)
        if change is None:
            return False
        change.is_withdrawn = True
        if not change.is_sent:
            self._changes.remove(change)
        return not change.is_sent

    def connected(self, opening: SessionConfig) -> None:
        """A connection has begun with these settings."""
        self._is_silent = opening != self.config and opening == _muted(self.config)
        self._refusals = 0

    def disconnected(self) -> None:
        """What was not answered is to be told again on the next connection, where somebody waits for it."""
        self._changes = [change for change in self._changes if change.command is not None and not change.is_withdrawn]
        for change in self._changes:
            change.is_sent = change.changes_silence = False

    def _send(self, change: Change) -> None:
        change.is_sent = True
        if _detects(change.config):
            change.changes_silence = self._is_silent is not self.is_paused
            self._is_silent = self.is_paused

    def _listening(self) -> Change | None:
        """What lets the model answer by itself, or not, if it does not do as it should."""
        unanswered = sum(change.command is None for change in self._changes)
        if self._is_silent is self.is_paused or unanswered >= _MAX_UNANSWERED or self._refusals >= _MAX_REFUSALS:
            return None
        if not self.is_paused and any(
            change.command is not None and _detects(change.config) for change in self._changes
        ):
            # Only what the model has agreed to is certain to be taken again.
            return None
        detection = self._expected().turn_detection
        if detection is None:
            return None
        listening = AudioInput(turn_detection=detection.in_full())
        return Change(SessionConfig(audio=SessionAudio(input=listening)), None)

    def _expected(self) -> SessionConfig:
        """What is agreed once the model has taken all that it was asked for."""
        expected = self.config.to_dict()
        for change in self._changes:
            expected = merge_settings(expected, change.config.to_dict())
        return SessionConfig.model_validate(expected)

    def _first_sent(self) -> Change | None:
        return next((change for change in self._changes if change.is_sent), None)


def _detects(config: SessionConfig) -> bool:
    """Whether a change is one of turn detection."""
    listening = config.audio.input if config.audio is not None else None
    return listening is not None and "turn_detection" in listening.model_fields_set


def _muted(config: SessionConfig) -> SessionConfig:
    """The same settings, by which the model finds turns and writes them down, but does nothing about them."""
    detection = config.turn_detection
    if detection is None or config.audio is None or config.audio.input is None:
        return config
    silent: dict[str, object] = {"create_response": False, "interrupt_response": False}
    if isinstance(detection, ServerVad):
        silent["idle_timeout_ms"] = None
    muted = detection.model_copy(update=silent)
    listening = config.audio.input.model_copy(update={"turn_detection": muted})
    return config.model_copy(update={"audio": config.audio.model_copy(update={"input": listening})})
