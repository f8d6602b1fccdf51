"""What an agent costs: the time until it is ready, and its worker's memory, threads and descriptors.

    python bench/worker_cost.py [--agents 50] [--rounds 3]

Starts the server with the settings of the environment and the embedded model, then in each round as many agents, one
after the other, and stops them. With the variables of `python -m tests.agora.environment` the agents join Agora's
loopback network instead of the browser channel. Reads /proc, so on Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientTimeout

__all__ = ["main"]

_KIB = 1024
_READY_TIMEOUT_S = 120
_SETTLE_S = 1.0
"""Until a worker has its session, and has given back what it needed to begin."""


@asynccontextmanager
async def server() -> AsyncIterator[tuple[int, str]]:
    """A server on a free port; its process and its address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "realtime_agent.main", "server", "--port", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"MAX_AGENTS": "1000", "OPENAI_API_KEY": "", "REALTIME_API_BASE_URI": ""},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            words = (await process.stdout.readline()).decode().split()
        if words[:2] != ["Ready.", "Open"]:
            raise SystemExit("the server did not start: try realtime-agent doctor")
        yield process.pid, words[2]
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def memory_mib(pid: int) -> tuple[float, float]:
    """A process's share of what it maps (PSS), and what is its alone (USS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    kib = {name: int(value) for name, value, *_ in (line.split() for line in lines)}
    return kib["Pss:"] / _KIB, (kib["Private_Dirty:"] + kib["Private_Clean:"]) / _KIB


def count(pid: int, what: str) -> int:
    """How many `task`s (threads) or descriptors (`fd`) a process has."""
    return len(os.listdir(f"/proc/{pid}/{what}"))  # noqa: PTH208 - names alone


async def _round(http: ClientSession, address: str, server_pid: int, agents: int) -> str:
    async def post(path: str, **body: object) -> dict[str, Any]:
        async with http.post(address + path, json=body) as response:
            answer: dict[str, Any] = await response.json()
            if response.status != 200:
                raise SystemExit(f"{path}: {answer}")
            return answer

    before = count(server_pid, "fd")
    starts, pids = [], []
    for i in range(agents):
        began = time.perf_counter()
        pids.append((await post("/start_agent", channel_name=f"cost-{i}", uid=1000 + i))["pid"])
        starts.append((time.perf_counter() - began) * 1000)
    await asyncio.sleep(_SETTLE_S)
    pss, uss = (statistics.median(sizes) for sizes in zip(*map(memory_mib, pids), strict=True))
    threads = statistics.median(count(pid, "task") for pid in pids)
    during = count(server_pid, "fd")
    for i in range(agents):
        await post("/stop_agent", channel_name=f"cost-{i}")
    await asyncio.sleep(_SETTLE_S)
    return (
        f"| {statistics.median(starts):.0f} / {max(starts):.0f} | {pss:.1f} / {uss:.1f} | {threads:.0f} "
        f"| {before} / {during} / {count(server_pid, 'fd')} |"
    )


async def main(arguments: list[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="What an agent costs.")
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    async with server() as (pid, address), ClientSession(timeout=ClientTimeout(total=30)) as http:
        print("| POST to ready, ms, median / longest | PSS / USS, MiB | threads | server's descriptors |")
        print("|---|---|---|---|")
        for _ in range(options.rounds):
            print(await _round(http, address, pid, options.agents), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
