"""The service in a process of its own, as it is run, with a scripted model."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientTimeout

__all__ = ["Service", "cpu_s", "memory_mib", "running_service"]

_READY_TIMEOUT_S = 120
_ANSWER_TIMEOUT_S = 60
_KIB = 1024


class Service:
    """A running service.

    Attributes:
        pid: Its process.
        address: Such as http://127.0.0.1:8080.
    """

    def __init__(self, pid: int, address: str, http: ClientSession) -> None:
        self.pid = pid
        self.address = address
        self._http = http

    async def post(self, path: str, **body: object) -> dict[str, Any]:
        """Ask for something; gives the answer.

        Raises:
            SystemExit: it refused.
        """
        async with self._http.post(self.address + path, json=body) as response:
            answer: dict[str, Any] = await response.json()
            if response.status != 200:
                raise SystemExit(f"{path}: {answer}")
            return answer


@asynccontextmanager
async def running_service(model_url: str, **variables: str) -> AsyncIterator[Service]:
    """Run one on a free port while the context lasts, with these environment variables besides."""
    environment: Mapping[str, str] = {
        **os.environ,
        "REALTIME_API_BASE_URI": model_url,
        "OPENAI_API_KEY": "none",
        "MAX_AGENTS": "10000",
        "LOG_LEVEL": "WARNING",
        **variables,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "realtime_agent.main", "server", "--port", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            words = (await process.stdout.readline()).decode().split()
        if words[:2] != ["Ready.", "Open"]:
            raise SystemExit("the server did not start: try realtime-agent doctor")
        async with ClientSession(timeout=ClientTimeout(total=_ANSWER_TIMEOUT_S)) as http:
            yield Service(process.pid, words[2], http)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def cpu_s(pid: int) -> float:
    """Seconds of CPU that all threads of a process have had."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text("ascii").split()[0]) for thread in threads) / 1e9


def memory_mib(pid: int) -> tuple[float, float]:
    """A process's share of what it maps (PSS), and what is its alone (USS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:]
    kib = {name: int(value) for name, value, *_ in (line.split() for line in lines)}
    return kib["Pss:"] / _KIB, (kib["Private_Dirty:"] + kib["Private_Clean:"]) / _KIB
