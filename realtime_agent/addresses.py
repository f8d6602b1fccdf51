"""Addresses of servers: how to reach what listens on one, and what of one may be told."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import parse_qsl, urlencode, urlsplit

__all__ = ["PUBLIC_QUERY", "base_url", "is_loopback", "public_address"]

PUBLIC_QUERY = ("api-version", "deployment", "intent", "model")
"""What a query may say that anybody may know."""


def is_loopback(host: str) -> bool:
    """Whether this name or address leads to this machine whatever the network: localhost, 127.0.0.0/8 and ::1."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def base_url(scheme: str, host: str, port: int) -> str:
    """The URL of a server, as seen from its own machine, without a slash at the end.

    Args:
        scheme: Such as `http` or `ws`.
        host: What it listens on: a name, or an address without brackets. All addresses (`0.0.0.0`, `::` or nothing)
            are reached at the loopback one.
        port: The port it listens on.
    """
    try:
        address = ip_address(host or "127.0.0.1")
    except ValueError:
        return f"{scheme}://{host}:{port}"
    if address.is_unspecified:
        address = ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"{scheme}://{address if address.version == 4 else f'[{address}]'}:{port}"


def public_address(url: str) -> str:
    """An address without what may be secret in it: a name and password, and most of the query."""
    parts = urlsplit(url)
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name in PUBLIC_QUERY])
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query).geturl()
