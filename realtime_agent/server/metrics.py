"""What can be counted, for Prometheus: read from the fleet when it is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from realtime_agent.control.life import EndReason, State
from realtime_agent.control.usage import TotalUsage
from realtime_agent.fleet.fleet import Fleet

__all__ = ["as_text", "fleet_metrics"]

_PREFIX = "realtime_agent"

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The format's version that every Prometheus reads."""


def fleet_metrics(fleet: Fleet) -> CollectorRegistry:
    """A registry of its own with what a fleet counts."""
    registry = CollectorRegistry(auto_describe=True)
    registry.register(_FleetCollector(fleet))
    return registry


def as_text(registry: CollectorRegistry) -> tuple[bytes, str]:
    """The present values, and their content type."""
    return generate_latest(registry), _CONTENT_TYPE


class _FleetCollector(Collector):
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        yield from _usage(self._fleet.usage)
        states = Counter(agent.state for agent in self._fleet.list())
        agents = GaugeMetricFamily(f"{_PREFIX}_agents", "Running agents by state.", labels=["state"])
        for state in State:
            if state is not State.ENDED:
                agents.add_metric([state], states[state])
        yield agents
        ends = {reason.value: self._fleet.ends[reason] for reason in EndReason}
        yield _counters("ends", "Agents that ended, by reason.", "reason", ends)


def _usage(usage: TotalUsage) -> Iterator[Metric]:
    """Of each sum its parts, so that they can be added up; `other` is what the model did not tell the kind of."""
    taken = _kinds(usage, "input", "text", "audio", "image")
    given = _kinds(usage, "output", "text", "audio")
    cached = _kinds(usage, "cached", "text", "audio", "image")
    heard = _kinds(usage, "transcription_input", "text", "audio")
    tokens = {f"input_{kind}": count for kind, count in taken.items()}
    tokens |= {f"output_{kind}": count for kind, count in given.items()}
    transcription = {f"input_{kind}": count for kind, count in heard.items()}
    transcription["output"] = usage.transcription_output_tokens
    yield _counters("tokens", "Tokens of responses, cached ones included.", "kind", tokens)
    yield _counters("cached_tokens", "Tokens of the input that were cached.", "kind", cached)
    yield _counters("transcription_tokens", "Tokens of transcriptions.", "kind", transcription)
    yield _counter("responses", "Responses of models.", usage.responses)
    yield _counter("transcriptions", "Transcriptions of what users said.", usage.transcriptions)
    yield _counter("transcription_seconds", "Audio transcribed, where paid by time.", usage.transcription_seconds)


def _kinds(usage: TotalUsage, of: str, *kinds: str) -> dict[str, int]:
    counts: dict[str, int] = {kind: getattr(usage, f"{of}_{kind}_tokens") for kind in kinds}
    whole: int = getattr(usage, f"{of}_tokens")
    return counts | {"other": max(0, whole - sum(counts.values()))}


def _counter(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(f"{_PREFIX}_{name}", words, value=value)


def _counters(name: str, words: str, label: str, values: dict[str, int]) -> Metric:
    family = CounterMetricFamily(f"{_PREFIX}_{name}", words, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family
