"""Agents as they are run, in the browser channel: their users are in another process, and come over websockets."""

from __future__ import annotations

import asyncio
import statistics
from typing import Literal

from bench.model import Model
from bench.service import cpu_s, memory_mib, running_service
from bench.talk import Figures, spread
from bench.web_users import running_users

__all__ = ["web_talk"]

_SETTLE_S = 1.0
_QUIET_S = 0.5


def web_talk(model: Model, count: int, *, seconds: float, mode: Literal["half", "barge"] = "half") -> Figures:
    """Let so many agents talk; figures as of `talk`, with the memory of a worker, or the `barge` of `interrupt`.

    Nothing is taken off: a frame comes and goes over a websocket here, which is part of the work.
    """
    return asyncio.run(_talk(model, count, seconds, mode))


async def _talk(model: Model, count: int, seconds: float, mode: Literal["half", "barge"]) -> Figures:
    model.speak(mode)
    async with running_service(model.url) as service:
        names = [f"web-{n}" for n in range(count)]
        started = [await service.post("/start_agent", channel_name=name, uid=1, model=name) for name in names]
        pids = [int(each["pid"]) for each in started]
        urls = [str((await service.post("/token", channel_name=name, uid=2))["url"]) for name in names]
        with running_users(urls) as users:
            await asyncio.sleep(_SETTLE_S)
            users.reset()
            model.collect()
            before, server_before = [cpu_s(pid) for pid in pids], cpu_s(service.pid)
            await asyncio.sleep(seconds)
            took = [cpu_s(pid) - cpu for pid, cpu in zip(pids, before, strict=True)]
            server_took = cpu_s(service.pid) - server_before
            if mode == "barge":
                model.speak("silent")
                await asyncio.sleep(_QUIET_S + 2)
            noted, heard = users.collect(), model.collect()
            memory = [memory_mib(pid) for pid in pids]
        for name in names:
            await service.post("/stop_agent", channel_name=name)
    if mode == "barge":
        cuts = zip(names, noted, strict=True)
        pairs = [zip(heard.cuts.get(name, []), each.cuts, strict=False) for name, each in cuts]
        return spread("barge", [flushed - sent for each in pairs for (sent, _), (flushed, _) in each])
    uplink_ns = heard.all_uplink_ns()
    return {
        "cpu": sum(took) / count / seconds * 60,
        "server_cpu": server_took / count / seconds * 60,
        "frames": len(uplink_ns) / count / seconds,
        "pss": statistics.median(pss for pss, _ in memory),
        "uss": statistics.median(uss for _, uss in memory),
        **spread("uplink", uplink_ns),
        **spread("first", [ns for each in noted for ns in each.first_ns]),
    }
