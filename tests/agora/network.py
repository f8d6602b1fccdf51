"""The loopback library's network as a test sees it: what participants there are, and what happens to them."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["LoopbackNetwork", "loopback_network"]

_TIMEOUT_S = 30


class LoopbackNetwork:
    """Every channel below a folder. `tell` lets something happen to a participant, `ask` says how it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._answers = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._answers.bind(str(folder / "test"))
        self._answers.settimeout(_TIMEOUT_S)

    def participants(self) -> dict[str, Path]:
        """Those who are in some channel, by their uid."""
        return {path.name: path for path in self.folder.glob("*/*")}

    def tell(self, uid: int, *words: object) -> dict[str, str]:
        """Let something happen to a participant, as `obey` in loopback.c lists; gives how it is then."""
        return self._send("X", uid, " ".join(map(str, words)))

    def ask(self, uid: int) -> dict[str, str]:
        """How a participant is: its state, its token, who is heard, what waits."""
        return self._send("Q", uid, "")

    async def until(self, uid: int, holds: Callable[[dict[str, str]], bool], what: str) -> None:
        """Wait until a participant is as wished."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                while not holds(self.ask(uid)):
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"waited in vain: {what}") from None

    async def met(self, first: int, second: int) -> None:
        """Wait until two participants know of one another, and hear one another if they want to hear all."""
        await self.until(first, lambda now: f"{second}," in now["heard"], f"{first} to hear {second}")
        await self.until(second, lambda now: f"{first}," in now["heard"], f"{second} to hear {first}")

    def close(self) -> None:
        """Free the socket."""
        self._answers.close()

    def _send(self, kind: str, uid: int, text: str) -> dict[str, str]:
        datagram = kind.encode() + b"test\0" + text.encode(errors="surrogateescape") + b"\0"
        self._answers.sendto(datagram, str(self.participants()[str(uid)]))
        answer = self._answers.recv(4096).decode()
        return dict(word.split("=", 1) for word in answer.split(" "))


@contextmanager
def loopback_network() -> Iterator[LoopbackNetwork]:
    """A network of its own for this process and those it starts."""
    # Not pytest's folder: the path of a socket has a hundred characters at most.
    folder = Path(tempfile.mkdtemp(prefix="agora"))
    before = os.environ.get("AGORA_LOOPBACK_DIR")
    os.environ["AGORA_LOOPBACK_DIR"] = str(folder)
    network = LoopbackNetwork(folder)
    try:
        yield network
    finally:
        network.close()
        if before is None:
            del os.environ["AGORA_LOOPBACK_DIR"]
        else:
            os.environ["AGORA_LOOPBACK_DIR"] = before
        shutil.rmtree(folder)
