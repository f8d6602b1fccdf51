"""Where a model is, and how it is asked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from realtime_agent.addresses import is_loopback
from realtime_agent.config import Settings
from realtime_agent.realtime.connection import Connection

__all__ = ["OPENAI", "Endpoint", "ear_endpoint", "realtime_endpoint", "warn_of_distant_ear", "warn_of_plain_key"]

logger = logging.getLogger(__name__)

OPENAI = "wss://api.openai.com/v1"
"""Where agents find their model unless REALTIME_API_BASE_URI says."""


@dataclass(frozen=True)
class Endpoint:
    """One model of one server; it can be shown, as its secrets are not.

    Attributes:
        url: Such as `wss://…/realtime?model=…`; its query may have a key in it.
        headers: Among them the key.
        timeout: Seconds for a connection to be accepted.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    timeout: float

    async def connect(self) -> Connection:
        """Open a connection.

        Raises:
            SessionLost: it can't be had now; another try may do.
            SessionError: it can't be had.
        """
        return await Connection.open(self.url, self.headers, timeout=self.timeout)


def realtime_endpoint(settings: Settings, model: str) -> Endpoint:
    """The endpoint that the settings name, for a model by its name, which at Azure is the deployment's."""
    parts = urlsplit(settings.realtime_api_base_uri or OPENAI)
    query = "&".join(filter(None, (parts.query, f"model={quote(model, safe='')}")))
    url = parts._replace(path=parts.path.rstrip("/") + "/realtime", query=query).geturl()
    return Endpoint(url, _headers(settings), settings.model_timeout_s)


def ear_endpoint(settings: Settings) -> Endpoint:
    """Where what users say is written down for phrases; no key goes there."""
    parts = urlsplit(settings.voice_phrases_uri)
    query = "&".join(filter(None, (parts.query, "intent=transcription")))
    url = parts._replace(path=parts.path.rstrip("/") + "/realtime", query=query).geturl()
    return Endpoint(url, {}, settings.model_timeout_s)


def warn_of_plain_key(settings: Settings) -> None:
    """Log a warning if agents will send the key, or other headers, over a network as plain text."""
    parts = urlsplit(settings.realtime_api_base_uri)
    if parts.scheme == "ws" and not is_loopback(parts.hostname or "") and _headers(settings):
        logger.warning("the key goes to %s unencrypted: REALTIME_API_BASE_URI should begin with wss://", parts.hostname)


def warn_of_distant_ear(settings: Settings) -> None:
    """Log a warning if what users say in a pause leaves this machine after all."""
    parts = urlsplit(settings.voice_phrases_uri)
    if settings.voice_phrases == "local" and parts.hostname and not is_loopback(parts.hostname):
        how = ", unencrypted" if parts.scheme == "ws" else ""
        logger.warning("what users say goes to %s%s, also in a pause: VOICE_PHRASES_URI says so", parts.hostname, how)


def _headers(settings: Settings) -> dict[str, str]:
    """What the settings want sent, and the key as they want it sent, unless they name its header themselves."""
    headers = dict(settings.extra_headers)
    key = settings.openai_api_key.get_secret_value()
    is_bearer = settings.realtime_api_auth == "bearer"
    name, value = ("Authorization", f"Bearer {key}") if is_bearer else ("api-key", key)
    if key and name.lower() not in {other.lower() for other in headers}:
        headers[name] = value
    return headers
