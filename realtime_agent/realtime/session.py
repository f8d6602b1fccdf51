"""A session with a speech-to-speech model: all that an agent knows of the model's side.

`RealtimeSession` speaks OpenAI's Realtime protocol; one that speaks another takes its place here. Audio is PCM, as
`pcm.py` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from realtime_agent.realtime.types import ErrorDetail, ResponseConfig, SessionConfig, TranscriptionUsage, Usage

__all__ = [
    "CallTools",
    "Ear",
    "EndPart",
    "FunctionCall",
    "FunctionOutput",
    "Interrupt",
    "Lost",
    "Overheard",
    "Play",
    "Report",
    "Restored",
    "Rotated",
    "Session",
    "SessionEvent",
    "Spent",
    "Transcribed",
    "Transcript",
    "UserSpeech",
    "Utterance",
]


@dataclass(frozen=True, slots=True)
class Play:
    """Queue this audio for the user."""

    item_id: str
    content_index: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class EndPart:
    """No more audio of this part will come."""

    item_id: str
    content_index: int


@dataclass(frozen=True, slots=True)
class Interrupt:
    """The agent is to be silent: drop what was not heard, and call `Session.interrupted` with what was.

    `since_ms`: so long ago the user began to speak over it, in their audio; `None` where somebody else cut it.
    """

    since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class UserSpeech:
    """The user began or stopped speaking.

    Attributes:
        silence_ms: The silence behind their last word that turn detection waited for, if known.
        late_ms: So much of their audio was sent behind that until it was told.
        is_forgotten: Whether they stopped without having ended a turn: what they said was taken back.
    """

    speaking: bool
    silence_ms: int = 0
    late_ms: int = 0
    is_forgotten: bool = False


@dataclass(frozen=True, slots=True)
class Transcript:
    """Words of one side: a delta to append, or with `final` the whole text. The first of an item tells its place.

    `interrupted` with `final`: the user heard this much of it, by estimate. `typed`: nobody speaks it; it came by
    `Session.say`, or the model has written it.
    """

    role: str
    item_id: str
    text: str
    final: bool = False
    interrupted: bool = False
    typed: bool = False


@dataclass(frozen=True, slots=True)
class Overheard:
    """What the user said while the agent was paused; no part of the conversation."""

    text: str


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """The model wants a function to be called; `arguments` is JSON, or should be."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class FunctionOutput:
    """What came of a call, in words or JSON that the model can read."""

    call_id: str
    output: str


@dataclass(frozen=True, slots=True)
class CallTools:
    """Make these calls and give all their outputs to `Session.give_outputs`."""

    calls: tuple[FunctionCall, ...]


@dataclass(frozen=True, slots=True)
class Spent:
    """What a response cost."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Transcribed:
    """What it cost to write down a turn of the user."""

    usage: TranscriptionUsage


@dataclass(frozen=True, slots=True)
class Report:
    """The model reported an error; the session goes on."""

    error: ErrorDetail


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection to the model is lost; another one is being made."""

    cause: str


@dataclass(frozen=True, slots=True)
class Restored:
    """There is a connection again, and the model knows what was said."""

    after_s: float


@dataclass(frozen=True, slots=True)
class Rotated:
    """Another connection took the place of one that the model was about to end."""


SessionEvent = (
    Play
    | EndPart
    | Interrupt
    | UserSpeech
    | Transcript
    | Overheard
    | CallTools
    | Spent
    | Transcribed
    | Report
    | Lost
    | Restored
    | Rotated
)


