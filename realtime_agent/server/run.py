"""Serving the application on an address."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from realtime_agent.addresses import base_url
from realtime_agent.errors import ConfigError

__all__ = ["bind", "serving"]

_SHUTDOWN_TIMEOUT_S = 2.0


def bind(host: str, port: int) -> socket.socket:
    """Take an address before anything slow is done for it; port 0 is any free one.

    Raises:
        ConfigError: it is taken, or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
    try:
        listener.bind((host, port))
        # Only a listener keeps others off the address; whoever comes early waits until we serve.
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"can't listen on {host} port {port}: {error.strerror}; set SERVER_HOST, SERVER_PORT or --port"
        ) from None
    return listener


@asynccontextmanager
async def serving(app: web.Application, listener: socket.socket) -> AsyncIterator[str]:
    """Serve on a bound socket; gives the address to open in a browser."""
    # A client that hangs up takes its request with it: an agent that is being started for it must not stay.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield base_url("http", *listener.getsockname()[:2])
    finally:
        await runner.cleanup()
