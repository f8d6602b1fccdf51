"""What the doctor neither sends nor shows."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

from pydantic import SecretStr

from realtime_agent.addresses import PUBLIC_QUERY
from realtime_agent.config import Settings
from realtime_agent.doctor.finding import Section
from realtime_agent.realtime.failures import without_secrets

__all__ = ["hidden", "secrets_of"]

_SHORTEST_SECRET = 8
"""Characters; what is shorter, such as the "ollama" that some set as a key, is a word and not a secret."""


def secrets_of(settings: Settings) -> frozenset[str]:
    """Every secret that the settings hold."""
    values = [value.get_secret_value() for _, value in settings if isinstance(value, SecretStr)]
    values += [part for value in settings.extra_headers.values() for part in (value, *value.split())]
    for address in (settings.realtime_api_base_uri, settings.local_llm_url):
        parts = urlsplit(address)
        values += [parts.password or "", *(value for name, value in parse_qsl(parts.query) if name not in PUBLIC_QUERY)]
    return frozenset(value for value in values if len(value) >= _SHORTEST_SECRET)


def hidden(section: Section, secrets: frozenset[str]) -> Section:
    """The section with these made illegible, whatever others said that it repeats."""
    return replace(
        section,
        findings=tuple(
            replace(
                each,
                text=without_secrets(each.text, secrets),
                remedy=without_secrets(each.remedy, secrets),
            )
            for each in section.findings
        ),
    )
