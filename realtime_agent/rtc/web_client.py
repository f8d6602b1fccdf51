"""The user's side of the embedded browser channel, without a browser.

What a page does, done here: open the websocket that a token names, then speak as in `wire.py`. The agent's side is
`web.py`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, ClientWSTimeout, WSMsgType
from aiohttp import WSServerHandshakeError as HandshakeError

from realtime_agent.errors import ChannelError, TokenInvalid
from realtime_agent.pcm import BYTES_PER_SAMPLE
from realtime_agent.rtc.channel import AudioFrame, ChannelEvent, ChannelLost, Flushed, Message
from realtime_agent.rtc.server_client import UserToken, no_agent
from realtime_agent.rtc.wire import CLOSE_ENDED, CLOSE_FULL, CLOSE_REPLACED, natural, parse_object

__all__ = ["WebUser"]

logger = logging.getLogger(__name__)

_MAX_FRAMES = 50
_MAX_MESSAGES = 100
_MAX_MESSAGE_BYTES = 1 << 20
_HEARTBEAT_S = 20.0
_LEAVE_TIMEOUT_S = 2.0

_PASSED_ON = ("joined", "listening", "transcript", "state")

_CLOSE_CAUSES = {
    CLOSE_REPLACED: "another connection joined with the same uid",
    CLOSE_ENDED: "the agent ended",
    CLOSE_FULL: "the channel has too many participants",
}


class WebUser:
    """A user in a channel of the embedded RTC. Joins once: make another to come back.

    Its events are `AudioFrame` (the agent's audio), `Message` (`joined` first, then `listening`, `transcript` and
    `state`, as on the wire), `Flushed` and `ChannelLost`.

    Args:
        token: Where to join as whom.
        timeout_s: The bound on each step of `join`.
    """

    def __init__(self, token: UserToken, *, timeout_s: float = 10) -> None:
        self._url = token.url
        self._channel_name = token.channel_name
        self._timeout_s = timeout_s
        self._uid = token.uid
        self._agent_uid = 0
        self._joined: Mapping[str, Any] = {}
        self._ws: ClientWebSocketResponse | None = None
        self._resources = AsyncExitStack()
        self._sender: asyncio.Task[None] | None = None
        self._left = False
        self._frames: deque[bytes] = deque(maxlen=_MAX_FRAMES)
        self._messages: deque[str] = deque(maxlen=_MAX_MESSAGES)
        self._queued = asyncio.Event()
        self.dropped_frames = 0

    @property
    def uid(self) -> int:
        """The user's number."""
        return self._uid

    @property
    def is_heard(self) -> bool:
        """Whether the agent listens to us, or to whoever comes first."""
        return bool(self._joined.get("heard", True))

    @property
    def joined(self) -> Mapping[str, Any]:
        """The agent's welcome, as on the wire: position, heard, state; empty before `join`."""
        return self._joined

    @property
    def position(self) -> int:
        """The position of the first sample of the agent that came after `join`."""
        return natural(self._joined.get("position")) or 0

    async def join(self) -> None:
        """Enter the channel and wait for the agent's welcome.

        Raises:
            TokenInvalid: the server refused the token that it gave.
            ChannelError: no agent in the channel, no room, or no answer in time.
        """
        if self._ws is not None or self._left:
            raise ChannelError("this user joined already")
        async with AsyncExitStack() as resources:
            session = await resources.enter_async_context(ClientSession())
            ws = await self._open(session)
            resources.push_async_callback(_close, ws)
            await self._welcome(ws)
            self._ws = ws
            self._resources = resources.pop_all()
        self._sender = asyncio.create_task(self._send_queued(ws), name=f"web user {self._uid} sender")

    async def leave(self) -> None:
        """Say goodbye and free everything; harmless when repeated. `events` ends."""
        self._left = True
        async with self._resources:
            sender, self._sender = self._sender, None
            if sender is not None:
                sender.cancel()
                await asyncio.wait([sender])
            if self._ws is not None and not self._ws.closed:
                await self._say_goodbye(self._ws)

    async def events(self) -> AsyncIterator[ChannelEvent]:
        """What happens in the channel, in order, until `leave` or `ChannelLost`. One reader at a time.

        What is not read waits in the socket, so that a slow reader slows the server rather than filling memory.
        """
        if self._ws is None:
            raise ChannelError("join the channel before reading its events")
        yield Message(self._agent_uid, self._joined)
        while True:
            message = await self._ws.receive()
            if message.type is WSMsgType.BINARY:
                # Half a sample at the end is no PCM: ignored like any other broken message.
                if len(message.data) % BYTES_PER_SAMPLE == 0:
                    yield AudioFrame(self._agent_uid, message.data)
            elif message.type is WSMsgType.TEXT:
                event = self._read_text(message.data)
                if event is not None:
                    yield event
            else:
                break
        if not self._left:
            yield ChannelLost(_close_cause(self._ws.close_code, message.extra))

    def push(self, frame: bytes) -> None:
        """Hand over 20 ms of microphone; when more than a second waits for the network, the oldest is dropped."""
        if len(self._frames) == _MAX_FRAMES:
            self.dropped_frames += 1
        self._frames.append(frame)
        self._queued.set()

    def send(self, body: Mapping[str, Any]) -> None:
        """Send a small message to the agent; the oldest is dropped when they pile up."""
        self._messages.append(json.dumps(body))
        self._queued.set()

    def report_played(self, position: int) -> None:
        """Tell the agent that its audio was played up to `position` samples since it joined."""
        self.send({"type": "played", "position": position})

    async def _open(self, session: ClientSession) -> ClientWebSocketResponse:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await session.ws_connect(
                    self._url,
                    heartbeat=_HEARTBEAT_S,
                    max_msg_size=_MAX_MESSAGE_BYTES,
                    timeout=ClientWSTimeout(ws_close=_LEAVE_TIMEOUT_S),
                )
        except HandshakeError as error:
            raise self._refusal(error.status) from None
        except (ClientError, OSError, TimeoutError, ValueError):
            # Their texts may hold the URL, and with it the token.
            raise ChannelError(f"the channel {self._channel_name!r} could not be opened") from None

    def _refusal(self, status: int) -> ChannelError:
        name = self._channel_name
        match status:
            case 401:
                return TokenInvalid(f"the server refused its token for channel {name!r}")
            case 404:
                return ChannelError(no_agent(name))
            case 503:
                return ChannelError(f"channel {name!r} is full")
            case _:
                return ChannelError(f"the server refused channel {name!r} with HTTP status {status}")

    async def _welcome(self, ws: ClientWebSocketResponse) -> None:
        """Wait for `joined`, the first message."""
        try:
            async with asyncio.timeout(self._timeout_s):
                message = await ws.receive()
        except TimeoutError:
            raise ChannelError(f"the agent in channel {self._channel_name!r} gave no sign in time") from None
        if message.type is not WSMsgType.TEXT:
            raise ChannelError(_close_cause(ws.close_code, message.extra))
        body = parse_object(message.data)
        if body is None or body.get("type") != "joined":
            raise ChannelError(f"channel {self._channel_name!r} began with something else than a welcome")
        self._agent_uid = natural(body.get("agent_uid")) or 0
        self._uid = natural(body.get("uid")) or self._uid
        self._joined = body

    def _read_text(self, text: str) -> ChannelEvent | None:
        """The event in one text message, or `None` for what is unknown or broken: both are ignored."""
        body = parse_object(text)
        kind = None if body is None else body.get("type")
        if body is not None and kind in _PASSED_ON:
            return Message(self._agent_uid, body)
        if body is not None and kind == "flush" and (position := natural(body.get("position"))) is not None:
            return Flushed(position)
        logger.debug("a message of type %r was ignored", kind)
        return None

    async def _say_goodbye(self, ws: ClientWebSocketResponse) -> None:
        """Send the messages that wait, the last played position among them, and `leave`."""
        try:
            async with asyncio.timeout(_LEAVE_TIMEOUT_S):
                for message in (*self._messages, json.dumps({"type": "leave"})):
                    await ws.send_str(message)
        except (OSError, TimeoutError, ClientError):
            logger.debug("the channel closed before the goodbye")

    async def _send_queued(self, ws: ClientWebSocketResponse) -> None:
        """Send what `push` and `send` queue, messages first, until cancelled or the connection breaks."""
        try:
            while True:
                await self._queued.wait()
                self._queued.clear()
                while self._messages or self._frames:
                    if self._messages:
                        await ws.send_str(self._messages.popleft())
                    else:
                        await ws.send_bytes(self._frames.popleft())
        except (OSError, ClientError):
            logger.debug("the connection broke while sending; its reader says why")


async def _close(ws: ClientWebSocketResponse) -> None:
    """Close, but do not wait longer than a moment for a far end that goes on talking."""
    try:
        async with asyncio.timeout(_LEAVE_TIMEOUT_S):
            await ws.close()
    except TimeoutError:
        logger.debug("the far end did not close in time")


def _close_cause(code: int | None, reason: str | None) -> str:
    cause = _CLOSE_CAUSES.get(code or 0, "the connection to the server was lost")
    return f"{cause}: {reason}" if reason else cause
