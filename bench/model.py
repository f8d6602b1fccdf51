"""A scripted Realtime server in a process of its own, which tells how long marked audio took to it.

It is as lean as it can be, so that it is not what saturates the machine: deltas are encoded once but for their marks,
and of an append only the marks are read.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Literal

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from bench import marks
from realtime_agent.pcm import BYTES_PER_MS

__all__ = ["DELTA_MS", "Heard", "Mode", "Model", "running_model"]

Mode = Literal["silent", "half", "barge"]
"""Say nothing; speak half the time; speak, and be interrupted in the middle."""

DELTA_MS = 100
_DELTA_S = 0.05
"""Deltas come at twice the speed of speech, as a model's do."""

_SPEECH_MS = 2000
_CYCLE_S = {"half": 4.0, "barge": 2.0}
_BARGE_S = 0.75
"""When the user begins to speak, after the model did."""

_REPLY_TIMEOUT_S = 30
_MAX_FRAME = 2**20


@dataclass
class Heard:
    """What a model got in a while.

    Attributes:
        uplink_ns: For each agent from a frame's mark to its arrival, for each frame.
        appends: How many messages they came in.
        cuts: For each agent the (time in ns, id of the item) of each time that its user began to speak.
        truncated: For each agent the (id of the item, milliseconds) that it said were heard.
        cpu_s: What the model cost itself.
    """

    uplink_ns: dict[str, list[int]] = field(default_factory=dict)
    appends: int = 0
    cuts: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    truncated: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    cpu_s: float = 0.0

    def all_uplink_ns(self) -> list[int]:
        """Those of all agents."""
        return [ns for each in self.uplink_ns.values() for ns in each]


class Model:
    """The process, as its parent sees it.

    Attributes:
        url: Its address, for REALTIME_API_BASE_URI.
        pid: Its process.
    """

    def __init__(self, pipe: Connection, pid: int) -> None:
        self._pipe = pipe
        self.pid = pid
        self.url: str = self._receive()

    def speak(self, mode: Mode, frame_ms: int = 20) -> None:
        """Let it speak like this from now on, and expect frames of this length."""
        self._pipe.send((mode, frame_ms))
        self._receive()

    def collect(self) -> Heard:
        """What it got since this was last asked."""
        self._pipe.send("collect")
        heard: Heard = self._receive()
        return heard

    def _receive(self) -> Any:
        if not self._pipe.poll(_REPLY_TIMEOUT_S):
            raise SystemExit("the scripted model does not answer")
        return self._pipe.recv()


