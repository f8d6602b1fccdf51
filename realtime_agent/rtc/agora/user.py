"""The user's side of a channel of Agora's, without a browser; the agent's side is `channel.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from realtime_agent.errors import ChannelError
from realtime_agent.rtc.agora import AgoraChannel, AgoraEngine
from realtime_agent.rtc.channel import AudioFrame, ChannelEvent, ChannelLost, Message, UserJoined, UserLeft
from realtime_agent.rtc.server_client import ServerClient, UserToken
from realtime_agent.rtc.wire import natural

__all__ = ["AgoraUser"]

_ASK_FOR_S = 5.0
_ASK_EVERY_S = 0.5


class AgoraUser:
    """A user in a channel of Agora's. Joins once: make another to come back.

    Its events are `AudioFrame` (the agent's audio), `Message` (`transcript`, `listening`, `state`) and `ChannelLost`.
    Agora carries no positions, so the agent does not learn what was played here.

    Args:
        server: Knows who the agent is, and gives more tokens.
        engine: Agora's service in this process, of the token's project.
        token: Where to join as whom.
        timeout_s: The bound on each step of `join`.
    """

    position = 0
    dropped_frames = 0

    def __init__(self, server: ServerClient, engine: AgoraEngine, token: UserToken, *, timeout_s: float = 10) -> None:
        self._server = server
        self._next_token: UserToken | None = token
        self._channel_name = token.channel_name
        self._uid = token.uid
        self._agent: Mapping[str, Any] = {}
        self._agent_uid = 0
        self._left = False
        self._timeout_s = timeout_s
        self._channel = AgoraChannel(engine, token.channel_name, token.uid, self._take_token, timeout_s=timeout_s)
        self._events = self._channel.inbox.events()

    @property
    def uid(self) -> int:
        """The user's number."""
        return self._uid

    @property
    def is_heard(self) -> bool:
        """Whether the agent listens to us, or to whoever comes first."""
        return self._agent.get("user_uid") in (None, self._uid)

    async def join(self) -> None:
        """Enter the channel, and wait until the agent is seen there.

        Raises:
            ChannelError: no agent there, or Agora refused, or can't be used.
        """
        self._agent = await self._server.find_agent(self._channel_name)
        self._agent_uid = natural(self._agent.get("uid")) or 0
        self._channel.hear(self._agent_uid)
        await self._channel.join()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._meet()
        except TimeoutError:
            raise ChannelError(
                f"the agent of channel {self._channel_name!r} was not seen there within {self._timeout_s:g} s, but its "
                f"server calls it {self._agent.get('state')}: is its network another than ours?"
            ) from None

    async def _meet(self) -> None:
        async for event in self._events:
            match event:
                case UserJoined(uid) if uid == self._agent_uid:
                    return
                case ChannelLost(cause):
                    raise ChannelError(cause)

    async def leave(self) -> None:
        """Leave, and free everything; harmless when repeated. `events` ends, soon."""
        self._left = True
        await self._channel.leave()

    async def events(self) -> AsyncIterator[ChannelEvent]:
        """What the agent does, in order, until `leave` or `ChannelLost`. One reader at a time.

        An agent that Agora says has left is not waited for, though its own connection may only be interrupted.
        """
        reason = ""
        async for event in self._events:
            match event:
                case AudioFrame() | ChannelLost():
                    yield event
                case Message(uid, body) if uid == self._agent_uid:
                    if body.get("type") == "state" and body.get("state") == "ended":
                        reason = str(body.get("reason"))
                    yield event
                case UserLeft(uid) if uid == self._agent_uid:
                    reason = reason or await self._ask_why()
                    yield ChannelLost(f"the agent ended: {reason}" if reason else "the agent left")
                    return

    def push(self, frame: bytes) -> None:
        """Hand over 20 ms of microphone."""
        self._channel.push(frame)

    def report_played(self, position: int) -> None:
        """Nothing: there is no way to tell."""

    async def _ask_why(self) -> str:
        """Why the agent left without a word; it may be seen to leave before the server knows of it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_ASK_FOR_S):
                while not self._left:
                    if reason := await self._server.why_ended(self._channel_name):
                        return reason
                    await asyncio.sleep(_ASK_EVERY_S)
        return ""

    async def _take_token(self) -> str:
        """The token that we have, and later another one."""
        token, self._next_token = self._next_token, None
        if token is None:
            token = await self._server.ask_token(self._channel_name, self._uid)
        return token.token
