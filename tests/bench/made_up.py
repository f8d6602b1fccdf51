"""A run of the bench that never was."""

from __future__ import annotations

from typing import Any

from bench.results import Results


def series(part: str, kind: str, agents: int, rounds: list[dict[str, float]], **what: Any) -> dict[str, Any]:
    """A measurement on a quiet machine, as it is in a file."""
    described = {"part": part, "kind": kind, "agents": agents} | what
    return {"what": described, "rounds": rounds, "stolen": 0.0, "others": 0.0, "quiet": True}


def talk(kind: str, agents: int, cpu: float, ms: float, part: str = "talk") -> dict[str, Any]:
    """Three rounds that are all alike."""
    figures = {"cpu": cpu, "uss": 8.0, "pss": 12.0}
    for name in ("uplink", "downlink", "first"):
        figures |= {f"{name}_p50": ms, f"{name}_p99": 2 * ms, f"{name}_n": 50.0}
    return series(part, kind, agents, [figures] * 3, frame_ms=20)


def run() -> Results:
    """Budgets of CPU and latency met at 1 agent, missed at 25."""
    found = []
    for agents, times in ((1, 1.5), (25, 3.0)):
        found += [talk("frames", agents, 0.5, 0), talk("floor", agents, 1.5, 0.4), talk("fast floor", agents, 0.7, 0.2)]
        found += [talk("agent", agents, 0.5 + 0.2 * times, 0.2 * times), talk("agent, web", agents, 1.2, 0.9, "web")]
        cut = {"barge_p50": 0.3, "barge_p99": 1.4, "barge_n": 4.0, "truncate_median": 1.0, "truncate_worst": 6.0}
        found.append(series("interrupt", "agent", agents, [cut] * 2, delay_ms=150))
    machine = {"cpu": "2 x Abacus <1>", "python": "3.11.2", "date": "2026-01-01 00:00 UTC"}
    steps = {"100": {"cpu": 1.0, "frames": 50.0, "uplink_p50": 1.0, "uplink_p99": 9.0, "model_cpu": 0.3}}
    saturation = {"holds": 100, "fails": 150, "why": "it burns", "model_cores": 0.9, "steps": steps}
    return Results({"machine": machine, "series": found, "saturation": saturation})
