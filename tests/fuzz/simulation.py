"""A conversation, its playout and a model in memory, let loose by a random number: who keeps which rule is checked.

Nothing here waits: time passes when the simulation says so, and events travel when it delivers them.
"""

from __future__ import annotations

import base64
import random
from collections import Counter, deque
from typing import Any

from realtime_agent.audio.playout import Playout
from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.conversation.actions import Action, Answer, Send, SendAudio
from realtime_agent.realtime.session import CallTools, EndPart, FunctionOutput, Interrupt, Play, UserSpeech
from realtime_agent.realtime.types import (
    AudioInput,
    ResponseConfig,
    ServerVad,
    SessionAudio,
    SessionConfig,
    Transcription,
)
from tests.fuzz.model import Model, Serials

__all__ = ["Simulation"]

_FRAME_MS = 20

_MAX_COMMANDS = 64
"""As many as a session lets wait."""


def _config(turn_detection: ServerVad | None) -> SessionConfig:
    listening = AudioInput(transcription=Transcription(model="t"), turn_detection=turn_detection)
    return SessionConfig(instructions="Be brief.", audio=SessionAudio(input=listening))


class Simulation:
    """One agent's conversation and all that it talks to."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.serials = Serials()
        self.tells_request = seed % 3 > 0
        # Until its first response, it is not known that a server tells what a response answers.
        self.is_known_to_tell = seed % 3 == 1
        self.conversation = Conversation(_config(ServerVad()), replay_tokens=10**6)
        self.playout = Playout(frame_ms=_FRAME_MS, lead_ms=60, far_end_delay_ms=150)
        self.model: Model | None = None
        self.to_model: deque[ev.ClientEvent] = deque()
        self.now = 0.0
        self.events = 0
        self.user_present = True
        self.calls: list[tuple[Any, ...]] = []
        self.commands: set[int] = set()
        self.answers: Counter[int] = Counter()
        self.received_ms: Counter[str] = Counter()
        self.last_played = self.played_ms = 0
        self.met: set[str] = set()
        # What a whole response has answered, and the turn that the model has still to answer.
        self.answered: set[str] = set()
        self.owed: str | None = None
        self.ended: str | None = None
        self.user_speaking = self.turn_is_kept = False
        # What the user said while the agent was paused, or to pause it.
        self.is_paused = False
        self.overheard: set[str] = set()
        self.connect()
        if self.is_known_to_tell:
            self.perform(self.conversation.create_response(None, ResponseConfig(instructions="hello")))
            self.settle()

    # What can happen.

    def step(self) -> None:
        """Let one thing happen."""
        names = ["to_client"] * 12 + ["to_server"] * 8 + ["model_goes_on"] * 8 + ["time_passes"] * 6
        names += ["user_sends"] * 3 + ["user_speaks", "transcribe", "transcribe", "command", "answer_calls"]
        names += self.chance.choice([[], [], [], ["cut"], ["user_comes_or_goes"]])
        names += self.chance.choice([[], [], [], ["interrupt_by_command"], ["pause_or_resume"]])
        names += ["pause_or_resume"] if self.is_paused else []
        name = self.chance.choice(names)
        if self.model is None and self.chance.random() < 0.3:
            name = "connect"
        getattr(self, name)()
        self.check()

    def connect(self) -> None:
        """Another session is open."""
        if self.model is not None:
            return
        self.model = Model(self.chance, self.serials, tells_request=self.tells_request)
        config = self.conversation.opening.to_dict()["audio"]["input"]
        self.model.turn_detection = config.get("turn_detection", self.model.turn_detection)
        self.perform(self.conversation.connected())
        if self.turn_is_kept and self.user_present:
            # What the user had said of it is sent again, and heard again.
            self.model.user_speaks()
        self.turn_is_kept = False

    def cut(self) -> None:
        """The connection breaks: what was under way either way is lost."""
        if self.model is None:
            return
        self.collect_faults()
        self.turn_is_kept = self.conversation.uplink.holds_turn
        self.model = None
        self.to_model.clear()
        self.events += 1
        self.perform(self.conversation.disconnected())

    def to_client(self) -> None:
        """An event of the server arrives."""
        if self.model is None or not self.model.outgoing:
            return
        event = ev.parse_server_event(self.model.outgoing.popleft())
        assert not isinstance(event, ev.UnknownEvent), event
        self.events += 1
        if isinstance(event, ev.ErrorEvent) and event.error.code == "conversation_already_has_active_response":
            self.met.add("collided")
        self.perform(self.conversation.handle(event))
        self._note_answers(event)

    def to_server(self) -> None:
        """An event of the client arrives."""
        if self.model is not None and self.to_model:
            self.events += 1
            self.model.take(self.to_model.popleft())

    def model_goes_on(self) -> None:
        if self.model is not None:
            self.model.step()

    def transcribe(self) -> None:
        if self.model is not None:
            self.model.transcribe()

    def user_speaks(self) -> None:
        if self.model is not None and self.user_present:
            self.model.user_speaks()

    def user_sends(self) -> None:
        """The user's microphone: audio goes up."""
        self.conversation.uplink.append(bytes(self.chance.randrange(1, 60) * BYTES_PER_MS))
        if self.model is not None:
            self.perform([SendAudio()])

    def time_passes(self) -> None:
        """Frames become due; now and then the far end tells what it has played."""
        self.now += self.chance.choice([0.01, 0.02, 0.1])
        while (frame := self.playout.take(self.now)) is not None:
            serial = int.from_bytes(frame[:4], "big")
            assert serial > self.last_played, "audio was played twice"
            self.last_played = serial
            self.played_ms += _FRAME_MS
        assert self.played_ms <= self.received_ms.total(), "more was played than came"
        if self.chance.random() < 0.2:
            position = self.chance.randint(0, self.playout.position)
            self.playout.report_played(position, self.now)

    def user_comes_or_goes(self) -> None:
        self.user_present = not self.user_present
        self.owed = None
        self.events += 1
        if self.user_present:
            self.perform(self.conversation.user_joined())
            return
        self.perform(self.conversation.user_left())
        self.interrupt()
        self.perform(self.conversation.clear())

    def interrupt_by_command(self) -> None:
        # What the model was about to answer is cut too.
        self.owed = self.ended = None
        self.events += 1
        self.perform(self.conversation.interrupt())

    def pause_or_resume(self) -> None:
        """By what the user said last, or by command."""
        self.is_paused = not self.is_paused
        self.events += 1
        if self.is_paused:
            self.owed = self.ended = None
            said = [entry for entry in self.conversation.history if entry.kind == "user" and not entry.is_ours]
            by_ear = said and said[-1].is_whole and self.chance.random() < 0.5
            if by_ear:
                self.overheard.add(said[-1].id)
                self.met.add("paused by ear")
            self.perform(self.conversation.pause(said[-1].id if by_ear else None), is_change=False)
        else:
            self.perform(self.conversation.resume(anew=self.chance.random() < 0.5), is_change=False)

    def answer_calls(self) -> None:
        """The functions that were called have answered."""
        if self.calls:
            calls = self.calls.pop(self.chance.randrange(len(self.calls)))
            self.events += 1
            self.perform(self.conversation.give_outputs([FunctionOutput(call.call_id, "42") for call in calls]))

    def command(self) -> None:
        """Somebody steers the agent."""
        if self.conversation.commands_waiting >= _MAX_COMMANDS:
            return
        number = self.serials.take()
        self.commands.add(number)
        if self.model is None:
            self.met.add("while disconnected")
        self.events += 1
        words = self.chance.choice(["hello", "hello", "hello", "refuse"])
        conversation = self.conversation
        match self.chance.randrange(6):
            case 0:
                self.perform(conversation.update(number, SessionConfig(instructions=words)))
            case 1:
                turn_detection = self.chance.choice(
                    [ServerVad().in_full(), ServerVad(create_response=False).in_full(), None]
                )
                listening = AudioInput(turn_detection=turn_detection)
                self.perform(conversation.update(number, SessionConfig(audio=SessionAudio(input=listening))))
            case 2:
                self.perform(conversation.tell(number, words))
            case 3:
                self.perform(conversation.say(number, words))
            case 4:
                self.perform(conversation.create_response(number, ResponseConfig(instructions=words)))
            case 5:
                self.perform(conversation.commit(number))

    # What comes of it.

    def perform(self, actions: list[Action], *, is_change: bool = True) -> None:
        for action in actions:
            self._note(action, is_change=is_change)
            match action:
                case Send(event):
                    assert self.model is not None, "something was sent while there is no session"
                    self.to_model.append(event)
                case SendAudio(command):
                    audio = self.conversation.uplink.take(command)
                    if audio:
                        # Only how much it is counts here.
                        self.to_model.append(_append(len(audio)))
                case Answer(command):
                    self.answers[command] += 1
                case UserSpeech(speaking):
                    self.user_speaking = speaking
                case Play(item_id, content_index, pcm):
                    assert not self.is_paused, "it spoke while it was paused"
                    self.owed = None
                    self.received_ms[item_id] += len(pcm) // BYTES_PER_MS
                    self.playout.add(item_id, content_index, pcm)
                case EndPart(item_id, content_index):
                    self.playout.finish(item_id, content_index)
                case Interrupt():
                    self.interrupt()
                case CallTools(calls):
                    self.calls.append(calls)

    def _note(self, action: Action, *, is_change: bool) -> None:
        """What was met, for the test of this very search."""
        self.met.add(type(action).__name__)
        match action:
            case Send(event):
                self.met.add(type(event).__name__)
                if isinstance(event, ev.ItemCreate) and event.previous_item_id is not None:
                    self.met.add("made anew")
                if isinstance(event, ev.ResponseCreate) and "cut off" in event.to_json():
                    self.met.add("goes on")
                if isinstance(event, ev.ResponseCreate) and (event.response is None or not event.response.instructions):
                    self._check_that_something_is_new()
                if isinstance(event, ev.ResponseCreate):
                    assert not self.is_paused, "it asked for a response while it was paused"
                if isinstance(event, ev.SessionUpdate) and is_change:
                    # A change of turn detection may settle what is owed, at any moment from here on.
                    self.owed = self.ended = None
            case Answer(_, error) if error is not None:
                self.met.add("refused")

    def _note_answers(self, event: ev.ServerEvent) -> None:
        """Whether the user's turn is to be answered, or has been."""
        match event:
            case ev.SpeechStarted():
                self.owed = self.ended = None
            case ev.SpeechStopped(item_id=item_id) if not self.conversation._turns.committing:
                detection = self.conversation.config.turn_detection
                is_answered = detection is not None and detection.create_response and self.user_present
                self.ended = item_id if is_answered and not self.conversation._turns.is_overhearing else None
            case ev.InputAudioBufferCommitted(item_id=item_id) if self.conversation._turns.is_overhearing:
                self.overheard.add(item_id)
            case ev.InputAudioBufferCommitted(item_id=item_id) if item_id == self.ended and self.user_present:
                self.owed = item_id
            case ev.ResponseDone(response=response) if response.status == "completed":
                self.owed = None
                if self.conversation._responses.is_heard(response.id or "") and self.model is not None:
                    self.answered |= self.model.contexts.get(response.id or "", set())

    def _check_that_something_is_new(self) -> None:
        if not self.is_known_to_tell:
            return  # What a response answers can then only be guessed.
        asked = {entry.id for entry in self.conversation.history if entry.kind in ("user", "output")}
        assert not asked or asked - self.answered, "what was answered is answered again"

    def interrupt(self) -> None:
        heard = self.playout.flush(self.now)
        for part in heard:
            assert 0 <= part.audio_end_ms <= self.received_ms[part.item_id], "more was heard than came"
        self.perform(self.conversation.interrupted(heard))

    # What must be so.

    def check(self) -> None:
        self.collect_faults()
        requests = sum(isinstance(event, ev.ResponseCreate) for event in self.to_model)
        assert requests <= 1 or not self.conversation._responses._tells_request, "two responses were asked for at once"
        assert all(count == 1 for count in self.answers.values()), "a command was answered twice"
        conversation, responses = self.conversation, self.conversation._responses
        assert len(responses._pending) <= 32
        assert len(conversation._outgoing._expected) <= 256
        assert len(conversation.uplink._kept) <= 30_000 * BYTES_PER_MS
        assert conversation.commands_waiting <= _MAX_COMMANDS
        assert len(conversation.uplink._commits) <= _MAX_COMMANDS
        assert len(conversation._calls.running) <= 64
        assert set(conversation._items._adding.values()) | set(conversation._turns._committing) <= self.commands

    def collect_faults(self) -> None:
        if self.model is not None:
            assert not self.model.faults, self.model.faults

    def settle(self) -> None:
        """Let everything that is under way come to its end, with nobody speaking."""
        if not self.user_present:
            self.user_comes_or_goes()
        if self.is_paused:
            self.pause_or_resume()
        if self.model is None:
            self.connect()
        for _ in range(5000):
            assert self.model is not None
            if self.model.speech is not None and not self.model.outgoing and not self.to_model:
                self.model.user_speaks()
            for happen in (self.to_client, self.to_server, self.model_goes_on, self.transcribe, self.answer_calls):
                happen()
                self.check()
            if not (self.model.outgoing or self.to_model) and self.conversation.waiting is not None:
                # As a session does after some seconds.
                self.perform(self.conversation.give_up_waiting())
            idle = not (self.model.outgoing or self.to_model or self.model.active or self.calls)
            if idle and self.model.speech is None and not self.model.untranscribed:
                break
        else:
            raise AssertionError("the conversation does not come to rest")
        self.now += 10_000
        self.time_passes()
        assert not self.conversation.is_responding, "it waits for a response that will never come"
        assert not self.conversation._responses._pending, "a request was forgotten"
        assert set(self.answers) == self.commands, "a command was never answered"
        assert self.owed is None, "a turn was never answered"
        assert self.user_speaking == self.conversation._responses.user_speaking, "the agent is wrong about its user"
        self.check_history()

    def check_history(self) -> None:
        """Both sides remember the same."""
        assert self.model is not None
        ours = [
            (entry.id, entry.words)
            for entry in self.conversation.history
            if entry.known != "nothing" and not entry.is_gone
        ]
        theirs = [(item.id, item.text) for item in self.model.items]
        assert not self.overheard & {item.id for item in self.model.items}, "it remembers what it was not to hear"
        mine, yours = [each for each in ours if each[1]], [each for each in theirs if each[1]]
        assert mine == yours, (
            f"the histories differ: {[e for e in mine if e not in yours]} {[e for e in yours if e not in mine]}"
        )


def _append(size: int) -> ev.InputAudioBufferAppend:
    return ev.InputAudioBufferAppend(audio=base64.b64encode(bytes(size)).decode())
