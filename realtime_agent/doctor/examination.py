"""All checks, side by side, so that those that wait for other servers take no longer than the slowest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from realtime_agent.assembly import model_address
from realtime_agent.config import Settings, emptied_names, unknown_names, usable_settings
from realtime_agent.doctor.agora import check_channel
from realtime_agent.doctor.chat import check_chat
from realtime_agent.doctor.configuration import (
    check_emptied,
    check_faults,
    check_lines,
    check_placeholders,
    check_privacy,
    check_source,
    check_unknown,
)
from realtime_agent.doctor.finding import Finding, Section, problem, warning
from realtime_agent.doctor.folder import check_recordings
from realtime_agent.doctor.machine import check_authorities, check_capacity, check_python, check_sound, this_machine
from realtime_agent.doctor.model import check_model
from realtime_agent.doctor.phrases import check_phrases
from realtime_agent.doctor.port import check_port
from realtime_agent.doctor.secrecy import hidden, secrets_of
from realtime_agent.doctor.tools import check_tools
from realtime_agent.doctor.webhook import check_webhook
from realtime_agent.errors import ConfigError

__all__ = ["TIMEOUT_S", "examine"]

TIMEOUT_S = 5.0
"""For each answer of another server."""

_DOTENV = Path(".env")


@dataclass(frozen=True, slots=True)
class _Check:
    """What is looked at under one title, and the settings without which that would be of no use."""

    title: str
    needs: tuple[str, ...]
    run: Callable[[Settings, float], Awaitable[list[Finding]]]


async def examine(
    environ: Mapping[str, str] | None = None, dotenv: Path = _DOTENV, *, timeout: float = TIMEOUT_S
) -> list[Section]:
    """Check everything that the settings ask for.

    Args:
        environ: Where the settings are; default: the process's own.
        dotenv: The file with the others.
        timeout: Seconds, for each answer of another server.
    """
    try:
        settings, faults = usable_settings(environ, dotenv)
        unknown = unknown_names(dotenv)
        read = [
            *check_source(dotenv, settings, faults),
            *check_privacy(dotenv, settings),
            *check_lines(dotenv, unknown),
            *check_unknown(unknown),
            *check_emptied(emptied_names(environ, dotenv)),
        ]
    except ConfigError as error:
        remedy = "make it a text in UTF-8 that this user may read; .env.example is one"
        return [Section("Settings", (problem(".env", str(error), remedy),))]
    read += [*check_faults(faults), *check_placeholders(settings)]
    async with asyncio.TaskGroup() as group:
        checks = _checks(faults)
        tasks = [group.create_task(_run(check, settings, faults, timeout)) for check in checks]
    found = {"Settings": read}
    for check, task in zip(checks, tasks, strict=True):
        found.setdefault(check.title, []).extend(task.result())
    secrets = secrets_of(settings)
    return [hidden(Section(title, tuple(findings)), secrets) for title, findings in found.items() if findings]


async def _run(check: _Check, settings: Settings, faults: Mapping[str, str], timeout: float) -> list[Finding]:
    wrong = [name for name in check.needs if name in faults]
    if wrong:
        return [warning(name, "is wrong, so what it is for was not checked", "correct that first") for name in wrong]
    return await check.run(settings, timeout)


async def _machine(settings: Settings, _timeout: float) -> list[Finding]:
    return [*check_python(this_machine()), *check_sound(), *(check_authorities() if _uses_tls(settings) else [])]


async def _capacity(settings: Settings, _timeout: float) -> list[Finding]:
    return check_capacity(this_machine(), settings)


async def _recordings(settings: Settings, _timeout: float) -> list[Finding]:
    return check_recordings(settings)


_MODEL = ("OPENAI_API_KEY", "REALTIME_API_BASE_URI", "REALTIME_API_AUTH", "REALTIME_API_HEADERS")


def _checks(faults: Container[str]) -> tuple[_Check, ...]:
    async def channel(settings: Settings, _timeout: float) -> list[Finding]:
        return check_channel(settings, faults)

    return (
        _Check("Machine", (), _machine),
        _Check("Server", ("SERVER_HOST", "SERVER_PORT"), check_port),
        _Check("Server", ("MAX_AGENTS",), _capacity),
        _Check("Channel", (), channel),
        _Check("Model", _MODEL, check_model),
        _Check("Phrases", ("VOICE_PHRASES", "VOICE_PHRASES_URI"), check_phrases),
        _Check("Recordings", ("RECORD_DIR",), _recordings),
        _Check("Webhook", ("WEBHOOK_URL", "WEBHOOK_SECRET"), check_webhook),
        _Check("Chat model", ("LOCAL_LLM_URL",), check_chat),
        _Check("Functions", ("AGENT_TOOLS",), check_tools),
    )


def _uses_tls(settings: Settings) -> bool:
    """Whether the certificates of other servers are checked."""
    model = "" if settings.uses_local_model else model_address(settings)
    schemes = {urlsplit(address).scheme for address in (model, settings.local_llm_url)}
    return bool(schemes & {"wss", "https"})
