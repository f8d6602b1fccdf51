"""Questions to other servers that carry nothing secret: no key, no header of the settings, no cookie."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import aiohttp
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidProxy, InvalidProxyStatus, InvalidStatus, ProxyError, WebSocketException
from websockets.proxy import get_proxy
from websockets.uri import parse_uri

from realtime_agent.addresses import is_loopback, public_address
from realtime_agent.text import one_line

__all__ = ["Answer", "Unanswered", "get", "open_websocket"]

_CLOSE_TIMEOUT_S = 1.0
_MAX_BODY = 2**20
_DEFAULT_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}


@dataclass(frozen=True, slots=True)
class Answer:
    """What an HTTP server answered; 101 is a websocket that it opened."""

    status: int
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Why there is no answer, and what may help."""

    text: str
    remedy: str


class _Connect(connect):
    """A connect that follows no redirect."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def open_websocket(url: str, *, timeout: float) -> Answer | Unanswered:
    """Open a websocket as agents do, but without a key, and close it at once.

    Args:
        url: What of it may be secret is left out.
        timeout: Seconds.
    """
    url = public_address(url)
    # As for agents: no proxy reaches this machine for us.
    proxy: Literal[True] | None = None if is_loopback(urlsplit(url).hostname or "") else True
    try:
        async with _Connect(
            url,
            compression=None,
            proxy=proxy,
            open_timeout=timeout,
            close_timeout=_CLOSE_TIMEOUT_S,
            ping_interval=None,
        ):
            return Answer(101)
    except InvalidProxyStatus as error:
        return _proxy(f"HTTP {error.response.status_code}")
    except InvalidStatus as error:
        return Answer(error.response.status_code)
    except (InvalidProxy, ProxyError) as error:
        # Their words name the proxy, and with it its password.
        return _proxy(type(error).__name__)
    except ImportError:
        return _proxy("a SOCKS proxy needs the package python-socks")
    except WebSocketException:
        return Unanswered(f"{_place(url)} takes connections, but does not answer as a websocket server", _is_it(url))
    except (ConnectionRefusedError, socket.gaierror) as error:
        if proxy and get_proxy(parse_uri(url)) is not None:
            return _proxy("nothing takes connections at its address")
        return await _unanswered(error, url, timeout)
    except (OSError, ValueError) as error:
        return await _unanswered(error, url, timeout)


async def get(url: str, *, timeout: float) -> Answer | Unanswered:
    """Ask an HTTP server, as agents do: past any proxy.

    Args:
        url: What of it may be secret is left out.
        timeout: Seconds.
    """
    url = public_address(url)
    try:
        async with (
            asyncio.timeout(timeout),
            aiohttp.ClientSession() as http,
            http.get(url, allow_redirects=False, ssl=ssl.create_default_context()) as response,
        ):
            return Answer(response.status, await _beginning(response.content))
    except aiohttp.ClientConnectorError as error:
        return await _unanswered(error.os_error, url, timeout)
    except (OSError, ValueError) as error:
        return await _unanswered(error, url, timeout)
    except aiohttp.ClientError:
        return Unanswered(f"{_place(url)} takes connections, but does not answer as an HTTP server", _is_it(url))


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    body = b""
    while len(body) < _MAX_BODY and (chunk := await content.readany()):
        body += chunk
    return body[:_MAX_BODY]


async def _unanswered(error: Exception, url: str, timeout: float) -> Unanswered:
    place = _place(url)
    match error:
        case TimeoutError():
            if await _accepts(url, timeout):
                return Unanswered(f"{place} accepts connections, but did not answer within {timeout:g} s", _is_it(url))
            return Unanswered(f"{place} did not answer within {timeout:g} s", "is a firewall or a proxy in between?")
        case ssl.SSLCertVerificationError():
            return Unanswered(
                f"the certificate of {place} is not trusted: {one_line(error.verify_message)}",
                "if it is the right server, name a file with its authority's certificate in SSL_CERT_FILE",
            )
        case ssl.SSLError():
            return Unanswered(f"{place} does not speak TLS with us ({error.reason or 'it hung up'})", _is_it(url))
        case ValueError():
            return Unanswered(f"{urlsplit(url).hostname} is no name of a host", "correct the name")
        case socket.gaierror():
            return Unanswered(
                f"there is no address for the name {urlsplit(url).hostname}: {error.strerror}",
                "correct the name, or this machine's network or DNS",
            )
        case ConnectionRefusedError():
            return Unanswered(f"nothing listens at {place}", "start that server, or correct the address")
        case ConnectionResetError() | OSError(errno=errno.ECONNRESET):
            return Unanswered(f"{place} hung up", _is_it(url))
        case _:
            words = one_line(getattr(error, "strerror", None) or str(error))
            return Unanswered(f"{place} can't be reached: {words}", "correct the address, or this machine's network")


async def _accepts(url: str, timeout: float) -> bool:
    """Whether anything takes connections there."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(parts.hostname, _port(url))
    except OSError:
        return False
    writer.transport.abort()
    return True


def _proxy(words: str) -> Unanswered:
    return Unanswered(
        f"the proxy that the environment names does not lead there: {words}",
        "correct https_proxy, or name the host in no_proxy",
    )


def _is_it(url: str) -> str:
    scheme = urlsplit(url).scheme
    other = scheme.removesuffix("s") if scheme in ("wss", "https") else f"{scheme}s"
    return f"is it the right port, and {scheme}:// rather than {other}://?"


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or _DEFAULT_PORTS[parts.scheme]


def _place(url: str) -> str:
    host = urlsplit(url).hostname or ""
    return f"{f'[{host}]' if ':' in host else host}:{_port(url)}"