class Session(Protocol):
    """What an agent needs of a model.

    `open`, then `run` for as long as it lives; everything else may be called from `open` on.
    """

    @property
    def is_responding(self) -> bool:
        """Whether the model was asked for a response, makes one, or waits for the outputs of calls."""
        ...

    @property
    def unsent_ms(self) -> int:
        """How much of the user's audio waits to be sent."""
        ...

    @property
    def dropped_ms(self) -> int:
        """How much of it was more than could wait, since the beginning."""
        ...

    @property
    def functions(self) -> frozenset[str]:
        """The names of the functions that the model may call, as it has agreed to."""
        ...

    async def open(self) -> None:
        """Connect and configure.

        Raises:
            SessionError: the model can't be reached, refused, or did not answer in time.
        """
        ...

    async def run(self, handle: Callable[[SessionEvent], None]) -> None:
        """Pass on what the model does, in order, until cancelled.

        Raises:
            SessionError: the session is lost, and can't be had again.
        """
        ...

    async def close(self) -> None:
        """Hang up; harmless when repeated."""
        ...

    def append(self, pcm: bytes) -> None:
        """Let the model hear more of the user."""
        ...

    def clear(self) -> None:
        """Let the model forget what it heard since the last turn ended."""
        ...

    def user_joined(self) -> None:
        """Somebody is there to hear."""
        ...

    def user_left(self) -> None:
        """Nobody is there: what the model is saying, and was asked to say, is not wanted any more."""
        ...

    def interrupted(self, heard: Iterable[tuple[str, int, int]]) -> None:
        """The agent's speech was cut: `(item_id, content_index, ms heard)` of each part not heard to its end."""
        ...

    def interrupt(self) -> bool:
        """Cut what the model says or was asked to say; what waits for its turn has it then.

        Returns:
            Whether there was anything.
        """
        ...

    def pause(self, item_id: str | None = None, *, is_private: bool = False) -> None:
        """Say nothing until `resume`, and let nothing that the user says meanwhile become part of the conversation.

        What is being said is cut. What a command asked for and has not begun comes after `resume`.

        Args:
            item_id: What the user said so that the agent pauses: it is forgotten too, and what was said and done since.
            is_private: Whether the model must get nothing of the user's voice meanwhile, on another connection neither.
        """
        ...

    def resume(self, *, anew: bool) -> None:
        """Converse again.

        Args:
            anew: Whether to forget what the user is saying right now.
        """
        ...

    def give_outputs(self, outputs: Sequence[FunctionOutput]) -> None:
        """The calls of a `CallTools` have been made."""
        ...

    def remark(self, config: ResponseConfig) -> None:
        """Ask for words that nobody asked for, such as a greeting; they are dropped when the user speaks first."""
        ...

    async def update(self, config: SessionConfig) -> SessionConfig:
        """Change what is set in `config`; of a transcription without a model, only its language.

        Returns:
            What was changed, in full.

        Raises:
            ModelConflict: the model does not accept it as things stand; nothing has changed.
            ModelRefused: it does not accept it; nothing has changed.
            ModelBusy: it has not answered too many before.
            SessionTimeout: it did not answer in time. Where it was not even told, since it is away, it will not be.
        """
        ...

    async def tell(self, text: str) -> str:
        """Add a text message of the system, which nobody answers; gives the item's id. Raises as `update` does."""
        ...

    async def say(self, text: str) -> bool:
        """Add a text message of the user, to be answered as by `create_response`. Raises as `update` does."""
        ...

    async def create_response(self, config: ResponseConfig) -> bool:
        """Ask for a response. Raises as `update` does.

        Returns:
            Whether it has begun, or else waits for its turn.
        """
        ...

    async def commit(self) -> str:
        """Make what the user said so far a message, and give its id; no answer comes. Raises as `update` does."""
        ...


@dataclass(frozen=True, slots=True)
class Utterance:
    """What the user said in one turn.

    Attributes:
        text: Their words; never empty.
        began_ms_ago: How much of their audio has come since the turn began, its prefix padding included.
        ended_ms_ago: How much since it ended, the silence that ends it included.
        silence_ms: How long that silence was, if known.
    """

    text: str
    began_ms_ago: int
    ended_ms_ago: int
    silence_ms: int = 0


class Ear(Protocol):
    """Understands a user's words beside the model, and does nothing else."""

    def append(self, pcm: bytes) -> None:
        """Hear more of the user. Never waits; audio that can't be heard now, but for the newest, is lost."""
        ...

    def clear(self) -> None:
        """Forget what was heard since the last turn ended."""
        ...

    async def run(self, handle: Callable[[Utterance | Lost | Restored], None]) -> None:
        """Pass on each utterance that has words, until cancelled; no failure of its own ends it, each is told."""
        ...
