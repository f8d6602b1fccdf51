"""A `Session` over OpenAI's Realtime protocol, which outlives its websockets.

The conversation decides what is to be said; here it is sent, and a connection is replaced when it is lost, or in good
time before the model would end it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from realtime_agent.errors import ModelBusy, ModelConflict, ModelRefused, SessionError, SessionLost, SessionTimeout
from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime.connection import Connection
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.conversation.actions import Action, Answer, Outcome, Send, SendAudio
from realtime_agent.realtime.events import ErrorEvent, ServerEvent
from realtime_agent.realtime.handshake import EXPIRED, FINAL, Connector, connect
from realtime_agent.realtime.renewal import Renewal
from realtime_agent.realtime.session import FunctionOutput, Lost, Report, Restored, Rotated, SessionEvent
from realtime_agent.realtime.types import ErrorDetail, FunctionTool, ResponseConfig, SessionConfig

__all__ = ["RealtimeSession"]

logger = logging.getLogger(__name__)

_CONFIRM_S = 2.0
"""How often the model is asked whether it has what it was sent: of audio, so much more is kept."""

_MAX_APPEND = 1000 * BYTES_PER_MS

_LOOK_AGAIN_S = 0.05
"""How soon a connection that was behind is looked at again."""

_WORDS_S = 30.0
"""How long a spare connection waits for the words of the user; some servers never tell them."""

_UPLINK_S = 120.0
"""How long it waits for a commit of more than is kept; a microphone may be open and nobody speak."""

_BEGIN_S = 10.0
"""How long the model may take to begin a response, or to answer the user's turn."""

_GO_ON_S = 60.0
"""How long it may say nothing in the middle of a response; a tool of its own may work meanwhile."""

_MAX_COMMANDS = 64
"""Commands that the model has not answered; one that answers none is asked no more."""

_CONFLICTS = (
    "input_audio_buffer_commit_empty",
    "cannot_update_voice",
    "too_many_responses",
    "agent_paused",
    "no_transcription",
)
"""The codes of errors that are about the moment: at another one the model would do what was asked."""


@dataclass(frozen=True, slots=True)
class _Spare:
    """A connection that waits for a quiet moment, the settings that the model took on it, and since when it is open."""

    connection: Connection
    config: SessionConfig
    opened: float


