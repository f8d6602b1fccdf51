"""A server with one scripted agent in the embedded channel, as a caller meets it on the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import WSMsgType, web

__all__ = ["AGENT_UID", "FRAME", "StubAgent", "StubServer", "tone"]

AGENT_UID = 7
FRAME = 960
"""Bytes in 20 ms of PCM."""


def tone(ms: int, level: int = 8000) -> bytes:
    """A square wave, loud enough to be heard."""
    half = level.to_bytes(2, "little", signed=True) * 30 + (-level).to_bytes(2, "little", signed=True) * 30
    return (half * (ms * 24 // 60 + 1))[: ms * 48]


class StubAgent:
    """The agent's end of one connection, for a script to drive."""

    def __init__(self, ws: web.WebSocketResponse) -> None:
        self._ws = ws
        self._listening: asyncio.Task[None] | None = None
        self.heard = bytearray()
        self.messages: list[dict[str, Any]] = []
        self._news = asyncio.Event()

    async def say(self, pcm: bytes, *, paced: bool = False) -> None:
        """Send audio in 20 ms frames, at once or in real time."""
        for start in range(0, len(pcm), FRAME):
            await self._ws.send_bytes(pcm[start : start + FRAME])
            if paced:
                await asyncio.sleep(0.02)

    async def tell(self, **body: Any) -> None:
        """Send one message."""
        await self._ws.send_str(json.dumps(body))

    async def final(self, role: str, item_id: str, text: str, **more: Any) -> None:
        """Send a whole transcript."""
        await self.tell(type="transcript", role=role, item_id=item_id, text=text, final=True, **more)

    async def send_raw(self, text: str) -> None:
        """Send a text message as it is."""
        await self._ws.send_str(text)

    async def close(self, code: int, reason: str) -> None:
        """End the connection; returns when the user has agreed."""
        # Not beside `receive`: there aiohttp cuts the connection without waiting for the user's answer, and with
        # messages unread a cut is a reset, which may overtake the reason.
        assert self._listening is not None
        self._listening.cancel()
        await asyncio.wait([self._listening])
        await self._ws.close(code=code, message=reason.encode())

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait until what arrived meets a condition."""
        async with asyncio.timeout(30):
            while not met():
                self._news.clear()
                await self._news.wait()

    async def until_speech_ends(self) -> None:
        """Wait until the user has spoken, and then been silent for 100 ms."""
        quiet = bytes(5 * FRAME)
        await self.until(lambda: any(self.heard) and self.heard.endswith(quiet))

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """The messages of one type that arrived."""
        return [message for message in self.messages if message["type"] == kind]

    async def follow(self, script: Script) -> None:
        """Do as a script says, and gather what the user sends, until one of the two ends the connection."""
        async with asyncio.TaskGroup() as tasks:
            listening = self._listening = tasks.create_task(self._listen())
            doing = tasks.create_task(self._do(script))
            await asyncio.wait([listening])
            if not listening.cancelled():
                doing.cancel()

    async def _do(self, script: Script) -> None:
        # The user may leave while the agent is speaking.
        with suppress(ConnectionResetError):
            await script(self)

    async def _listen(self) -> None:
        async for message in self._ws:
            if message.type is WSMsgType.BINARY:
                self.heard += message.data
            elif message.type is WSMsgType.TEXT:
                self.messages.append(json.loads(message.data))
            self._news.set()
            if self.of_type("leave"):
                await self._ws.close()


Script = Callable[[StubAgent], Awaitable[None]]


class StubServer:
    """What it is to answer, and what it was asked."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.token_answer: tuple[int, object] | None = None
        self.upgrade_status = 101
        self.welcome: dict[str, Any] | None = {"heard": True, "position": 0, "state": "active"}
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.agents: list[StubAgent] = []
        self.joined = asyncio.Event()

    @property
    def agent(self) -> StubAgent:
        """The agent of the one connection that was made."""
        (agent,) = self.agents
        return agent

    async def _token(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append(body)
        if self.token_answer is not None:
            status, answer = self.token_answer
            return web.json_response(answer, status=status)
        url = self.url.replace("http", "ws", 1) + f"/rtc/{body['channel_name']}?token=t"
        answer = {**body, "rtc": "web", "uid": body["uid"] or 4321, "token": "t", "url": url, "expires_at": 0}
        return web.json_response(answer)

    async def _upgrade(self, request: web.Request) -> web.StreamResponse:
        if self.upgrade_status != 101:
            return web.json_response({"error": "no", "details": "no"}, status=self.upgrade_status)
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        agent = StubAgent(ws)
        self.agents.append(agent)
        if self.welcome is not None:
            name, uid = request.match_info["name"], self.asked[-1]["uid"] or 4321
            await agent.tell(type="joined", channel_name=name, uid=uid, agent_uid=AGENT_UID, **self.welcome)
        self.joined.set()
        await agent.follow(self.script)
        return ws

    @classmethod
    @asynccontextmanager
    async def running(cls, script: Script) -> AsyncIterator[StubServer]:
        """A server on a free port whose agent follows `script`."""
        server = cls(script)
        app = web.Application()
        app.router.add_post("/token", server._token)
        app.router.add_get("/rtc/{name}", server._upgrade)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            server.url = f"http://{host}:{port}"
            yield server
        finally:
            await runner.cleanup()
