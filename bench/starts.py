"""How soon an agent is ready, and what memory its worker takes, by how the worker was started.

    python -m bench.starts [--starts 30] [--agents 10] [--json FILE]

The service runs as it is run, against a scripted model in a process of its own, once with a worker that waits and once
without. In turns, so that a busy moment meets all: the model's handshake alone by a bare client, a start from a worker
that waited, a start without one. An agent is stopped again before the next is started. The first start of all is that
of a service which has only just said that it is ready.

Memory is that of workers with an open session, so many at once, each started in one way: by `multiprocessing`, for
comparison, or by the service. What is shared counts in part (PSS), what is the worker's alone counts whole (USS). With
the variables of `python -m tests.agora.environment` the service's agents join Agora's loopback network. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import statistics
import sys
import time
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any, Literal

from websockets.asyncio.client import connect

from bench.model import running_model
from bench.service import Service, memory_mib, running_service
from realtime_agent.config import Settings
from realtime_agent.fleet.link import Link
from realtime_agent.fleet.worker import run_worker
from realtime_agent.server.start_agent import StartAgent

__all__ = ["main", "measure", "report"]

_PAUSE_S = 0.6
"""Until the next worker waits."""

_SETTLE_S = 1.0
"""Until a worker has given back what it needed to begin."""

_READY_TIMEOUT_S = 60
_FIRSTS = 5

Method = Literal["spawn", "forkserver", "forkserver, preloaded", "forkserver, preloaded and frozen"]

_OURS = ["realtime_agent.fleet.worker", "realtime_agent.server.start_agent", "bench.model", "bench.service"]
"""What a worker needs, and what this module imports, since multiprocessing imports it again in each child."""

_PRELOAD: dict[Method, list[str]] = {
    "spawn": [],
    "forkserver": [],
    "forkserver, preloaded": _OURS,
    "forkserver, preloaded and frozen": [*_OURS, "bench.frozen"],
}


async def measure(starts: int = 30, agents: int = 10) -> dict[str, Any]:
    """All of it.

    Args:
        starts: How many of each kind are timed.
        agents: How many run at once while their memory is read.

    Returns:
        `handshake_ms`, `first_ms`, `warm_ms` and `cold_ms` as medians and 95th percentiles, `beyond_handshake_ms` by
        kind of start, and `workers` by kind: `pss_mib`, `uss_mib`, and for the service's own `threads` of each and
        the `descriptors` that each costs the server.
    """
    with running_model() as model:
        firsts = [await _first(model.url) for _ in range(_FIRSTS)]
        handshakes, warm, cold = await _in_turns(model.url, starts)
        workers: dict[str, Any] = {}
        for method in _PRELOAD:
            workers[method] = await _by_multiprocessing(method, model.url, agents)
        for name, waiting in (("the service's, forked for its agent", 0), ("the service's, had waited", agents)):
            workers[name] = await _by_service(model.url, agents, waiting)
    timed = {"handshake_ms": handshakes, "first_ms": firsts, "warm_ms": warm, "cold_ms": cold}
    figures: dict[str, Any] = {name: _spread(values) for name, values in timed.items()}
    base = figures["handshake_ms"]["p50"]
    beyond = {name: figures[f"{name}_ms"]["p50"] - base for name in ("first", "warm", "cold")}
    return figures | {"beyond_handshake_ms": beyond, "workers": workers}


async def _first(url: str) -> float:
    async with running_service(url) as service:
        return await _start(service, "first")


async def _in_turns(url: str, starts: int) -> tuple[list[float], list[float], list[float]]:
    handshakes, warm, cold = [], [], []
    async with running_service(url, WARM_WORKERS="1") as one, running_service(url, WARM_WORKERS="0") as other:
        # The first of each is not like those after it.
        for service in (one, other):
            await _start_and_stop(service)
        for _ in range(starts):
            await asyncio.sleep(_PAUSE_S)
            handshakes.append(await _shake_hands(url))
            warm.append(await _start_and_stop(one))
            await asyncio.sleep(_PAUSE_S)
            cold.append(await _start_and_stop(other))
    return handshakes, warm, cold


async def _start_and_stop(service: Service) -> float:
    took = await _start(service, "one")
    await service.post("/stop_agent", channel_name="one")
    return took


async def _start(service: Service, name: str) -> float:
    """Milliseconds from the request to the answer, at which the agent has joined and its model is configured."""
    began = time.perf_counter()
    await service.post("/start_agent", channel_name=name, uid=1)
    return (time.perf_counter() - began) * 1000


async def _shake_hands(url: str) -> float:
    """Milliseconds until a model that is asked with no ado has taken its settings."""
    update = {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}}
    began = time.perf_counter()
    async with asyncio.timeout(_READY_TIMEOUT_S), connect(f"{url}/realtime?model=m", compression=None) as websocket:
        await websocket.recv()
        await websocket.send(json.dumps(update))
        await websocket.recv()
        return (time.perf_counter() - began) * 1000


async def _by_service(url: str, agents: int, waiting: int) -> dict[str, float]:
    async with running_service(url, WARM_WORKERS=str(waiting)) as service:
        await asyncio.sleep(_SETTLE_S if waiting else 0)
        before = _count(service.pid, "fd")
        names = [f"agent {number}" for number in range(agents)]
        started = [await service.post("/start_agent", channel_name=name, uid=1) for name in names]
        await asyncio.sleep(_SETTLE_S)
        pids = [int(each["pid"]) for each in started]
        cost = {
            "threads": statistics.median(_count(pid, "task") for pid in pids),
            # Those that had waited had them already, and others wait now.
            "descriptors": (_count(service.pid, "fd") - before) / agents,
        }
        return _memory(pids) | cost


async def _by_multiprocessing(method: Method, url: str, agents: int) -> dict[str, float]:
    """In a process of its own, as there is one fork server in each."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_start_workers, args=(theirs, method, url, agents))
    process.start()
    theirs.close()
    try:
        if not await asyncio.to_thread(ours.poll, _READY_TIMEOUT_S):
            raise SystemExit(f"{method}: no workers")
        figures: dict[str, float] = ours.recv()
        return figures
    finally:
        ours.close()
        await asyncio.to_thread(process.join)