class RealtimeSession:
    """A session that outlives its websockets.

    Args:
        connector: Opens its connections.
        conversation: What is said in it.
        renewal: When it gets another connection.
        frame_ms: How much of the user's audio is sent at a time, at least; less waits for more.
        command_timeout_s: How long a command waits for the model's answer.
    """

    def __init__(
        self,
        connector: Connector,
        conversation: Conversation,
        renewal: Renewal,
        *,
        frame_ms: int = 0,
        command_timeout_s: float,
    ) -> None:
        self._frame = frame_ms * BYTES_PER_MS
        self._connector = connector
        self._conversation = conversation
        self._renewal = renewal
        self._command_timeout_s = command_timeout_s
        # All that are open: the one in use, perhaps a spare one, and those that hang up.
        self._open: set[Connection] = set()
        self._first: _Spare | None = None
        self._connection: Connection | None = None
        self._spare: _Spare | None = None
        self._spare_is_gone = asyncio.Event()
        # Settings that a connection has begun with.
        self._proven = conversation.config
        self._catching_up: asyncio.TimerHandle | None = None
        self._readers: asyncio.TaskGroup | None = None
        self._handle: Callable[[SessionEvent], None] = _ignore
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Answer]] = {}

    @property
    def is_responding(self) -> bool:
        """Whether the model was asked for a response, or makes one."""
        return self._conversation.is_responding

    @property
    def functions(self) -> frozenset[str]:
        """The names of the functions that the model may call."""
        tools = self._conversation.config.tools or []
        return frozenset(tool.name for tool in tools if isinstance(tool, FunctionTool))

    @property
    def unsent_ms(self) -> int:
        """How much of the user's audio waits to be sent."""
        return self._conversation.uplink.unsent_bytes // BYTES_PER_MS

    @property
    def dropped_ms(self) -> int:
        """How much of it was more than could wait."""
        return self._conversation.uplink.dropped_bytes // BYTES_PER_MS

    async def open(self) -> None:
        """Connect, and wait until the model has taken the settings."""
        self._first = await self._connect()
        self._renewal.opened(_now())

    async def run(self, handle: Callable[[SessionEvent], None]) -> None:
        """Pass on what the model does, and keep a connection, until cancelled."""
        self._handle = handle
        async with asyncio.TaskGroup() as self._readers:
            self._use(self._take_first())
            self._readers.create_task(self._rotate())
            conversation, watch = self._conversation, self._watch
            self._readers.create_task(watch(lambda: conversation.asking, conversation.give_up_asking, _BEGIN_S))
            self._readers.create_task(watch(lambda: conversation.waiting, conversation.give_up_waiting, _BEGIN_S))
            self._readers.create_task(watch(lambda: conversation.making, conversation.give_up_making, _GO_ON_S))

    async def close(self) -> None:
        """Hang up."""
        self._connection = self._spare = None
        if dropped := self._conversation.uplink.dropped_bytes:
            logger.warning("%d bytes of what the user said were more than could wait, and were dropped", dropped)
        if self._catching_up is not None:
            self._catching_up.cancel()
        await asyncio.gather(*map(self._hang_up, tuple(self._open)))

    def append(self, pcm: bytes) -> None:
        """Let the model hear more of the user; while there is no connection, it is kept."""
        uplink, connection = self._conversation.uplink, self._connection
        is_sendable = self._frame <= len(pcm) <= _MAX_APPEND and not uplink.unsent_bytes
        if is_sendable and connection is not None and not connection.is_behind:
            connection.send_audio(pcm)
            uplink.pass_on(pcm)
        else:
            uplink.append(pcm)
            if uplink.unsent_bytes >= self._frame and self._catching_up is None:
                self._catch_up()

    def clear(self) -> None:
        """Let the model forget what it heard since the last turn ended."""
        self._perform(self._conversation.clear())

    def user_joined(self) -> None:
        """Somebody is there to hear."""
        self._perform(self._conversation.user_joined())

    def user_left(self) -> None:
        """Nobody is there."""
        self._perform(self._conversation.user_left())

    def interrupted(self, heard: Iterable[tuple[str, int, int]]) -> None:
        """The agent's speech was cut."""
        self._perform(self._conversation.interrupted(heard))

    def interrupt(self) -> bool:
        """Cut what the model says."""
        was_cut = self._conversation.is_cut
        self._perform(self._conversation.interrupt())
        return not was_cut

    def pause(self, item_id: str | None = None, *, is_private: bool = False) -> None:
        """Say nothing until `resume`."""
        self._perform(self._conversation.pause(item_id, is_private=is_private))

    def resume(self, *, anew: bool) -> None:
        """Converse again."""
        self._perform(self._conversation.resume(anew=anew))

    def give_outputs(self, outputs: Sequence[FunctionOutput]) -> None:
        """The calls have been made."""
        self._perform(self._conversation.give_outputs(outputs))

    def remark(self, config: ResponseConfig) -> None:
        """Ask for the words that open the conversation."""
        self._perform(self._conversation.remark(config))

    async def update(self, config: SessionConfig) -> SessionConfig:
        """Change settings."""
        changed = await self._ask(lambda command: self._conversation.update(command, config))
        assert isinstance(changed, SessionConfig), "it is what was changed"
        return changed

    async def tell(self, text: str) -> str:
        """Add a text message of the system."""
        return str(await self._ask(lambda command: self._conversation.tell(command, text)))

    async def say(self, text: str) -> bool:
        """Add a text message of the user, to be answered."""
        return bool(await self._ask(lambda command: self._conversation.say(command, text)))

    async def create_response(self, config: ResponseConfig) -> bool:
        """Ask for a response."""
        return bool(await self._ask(lambda command: self._conversation.create_response(command, config)))

    async def commit(self) -> str:
        """Make what the user said so far a message."""
        return str(await self._ask(self._conversation.commit))

    async def _ask(self, ask: Callable[[int], list[Action]]) -> Outcome | None:
        """Let the conversation carry out a command, and wait for what comes of it."""
        if self._conversation.commands_waiting >= _MAX_COMMANDS:
            raise ModelBusy(f"the model has not answered the last {_MAX_COMMANDS} commands")
        command = next(self._numbers)
        expected: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answers[command] = expected
        try:
            self._perform(ask(command))
            async with asyncio.timeout(self._command_timeout_s):
                answer = await expected
        except TimeoutError:
            within = f"within {self._command_timeout_s:g} s"
            if self._conversation.withdraw(command):
                raise SessionTimeout(f"the model is lost and did not come back {within}; it was not told") from None
            raise SessionTimeout(f"the model did not answer the command {within}") from None
        except asyncio.CancelledError:
            self._conversation.withdraw(command)
            raise
        finally:
            del self._answers[command]
        if (error := answer.error) is not None:
            raise (ModelConflict if error.code in _CONFLICTS else ModelRefused)(error.message, error.code)
        return answer.outcome

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Send(event):
                    if self._connection is not None:
                        self._connection.send(event)
                case SendAudio(command):
                    if self._connection is not None:
                        self._send_audio(self._connection, command)
                case Answer(command):
                    expected = self._answers.get(command)
                    if expected is not None and not expected.done():
                        expected.set_result(action)
                case _:
                    self._handle(action)

    def _catch_up(self) -> None:
        """Send what waits, unless the connection is behind; then soon."""
        self._catching_up = None
        # Until it runs, the conversation has not begun: it sends what is kept when it does.
        if self._readers is None or self._connection is None:
            return
        if self._connection.is_behind:
            self._catching_up = asyncio.get_running_loop().call_later(_LOOK_AGAIN_S, self._catch_up)
        else:
            self._send_audio(self._connection)

    def _send_audio(self, connection: Connection, command: int | None = None) -> None:
        pcm = self._conversation.uplink.take(command)
        # Not every server takes messages of any size.
        for at in range(0, len(pcm), _MAX_APPEND):
            connection.send_audio(pcm[at : at + _MAX_APPEND])

    def _take_first(self) -> _Spare:
        """The connection that was opened; nobody else keeps it."""
        first, self._first = self._first, None
        assert first is not None, "it is open"
        return first

    def _use(self, spare: _Spare) -> None:
        """Go on with this connection."""
        assert self._readers is not None, "it runs"
        self._connection = spare.connection
        self._readers.create_task(self._read(spare.connection))
        self._readers.create_task(self._confirm(spare.connection))
        self._perform(self._conversation.connected(spare.config))

    async def _read(self, connection: Connection) -> None:
        """Take in what comes over one connection, until it is lost, or closed since another one took its place."""

        def take(event: ServerEvent) -> None:
            if connection is self._connection:
                _check_open(event)
                self._perform(self._conversation.handle(event))
                if self._spare is not None:
                    self._rotate_if_quiet(self._spare)

        try:
            await connection.run(take)
        except SessionError as error:
            # What another one has replaced may end as it likes.
            if connection is self._connection:
                if not isinstance(error, SessionLost):
                    raise
                self._let_go(connection)
                await self._reconnect(error)

    async def _confirm(self, connection: Connection) -> None:
        """Learn again and again how much of the user's audio the model has had for certain."""
        while connection is self._connection:
            sent = self._conversation.uplink.sent
            try:
                await connection.ping()
            except SessionError:
                return  # as its reader is told
            if connection is self._connection:
                self._conversation.uplink.confirm(sent)
            await asyncio.sleep(_CONFIRM_S)

    async def _watch(self, state: Callable[[], object], give_up: Callable[[], list[Action]], after_s: float) -> None:
        """Give up what does not change for so long, or nothing else would ever have its turn."""
        while True:
            before = state()
            await asyncio.sleep(after_s)
            if before is not None and state() == before:
                self._perform(give_up())

    async def _reconnect(self, lost: SessionError) -> None:
        """Get another connection for one that is lost.

        Raises:
            SessionError: none can be had.
        """
        began, refusals = _now(), 0
        self._handle(Lost(str(lost)))
        self._connection = None
        self._perform(self._conversation.disconnected())
        while (spare := self._take_spare()) is None:
            delay = self._renewal.lost(_now())
            if delay is None:
                raise SessionError(f"the model was lost and did not come back: {lost}")
            await asyncio.sleep(delay)
            if self._spare is None:
                try:
                    self._offer(await self._connect())
                except SessionLost as again:
                    lost = again
                except ModelRefused as refused:
                    if refused.code in FINAL:
                        raise
                    # The model has taken these settings before, so that it may be something else, that passes.
                    lost, refusals = refused, refusals + 1
                    if refusals == 2 and self._conversation.config is not self._proven:
                        self._report("settings_reverted", str(refused))
                        self._perform(self._conversation.revert(self._proven))
        self._renewal.opened(_now(), age=_now() - spare.opened)
        self._use(spare)
        self._handle(Restored(_now() - began))

    async def _rotate(self) -> None:
        """Replace each connection in good time, at a quiet moment."""
        while (delay := self._renewal.rotate_in(_now())) is not None:
            if delay > 0:
                await asyncio.sleep(delay)
                continue
            try:
                self._offer(await self._connect())
            except SessionError as error:
                self._report("rotation_failed", str(error))
                self._renewal.rotation_failed(_now())
                continue
            while self._spare is not None:
                self._rotate_if_quiet(self._spare)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_WORDS_S):
                        await self._spare_is_gone.wait()

    def _rotate_if_quiet(self, spare: _Spare) -> None:
        conversation, old, waited = self._conversation, self._connection, _now() - spare.opened
        is_quiet = (
            conversation.is_quiet
            or (waited >= _WORDS_S and conversation.is_settled)
            or (waited >= _UPLINK_S and conversation.is_idle)
        )
        if old is None or not is_quiet or self._take_spare() is None:
            return
        self._perform(conversation.disconnected())
        self._let_go(old)
        self._renewal.opened(_now(), age=_now() - spare.opened)
        self._use(spare)
        self._handle(Rotated())

    def _offer(self, spare: _Spare) -> None:
        """Here is another connection; one is enough."""
        if self._spare is not None:
            self._let_go(spare.connection)
            return
        self._spare = spare
        self._spare_is_gone.clear()

    def _take_spare(self) -> _Spare | None:
        """The spare connection, unless somebody has hung up, or the settings have changed since."""
        spare, self._spare = self._spare, None
        self._spare_is_gone.set()
        if spare is None:
            return None
        if not spare.connection.is_open:
            self._renewal.rotation_failed(_now())
        elif spare.config is self._conversation.opening:
            return spare
        self._let_go(spare.connection)
        return None

    async def _connect(self) -> _Spare:
        """Another connection. Raises as `connect`."""
        agreed, opening = self._conversation.config, self._conversation.opening
        connection = await connect(self._connector, opening)
        self._open.add(connection)
        self._proven = agreed
        return _Spare(connection, opening, _now())

    def _report(self, kind: str, message: str) -> None:
        self._handle(Report(ErrorDetail(type=kind, message=message)))

    def _let_go(self, connection: Connection) -> None:
        """Hang up, and don't wait for it."""
        assert self._readers is not None, "it runs"
        self._readers.create_task(self._hang_up(connection))

    async def _hang_up(self, connection: Connection) -> None:
        await connection.close()
        self._open.discard(connection)


def _check_open(event: ServerEvent) -> None:
    """Some servers tell that a session is over, and let its connection be.

    Raises:
        SessionLost: this is such a word.
    """
    if isinstance(event, ErrorEvent) and event.error.code == EXPIRED:
        raise SessionLost(event.error.message)


def _now() -> float:
    """The loop's own clock, by which it also sleeps."""
    return asyncio.get_running_loop().time()


def _ignore(_event: SessionEvent) -> None:
    """Before it runs, nobody listens."""
