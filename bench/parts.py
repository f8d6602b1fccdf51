"""The parts of the bench: what each measures, in turns, as series or figures for bench.results."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from bench import answers, starts
from bench.machine import Watch
from bench.model import Model
from bench.results import AGENT, WEB
from bench.rounds import Series, take_turns
from bench.subjects import Kind
from bench.talk import Figures, interrupt, talk
from bench.web import web_talk

__all__ = ["PARTS", "Part", "Plan", "interrupts", "measure_answers", "measure_starts", "saturate", "talks", "webs"]

Part = Literal["talk", "interrupt", "web", "starts", "answers"]
PARTS: tuple[Part, ...] = ("talk", "interrupt", "web", "starts", "answers")

_KINDS: tuple[Kind, ...] = ("frames", "floor", "fast floor", "agent")
_SHORT_FRAMES_MS = 10
_FEW = (1, 25)
"""How many agents are looked at more closely."""

_DELAYS_MS = (0, 150)
_MORE = (150, 200, 300, 400, 600, 800, 1000, 1500, 2000)
_AGENT_BYTES = 20e6
_LATE_MS = 20.0
_FRAMES_S = 50 * 0.98


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        agents: How many at once, each in turn.
        seconds: Of each round; whole cycles of the model's, of 4 s, have the same work in them.
    """

    agents: Sequence[int]
    rounds: int
    seconds: float
    is_quick: bool = False


def talks(model: Model, plan: Plan) -> Iterator[Series]:
    """The floors, our agent in a channel in memory, and the frames that are taken off."""
    loads = [(count, 20) for count in plan.agents]
    loads += [(count, _SHORT_FRAMES_MS) for count in _few(plan)]
    for count, frame_ms in loads:
        measurements = [
            (
                {"part": "talk", "kind": kind, "agents": count, "frame_ms": frame_ms},
                partial(talk, model, kind, count, seconds=plan.seconds, frame_ms=frame_ms),
            )
            for kind in _KINDS
        ]
        yield from _in_turns(measurements, plan.rounds)


def webs(model: Model, plan: Plan) -> Iterator[Series]:
    """Our agents in the browser channel, in workers of the service; and how they are interrupted."""
    for count in plan.agents:
        what = {"part": "web", "kind": WEB, "agents": count, "frame_ms": 20}
        yield from _in_turns([(what, partial(web_talk, model, count, seconds=plan.seconds))], plan.rounds)
    for count in _few(plan):
        what = {"part": "interrupt", "kind": WEB, "agents": count, "delay_ms": None}
        yield from _in_turns([(what, partial(web_talk, model, count, seconds=plan.seconds, mode="barge"))], plan.rounds)


def interrupts(model: Model, plan: Plan) -> Iterator[Series]:
    """How soon a user who speaks is given the floor, and how well the model is told what was heard."""
    for count in _few(plan):
        loads: list[tuple[Kind, int]] = [("floor", 0), ("fast floor", 0), *(("agent", delay) for delay in _DELAYS_MS)]
        measurements = [
            (
                {"part": "interrupt", "kind": kind, "agents": count, "delay_ms": delay_ms},
                partial(interrupt, model, kind, count, seconds=plan.seconds, delay_ms=delay_ms),
            )
            for kind, delay_ms in loads
        ]
        yield from _in_turns(measurements, plan.rounds)


def saturate(model: Model, measured: Sequence[Series], plan: Plan) -> dict[str, Any]:
    """More and more agents, until frames come a frame late, or not all.

    Args:
        measured: Fewer agents, as `talks` gave them.

    Returns:
        `holds`, the most agents that were still served; `fails`, the number that was not, or `None`, and `why`; and
        the `steps`: figures by number of agents.
    """
    steps = {
        each.what["agents"]: each.rounds[-1]
        for each in measured
        if each.what["kind"] == AGENT and each.what["frame_ms"] == 20 and each.rounds
    }
    known = sorted(steps)
    for count in [*known, *(more for more in _MORE if more > max(known, default=0))]:
        if count not in steps:
            if count * _AGENT_BYTES > _available_bytes():
                return _reached(steps, None, "the memory would not do for more")
            steps[count] = _one(model, count, plan.seconds)
        why = overloaded(steps[count])
        if why:
            return _reached(steps, count, why)
    return _reached(steps, None, "more were not tried")


def overloaded(figures: Figures) -> str | None:
    """Why these are the figures of too many agents, if they are."""
    if not figures:
        return "they did not answer in time"
    if figures["frames"] < _FRAMES_S:
        return f"{figures['frames']:.1f} frames a second of an agent arrived, of 50"
    if figures["uplink_p99"] > _LATE_MS:
        return f"the uplink's p99 was {figures['uplink_p99']:.1f} ms, more than a frame"
    return None


def measure_starts(plan: Plan) -> dict[str, Any]:
    """How soon an agent is ready, and its memory, by how it is started."""
    measure = starts.measure(6, 4) if plan.is_quick else starts.measure()
    return _watched(lambda: asyncio.run(measure))


def measure_answers(plan: Plan) -> dict[str, Any]:
    """How soon the embedded model answers."""
    return _watched(lambda: asyncio.run(answers.measure(quick=plan.is_quick)))


def _few(plan: Plan) -> list[int]:
    return [count for count in _FEW if count in plan.agents]


def _one(model: Model, count: int, seconds: float) -> Figures:
    what = {"part": "saturation", "kind": AGENT, "agents": count, "frame_ms": 20}
    return _in_turns([(what, partial(talk, model, "agent", count, seconds=seconds))], 1)[0].rounds[0]


def _reached(steps: Mapping[int, Figures], fails: int | None, why: str) -> dict[str, Any]:
    good = [count for count in steps if fails is None or count < fails]
    # The model has a core at most: what it took tells whether it was not our agents that were too many.
    model_cores = steps[fails].get("model_cpu", 0.0) * fails / 60 if fails else None
    return {
        "holds": max(good, default=0),
        "fails": fails,
        "why": why,
        "model_cores": model_cores,
        "steps": {str(count): steps[count] for count in sorted(steps)},
    }


def _in_turns(measurements: Sequence[tuple[Mapping[str, Any], Callable[[], Figures]]], rounds: int) -> list[Series]:
    return take_turns([(what, partial(_or_nothing, measure)) for what, measure in measurements], rounds)


def _or_nothing(measure: Callable[[], Figures]) -> Figures:
    """No figures of what the machine does not stand: the rest is worth measuring."""
    try:
        return measure()
    except (SystemExit, OSError, TimeoutError) as error:
        print(f"not measured: {error!r}", file=sys.stderr, flush=True)
        return {}


def _watched(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    watch = Watch()
    figures = measure()
    seen = watch.look()
    return figures | {"stolen": seen.stolen, "others": seen.others, "quiet": seen.is_quiet}


def _available_bytes() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
