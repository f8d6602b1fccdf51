"""Who may speak to the service from a browser: only its own pages.

A page of another site can let its visitor's browser reach this machine, and by DNS rebinding even under that site's own
name. `Host` tells such a name and `Origin` such a page; a browser lets no page set either.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from realtime_agent.addresses import is_loopback
from realtime_agent.config import Settings
from realtime_agent.errors import Forbidden

__all__ = ["PROBES", "guard"]

PROBES = ("/health", "/ready")
"""Asked by load balancers under whatever name or address they know; they tell nothing and change nothing."""


def guard(settings: Settings) -> Middleware:
    """Refuse requests under a name that is not the service's, and those of other sites' pages, with 403.

    The names are ALLOWED_HOSTS and those of this machine. A service for other machines that has no ALLOWED_HOSTS can't
    know its names, and takes any.
    """
    names = {settings.server_host.lower(), *settings.allowed_hosts} - {""}
    takes_any = not settings.allowed_hosts and not is_loopback(settings.server_host)

    def is_ours(name: str) -> bool:
        return takes_any or is_loopback(name) or name in names

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in PROBES:
            return await handler(request)
        host = request.headers.get("Host", "").lower()
        if not is_ours(_name(host)):
            raise Forbidden(f"this service is not {host[:100]!r}; if it should be, name it in ALLOWED_HOSTS")
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower().partition("://")[2] != host:
            raise Forbidden("pages of other sites may not use this service")
        return await handler(request)

    return check


def _name(host: str) -> str:
    """A host without its port, and an IPv6 address without its brackets; empty if it is none."""
    if "@" in host or "/" in host:
        return ""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