@contextmanager
def running_model() -> Iterator[Model]:
    """Run one while the context lasts."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(theirs,), name="model", daemon=True)
    process.start()
    theirs.close()
    try:
        yield Model(ours, process.pid or 0)
    finally:
        ours.close()
        process.join(5)
        process.kill()


def _main(pipe: Connection) -> None:
    asyncio.run(_Server(pipe).run())


class _Server:
    """What all connections share."""

    def __init__(self, pipe: Connection) -> None:
        self.mode: Mode = "silent"
        self.frame_ms = 20
        self.heard = Heard()
        self.deltas = _Deltas()
        self._pipe = pipe
        self._ended = asyncio.Event()
        self._numbers = itertools.count()

    async def run(self) -> None:
        server = await ws_create_server(self._accept, "127.0.0.1", 0, max_frame_size=_MAX_FRAME)
        port = server.sockets[0].getsockname()[1]
        self._pipe.send(f"ws://127.0.0.1:{port}/v1")
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._obey)
        await self._ended.wait()
        server.close()

    def _accept(self, request: WSUpgradeRequest) -> _Session:
        return _Session(self, request.path.decode().rpartition("model=")[2], next(self._numbers))

    def _obey(self) -> None:
        try:
            command = self._pipe.recv()
        except EOFError:
            self._ended.set()
            return
        if command == "collect":
            self.heard.cpu_s = time.process_time() - self.heard.cpu_s
            self._pipe.send(self.heard)
            self.heard = Heard(cpu_s=time.process_time())
        else:
            self.mode, self.frame_ms = command
            self._pipe.send(None)


class _Deltas:
    """Deltas, ready but for whose they are and their marks."""

    def __init__(self) -> None:
        silence = bytes(DELTA_MS * BYTES_PER_MS - marks.LENGTH)
        self._rest = base64.b64encode(silence) + b'"}'

    def make(self, ids: bytes, number: int, *, is_first: bool) -> bytes:
        """One of them, marked now; `ids` is as `_ids` gives them."""
        head = b'{"type":"response.output_audio.delta",' + ids + b',"delta":"'
        return head + base64.b64encode(marks.mark(number, is_first=is_first)) + self._rest


class _Session(WSListener):
    """One agent's connection."""

    def __init__(self, server: _Server, name: str, number: int) -> None:
        self._server = server
        self._name = name
        self._number = number
        self._responses = itertools.count(1)
        self._speaking: asyncio.Task[None] | None = None
        self._interrupted = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Greet."""
        self._transport = transport
        self._send("session.created", session={"type": "realtime", "object": "realtime.session", "id": "sess_1"})

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """An event came, whole: no client here fragments."""
        arrived = time.monotonic_ns()
        message = frame.get_payload_as_bytes()
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close()
            transport.disconnect()
        elif b"input_audio_buffer.append" in message[:80]:
            self._hear(message, arrived)
        else:
            self._handle(json.loads(message))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The agent is gone."""
        if self._speaking is not None:
            self._speaking.cancel()

    def _hear(self, message: bytes, arrived: int) -> None:
        heard = self._server.heard
        heard.appends += 1
        uplink_ns = heard.uplink_ns.setdefault(self._name, [])
        start = message.find(b'"', message.find(b'"audio"') + 7) + 1
        for at in range(start, len(message) - 4, self._server.frame_ms * BYTES_PER_MS * 4 // 3):
            mark = marks.read_mark(base64.b64decode(message[at : at + marks.BASE64_LENGTH]))
            if mark is not None:
                uplink_ns.append(arrived - mark.sent_ns)

    def _handle(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.update":
                self._send("session.updated", session=event["session"])
                if self._speaking is None:
                    self._speaking = asyncio.get_running_loop().create_task(self._speak())
            case "conversation.item.truncate":
                cuts = self._server.heard.truncated.setdefault(self._name, [])
                cuts.append((event["item_id"], event["audio_end_ms"]))
                fields = {name: event[name] for name in ("item_id", "content_index", "audio_end_ms")}
                self._send("conversation.item.truncated", **fields)

    async def _speak(self) -> None:
        """Say something again and again; agents don't all begin at once."""
        now = asyncio.get_running_loop().time
        await asyncio.sleep(self._number * 0.377 % 4.0)
        while True:
            mode = self._server.mode
            if mode == "silent":
                await asyncio.sleep(0.1)
                continue
            began = now()
            await (self._respond() if mode == "half" else self._be_interrupted())
            await asyncio.sleep(max(0, began + _CYCLE_S[mode] - now()))

    async def _respond(self) -> None:
        """Two seconds of speech and its words, in one second."""
        number = next(self._responses)
        response, item = self._begin(number)
        for n in range(_SPEECH_MS // DELTA_MS):
            self._say(number, n)
            await asyncio.sleep(_DELTA_S)
        self._end(number, response, item, "completed")

    async def _be_interrupted(self) -> None:
        """Speech into which the user speaks."""
        number = next(self._responses)
        response, item = self._begin(number)
        for n in range(_SPEECH_MS // DELTA_MS):
            self._say(number, n)
        await asyncio.sleep(_BARGE_S)
        self._server.heard.cuts.setdefault(self._name, []).append((time.monotonic_ns(), item))
        user = f"user_{number}"
        self._send("input_audio_buffer.speech_started", audio_start_ms=0, item_id=user)
        self._end(number, response, item, "cancelled")
        await asyncio.sleep(0.2)
        self._send("input_audio_buffer.speech_stopped", audio_end_ms=1, item_id=user)
        self._send("input_audio_buffer.committed", item_id=user, previous_item_id=item)

    def _begin(self, number: int) -> tuple[dict[str, Any], str]:
        response: dict[str, Any] = {"id": f"resp_{number}", "object": "realtime.response", "output": []}
        item = f"item_{number}"
        self._send("response.created", response=response | {"status": "in_progress"})
        added = {"id": item, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        self._send("response.output_item.added", response_id=response["id"], output_index=0, item=added)
        self._send("conversation.item.added", item=added, previous_item_id=None)
        return response, item

    def _say(self, number: int, n: int) -> None:
        ids = (
            b'"event_id":"event_%d","response_id":"resp_%d","item_id":"item_%d","output_index":0,"content_index":0'
            % (n, number, number)
        )
        self._transport.send(WSMsgType.TEXT, self._server.deltas.make(ids, n, is_first=n == 0))
        if n % 2 == 0:
            words = b'{"type":"response.output_audio_transcript.delta",' + ids + b',"delta":"word "}'
            self._transport.send(WSMsgType.TEXT, words)

    def _end(self, number: int, response: dict[str, Any], item: str, status: str) -> None:
        of = {"response_id": response["id"], "item_id": item, "output_index": 0, "content_index": 0}
        self._send("response.output_audio.done", **of)
        self._send("response.output_audio_transcript.done", **of, transcript="word " * 10)
        done = {"id": item, "type": "message", "role": "assistant", "status": status, "content": []}
        self._send("response.output_item.done", response_id=response["id"], output_index=0, item=done)
        self._send("conversation.item.done", item=done, previous_item_id=None)
        self._send("response.done", response=response | {"status": status, "output": [done]})

    def _send(self, kind: str, **fields: Any) -> None:
        message = json.dumps({"type": kind, "event_id": "event_0"} | fields, separators=(",", ":"))
        self._transport.send(WSMsgType.TEXT, message.encode())
