"""The turns of the user, sans-I/O: when they speak, what they said, and when that becomes a message."""

from __future__ import annotations

from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation.actions import Action, Answer, SendAudio
from realtime_agent.realtime.conversation.agreed import Agreed
from realtime_agent.realtime.conversation.history import History
from realtime_agent.realtime.conversation.outgoing import Outgoing
from realtime_agent.realtime.conversation.responses import Responses
from realtime_agent.realtime.conversation.uplink import Uplink
from realtime_agent.realtime.session import Interrupt, Report, Transcribed, Transcript, UserSpeech
from realtime_agent.realtime.types import ErrorDetail

__all__ = ["Turns"]


class Turns:
    """Follows what turn detection tells, and commits by command."""

    def __init__(
        self, agreed: Agreed, history: History, responses: Responses, outgoing: Outgoing, uplink: Uplink
    ) -> None:
        self._agreed = agreed
        self._history = history
        self._responses = responses
        self._outgoing = outgoing
        self._uplink = uplink
        # The commands whose commit the model has not answered, in order, and whether anybody still waits for each.
        self._committing: dict[int, bool] = {}
        # The turn that turn detection has ended, and is about to commit.
        self._ended = ""
        self.detect_anew()

    @property
    def committing(self) -> int:
        """How many commits the model has not answered."""
        return len(self._committing)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the answer to a commit."""
        return any(self._committing.values())

    @property
    def words_are_known(self) -> bool:
        """Whether the words of the user's last turn are known, or will never be."""
        last = next((entry for entry in reversed(list(self._history)) if entry.kind == "user"), None)
        return last is None or last.is_whole

    def connected(self) -> list[Action]:
        """Let the model hear on another connection what it has not made a message of."""
        commits = [action for command in self._committing for action in self._send_commit(command)]
        return [*commits, SendAudio()]

    def disconnected(self) -> list[Action]:
        """The connection is gone: nobody tells when the user stops."""
        for command in [command for command, is_awaited in self._committing.items() if not is_awaited]:
            self._forget(command)
        return [UserSpeech(False)] if self._responses.user_speaking else []

    def detect_anew(self) -> list[Action]:
        """What decides that a turn has ended is another thing from now on."""
        is_detected = self._agreed.config.turn_detection is not None
        self._uplink.keep_all(not is_detected)
        return [] if is_detected else self.silence()

    def commit(self, command: int) -> list[Action]:
        """Make what the user said so far a message."""
        self._committing[command] = True
        self._uplink.commit(command)
        return self._send_commit(command) if self._outgoing.is_connected else []

    def commit_empty(self, error: ErrorDetail) -> list[Action]:
        """There was nothing to commit; by which command, the error does not say."""
        command = self._next_commit()
        return [Report(error)] if command is None else self._answer(command, error)

    def withdraw(self, command: int) -> bool:
        """Nobody waits for this command any more. Returns whether it was a commit that the model was not told."""
        if command not in self._committing:
            return False
        if self._outgoing.is_connected:
            self._committing[command] = False
            return False
        self._forget(command)
        return True

    def clear(self) -> list[Action]:
        """Forget what the user said since their last turn ended."""
        self._uplink.clear()
        return [self._outgoing.send(ev.InputAudioBufferClear())] if self._outgoing.is_connected else []

    def silence(self) -> list[Action]:
        """The user's speech was taken back, or nobody listens for its end."""
        self._responses.user_speaks(False)
        return [UserSpeech(False)]

    def started(self, event: ev.SpeechStarted) -> list[Action]:
        """The user began to speak."""
        # Without turn detection nobody would tell its end: it was on the wire when that was turned off.
        speaking = self._agreed.config.turn_detection is not None
        self._responses.user_speaks(speaking)
        actions: list[Action] = [UserSpeech(speaking)]
        self._responses.owe_nothing()
        if speaking:
            self._uplink.speech_started(event.audio_start_ms)
        if self._responses.is_interruptible:
            # The server cancels the response by itself; what it sent before it knew must not be heard.
            active = self._responses.active
            self._responses.interrupted(is_begun=active is not None and self._history.is_begun(active.items))
            actions.append(Interrupt())
        return actions

    def stopped(self, event: ev.SpeechStopped) -> list[Action]:
        """The user stopped speaking."""
        self._uplink.speech_stopped(event.audio_end_ms)
        # A commit by command ends a turn too, and no answer comes by itself then.
        if not self.is_awaited:
            self._end(event.item_id)
        return self.silence()

    def timed_out(self, event: ev.InputAudioBufferTimeoutTriggered) -> list[Action]:
        """The user has said nothing for so long that the model takes the silence for a turn."""
        self._uplink.speech_stopped(event.audio_end_ms)
        self._end(event.item_id)
        return []

    def committed(self, event: ev.InputAudioBufferCommitted) -> list[Action]:
        """The user's turn is a message."""
        # Turn detection commits the turn whose end it has told; anything else was committed by command.
        by_command = event.item_id != self._ended
        entry = self._history.put(event.item_id, "user", event.previous_item_id)
        entry.known = "audio"
        command = self._next_commit() if by_command else None
        audio = self._uplink.committed(command)
        if not entry.text:
            entry.audio = audio
        # Its words may come after the reply to them began; its place is here.
        actions: list[Action] = [Transcript("user", event.item_id, "")]
        if by_command:
            # It ends a turn that was being spoken, and the server does not answer it by itself.
            actions += self.silence() if self._responses.user_speaking else []
            actions += self._answer(command) if command is not None else []
        return actions

    def cleared(self, _event: ev.InputAudioBufferCleared) -> list[Action]:
        """The server has forgotten what it heard."""
        return self.silence()

    def words(self, event: ev.TranscriptionDelta) -> list[Action]:
        """More of what the user said."""
        return [Transcript("user", event.item_id, event.delta)] if event.delta else []

    def all_words(self, event: ev.TranscriptionCompleted) -> list[Action]:
        """All that the user said."""
        entry = self._history.put(event.item_id, "user")
        entry.text, entry.audio, entry.is_whole = event.transcript.strip(), b"", True
        # Models begin to answer before they have written down what they heard: this one does not answer by itself.
        self._responses.await_no_longer()
        actions: list[Action] = [Transcript("user", event.item_id, entry.text, final=True)]
        return [*actions, Transcribed(event.usage)] if event.usage is not None else actions

    def no_words(self, event: ev.TranscriptionFailed) -> list[Action]:
        """What the user said could not be written down; on another connection it is told as they spoke it."""
        self._history.put(event.item_id, "user").is_whole = True
        self._responses.await_no_longer()
        return [Transcript("user", event.item_id, "", final=True)]

    def _end(self, item_id: str) -> None:
        """Turn detection has ended a turn, which it is about to commit."""
        self._ended = item_id
        if self._responses.answers_turns:
            self._responses.owe()

    def _next_commit(self) -> int | None:
        """The commit that the model answers next: the first that somebody waits for, or else the first."""
        awaited = (command for command, is_awaited in self._committing.items() if is_awaited)
        return next(awaited, next(iter(self._committing), None))

    def _answer(self, command: int, error: ErrorDetail | None = None) -> list[Action]:
        """The model has committed what this command is about, or has refused to."""
        if command not in self._committing:
            return [Report(error)] if error is not None else []
        self._forget(command)
        return [Answer(command, error)]

    def _forget(self, command: int) -> None:
        del self._committing[command]
        self._uplink.withdraw(command)

    def _send_commit(self, command: int) -> list[Action]:
        commit = self._outgoing.send(ev.InputAudioBufferCommit(), lambda error: self._answer(command, error))
        return [SendAudio(command), commit]
