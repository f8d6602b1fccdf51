"""Users of the browser channel, many in one process: frames up, and when the agents' came down."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench import marks
from bench.far_end import Noted, Source

__all__ = ["Users", "running_users"]

_TIMEOUT_S = 60
_FRAME_MS = 20


class Users:
    """The process, as its parent sees it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def reset(self) -> None:
        """Forget what was noted."""
        self._pipe.send("reset")

    def collect(self) -> list[Noted]:
        """What each user has noted since `reset`, in the order of their addresses."""
        self._pipe.send("collect")
        noted: list[Noted] = self.receive()
        return noted

    def receive(self) -> Any:
        """What they say next."""
        if not self._pipe.poll(_TIMEOUT_S):
            raise SystemExit("the users do not answer")
        return self._pipe.recv()


@contextmanager
def running_users(urls: Sequence[str]) -> Iterator[Users]:
    """Let one user come to each address, and speak while the context lasts."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(urls, theirs), name="users", daemon=True)
    process.start()
    theirs.close()
    users = Users(ours)
    try:
        users.receive()
        yield users
    finally:
        ours.close()
        process.join(10)
        process.kill()


class _User(WSListener):
    """One of them."""

    def __init__(self) -> None:
        self.noted = Noted()
        self._source = Source(_FRAME_MS, self._say)

    async def come(self, url: str, phase: float) -> None:
        self._transport, _ = await ws_connect(lambda: self, url)
        self._source.start(phase)

    def go(self) -> None:
        self._source.stop()
        self._transport.disconnect()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.BINARY:
            mark = marks.read_mark(frame.get_payload_as_bytes())
            if mark is not None and mark.is_first:
                self.noted.first_ns.append(time.monotonic_ns() - mark.sent_ns)
        elif frame.msg_type is WSMsgType.TEXT and json.loads(frame.get_payload_as_bytes())["type"] == "flush":
            self.noted.cuts.append((time.monotonic_ns(), 0.0))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._source.stop()

    def _say(self, pcm: bytes) -> None:
        self._transport.send(WSMsgType.BINARY, pcm)


def _main(urls: Sequence[str], pipe: Connection) -> None:
    asyncio.run(_run(urls, pipe))


async def _run(urls: Sequence[str], pipe: Connection) -> None:
    ended = asyncio.Event()
    users = [_User() for _ in urls]

    def obey() -> None:
        try:
            command = pipe.recv()
        except EOFError:
            ended.set()
            return
        if command == "collect":
            pipe.send([user.noted for user in users])
        else:
            for user in users:
                user.noted = Noted()

    for n, (user, url) in enumerate(zip(users, urls, strict=True)):
        await user.come(url, n * 0.00731 % 0.02)
    asyncio.get_running_loop().add_reader(pipe.fileno(), obey)
    pipe.send("ready")
    await ended.wait()
    for user in users:
        user.go()
