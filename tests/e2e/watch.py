"""Those who meet an agent in the tests: a user with an open microphone, and somebody who reads the live stream."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp

from realtime_agent.rtc.channel import AudioFrame, Message
from realtime_agent.rtc.server_client import ServerClient
from realtime_agent.rtc.web_client import WebUser

__all__ = ["Talker", "Watcher", "talking", "watching"]

_FRAME = 960
_FRAME_S = 0.02
_TIMEOUT_S = 60


class Watcher:
    """Reads an agent's live stream."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._news = asyncio.Condition()

    async def read(self, response: aiohttp.ClientResponse) -> None:
        async for line in response.content:
            if line.startswith(b"data: "):
                async with self._news:
                    self.events.append(json.loads(line.removeprefix(b"data: ")))
                    self._news.notify_all()

    async def until(
        self, condition: Callable[[dict[str, Any]], object], after: int = 0, *, timeout_s: float = _TIMEOUT_S
    ) -> dict[str, Any]:
        """The first event behind the first `after` ones of which this is so."""
        try:
            async with asyncio.timeout(timeout_s), self._news:
                await self._news.wait_for(lambda: any(map(condition, self.events[after:])))
        except TimeoutError:
            raise AssertionError(f"it did not happen: {self.events[after:]}") from None
        return next(event for event in self.events[after:] if condition(event))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


class Talker:
    """A user whose microphone is open all the time."""

    def __init__(self, user: WebUser) -> None:
        self.user = user
        self.messages: list[dict[str, Any]] = []
        self.heard = bytearray()
        self._to_say: deque[bytes] = deque()
        self._is_open = True

    async def say(self, pcm: bytes) -> None:
        """Speak; returns when all of it was said."""
        self._to_say.extend(pcm[at : at + _FRAME].ljust(_FRAME, b"\0") for at in range(0, len(pcm), _FRAME))
        async with asyncio.timeout(_TIMEOUT_S):
            while self._to_say:
                await asyncio.sleep(_FRAME_S)

    def close_microphone(self) -> None:
        """Nothing more is sent, not even silence."""
        self._is_open = False

    async def speak(self) -> None:
        """Give the channel a frame every 20 ms, while the microphone is open."""
        now = asyncio.get_running_loop().time
        due = now()
        while self._is_open:
            self.user.push(self._to_say.popleft() if self._to_say else bytes(_FRAME))
            due += _FRAME_S
            await asyncio.sleep(max(0, due - now()))

    async def listen(self) -> None:
        async for event in self.user.events():
            match event:
                case AudioFrame(_, pcm):
                    self.heard += pcm
                case Message(_, body):
                    self.messages.append(dict(body))


@asynccontextmanager
async def watching(server: str, channel_name: str) -> AsyncIterator[Watcher]:
    """Somebody who watches a running agent."""
    watcher = Watcher()
    timeout = aiohttp.ClientTimeout(total=None)
    address = f"{server}/agents/{quote(channel_name, safe='')}/events"
    async with aiohttp.ClientSession(timeout=timeout) as http, http.get(address) as response:
        assert response.status == 200
        task = asyncio.create_task(watcher.read(response))
        try:
            yield watcher
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def talking(server: str, channel_name: str) -> AsyncIterator[Talker]:
    """A user in a running agent's channel."""
    user = WebUser(await ServerClient(server).ask_token(channel_name, 0))
    await user.join()
    talker = Talker(user)
    tasks = [asyncio.create_task(talker.speak()), asyncio.create_task(talker.listen())]
    try:
        yield talker
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await user.leave()
