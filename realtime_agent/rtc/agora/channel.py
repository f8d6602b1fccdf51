"""One participant's presence in a channel of Agora's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from realtime_agent.errors import ChannelError, ConfigError
from realtime_agent.pcm import SAMPLE_RATE
from realtime_agent.rtc.agora.data_stream import Assembler
from realtime_agent.rtc.agora.engine import AgoraEngine
from realtime_agent.rtc.agora.events import (
    ConnectionChanged,
    ConnectionState,
    NativeError,
    NativeEvent,
    NativeEvents,
    Received,
    TokenExpires,
    in_words,
)
from realtime_agent.rtc.agora.mailbox import Mailbox
from realtime_agent.rtc.agora.message_sender import MessageSender
from realtime_agent.rtc.agora.native_connection import NativeConnection
from realtime_agent.rtc.agora.transcript_events import from_event, to_event
from realtime_agent.rtc.channel import (
    AudioFrame,
    ChannelEvent,
    ChannelLost,
    Message,
    Reconnected,
    Reconnecting,
    UserJoined,
    UserLeft,
)
from realtime_agent.rtc.inbox import Inbox

__all__ = ["AgoraChannel"]

logger = logging.getLogger(__name__)

_FRAME_MS = 20
"""The library takes any multiple of 10 ms."""
_MAX_WAITING = 100
"""Frames of 10 ms, or messages, that may wait for the loop."""
_DRAIN_S = 0.5
"""How long the last messages, the reason of the end among them, may take before we leave."""
_LAST_S = 0.25
"""How long the last of them alone may take, where they did not all go."""
_GOODBYE_S = 1.0
_ASK_AGAIN_S = 1.0
_RENEW_AGAIN_S = 5.0


class AgoraChannel:
    """One participant's presence in a channel of Agora.

    Args:
        engine: Agora's service in this process.
        channel_name: The channel.
        uid: Our number in it, which is not 0.
        token: Gives a new token; called to join, and whenever one is about to expire.
        timeout_s: How long joining may take.
        reconnect_timeout_s: How long an interrupted connection is waited for.

    Attributes:
        inbox: What happened in the channel and nobody was told yet.
    """

    frame_ms = _FRAME_MS

    def __init__(
        self,
        engine: AgoraEngine,
        channel_name: str,
        uid: int,
        token: Callable[[], Awaitable[str]],
        *,
        timeout_s: float = 10,
        reconnect_timeout_s: float = 30,
    ) -> None:
        self._engine = engine
        self._channel_name = channel_name
        self._uid = uid
        self._token = token
        self._timeout_s = timeout_s
        self._reconnect_timeout_s = reconnect_timeout_s
        self._loop = asyncio.get_running_loop()
        self._mailbox: Mailbox[NativeEvent] = Mailbox(
            self._take, droppable=(AudioFrame, Received), max_waiting=_MAX_WAITING
        )
        self.inbox = Inbox()
        self._messages = MessageSender(self._send_part)
        self._assembler = Assembler()
        self._connection: NativeConnection | None = None
        self._has_engine = False
        self._answered = asyncio.Event()
        self._refusal: str | None = None
        self._disconnected = asyncio.Event()
        # The connection, once it is made and until we leave.
        self._open: NativeConnection | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._is_away = False
        self._users: dict[int, None] = {}
        self._subscribed: set[int] = set()
        self._heard: int | None = None
        self._state: Mapping[str, Any] | None = None
        self._refused_frames = 0
        self._giving_up: asyncio.TimerHandle | None = None
        self._asking_again: asyncio.TimerHandle | None = None
        self._renewing: asyncio.Task[None] | None = None

    def hear(self, uid: int | None) -> None:
        """Bring the audio of this participant only."""
        self._heard = uid
        self._subscribe()

    async def join(self) -> None:
        """Enter the channel.

        Raises:
            ChannelError: Agora's packages can't be used, Agora refused, or it did not answer in time.
        """
        try:
            await self._engine.open()
        except ConfigError as error:
            raise ChannelError(str(error)) from None
        self._has_engine = True
        token = await self._token()
        events = NativeEvents(self._mailbox.put, SAMPLE_RATE)
        try:
            connection = self._connection = self._engine.create_connection(self._channel_name, self._uid, events)
        except ChannelError:
            self._has_engine = False  # what is half made can't be freed, and keeps the service
            raise
        if (result := connection.connect(token)) < 0:
            raise ChannelError(f"Agora's library does not take channel {self._channel_name!r}: it answers {result}")
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._answered.wait()
        except TimeoutError:
            raise ChannelError(f"Agora did not let us join within {self._timeout_s:g} s") from None
        if self._refusal is not None:
            raise ChannelError(f"Agora refused channel {self._channel_name!r}: {self._refusal}")

    async def leave(self) -> None:
        """Send what waits, say goodbye, free everything. That goes on when whoever asked for it gives up waiting."""
        if self._leaving is None:
            self._leaving = self._loop.create_task(self._leave(), name="leave a channel of Agora's")
        await asyncio.shield(self._leaving)

    async def _leave(self) -> None:
        if not await self._messages.drain(_DRAIN_S):
            self._messages.stream.hurry_last()
            await self._messages.drain(_LAST_S)
        was_open, self._open = self._open, None
        self._messages.close()
        for timer in (self._giving_up, self._asking_again):
            if timer is not None:
                timer.cancel()
        if self._renewing is not None:
            self._renewing.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
            if was_open is not None:
                await self._wait_for_goodbye()
        self._mailbox.close()
        self.inbox.close()
        self._tell_losses()
        if connection is not None:
            # What can't be freed, or takes too long, keeps the service: that may not end before it.
            await self._engine.free(connection)
        if self._has_engine:
            self._has_engine = False
            await self._engine.close()

    async def run(self, handle: Callable[[ChannelEvent], None]) -> None:
        """Tell what happens in the channel."""
        await self.inbox.run(handle)

    def push(self, frame: bytes) -> None:
        """Hand over a frame; the library keeps what is early, so that only a paced one is heard at once."""
        if self._open is not None and (result := self._open.push(frame)) < 0:
            if not self._refused_frames:
                logger.warning("Agora's library takes no audio in %r: it answers %d", self._channel_name, result)
            self._refused_frames += 1

    def flush(self, position: int) -> None:
        """Drop what the library has not sent yet. What is under way, some 100 ms, is heard."""
        if self._open is not None:
            self._open.clear()

    def send(self, body: Mapping[str, Any]) -> None:
        """Send a message to everyone, at the pace that Agora allows."""
        if body.get("type") == "state":
            self._state = body
        if self._leaving is None:
            self._messages.add(to_event(body))

    def _take(self, event: NativeEvent) -> None:
        """Something that the library told."""
        match event:
            case AudioFrame(uid):
                if self._heard in (None, uid):
                    self.inbox.put(event)
            case Received(uid, part):
                body = self._assembler.add(uid, part)
                if body is not None:
                    self.inbox.put(Message(uid, from_event(body)))
            case UserJoined(uid):
                self._user_joined(uid)
            case UserLeft(uid):
                self._user_left(uid)
            case ConnectionChanged(state, reason):
                self._connection_changed(state, reason)
            case TokenExpires():
                if self._renewing is None or self._renewing.done():
                    self._renewing = self._loop.create_task(self._renew_token(), name="renew Agora's token")
            case NativeError(code, message):
                logger.warning("Agora's library reports error %d in %r: %s", code, self._channel_name, message)

    def _user_joined(self, uid: int) -> None:
        if uid in self._users:
            return
        self._users[uid] = None
        self.inbox.put(UserJoined(uid))
        self._subscribe()
        if self._state is not None:
            self.send(self._state)

    def _user_left(self, uid: int) -> None:
        if uid not in self._users:
            return
        del self._users[uid]
        self._subscribed.discard(uid)
        self._assembler.forget(uid)
        self.inbox.put(UserLeft(uid))

    def _connection_changed(self, state: int, reason: int) -> None:
        if state == ConnectionState.CONNECTED:
            if self._open is None:
                self._enter()
            elif self._is_away:
                self._come_back()
        elif state == ConnectionState.RECONNECTING:
            if self._open is not None and not self._is_away:
                self._go_away(in_words(reason))
        elif state in (ConnectionState.DISCONNECTED, ConnectionState.FAILED):
            self._disconnected.set()
            if self._open is not None:
                self._lose(in_words(reason))
            else:
                self._refusal = in_words(reason)
                self._answered.set()

    def _enter(self) -> None:
        self._open = self._connection
        self._answered.set()
        self._subscribe()
        self._send_messages()

    def _go_away(self, cause: str) -> None:
        self._is_away = True
        self._messages.close()
        self.inbox.put(Reconnecting(cause))
        self._giving_up = self._loop.call_later(
            self._reconnect_timeout_s, self._lose, f"Agora was gone for {self._reconnect_timeout_s:g} s: {cause}"
        )

    def _come_back(self) -> None:
        self._is_away = False
        if self._giving_up is not None:
            self._giving_up.cancel()
        self.inbox.put(Reconnected())
        self._subscribed.clear()
        self._subscribe()
        self._send_messages()

    def _lose(self, cause: str) -> None:
        self.inbox.put(ChannelLost(cause))
        self.inbox.close()

    def _subscribe(self) -> None:
        """Ask for the voices of those who are there and to be heard, and for no others any more."""
        connection = self._open
        if connection is None:
            return
        wanted = {uid for uid in self._users if self._heard in (None, uid)}
        for uid in self._subscribed - wanted:
            connection.unsubscribe(uid)
        self._subscribed &= wanted
        for uid in wanted - self._subscribed:
            if (result := connection.subscribe(uid)) < 0:
                logger.warning("uid %d can't be heard in %r: Agora answers %d", uid, self._channel_name, result)
                self._ask_again()
            else:
                self._subscribed.add(uid)

    def _ask_again(self) -> None:
        """Try soon what was refused: who is there may not speak yet."""
        if self._asking_again is not None:
            self._asking_again.cancel()
        self._asking_again = self._loop.call_later(_ASK_AGAIN_S, self._subscribe)

    def _send_messages(self) -> None:
        if self._open is not None and self._open.has_stream:
            self._messages.open()

    def _send_part(self, part: str) -> None:
        if self._open is not None and (result := self._open.send_part(part)) < 0:
            logger.debug("a part of a message was not sent: Agora answers %d", result)

    async def _renew_token(self) -> None:
        """Give the connection a new token, and try again until it has one or is lost."""
        while (connection := self._connection) is not None:
            try:
                result = connection.renew_token(await self._token())
            except ChannelError as error:
                logger.warning("there is no new token for %r: %s", self._channel_name, error)
            else:
                if result >= 0:
                    logger.info("the token for %r was renewed", self._channel_name)
                    return
                logger.warning("Agora did not take a new token for %r: it answers %d", self._channel_name, result)
            await asyncio.sleep(_RENEW_AGAIN_S)

    async def _wait_for_goodbye(self) -> None:
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._disconnected.wait()
        except TimeoutError:
            logger.warning("Agora's library did not say within %g s that it left %r", _GOODBYE_S, self._channel_name)

    def _tell_losses(self) -> None:
        for count, what in (
            (self._mailbox.dropped, "frames and messages from Agora were dropped, because this process was behind"),
            (self._messages.stream.dropped, "messages to users were dropped, because Agora takes 6 KB a second"),
            (self._refused_frames, "frames were refused by Agora's library"),
        ):
            if count:
                logger.warning("%r: %d %s", self._channel_name, count, what)
