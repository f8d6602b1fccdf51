"""The product's commands, run as a user runs them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import wave
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from realtime_agent.config import Settings

__all__ = ["call", "clean_environment", "get", "post", "run", "running", "write_wav"]

_PROGRAM = (sys.executable, "-m", "realtime_agent.main")
_LOAD_TIMEOUT_S = 90
_CALL_TIMEOUT_S = 90


def clean_environment(**settings: str) -> dict[str, str]:
    """This process's environment without a deployment's settings; no .env is read, since tests run elsewhere."""
    ours = {name.upper() for name in Settings.model_fields}
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return inherited | {"SERVER_PORT": "0"} | settings


@asynccontextmanager
async def running(folder: Path, *arguments: str, **settings: str) -> AsyncIterator[tuple[Process, str]]:
    """A command that serves; gives its process and the address that it printed."""
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *_PROGRAM, *arguments, cwd=folder, env=clean_environment(**settings), stdout=PIPE, stderr=log
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_LOAD_TIMEOUT_S):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("Ready."), (folder / "log").read_text()
        yield process, line.split()[2].split("/?")[0]
    finally:
        if process.returncode is None:
            process.terminate()
            async with asyncio.timeout(20):
                await process.wait()


async def post(server: str, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
    """POST JSON."""
    async with aiohttp.ClientSession() as http, http.post(server + path, json=body) as response:
        return response.status, await response.json()


async def get(server: str, path: str) -> dict[str, Any]:
    """GET JSON."""
    async with aiohttp.ClientSession() as http, http.get(server + path) as response:
        answer: dict[str, Any] = await response.json()
        return answer


async def run(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run a command to its end; gives the exit code, and what it wrote to standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        *_PROGRAM, *arguments, cwd=folder, env=clean_environment(), stdout=PIPE, stderr=PIPE
    )
    async with asyncio.timeout(_CALL_TIMEOUT_S):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def call(server: str, channel_name: str, wav: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Call an agent as its user; gives the exit code and what `--json` printed."""
    channel, clip, address = f"--channel_name={channel_name}", f"--wav={wav}", f"--server={server}"
    code, output, errors = await run(wav.parent, "call", channel, clip, address, "--json", *options)
    assert output, errors
    return code, json.loads(output)


def write_wav(path: Path, pcm: bytes, rate: int = 24_000) -> Path:
    """PCM16 mono as a file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    return path
