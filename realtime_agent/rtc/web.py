"""The embedded browser channel, the agent's side: users come as websockets that the server hands over.

Users hear the agent, not each other. What goes over the wire is in `wire.py`, the user's side in `web_client.py`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from realtime_agent.pcm import BYTES_PER_MS, BYTES_PER_SAMPLE
from realtime_agent.rtc.channel import AudioFrame, ChannelEvent, Message, Played, UserJoined, UserLeft
from realtime_agent.rtc.inbox import Inbox
from realtime_agent.rtc.websocket import WebSocket
from realtime_agent.rtc.wire import CLOSE_ENDED, CLOSE_FULL, CLOSE_LEFT, CLOSE_REPLACED, FRAME_MS, natural, parse_object

__all__ = ["WebChannel"]

logger = logging.getLogger(__name__)

_MAX_USERS = 16
_MAX_FRAME = 100 * BYTES_PER_MS
_SILENT_S = 15.0
"""A page sends audio all the time, zeros when muted; one that sends nothing for this long is gone."""


@dataclass(slots=True)
class _User:
    """A participant; `missed` while the page's count of our samples is wrong, because frames were dropped."""

    uid: int
    websocket: WebSocket
    missed: bool = False


class WebChannel:
    """The agent's presence in an embedded channel.

    Attributes:
        inbox: What users did and nobody was told yet.
    """

    frame_ms = FRAME_MS

    def __init__(self, channel_name: str, agent_uid: int) -> None:
        self._channel_name = channel_name
        self._agent_uid = agent_uid
        self._heard: int | None = None
        self.inbox = Inbox()
        self._users: dict[int, _User] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._position = 0
        self._state: Mapping[str, Any] = {}
        self._watch: asyncio.TimerHandle | None = None
        self._end_reason = ""
        self._left = False

    def hear(self, uid: int | None) -> None:
        """Bring the audio of this participant only."""
        self._heard = uid

    async def join(self) -> None:
        """Nothing to enter: the channel is wherever its agent is."""
        self._watch_silence()

    async def leave(self) -> None:
        """Say goodbye to everyone."""
        self._left = True
        if self._watch is not None:
            self._watch.cancel()
        for user in self._users.values():
            user.websocket.close(CLOSE_ENDED, self._end_reason)
        self.inbox.close()
        # Each websocket cuts itself off a second after its goodbye, so that this wait ends.
        await self._empty.wait()

    async def adopt(self, connection: socket.socket, uid: int, answer: bytes) -> None:
        """Let a user in. The socket is ours from here on; `answer` ends its websocket's opening handshake."""
        loop = asyncio.get_running_loop()
        try:
            connection.send(answer)
            _, websocket = await loop.connect_accepted_socket(lambda: WebSocket(self), connection)
        except OSError as error:
            connection.close()
            logger.info("uid %d hung up before it was let in: %s", uid, error)
            return
        if self._left:
            websocket.close(CLOSE_ENDED, self._end_reason)
            return
        before = self._users.get(uid)
        if before is None and len(self._users) >= _MAX_USERS:
            websocket.close(CLOSE_FULL, "too many participants")
            return
        self._users[uid] = _User(uid, websocket)
        self._empty.clear()
        if before is not None:
            before.websocket.close(CLOSE_REPLACED, "joined again with the same uid")
        self._send(
            websocket,
            {
                "type": "joined",
                "channel_name": self._channel_name,
                "uid": uid,
                "agent_uid": self._agent_uid,
                "position": self._position,
                "heard": self._heard in (None, uid),
                "state": self._state.get("state", "waiting"),
            },
        )
        self.inbox.put(UserJoined(uid))

    async def run(self, handle: Callable[[ChannelEvent], None]) -> None:
        """Tell what the users do."""
        await self.inbox.run(handle)

    def push(self, frame: bytes) -> None:
        """Let every user hear a frame; a user whose connection is full misses it, and is told where to go on."""
        for user in self._users.values():
            if user.missed and not user.websocket.is_behind:
                user.missed = not self._send(user.websocket, {"type": "flush", "position": self._position})
            if not user.missed:
                user.missed = not user.websocket.send(frame)
        self._position += len(frame) // BYTES_PER_SAMPLE

    def flush(self, position: int) -> None:
        """Let every page drop what it has not played."""
        self._position = position
        for user in self._users.values():
            user.missed = not self._send(user.websocket, {"type": "flush", "position": position})

    def send(self, body: Mapping[str, Any]) -> None:
        """Send a message to every user."""
        if body.get("type") == "state":
            self._state = body
            self._end_reason = str(body.get("reason") or "")
        for user in self._users.values():
            self._send(user.websocket, body)

    def message_received(self, websocket: WebSocket, message: str | bytes) -> None:
        """A user sent something."""
        user = self._user(websocket)
        if user is None:
            return
        if isinstance(message, bytes):
            if self._heard in (None, user.uid) and _is_audio(message):
                self.inbox.put(AudioFrame(user.uid, message))
            return
        body = parse_object(message)
        if body is None:
            logger.debug("uid %d sent a message that is no JSON object", user.uid)
            return
        self._control(user, body)

    def closed(self, websocket: WebSocket) -> None:
        """A connection is gone; its user left unless another one took its place."""
        user = self._user(websocket)
        if user is not None:
            del self._users[user.uid]
            self.inbox.put(UserLeft(user.uid))
            if not self._users:
                self._empty.set()

    def _control(self, user: _User, body: dict[str, Any]) -> None:
        match body:
            case {"type": "played", "position": value} if (position := natural(value)) is not None:
                if self._heard in (None, user.uid):
                    self.inbox.put(Played(user.uid, position))
            case {"type": "leave"}:
                user.websocket.close(CLOSE_LEFT, "left")
            case _:
                self.inbox.put(Message(user.uid, body))

    def _user(self, websocket: WebSocket) -> _User | None:
        return next((user for user in self._users.values() if user.websocket is websocket), None)

    @staticmethod
    def _send(websocket: WebSocket, body: Mapping[str, Any]) -> bool:
        return websocket.send(json.dumps(body, separators=(",", ":"), ensure_ascii=False))

    def _watch_silence(self) -> None:
        loop = asyncio.get_running_loop()
        for user in self._users.values():
            if loop.time() - user.websocket.last_received > _SILENT_S:
                logger.info("uid %d sent nothing for %g s", user.uid, _SILENT_S)
                user.websocket.abort()
        self._watch = loop.call_later(_SILENT_S / 3, self._watch_silence)


def _is_audio(message: bytes) -> bool:
    return 0 < len(message) <= _MAX_FRAME and len(message) % BYTES_PER_SAMPLE == 0
