"""Whether the server can have its address."""

from __future__ import annotations

import errno
import json
import socket

from realtime_agent import __version__
from realtime_agent.addresses import base_url
from realtime_agent.config import Settings
from realtime_agent.doctor.finding import Finding, ok, problem, warning
from realtime_agent.doctor.probe import Answer, get
from realtime_agent.text import one_line

__all__ = ["check_port"]

_PRIVILEGED = 1024


async def check_port(settings: Settings, timeout: float) -> list[Finding]:
    """Take SERVER_HOST:SERVER_PORT for a moment, or ask who has it."""
    host, port = settings.server_host, settings.server_port
    error = _bind(host, port)
    if error is None:
        return [ok("SERVER_PORT", f"{host}:{port} is free" if port else f"0: any free port of {host}")]
    if error.errno == errno.EADDRINUSE:
        return [await _who(base_url("http", host, port), timeout)]
    words = one_line(error.strerror or str(error))
    if error.errno == errno.EACCES and port < _PRIVILEGED:
        return [problem("SERVER_PORT", f"{port} needs more rights: {words}", "set SERVER_PORT to 1024 or more")]
    return [
        problem(
            "SERVER_HOST",
            f"can't listen on {host}:{port}: {words}",
            "set SERVER_HOST to an address of this machine: 127.0.0.1, or 0.0.0.0 for all of them",
        )
    ]


def _bind(host: str, port: int) -> OSError | None:
    """Take the address as `server.run.bind` does, and leave it again; that one says what is wrong only in words."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
        try:
            listener.bind((host, port))
        except OSError as error:
            return error
    return None


async def _who(address: str, timeout: float) -> Finding:
    """Who has the address: it is on this machine."""
    answer = await get(f"{address}/health", timeout=timeout)
    another = "end it, or set SERVER_PORT to another port; 0 is any free one"
    if not isinstance(answer, Answer):
        return problem("SERVER_PORT", f"another program has {address}, and it does not answer HTTP", another)
    version = _version(answer)
    if version is None:
        return problem("SERVER_PORT", f"another program has {address}: it answers HTTP {answer.status}", another)
    if version != __version__:
        return warning("SERVER_PORT", f"realtime-agent {version} runs at {address}; this is {__version__}", another)
    return ok("SERVER_PORT", f"realtime-agent {version} runs at {address} already")


def _version(answer: Answer) -> str | None:
    """The version of a server of ours; None if it is none."""
    try:
        health = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    if answer.status != 200 or not isinstance(health, dict) or health.keys() != {"status", "version"}:
        return None
    return one_line(str(health["version"]), 20)
