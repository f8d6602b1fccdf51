"""The least that a client of a Realtime model can do in Python: encode and send, receive and decode. Nothing is kept.

What a bridge costs is told beside them: one of the package that most use, with the standard library's codecs, and one
of the fastest packages that there are.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import orjson
import pybase64
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from websockets.asyncio.client import ClientConnection, connect

from bench import marks
from bench.far_end import Noted

__all__ = ["FastFloor", "Floor"]

_SETTINGS = {
    "type": "session.update",
    "session": {"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}}}},
}
_MAX_FRAME = 2**24


class Floor:
    """`websockets`, `json` and `base64`."""

    def __init__(self) -> None:
        self.noted = Noted()
        self._frames: asyncio.Queue[bytes] = asyncio.Queue(100)

    async def open(self, url: str) -> None:
        """Connect, and wait until the model has taken the settings."""
        self._websocket: ClientConnection = await connect(url, compression=None, max_size=_MAX_FRAME, proxy=None)
        await self._websocket.recv()
        await self._websocket.send(json.dumps(_SETTINGS))
        await self._websocket.recv()
        self._tasks = [asyncio.create_task(self._receive()), asyncio.create_task(self._send())]

    def hear(self, pcm: bytes) -> None:
        """The user says more."""
        self._frames.put_nowait(pcm)

    async def close(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        await self._websocket.close()

    async def _send(self) -> None:
        while True:
            audio = base64.b64encode(await self._frames.get()).decode()
            await self._websocket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))

    async def _receive(self) -> None:
        async for message in self._websocket:
            _take(self.noted, json.loads(message), base64.b64decode)


class FastFloor(WSListener):
    """`picows`, `orjson` and `pybase64`, without a task."""

    def __init__(self) -> None:
        self.noted = Noted()
        self._is_ready = asyncio.Event()

    async def open(self, url: str) -> None:
        """Connect, and wait until the model has taken the settings."""
        self._transport, _ = await ws_connect(lambda: self, url, max_frame_size=_MAX_FRAME)
        await self._is_ready.wait()

    def hear(self, pcm: bytes) -> None:
        """The user says more."""
        audio = pybase64.b64encode_as_string(pcm)
        self._transport.send(WSMsgType.TEXT, orjson.dumps({"type": "input_audio_buffer.append", "audio": audio}))

    async def close(self) -> None:
        """Hang up."""
        self._transport.disconnect()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """An event came."""
        if frame.msg_type is not WSMsgType.TEXT:
            return
        event = orjson.loads(frame.get_payload_as_memoryview())
        if event["type"] == "session.created":
            transport.send(WSMsgType.TEXT, orjson.dumps(_SETTINGS))
        elif event["type"] == "session.updated":
            self._is_ready.set()
        else:
            _take(self.noted, event, pybase64.b64decode)


def _take(noted: Noted, event: dict[str, Any], decode: Any) -> None:
    """Note what a floor can: that audio is there, and that it would be cut."""
    if event["type"] == "response.output_audio.delta":
        pcm: bytes = decode(event["delta"])
        mark = marks.read_mark(pcm)
        if mark is not None:
            took = time.monotonic_ns() - mark.sent_ns
            noted.downlink_ns.append(took)
            if mark.is_first:
                noted.first_ns.append(took)
    elif event["type"] == "input_audio_buffer.speech_started":
        noted.cuts.append((time.monotonic_ns(), 0.0))
