"""Servers that doctors meet."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

__all__ = ["Server", "answer", "listening"]


@dataclass
class Server:
    """A server on this machine.

    Attributes:
        port: Where it is.
        received: What came, whole.
    """

    port: int = 0
    received: bytearray = field(default_factory=bytearray)


def answer(status: str, body: str = "", *headers: str) -> bytes:
    """An HTTP answer, after which the server hangs up."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", body]
    return "\r\n".join(lines).encode()


@asynccontextmanager
async def listening(
    says: bytes | None,
    *,
    at_once: bool = False,
    after: asyncio.Event | None = None,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[Server]:
    """A server that reads one request and says the same to all, or without it, nothing at all.

    Args:
        says: Its answer to every request; empty, it hangs up.
        at_once: It does not wait for a request.
        after: What it waits for before it answers.
        context: With it, it speaks TLS.
    """
    server = Server()
    over = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not at_once and (line := await reader.readline()).strip():
                server.received += line
            if says is None:
                await over.wait()
            elif at_once or server.received:
                if after is not None:
                    await after.wait()
                writer.write(says)
                await writer.drain()
        except OSError:
            pass  # the client has gone
        finally:
            writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context) as running:
        server.port = running.sockets[0].getsockname()[1]
        try:
            yield server
        finally:
            over.set()
