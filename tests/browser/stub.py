"""A server in miniature for the page: its files, the HTTP calls it makes, and one channel that does as a test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import WSCloseCode, WSMsgType, web

import realtime_agent
from realtime_agent.server.schemas import AgoraToken

__all__ = ["AGORA_APP_ID", "FRAME_BYTES", "RATE", "StubServer", "until"]

RATE = 24_000
FRAME_BYTES = 960
AGORA_APP_ID = "a1" * 16
_PLAYGROUND = Path(realtime_agent.__file__).parent / "playground"


async def until(holds: Callable[[], bool], what: str, timeout_s: float = 30) -> None:
    """Wait until `holds()`; a test that waits in vain says for `what`."""
    try:
        async with asyncio.timeout(timeout_s):
            while not holds():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"waited {timeout_s:g} s in vain: {what}") from None


class StubServer:
    """Serves the page and speaks the channel's protocol. What the page sent is kept in the public lists.

    Args:
        state: What the agent says its state is, when a user joins.
        position: Samples of agent audio sent before the user came.

    Attributes:
        agora_sdk: What stands for Agora's SDK; with one, channels are Agora's.
        agent: What the server tells of the channel's agent.
        agora_token: What the server gives to join a channel of Agora's with.
    """

    def __init__(self, *, state: str = "active", position: int = 0) -> None:
        self.state = state
        self.position = position
        self.heard = True
        self.refusals: dict[str, tuple[int, dict[str, Any]]] = {}
        """By path ("/start_agent", "/token", "/rtc", "/agents"): the status and the body to answer with."""
        self.agora_sdk: Path | None = None
        self.agora_token = "007token"
        self.agent: dict[str, Any] = {"uid": 1000, "user_uid": None, "state": state, "reason": None}
        self.asked_for_agent = 0
        self.agent_is_told = asyncio.Event()
        """Whether GET /agents is answered; until it is set, an answer waits, with what was true when asked."""
        self.agent_is_told.set()
        self.openapi: dict[str, Any] = {"openapi": "3.1.0", "info": {"title": "Stub", "version": "0"}, "paths": {}}
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.frames: list[bytes] = []
        self.messages: list[dict[str, Any]] = []
        self.close_codes: list[int | None] = []
        self._events_told: list[bytes] = []
        self._socket: web.WebSocketResponse | None = None
        self._receiving: asyncio.Task[None] | None = None
        self._goodbye: tuple[int, str] = (WSCloseCode.OK, "")
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def origin(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def connected(self) -> bool:
        """Whether a page is in the channel."""
        return self._socket is not None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/", _page("index.html"))
        app.router.add_get("/docs", _page("docs.html"))
        app.router.add_static("/static/", _PLAYGROUND)
        app.router.add_get("/openapi.json", self._openapi)
        for path in ("/start_agent", "/stop_agent", "/control_agent", "/token"):
            app.router.add_post(path, self._call)
        app.router.add_get("/rtc/{channel}", self._channel)
        app.router.add_get("/agents/{channel}", self._agent)
        app.router.add_get("/agents/{channel}/events", self._events)
        app.router.add_get("/agora/AgoraRTC.js", self._sdk)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Go away: nothing listens any more."""
        if self._runner is not None:
            await self.close(WSCloseCode.GOING_AWAY, "")
            await self._runner.cleanup()
            self._runner = None

    async def send(self, **message: Any) -> None:
        """Send a message to the page."""
        await self._page_socket().send_json(message)

    async def say(self, pcm: bytes) -> None:
        """Send agent audio, all at once, in frames."""
        socket = self._page_socket()
        for start in range(0, len(pcm), FRAME_BYTES):
            frame = pcm[start : start + FRAME_BYTES]
            self.position += len(frame) // 2
            await socket.send_bytes(frame)

    async def close(self, code: int, reason: str) -> None:
        """Close the page's connection, if there is one, and wait until the page has agreed."""
        if self._socket is not None and self._receiving is not None:
            self._goodbye = (code, reason)
            self._receiving.cancel()
            await until(lambda: self._socket is None, "the page's answer to the close")

    def sent(self, kind: str) -> list[dict[str, Any]]:
        """The page's messages of this type."""
        return [message for message in self.messages if message["type"] == kind]

    def bodies(self, path: str) -> list[dict[str, Any]]:
        """What was posted to `path`."""
        return [body for called, body in self.requests if called == path]

    def _page_socket(self) -> web.WebSocketResponse:
        assert self._socket is not None, "no page is in the channel"
        return self._socket

    def _refusal(self, path: str) -> web.Response | None:
        status, body = self.refusals.get(path, (0, {}))
        return web.json_response(body, status=status) if status else None

    async def _openapi(self, request: web.Request) -> web.Response:
        return web.json_response(self.openapi)

    async def _call(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.requests.append((request.path, body))
        refusal = self._refusal(request.path)
        if refusal is not None:
            return refusal
        if request.path != "/token":
            return web.json_response({"status": "ok"})
        uid = body["uid"] or 4711
        if self.agora_sdk is not None:
            token = AgoraToken(
                channel_name=body["channel_name"],
                uid=uid,
                app_id=AGORA_APP_ID,
                token=self.agora_token,
                expires_at=None,
            )
            return web.json_response(token.model_dump())
        url = f"ws://127.0.0.1:{self.port}/rtc/{body['channel_name']}?token=t{uid}"
        return web.json_response(
            {"rtc": "web", "channel_name": body["channel_name"], "uid": uid, "token": "t", "url": url}
        )

    async def _agent(self, request: web.Request) -> web.Response:
        self.asked_for_agent += 1
        answer = {"channel_name": request.match_info["channel"], **self.agent}
        refusal = self._refusal("/agents")
        await self.agent_is_told.wait()
        return refusal or web.json_response(answer)

    def tell(self, kind: str, **fields: Any) -> None:
        """Let those who watch the agent know of an event."""
        number = len(self._events_told) + 1
        event = {"id": f"1-{number}", "type": kind, "at": 1_700_000_000.5, **fields}
        self._events_told.append(f"id: 1-{number}\nevent: {kind}\ndata: {json.dumps(event)}\n\n".encode())

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        told = int(request.headers.get("Last-Event-ID", "1-0").partition("-")[2])
        while request.transport is not None and not request.transport.is_closing():
            for event in self._events_told[told:]:
                await response.write(event)
                told += 1
            await asyncio.sleep(0.02)
        return response

    async def _sdk(self, request: web.Request) -> web.StreamResponse:
        if self.agora_sdk is None or not self.agora_sdk.exists():
            return web.json_response({"error": "Not found", "details": "run npm ci"}, status=404)
        return web.FileResponse(self.agora_sdk)

    async def _channel(self, request: web.Request) -> web.StreamResponse:
        refusal = self._refusal("/rtc")
        if refusal is not None:
            return refusal
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._socket = socket
        await socket.send_json(
            {
                "type": "joined",
                "channel_name": request.match_info["channel"],
                "uid": int(request.query["token"][1:]),
                "agent_uid": 1000,
                "position": self.position,
                "heard": self.heard,
                "state": self.state,
            }
        )
        receiving = self._receiving = asyncio.create_task(self._receive(socket))
        await asyncio.wait([receiving])
        if receiving.cancelled():
            # From here, not beside `receive`: there aiohttp cuts the connection without waiting for the page's answer,
            # and with microphone frames unread a cut is a reset, which may overtake the reason.
            code, reason = self._goodbye
            await socket.close(code=code, message=reason.encode())
        self.close_codes.append(socket.close_code)
        if self._socket is socket:
            self._socket = None
        return socket

    async def _receive(self, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                self.frames.append(message.data)
            elif message.type is WSMsgType.TEXT:
                self.messages.append(json.loads(message.data))


def _page(name: str) -> Callable[[web.Request], Any]:
    async def serve(request: web.Request) -> web.FileResponse:
        return web.FileResponse(_PLAYGROUND / name)

    return serve
