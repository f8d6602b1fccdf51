"""The turns of the user, sans-I/O: when they speak, what they said, and when that becomes a message."""

from __future__ import annotations

from collections.abc import Iterable

from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation.actions import Action, Answer, SendAudio
from realtime_agent.realtime.conversation.agreed import Agreed
from realtime_agent.realtime.conversation.history import Entry
from realtime_agent.realtime.conversation.items import Items
from realtime_agent.realtime.conversation.outgoing import Outgoing
from realtime_agent.realtime.conversation.request import Request
from realtime_agent.realtime.conversation.responses import Responses
from realtime_agent.realtime.conversation.uplink import Uplink
from realtime_agent.realtime.session import Interrupt, Overheard, Report, Transcribed, Transcript, UserSpeech
from realtime_agent.realtime.types import ErrorDetail, ServerVad
from realtime_agent.recent import Recent

__all__ = ["Turns"]

_MAX_BEHIND_MS = 10_000
"""No model is so far behind what it was sent and still of use."""

_MAX_OVERHEARD = 64
"""Items that were said while the agent was paused, and whose words may still come."""


class Turns:
    """Follows what turn detection tells, and commits by command."""

    def __init__(self, agreed: Agreed, items: Items, responses: Responses, outgoing: Outgoing, uplink: Uplink) -> None:
        self._agreed = agreed
        self._items = items
        self._history = items.history
        self._responses = responses
        self._outgoing = outgoing
        self._uplink = uplink
        # The commands whose commit the model has not answered, in order, and whether anybody still waits for each.
        self._committing: dict[int, bool] = {}
        # The turn that turn detection has ended, and is about to commit; and whether the model will not answer it.
        self._ended, self._is_left_to_us = "", False
        # What was said in a pause, and whether that is not over.
        self._overheard: Recent[str, bool] = Recent(_MAX_OVERHEARD)
        # Whether what the model tells of may still have been said before the agent resumed.
        self._is_behind = False
        # How many clears the model has not answered.
        self._clearing = 0
        # The commits that were asked for before it resumed.
        self._asked_before: frozenset[int] = frozenset()
        self.detect_anew()

    @property
    def is_overhearing(self) -> bool:
        """Whether a turn that the model tells of now was said while the agent was paused."""
        return self._responses.is_paused or self._is_behind

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
            self._withdraw(command)
        for entry in self._history:
            # Nobody tells its words any more, nor was it to be told.
            entry.is_gone = entry.is_gone or entry.is_overheard
        self._overheard.clear()
        self._is_behind = False
        self._clearing = 0
        return [UserSpeech(False, is_forgotten=True)] if self._responses.user_speaking else []

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
        self._withdraw(command)
        return True

    def clear(self) -> list[Action]:
        """Forget what the user said since their last turn ended."""
        self._uplink.clear()
        if not self._outgoing.is_connected:
            return []
        self._clearing += 1
        return [self._outgoing.send(ev.InputAudioBufferClear(), self._not_cleared)]

    def silence(self) -> list[Action]:
        """The user's speech was taken back, or nobody listens for its end."""
        self._responses.user_speaks(False)
        return [UserSpeech(False, is_forgotten=True)]

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
            # First of all: what else is to be told can wait until the agent is silent.
            actions.insert(0, Interrupt(since_ms=self._since(event.audio_start_ms)))
        return actions

    def stopped(self, event: ev.SpeechStopped) -> list[Action]:
        """The user stopped speaking."""
        self._uplink.speech_stopped(event.audio_end_ms)
        # A commit by command ends a turn too, and no answer comes by itself then.
        if not self.is_awaited:
            self._end(event.item_id)
        detection = self._agreed.config.turn_detection
        silence_ms = detection.silence_duration_ms if isinstance(detection, ServerVad) else 0
        self._responses.user_speaks(False)
        return [UserSpeech(False, silence_ms, self._ms_behind(event.audio_end_ms))]

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
        if command is not None and command not in self._asked_before:
            self.caught_up()
        audio = self._uplink.committed(command)
        if not entry.text:
            entry.audio = audio
        actions: list[Action] = []
        if self.is_overhearing:
            actions += self._overhear(entry, self._responses.is_paused)
        else:
            # Its words may come after the reply to them began; its place is here.
            actions.append(Transcript("user", event.item_id, ""))
        if by_command:
            # It ends a turn that was being spoken, and the server does not answer it by itself.
            actions += self.silence() if self._responses.user_speaking else []
            actions += self._answer(command, item_id=event.item_id) if command is not None else []
        elif self._is_left_to_us and self._responses.is_attended:
            self._responses.add(Request(self._outgoing.new_id("request"), answers=set()))
        return actions

    def cleared(self, _event: ev.InputAudioBufferCleared) -> list[Action]:
        """The server has forgotten what it heard."""
        self._clear_answered()
        return self.silence()

    def caught_up(self) -> None:
        """The model knows that the agent has resumed: what it tells of from here on was said since."""
        self._is_behind = False
        self._responses.let_go()

    def words(self, event: ev.TranscriptionDelta) -> list[Action]:
        """More of what the user said."""
        if self._is_overheard(event.item_id):
            return []
        return [Transcript("user", event.item_id, event.delta)] if event.delta else []

    def all_words(self, event: ev.TranscriptionCompleted) -> list[Action]:
        """All that the user said."""
        words = event.transcript.strip()
        actions: list[Action]
        if self._is_overheard(event.item_id):
            actions = self._forget_overheard(event.item_id)
            if self._overheard.get(event.item_id):
                actions.append(Overheard(words))
        else:
            entry = self._history.put(event.item_id, "user")
            entry.text, entry.audio, entry.is_whole = words, b"", True
            # Models begin to answer before they have written down what they heard: this one does not by itself.
            self._responses.await_no_longer()
            actions = [Transcript("user", event.item_id, words, final=True)]
        return [*actions, Transcribed(event.usage)] if event.usage is not None else actions

    def no_words(self, event: ev.TranscriptionFailed) -> list[Action]:
        """What the user said could not be written down; on another connection it is told as they spoke it."""
        if self._is_overheard(event.item_id):
            return self._forget_overheard(event.item_id)
        self._history.put(event.item_id, "user").is_whole = True
        self._responses.await_no_longer()
        return [Transcript("user", event.item_id, "", final=True)]

    def resume(self, *, anew: bool) -> list[Action]:
        """What was said while the agent was paused is forgotten now, though its words may not be known.

        With `anew`, so is what the model has not made a message of, and what it tells of before it knows that.
        """
        for item_id in tuple(self._overheard):
            self._overheard[item_id] = False
        said = [entry.id for entry in self._history if entry.is_overheard]
        actions = [action for item_id in said for action in self._forget_overheard(item_id)]
        if not anew:
            return actions
        self._is_behind = self._outgoing.is_connected
        self._asked_before = frozenset(self._committing)
        if self._is_behind:
            # What is asked for now would be answered with what the model has yet to be told to forget.
            self._responses.hold()
        return [*actions, *self.clear()]

    def overhear(self, entries: Iterable[Entry]) -> list[Action]:
        """What of these the user has spoken counts as said while the agent is paused."""
        said = [entry for entry in entries if entry.kind == "user" and not entry.is_ours and not entry.is_gone]
        actions: list[Action] = []
        for entry in said:
            actions += self._forget(entry) if entry.is_whole else self._overhear(entry, True)
            # Who was told of it is told that it is nothing.
            actions.append(Transcript("user", entry.id, "", final=True))
        return actions

    def _overhear(self, entry: Entry, may_resume: bool) -> list[Action]:
        """This was said while the agent is paused: it stays until it is known what it was, where that may end it."""
        entry.is_overheard = True
        self._overheard[entry.id] = may_resume
        is_awaited = may_resume and self._agreed.config.transcription is not None
        return [] if is_awaited else self._forget(entry)

    def _is_overheard(self, item_id: str) -> bool:
        entry = self._history.get(item_id)
        return item_id in self._overheard or (entry is not None and entry.is_overheard)

    def _forget_overheard(self, item_id: str) -> list[Action]:
        self._responses.await_no_longer()
        entry = self._history.get(item_id)
        return self._forget(entry) if entry is not None else []

    def _forget(self, entry: Entry) -> list[Action]:
        return [self._items.forget(entry.id)] if not entry.is_gone else []

    def _since(self, audio_start_ms: int) -> int:
        """How long ago the user began to speak, in their audio; a model counts the padding in front as speech."""
        detection = self._agreed.config.turn_detection
        padding = detection.prefix_padding_ms if isinstance(detection, ServerVad) else 0
        return max(0, self._ms_behind(audio_start_ms) - padding)

    def _ms_behind(self, position_ms: int) -> int:
        """How much audio was sent behind this position; nothing, where a server counts from elsewhere."""
        behind = self._uplink.sent // BYTES_PER_MS - position_ms
        return behind if 0 <= behind <= _MAX_BEHIND_MS else 0

    def _not_cleared(self, error: ErrorDetail) -> list[Action]:
        self._clear_answered()
        return [Report(error)]

    def _clear_answered(self) -> None:
        """That of the resumption is the last, and of one that came before it nothing follows."""
        self._clearing = max(0, self._clearing - 1)
        if not self._clearing:
            self.caught_up()

    def _end(self, item_id: str) -> None:
        """Turn detection has ended a turn, which it is about to commit."""
        self._ended = item_id
        answers = self._responses.answers_turns and not self._is_behind and not self._agreed.is_silent
        self._is_left_to_us = answers and self._agreed.is_resuming
        if answers and not self._is_left_to_us:
            self._responses.owe()

    def _next_commit(self) -> int | None:
        """The commit that the model answers next: the first that somebody waits for, or else the first."""
        awaited = (command for command, is_awaited in self._committing.items() if is_awaited)
        return next(awaited, next(iter(self._committing), None))

    def _answer(self, command: int, error: ErrorDetail | None = None, item_id: str | None = None) -> list[Action]:
        """The model has committed what this command is about, or has refused to."""
        if command not in self._committing:
            return [Report(error)] if error is not None else []
        self._withdraw(command)
        return [Answer(command, error, item_id)]

    def _withdraw(self, command: int) -> None:
        del self._committing[command]
        self._uplink.withdraw(command)

    def _send_commit(self, command: int) -> list[Action]:
        commit = self._outgoing.send(ev.InputAudioBufferCommit(), lambda error: self._answer(command, error))
        return [SendAudio(command), commit]
