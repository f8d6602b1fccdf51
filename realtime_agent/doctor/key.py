"""Whether the model's key looks like one; it is neither sent nor shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from realtime_agent.addresses import is_loopback
from realtime_agent.assembly import model_address
from realtime_agent.config import Settings
from realtime_agent.doctor.configuration import has_example_key
from realtime_agent.doctor.finding import Finding, ok, problem, warning

__all__ = ["check_key"]

_KEY_HEADERS = ("authorization", "api-key")
_SHORTEST = 20
"""Characters; keys of OpenAI and Azure have at least 32."""

_OPENAI_KEYS = "https://platform.openai.com/api-keys"
_SUBJECT = "OPENAI_API_KEY"


def check_key(settings: Settings) -> list[Finding]:
    """The shape of the key that the model at this address wants, and whether it goes there encrypted."""
    key = settings.openai_api_key.get_secret_value()
    parts = urlsplit(model_address(settings))
    host = parts.hostname or ""
    findings = [_shape(key, host) if key else _no_key(settings, host)]
    if has_example_key(settings):
        findings = []  # told with the settings
    if parts.scheme == "ws" and not is_loopback(host) and (key or settings.extra_headers):
        text = f"the key goes to {host} unencrypted"
        findings.append(warning("REALTIME_API_BASE_URI", text, "it should begin with wss://"))
    return findings


def _no_key(settings: Settings, host: str) -> Finding:
    if any(name.lower() in _KEY_HEADERS for name in settings.extra_headers):
        return ok(_SUBJECT, "is empty; REALTIME_API_HEADERS has the key's header")
    if _is_openai(host) or _is_azure(host):
        return problem(_SUBJECT, f"is empty, but {host} wants one", f"get one at {_keys(host)}")
    return ok(_SUBJECT, f"is empty, which is right if {host} wants no key")


def _shape(key: str, host: str) -> Finding:
    if re.search(r"[\s\"'`]", key):
        return problem(_SUBJECT, "has a space or quotes in it", "put in the key alone, without quotes or `Bearer`")
    if not (_is_openai(host) or _is_azure(host)):
        return ok(_SUBJECT, f"is set; what keys of {host} look like is not known here")
    if _is_openai(host) and not key.startswith("sk-"):
        return warning(_SUBJECT, "does not begin with sk-, as OpenAI's keys do", f"compare it with {_OPENAI_KEYS}")
    if _is_azure(host) and key.startswith("sk-"):
        return warning(_SUBJECT, "begins with sk-, as OpenAI's keys do, not Azure's", f"get Azure's at {_keys(host)}")
    if len(key) < _SHORTEST:
        return warning(_SUBJECT, "is shorter than keys are", f"compare it with the one at {_keys(host)}")
    return ok(_SUBJECT, "has the shape of a key; it was not sent, so whether it is valid is not known")


def _keys(host: str) -> str:
    return _OPENAI_KEYS if _is_openai(host) else "your resource's page in Azure's portal, under Keys and Endpoint"


def _is_openai(host: str) -> bool:
    return host == "openai.com" or host.endswith(".openai.com")


def _is_azure(host: str) -> bool:
    return host.endswith((".azure.com", ".azure.us", ".azure.cn"))