def _start_workers(pipe: Any, method: Method, url: str, agents: int) -> None:
    kind = "spawn" if method == "spawn" else "forkserver"
    context: Any = multiprocessing.get_context(kind)
    if method != "spawn":
        context.set_forkserver_preload(_PRELOAD[method])
    pipe.send(asyncio.run(_run_workers(context, url, agents)))


async def _run_workers(context: SpawnContext | ForkServerContext, url: str, agents: int) -> dict[str, float]:
    settings = Settings(realtime_api_base_uri=url, log_level="ERROR")
    spec = StartAgent(channel_name="a", uid=1).to_spec(settings).model_dump_json(exclude_unset=True)
    links, processes = [], []
    for _ in range(agents):
        ours, theirs = socket.socketpair()
        process = context.Process(target=_work, args=(settings, theirs))
        process.start()
        theirs.close()
        processes.append(process)
        links.append(await Link.open(ours))
    async with asyncio.timeout(_READY_TIMEOUT_S):
        for link in links:
            link.send({"spec": spec})
        for link in links:
            while (await link.receive() or {}).get("event", {}).get("state") != "waiting":
                pass
    await asyncio.sleep(_SETTLE_S)
    figures = _memory([process.pid or 0 for process in processes])
    for link, process in zip(links, processes, strict=True):
        await link.close()
        await asyncio.to_thread(process.join)
    return figures


def _work(settings: Settings, link: socket.socket) -> None:
    _, connections = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    lifeline, _ = os.pipe()  # which does not end
    run_worker(settings, link, connections, lifeline, False)


def _memory(pids: Sequence[int]) -> dict[str, float]:
    pss, uss = zip(*map(memory_mib, pids), strict=True)
    return {"pss_mib": statistics.median(pss), "uss_mib": statistics.median(uss)}


def _count(pid: int, what: str) -> int:
    """How many `task`s (threads) or descriptors (`fd`) a process has."""
    return len(os.listdir(f"/proc/{pid}/{what}"))  # noqa: PTH208 - names alone


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"p50": statistics.median(values), "p95": sorted(values)[int(0.95 * (len(values) - 1))]}


def report(figures: dict[str, Any]) -> str:
    """The figures as tables."""
    names = {
        "handshake": "the model's handshake, by a bare client",
        "first": "the service's first agent",
        "warm": "from a worker that waited",
        "cold": "from a worker that is forked for it",
    }
    lines = ["| ready after, ms | p50 | p95 | beyond the handshake |", "|---|---|---|---|"]
    for name, words in names.items():
        ms, beyond = figures[f"{name}_ms"], figures["beyond_handshake_ms"].get(name)
        lines.append(f"| {words} | {ms['p50']:.1f} | {ms['p95']:.1f} | {'' if beyond is None else f'{beyond:.1f}'} |")
    lines += ["", "| worker | PSS, MiB | USS, MiB | threads | descriptors of the server |", "|---|---|---|---|---|"]
    for name, each in figures["workers"].items():
        more = [f"{each[key]:.0f}" if key in each else "" for key in ("threads", "descriptors")]
        lines.append(f"| {name} | {each['pss_mib']:.1f} | {each['uss_mib']:.1f} | {' | '.join(more)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="How soon an agent is ready, and what memory its worker takes.")
    parser.add_argument("--starts", type=int, default=30, help="how many of each kind are timed (default: %(default)s)")
    parser.add_argument("--agents", type=int, default=10, help="how many run at once (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args(arguments)
    figures = asyncio.run(measure(options.starts, options.agents))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(report(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
