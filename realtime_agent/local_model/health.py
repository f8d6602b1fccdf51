"""Whether the embedded model still answers, as asked by whoever watches over its process."""

from __future__ import annotations

import asyncio

__all__ = ["is_healthy"]


async def is_healthy(host: str, port: int, *, timeout: float) -> bool:
    """Ask its GET /health; gives up after `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET /health HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, ValueError):
        return False
