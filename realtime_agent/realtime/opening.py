"""How a websocket to a model is opened, and why it can't be.

`websockets` does it: the address, the proxies of the environment, TLS, the handshake, and answers that are refusals.
What comes behind the handshake is left to a `WebSocket`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    InvalidMessage,
    InvalidProxy,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidURI,
    ProxyError,
    WebSocketException,
)
from websockets.protocol import State

from realtime_agent.addresses import is_loopback
from realtime_agent.errors import SessionError, SessionLost, SessionTimeout
from realtime_agent.realtime.failures import refused, without_secrets
from realtime_agent.text import one_line

__all__ = ["open_transport", "tls_context"]


def tls_context() -> ssl.SSLContext:
    """The context of all connections of this process, whom it trusts above all: to read that blocks for 45 ms."""
    return _tls_context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(maxsize=1)
def _tls_context(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    return ssl.create_default_context()


async def open_transport(
    url: str, headers: Mapping[str, str], secrets: Collection[str], *, timeout: float
) -> tuple[asyncio.Transport, bytes]:
    """Connect to `wss://…`, within so many seconds.

    Returns:
        The transport, which does not read, and what came behind the handshake.

    Raises:
        SessionLost: the server can't be reached, is not able to serve now, or did not answer in time.
        SessionError: it refused, its certificate is not trusted, or the address is none.
    """
    try:
        opening = await _Connect(
            url,
            additional_headers=dict(headers),
            # Base64 of audio hardly shrinks, and compressing it costs more than all the rest.
            compression=None,
            # No proxy reaches this machine for us, whatever the environment says.
            proxy=None if is_loopback(urlsplit(url).hostname or "") else True,
            open_timeout=timeout,
            ping_interval=None,
            create_connection=_Opening,
            ssl=tls_context() if urlsplit(url).scheme == "wss" else None,
        )
    except TimeoutError:
        raise SessionTimeout(f"the model did not accept the connection within {timeout:g} s") from None
    except socket.gaierror as error:
        # Its words name no host.
        raise SessionLost(f"the model can't be reached at {urlsplit(url).hostname}: {error.strerror}") from None
    except (OSError, ValueError, ImportError, WebSocketException) as error:
        raise _not_opened(error, secrets) from None
    assert isinstance(opening, _Opening)
    return opening.transport, bytes(opening.behind)


class _Opening(ClientConnection):
    """A handshake; what comes behind it is kept.

    Attributes:
        behind: The first bytes of it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.behind = bytearray()

    def data_received(self, data: bytes) -> None:
        """Take what came line by line, since behind the last one of the answer there may be frames."""
        for line in data.splitlines(keepends=True):
            if self.protocol.state is State.CONNECTING:
                super().data_received(line)
            else:
                self.behind += line
        if self.protocol.state is not State.CONNECTING:
            self.transport.pause_reading()


class _Connect(connect):
    """A connect that follows no redirect: the library would take all headers but Authorization to another host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def _not_opened(error: Exception, secrets: Collection[str]) -> SessionError:
    """Why there is no connection."""
    match error:
        case InvalidStatus(response=response) | InvalidProxyStatus(response=response):
            who = "model" if isinstance(error, InvalidStatus) else "proxy"
            content_type = ", ".join(response.headers.get_all("Content-Type"))
            return refused(who, response.status_code, content_type, bytes(response.body), secrets)
        case ssl.SSLCertVerificationError():
            return SessionError(f"the model's certificate is not trusted: {one_line(error.verify_message)}")
        case InvalidURI():
            # All of it would show the query, which may have a key in it.
            words, kind = error.msg, SessionError
        case InvalidProxy():
            # The same of its password.
            words, kind = f"the proxy's address is wrong: {error.msg}", SessionError
        case ConnectionResetError():
            words, kind = "it hung up; is it the right port, and the right one of ws:// and wss://?", SessionLost
        case InvalidMessage() | ProxyError() | OSError():
            # What took the connection hung up again, or nothing is there to take it.
            words, kind = str(error), SessionLost
        case _:
            # A ValueError is a malformed address; an ImportError a proxy of a kind that needs another package.
            words, kind = str(error), SessionError
    return kind(f"the model can't be reached: {one_line(without_secrets(words, secrets))}")
