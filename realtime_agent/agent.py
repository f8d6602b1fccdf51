"""The agent: a bridge between one channel and one session.

Channel audio goes up to the model as it comes; the model's audio goes down through playout, paced. What happens in
between is decided by its parts: the conversation (what to say to the model), playout (what was heard) and life (when
to end).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from realtime_agent.audio.playout import Playout
from realtime_agent.control import commands
from realtime_agent.control.events import AgentEvent, Ended, StateChanged, UsageChanged
from realtime_agent.control.life import EndReason, Life, State
from realtime_agent.control.spec import AgentSpec
from realtime_agent.control.usage import TotalUsage
from realtime_agent.errors import ChannelError, SessionError
from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime import session as model
from realtime_agent.realtime.session import FunctionCall, FunctionOutput, Session, SessionEvent
from realtime_agent.realtime.types import ResponseConfig, SessionConfig
from realtime_agent.rtc.channel import (
    AudioFrame,
    Channel,
    ChannelLost,
    Played,
    Reconnected,
    Reconnecting,
    UserJoined,
    UserLeft,
)
from realtime_agent.tools import Toolbox

__all__ = ["Agent"]

logger = logging.getLogger(__name__)

_LEAVE_TIMEOUT_S = 3.0

_MAX_ALIKE = 5
"""Errors of one kind in a row that an operator is told of; a server may send thousands."""

_GAP_MS = 300
"""Far more than networks make of the 20 ms between two frames, and little beside the silence that ends a turn."""


class Agent:
    """One voice agent, from joining to leaving.

    Args:
        spec: What it was asked to be.
        channel: Its side of the channel, not joined yet.
        session: Its model, not opened yet.
        playout: Paces its speech; its frames are the channel's.
        tools: The functions that its model may call.
        notify: Called with every event of its life; must not block.
        clock: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        spec: AgentSpec,
        channel: Channel,
        session: Session,
        playout: Playout,
        tools: Toolbox,
        *,
        notify: Callable[[AgentEvent], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec = spec
        self._channel = channel
        self._session = session
        self._playout = playout
        self._tools = tools
        self._notify = notify
        self._clock = clock
        self._life = Life(spec.limits, clock())
        self._present: dict[int, None] = {}
        self._user: int | None = None
        self._greeted = False
        self._is_away = False
        self._last_heard = clock()
        self._usage = TotalUsage()
        # The kind of error that the model reported last, and how often in a row.
        self._alike = ("", 0)
        self._to_say = asyncio.Event()
        self._life_changed = asyncio.Event()
        self._stopped = asyncio.Event()
        self._stop_reason: Ended | None = None
        self._is_ready = asyncio.Event()
        self._calls: asyncio.TaskGroup | None = None

    async def run(self) -> Ended:
        """Live: join, wait for the user, converse, leave. Returns why it ended, and has reported it."""
        ended = Ended(reason=EndReason.CRASHED, cause="an error in the agent; see its log")
        self._life.connecting()
        self._report_state()
        try:
            ended = await self._together(self._session.open, self._join) or await self._converse()
        finally:
            await self._leave(ended.reason)
            if self._playout.dropped_bytes:
                logger.warning(
                    "%d bytes of speech were more than could wait, and were dropped", self._playout.dropped_bytes
                )
            self._life.ended()
            logger.info("agent in %r ended: %s%s", self._spec.channel_name, ended.reason, _because(ended.cause))
            self._notify(ended)
        return ended

    def stop(self, reason: EndReason = EndReason.STOPPED, cause: str | None = None) -> None:
        """End soon, for this reason; the first reason stands."""
        if self._stop_reason is None:
            self._stop_reason = Ended(reason=reason, cause=cause)
            self._stopped.set()

    async def control(self, command: commands.Command) -> None:
        """Do what a command asks, as soon as the agent is ready; returns when the model has accepted it.

        Commands that are given side by side are carried out in order; none waits for the answer to another one.

        Raises:
            ModelRefused: the model did not accept it.
            SessionTimeout: it did not answer in time.
        """
        await self._is_ready.wait()
        session = self._session
        match command:
            case commands.UpdateInstruction():
                await session.update(SessionConfig(instructions=command.new_instruction))
            case commands.UpdateTurnDetection():
                await session.update(command.change())
            case commands.SendSystemText():
                await session.tell(command.input_text)
            case commands.SendUserText():
                await session.say(command.input_text)
            case commands.CreateResponse():
                await session.create_response(ResponseConfig(instructions=command.new_instruction))
            case commands.CommitAudioBuffer():
                await session.commit()

    async def _join(self) -> None:
        self._channel.hear(self._spec.user_uid)
        await self._channel.join()

    async def _converse(self) -> Ended:
        self._life.ready(self._clock())
        self._is_ready.set()
        self._report_state()
        ended = await self._together(self._hear, self._fill_gaps, self._listen, self._speak, self._watch)
        return ended or Ended(reason=EndReason.STOPPED)

    async def _together(self, *parts: Callable[[], Coroutine[Any, Any, None]]) -> Ended | None:
        """Run parts side by side until all are done; says why not, if one failed or the agent was stopped."""
        try:
            async with asyncio.TaskGroup() as group:
                guard = group.create_task(self._raise_when_stopped())
                await asyncio.wait([group.create_task(part()) for part in parts])
                guard.cancel()
        except* _Stopped:
            pass
        except* ChannelError as errors:
            self.stop(EndReason.RTC_FAILED, _words(errors))
        except* SessionError as errors:
            self.stop(EndReason.MODEL_FAILED, _words(errors))
        return self._stop_reason

    async def _raise_when_stopped(self) -> None:
        await self._stopped.wait()
        raise _Stopped

    async def _leave(self, reason: EndReason) -> None:
        self._channel.send({"type": "state", "state": State.ENDED, "reason": reason})
        for close in (self._channel.leave, self._session.close):
            try:
                async with asyncio.timeout(_LEAVE_TIMEOUT_S):
                    await close()
            except Exception:
                # Whatever one end does, the other is closed too and the end is reported.
                logger.exception("%s failed, or took longer than %g s", close.__qualname__, _LEAVE_TIMEOUT_S)

    async def _hear(self) -> None:
        """What happens in the channel."""
        async for event in self._channel.events():
            match event:
                case AudioFrame(uid, pcm):
                    if uid == self._user:
                        self._last_heard = self._clock()
                        self._session.append(pcm)
                case Played(uid, position):
                    if uid == self._user:
                        self._playout.report_played(position, self._clock())
                case UserJoined(uid):
                    self._user_joined(uid)
                case UserLeft(uid):
                    self._user_left(uid)
                case Reconnecting(cause):
                    self._is_away = True
                    logger.warning("the agent in %r lost its channel: %s", self._spec.channel_name, cause)
                case Reconnected():
                    self._is_away = False
                    self._to_say.set()
                    logger.info("the agent in %r has its channel again", self._spec.channel_name)
                case ChannelLost(cause):
                    raise ChannelError(cause)

    async def _fill_gaps(self) -> None:
        """A voice that stops coming in the middle of a turn would never end it: let the model hear silence instead."""
        while True:
            await asyncio.sleep(_GAP_MS / 1000)
            if self._life.user_speaking and self._clock() - self._last_heard > _GAP_MS / 1000:
                self._session.append(bytes(_GAP_MS * BYTES_PER_MS))

    async def _listen(self) -> None:
        """What the model does, and the functions that it calls."""
        async with asyncio.TaskGroup() as self._calls:
            await self._session.run(self._handle)

    async def _speak(self) -> None:
        """Give the channel its frames when they are due."""
        playout, clock = self._playout, self._clock
        while True:
            # While nobody hears us, what is to be said waits.
            due = None if self._is_away else playout.next_due()
            if due is None:
                self._to_say.clear()
                await self._to_say.wait()
                continue
            if (delay := due - clock()) > 0:
                await asyncio.sleep(delay)
            while not self._is_away and (frame := playout.take(clock())) is not None:
                self._channel.push(frame)
                self._life.agent_speaks(clock())

    async def _watch(self) -> None:
        """End when a timer of its life runs out."""
        while True:
            self._life_changed.clear()
            if self._session.is_responding:
                self._life.agent_speaks(self._clock())
            deadline = self._life.deadline()
            delay = None
            if deadline is not None:
                end, reason = deadline
                delay = end - self._clock()
                if delay <= 0:
                    self.stop(reason)
                    return
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._life_changed.wait()

    def _handle(self, event: SessionEvent) -> None:
        match event:
            case model.Play(item_id, content_index, pcm):
                self._playout.add(item_id, content_index, pcm)
                self._to_say.set()
            case model.EndPart(item_id, content_index):
                self._playout.finish(item_id, content_index)
                self._to_say.set()
            case model.Interrupt():
                self._interrupt()
            case model.Transcript():
                self._send_transcript(event)
            case model.UserSpeech(speaking):
                self._life.user_speaks(speaking, self._clock())
                self._life_changed.set()
            case model.CallTools(calls):
                assert self._calls is not None, "the session runs"
                self._calls.create_task(self._call_tools(calls))
            case model.Spent(usage):
                self._count(TotalUsage.of_response(usage))
            case model.Transcribed(usage):
                self._count(TotalUsage.of_transcription(usage))
            case _:
                self._log(event)

    def _log(self, event: SessionEvent) -> None:
        """How it goes between the session and its model, for the operator."""
        name = self._spec.channel_name
        match event:
            case model.Report(error):
                kind = error.code or error.type
                self._alike = (kind, self._alike[1] + 1 if self._alike[0] == kind else 1)
                level = logging.WARNING if self._alike[1] <= _MAX_ALIKE else logging.DEBUG
                logger.log(level, "the model of the agent in %r reported %s: %s", name, kind, error.message)
            case model.Lost(cause):
                logger.warning("the agent in %r lost its model: %s", name, cause)
            case model.Restored(after_s):
                logger.info("the agent in %r has its model again after %.1f s", name, after_s)
            case model.Rotated():
                logger.info("the agent in %r has another session with its model", name)

    def _interrupt(self) -> None:
        """Stop speaking at once, and tell the model how much was heard."""
        heard = self._playout.flush(self._clock())
        self._channel.flush(self._playout.position)
        self._session.interrupted(heard)

    async def _call_tools(self, calls: tuple[FunctionCall, ...]) -> None:
        """Make the calls of one response side by side, and give the model their outputs together, in order."""
        outputs = await asyncio.gather(*(self._tools.call(call.name, call.arguments) for call in calls))
        answers = zip(calls, outputs, strict=True)
        self._session.give_outputs([FunctionOutput(call.call_id, output) for call, output in answers])

    def _user_joined(self, uid: int) -> None:
        self._present[uid] = None
        logger.info("uid %d joined %r", uid, self._spec.channel_name)
        if self._user is None and self._choose_user():
            self._report_state()

    def _user_left(self, uid: int) -> None:
        self._present.pop(uid, None)
        logger.info("uid %d left %r", uid, self._spec.channel_name)
        if uid != self._user:
            return
        self._user = None
        self._channel.hear(self._spec.user_uid)
        # Nobody hears the rest of a reply, and half a sentence of this user must not begin the next one's.
        self._session.user_left()
        self._interrupt()
        self._session.clear()
        self._greeted = self._playout.position > 0
        if not self._choose_user():
            self._life.user_left(self._clock())
            self._life_changed.set()
        self._report_state()

    def _choose_user(self) -> bool:
        """Listen to the participant that was asked for, or to the first of those present."""
        wanted = self._spec.user_uid
        uid = next((uid for uid in self._present if wanted in (None, uid)), None)
        if uid is None:
            return False
        self._user = uid
        self._channel.hear(uid)
        self._channel.send({"type": "listening", "uid": uid})
        self._life.user_joined(self._clock())
        self._life_changed.set()
        if self._spec.greeting is not None and not self._greeted:
            self._greeted = True
            instruction = f'Say exactly this, word for word, and nothing else: "{self._spec.greeting}"'
            self._session.greet(ResponseConfig(instructions=instruction))
        self._session.user_joined()
        return True

    def _report_state(self) -> None:
        state = self._life.state
        logger.info("agent in %r is %s", self._spec.channel_name, state)
        self._channel.send({"type": "state", "state": state, "reason": None})
        self._notify(StateChanged(state=state))

    def _send_transcript(self, words: model.Transcript) -> None:
        body: dict[str, object] = {"type": "transcript", "role": words.role, "item_id": words.item_id}
        body |= {"text": words.text, "final": True} if words.final else {"delta": words.text}
        if words.interrupted:
            body["interrupted"] = True
        self._channel.send(body)

    def _count(self, spent: TotalUsage) -> None:
        self._usage += spent
        self._notify(UsageChanged(usage=self._usage))


class _Stopped(Exception):
    """Ends the parts that run side by side."""


def _words(errors: BaseExceptionGroup[BaseException]) -> str:
    """The first error of a group, in words."""
    first = errors.exceptions[0]
    return _words(first) if isinstance(first, BaseExceptionGroup) else str(first)


def _because(cause: str | None) -> str:
    return f" ({cause})" if cause else ""
