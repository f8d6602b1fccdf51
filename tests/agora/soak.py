"""Many stays in Agora's channels, in a process of its own: what do they leave behind?

python -m tests.agora.soak --rounds 200 --agents 50     prints what was taken before and after, as JSON
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from realtime_agent.agent import Agent
from realtime_agent.audio.playout import Playout
from realtime_agent.control.life import State
from realtime_agent.realtime.session import EndPart, Play
from realtime_agent.rtc.agora import AgoraEngine, build_token
from realtime_agent.rtc.channel import AudioFrame, UserJoined
from realtime_agent.tools import Toolbox
from tests.agora.network import LoopbackNetwork, loopback_network
from tests.agora.site import build_site
from tests.agora.stays import APP_ID, CERTIFICATE, TIMEOUT_S, channel_of, next_of, staying
from tests.scene import FakeSession
from tests.specs import agent_spec

_TIMEOUT_S = 90
_SAMPLES = 12_000


@dataclass(frozen=True)
class Taken:
    """What this process has: all threads, the library's too, open descriptors, KiB of memory of its own."""

    threads: int
    descriptors: int
    memory_kib: int
    objects: int
    """Of the library, given back or not."""

    @classmethod
    def now(cls) -> Taken:
        gc.collect()
        process = Path("/proc/self")
        lines = (process / "smaps_rollup").read_text().splitlines()
        memory = sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Dirty", "Private_Clean")))
        from agora.rtc import agora_lib

        threads, descriptors = (len(list((process / kind).iterdir())) for kind in ("task", "fd"))
        return cls(threads, descriptors, memory, agora_lib.loopback_alive())


async def settled(before: Taken) -> Taken:
    """What is taken once the threads that were to end have ended."""
    async with asyncio.timeout(TIMEOUT_S):
        while Taken.now().threads > before.threads:
            await asyncio.sleep(0.02)
    return Taken.now()


async def stay_often(engine: AgoraEngine, network: LoopbackNetwork, rounds: int) -> dict[str, Taken]:
    """An agent and a user join, hear and read each other, and leave; again and again."""

    async def token() -> str:
        return build_token(APP_ID, CERTIFICATE, "room", 7, 60)

    async def stay() -> None:
        agent, user = channel_of(engine, token=token), channel_of(engine, 5, token=token)
        async with staying(agent, user):
            events = agent.inbox.events()
            await next_of(events, UserJoined)
            await network.met(5, 7)
            user.push(b"\1\0" * 480)
            await next_of(events, AudioFrame)
            agent.send({"type": "state", "state": "active", "reason": None})

    # The first ones load what is loaded once.
    for _ in range(100):
        await stay()
    before = Taken.now()
    for _ in range(rounds):
        await stay()
    return {"before": before, "after": await settled(before)}


class Stay:
    """An agent with a user who listens to it."""

    def __init__(self, engine: AgoraEngine, number: int) -> None:
        self.session = FakeSession()
        self.states: list[object] = []
        spec = agent_spec(uid=1000 + number, channel_name=f"room {number}")
        self.agent = Agent(
            spec,
            channel_of(engine, 1000 + number, channel_name=spec.channel_name),
            self.session,
            Playout(frame_ms=20, lead_ms=60),
            Toolbox([]),
            notify=lambda event: self.states.append(getattr(event, "state", None)),
        )
        self.user = channel_of(engine, 2000 + number, channel_name=spec.channel_name)

    async def run(self, everyone_is_here: asyncio.Barrier) -> int:
        """Join, hear the agent out together with all the others, leave; gives the samples heard."""
        async with AsyncExitStack() as stack:
            running = asyncio.create_task(self.agent.run())
            stack.push_async_callback(asyncio.wait, [running])
            stack.callback(self.agent.stop)
            await self.user.join()
            stack.push_async_callback(self.user.leave)
            while State.ACTIVE not in self.states:
                await asyncio.sleep(0.02)
            await everyone_is_here.wait()
            self.session.does(Play("i", 0, b"\1\0" * _SAMPLES), EndPart("i", 0))
            heard = 0
            async for event in self.user.inbox.events():
                if isinstance(event, AudioFrame):
                    heard += len(event.pcm) // 2
                if heard >= _SAMPLES:
                    break
            return heard


async def stay_together(engine: AgoraEngine, agents: int) -> dict[str, Taken]:
    """All at once, each agent in a channel with a user, who must hear all that it says."""
    async with staying(channel_of(engine)):
        before = Taken.now()
        barrier = asyncio.Barrier(agents)
        stays = [Stay(engine, number) for number in range(agents)]
        async with asyncio.timeout(_TIMEOUT_S):
            heard, during = await asyncio.gather(
                asyncio.gather(*(stay.run(barrier) for stay in stays)), _once_all_are_there(stays)
            )
        assert heard == [_SAMPLES] * agents, heard
        del stays
        return {"before": before, "during": during, "after": await settled(before)}


async def _once_all_are_there(stays: list[Stay]) -> Taken:
    while any(State.ACTIVE not in stay.states for stay in stays):
        await asyncio.sleep(0.02)
    return Taken.now()


async def main(rounds: int, agents: int) -> dict[str, dict[str, Taken]]:
    """Both, one after the other."""
    sys.path.insert(0, str(build_site()))
    with loopback_network() as network:
        engine = AgoraEngine(APP_ID, network.folder / "logs")
        often = await stay_often(engine, network, rounds)
        # The first time grows the interpreter's heap.
        await stay_together(engine, agents)
        together = await stay_together(engine, agents)
        left = {uid for uid, path in network.participants().items() if path.is_socket()}
        assert not left, left
    return {"rounds": often, "agents": together}


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=200)
    options.add_argument("--agents", type=int, default=50)
    print(json.dumps(asyncio.run(main(**vars(options.parse_args()))), default=asdict))
