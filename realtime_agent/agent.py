"""The agent: a bridge between one channel and one session.

Channel audio goes up to the model as it comes; the model's audio goes down through playout, paced. What happens in
between is decided by its parts: the conversation (what to say to the model), playout (what was heard) and life (when
to end). `bridge/` has those that do it: the voice, the reporter, and what commands do.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from realtime_agent.audio.playout import Playout
from realtime_agent.bridge.caller import Caller
from realtime_agent.bridge.hearing import Hearing
from realtime_agent.bridge.lifetime import Lifetime
from realtime_agent.bridge.phrase_spotter import PhraseSpotter
from realtime_agent.bridge.pulse import Pulse
from realtime_agent.bridge.recorder import Recorder
from realtime_agent.bridge.reporter import Reporter
from realtime_agent.bridge.steering import Steering, word_for_word
from realtime_agent.bridge.voice import Voice
from realtime_agent.control import events
from realtime_agent.control.audience import Audience
from realtime_agent.control.commands import Command, CommandResult
from realtime_agent.control.events import AgentEvent, Ended
from realtime_agent.control.life import EndReason, Life, Remark, State
from realtime_agent.control.phrases import Phrases
from realtime_agent.control.spec import AgentSpec
from realtime_agent.control.turn_timer import TurnTimer
from realtime_agent.control.usage import TotalUsage
from realtime_agent.errors import ChannelError, ModelRefused, RealtimeAgentError, SessionError
from realtime_agent.realtime import session as model
from realtime_agent.realtime.session import Ear, Session, SessionEvent
from realtime_agent.rtc.channel import (
    AudioFrame,
    Channel,
    ChannelEvent,
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

_NOTED_S = 0.1
"""How often it is noted that the agent speaks; of each frame would cost more than that is worth."""


class Agent:
    """One voice agent, from joining to leaving.

    Args:
        spec: What it was asked to be.
        channel: Its side of the channel, not joined yet.
        session: Its model, not opened yet.
        playout: Paces its speech; its frames are the channel's.
        tools: The functions that there are; its session knows which of them its model may call.
        phrases: By which its user pauses and resumes it.
        ear: Listens for phrases; without one they are spotted in what the model writes down.
        recorder: Records the conversation.
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
        phrases: Phrases | None = None,
        ear: Ear | None = None,
        recorder: Recorder | None = None,
        notify: Callable[[AgentEvent], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec = spec
        self._channel = channel
        self._session = session
        self._notify = notify
        self._clock = clock
        self._hearing = Hearing(session, ear, clock)
        self._recorder = recorder
        self._voice = Voice(channel, playout, self, clock, recorder)
        self._reporter = Reporter(spec.channel_name, channel.send, self._tell, clock)
        self._pulse = Pulse(session, playout, notify)
        self._steering = Steering(self, session, tools, clock)
        self._caller = Caller(tools, lambda: session.functions, session.give_outputs, self._tell, clock)
        self._lifetime = Lifetime(
            Life(spec.limits, clock(), [remark for remark in Remark if getattr(spec, remark)]),
            clock,
            is_responding=lambda: session.is_responding,
            remark=self._remark,
            end=self.stop,
        )
        self._spotter = PhraseSpotter(
            phrases,
            ear,
            pause=lambda item_id: self.pause(item_id, by="voice"),
            resume=lambda since_ms: self.resume(since_ms, by="voice"),
            tell=self._reporter.ear_connection,
            ear_heard_ms=lambda: self._hearing.ear_heard_ms,
        )
        self._turn_timer = TurnTimer()
        self._audience = Audience(spec.user_uid)
        self._noted_speech = float("-inf")
        self._greeted = False
        self._stopped = asyncio.Event()
        self._stop_reason: Ended | None = None
        self._is_ready = asyncio.Event()

    @property
    def state(self) -> State:
        """Where in its life it is."""
        return self._lifetime.state

    async def run(self) -> Ended:
        """Live: join, wait for the user, converse, leave. Returns why it ended, and has reported it."""
        ended = Ended(reason=EndReason.CRASHED, cause="an error in the agent; see its log")
        self._lifetime.connecting()
        self._reporter.state(self.state)
        try:
            ended = await self._together(self._session.open, self._join) or await self._converse()
        finally:
            await self._leave(ended.reason)
            self._voice.close()
            self._lifetime.ended()
            self._reporter.ended(ended)
        return ended

    def stop(self, reason: EndReason = EndReason.STOPPED, cause: str | None = None) -> None:
        """End soon, for this reason; the first reason stands."""
        if self._stop_reason is None:
            self._stop_reason = Ended(reason=reason, cause=cause)
            self._stopped.set()

    async def control(self, command: Command) -> CommandResult:
        """Do what a command asks, as soon as the agent is ready; returns when the model has accepted it.

        Commands that are given side by side are carried out in order; none waits for the answer to another one.

        Raises:
            ModelRefused: the model did not accept it.
            SessionTimeout: it did not answer in time.
        """
        await self._is_ready.wait()
        try:
            result = await self._steering.carry_out(command)
        except RealtimeAgentError as error:
            kind = error.code if isinstance(error, ModelRefused) else None
            self._reporter.command(command.command, str(error), kind or type(error).__name__)
            raise
        except Exception as error:
            self._reporter.command(command.command, "an error in the agent; see its log", type(error).__name__)
            raise
        self._reporter.command(command.command)
        return result

    # What commands and phrases do.

    def pause(self, item_id: str | None = None, *, by: Literal["voice", "command"] = "command") -> None:
        """Be silent and take no part until `resume`; the user's item of this id asked for it, and is forgotten."""
        if self._lifetime.is_paused:
            if item_id is not None:
                self._session.pause(item_id)
        else:
            self._lifetime.pause()
            self._session.pause(item_id, is_private=self._hearing.has_ear)
            self._hearing.pause()
            self._spotter.disregard_earlier()
            self._turn_timer.forget()
            self._reporter.state(self.state, by)

    def resume(self, since_ms: int = 0, *, by: Literal["voice", "command"] = "command") -> None:
        """Converse again. Who speaks while a command lets the agent resume is heard from then on.

        Where the model heard nothing meanwhile, it hears what the user has said in the last `since_ms`.
        """
        if self._lifetime.is_paused:
            self._lifetime.resume()
            self._session.resume(anew=by == "command")
            self._hearing.resume(since_ms)
            self._reporter.state(self.state, by)

    def interrupt(self) -> bool:
        """Cut what it says; returns whether there was anything."""
        is_silent = self._voice.is_silent
        self._turn_timer.forget()
        return self._session.interrupt() or not is_silent

    def user_committed(self, asked: float) -> None:
        """The user's turn has ended, by a command of this time."""
        if not self._lifetime.is_paused:
            self._turn_timer.user_stopped(asked)

    # What the voice does.

    def frame_given(self, now: float) -> None:
        """A frame was given to the channel."""
        if now - self._noted_speech >= _NOTED_S:
            self._noted_speech = now
            self._lifetime.agent_speaks(now)
        if self._turn_timer.has_answer and (measured := self._turn_timer.frame_given(self._voice.position, now)):
            self._reporter.notify(measured)

    def agent_speaks(self, speaking: bool) -> None:
        """The agent began to speak, or has nothing more to say for now."""
        if not speaking:
            self._lifetime.agent_stopped()
        self._reporter.notify(events.SpeechChanged(role="assistant", speaking=speaking))

    async def _join(self) -> None:
        self._channel.hear(self._spec.user_uid)
        await self._channel.join()

    async def _converse(self) -> Ended:
        self._lifetime.ready()
        self._is_ready.set()
        self._reporter.state(self.state)
        ended = await self._together(
            self._hear,
            self._hearing.fill_gaps,
            self._listen,
            self._spotter.run,
            self._voice.run,
            self._lifetime.run,
            self._pulse.run,
            self._record,
        )
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
        closes = [self._channel.leave, self._session.close]
        if self._recorder is not None:
            closes.append(self._recorder.close)
        for close in closes:
            try:
                async with asyncio.timeout(_LEAVE_TIMEOUT_S):
                    await close()
            except Exception:
                # Whatever one does, the others are closed too and the end is reported.
                logger.exception("%s failed, or took longer than %g s", close.__qualname__, _LEAVE_TIMEOUT_S)

    async def _hear(self) -> None:
        """What happens in the channel."""
        await self._channel.run(self._happens)

    def _happens(self, event: ChannelEvent) -> None:
        match event:
            case AudioFrame(uid, pcm):
                if uid == self._audience.user:
                    self._hearing.hear(pcm)
                    if self._recorder is not None:
                        self._recorder.user_spoke(pcm)
                # As good a moment as any, and a wake-up less.
                if self._voice.has_more:
                    self._voice.speak()
            case Played(uid, position):
                if uid == self._audience.user:
                    self._voice.report_played(position)
            case UserJoined(uid):
                self._user_joined(uid)
            case UserLeft(uid):
                self._user_left(uid)
            case Reconnecting(cause):
                self._voice.hold(True)
                self._reporter.channel_connection("lost", cause)
            case Reconnected():
                self._voice.hold(False)
                self._reporter.channel_connection("restored")
            case ChannelLost(cause):
                raise ChannelError(cause)

    async def _record(self) -> None:
        if self._recorder is not None:
            await self._recorder.run(self._voice.unheard)

    async def _listen(self) -> None:
        """What the model does, and the functions that it calls."""
        await self._caller.run(self._session.run(self._handle))

    def _handle(self, event: SessionEvent) -> None:
        match event:
            case model.Play(item_id, content_index, pcm):
                self._turn_timer.audio_came(item_id, self._voice.end, self._clock())
                self._voice.add(item_id, content_index, pcm)
            case model.EndPart(item_id, content_index):
                self._voice.finish(item_id, content_index)
            case model.Interrupt(since_ms):
                self._interrupt(since_ms)
            case model.Transcript():
                self._reporter.transcript(event)
                if event.role == "user" and not event.typed:
                    self._spotter.user_said(event)
            case model.Overheard(text):
                self._spotter.overheard(text)
            case model.UserSpeech():
                self._user_speaks(event)
            case model.CallTools(calls):
                self._caller.call(calls)
            case model.Spent(usage):
                self._reporter.count(TotalUsage.of_response(usage))
            case model.Transcribed(usage):
                self._reporter.count(TotalUsage.of_transcription(usage))
            case _:
                self._reporter.between_session_and_model(event)

    def _tell(self, event: AgentEvent) -> None:
        self._notify(event)
        if self._recorder is not None:
            self._recorder.note(event)

    def _interrupt(self, since_ms: int | None) -> None:
        by: Literal["user", "command", "pause"] = "user"
        if since_ms is None:
            by = "pause" if self._lifetime.is_paused else "command"
        if self._cut():
            self._reporter.notify(events.Interrupted(by=by, after_ms=since_ms))

    def _cut(self) -> bool:
        """Stop speaking at once, and tell the model how much was heard; returns whether anything was cut."""
        heard = self._voice.cut()
        self._session.interrupted(heard)
        return bool(heard)

    def _user_speaks(self, speech: model.UserSpeech) -> None:
        if speech.speaking is not self._lifetime.user_speaking:
            self._reporter.notify(events.SpeechChanged(role="user", speaking=speech.speaking))
            if speech.speaking or speech.is_forgotten or self._lifetime.is_paused:
                self._turn_timer.forget()
            else:
                self._turn_timer.user_stopped(self._clock(), speech.silence_ms, speech.late_ms)
        self._lifetime.user_speaks(speech.speaking)
        self._hearing.user_speaks(speech.speaking)

    def _user_joined(self, uid: int) -> None:
        logger.info("uid %d joined %r", uid, self._spec.channel_name)
        if self._audience.join(uid):
            self._welcome()
            self._reporter.state(self.state)

    def _user_left(self, uid: int) -> None:
        logger.info("uid %d left %r", uid, self._spec.channel_name)
        if not self._audience.leave(uid):
            return
        self._channel.hear(self._spec.user_uid)
        # Nobody hears the rest of a reply, and half a sentence of this user must not begin the next one's.
        self._session.user_left()
        self._cut()
        self._hearing.forget()
        self._spotter.user_left()
        self._turn_timer.forget()
        self._greeted = self._voice.position > 0
        if self._audience.user is not None:
            self._welcome()
        else:
            self._lifetime.user_left()
        self._reporter.state(self.state)

    def _welcome(self) -> None:
        """Listen to the user, who has come."""
        self._channel.hear(self._audience.user)
        self._channel.send({"type": "listening", "uid": self._audience.user})
        self._lifetime.user_joined()
        if self._spec.greeting and not self._greeted:
            self._greeted = True
            self._session.remark(word_for_word(self._spec.greeting))
        self._session.user_joined()

    def _remark(self, remark: Remark) -> None:
        self._turn_timer.forget()
        self._session.remark(word_for_word(getattr(self._spec, remark)))


class _Stopped(Exception):
    """Ends the parts that run side by side."""


def _words(errors: BaseExceptionGroup[BaseException]) -> str:
    """The first error of a group, in words."""
    first = errors.exceptions[0]
    return _words(first) if isinstance(first, BaseExceptionGroup) else str(first)
