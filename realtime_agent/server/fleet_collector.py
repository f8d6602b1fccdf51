"""What Prometheus reads from a fleet when it asks, rather than what is counted as it happens."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from realtime_agent.control.life import EndReason, State
from realtime_agent.control.usage import TotalUsage
from realtime_agent.fleet.fleet import Fleet
from realtime_agent.server.stream import Readers

__all__ = ["OTHER", "PREFIX", "FleetCollector"]

PREFIX = "realtime_agent"
"""What the name of every metric begins with."""

OTHER = "other"
"""The label of what is not told apart."""


class FleetCollector(Collector):
    """Reads a fleet, and who watches it.

    Args:
        fleet: Whose present state it is.
        readers: Who reads the events of agents.
        of_webhook: Gives how many events wait for it, and how many it has lost.
        loop_lag_s: How late the server's own event loop has been at the most lately.
    """

    def __init__(
        self,
        fleet: Fleet,
        readers: Readers,
        of_webhook: Callable[[], tuple[int, int]],
        loop_lag_s: Callable[[], float],
    ) -> None:
        self._fleet = fleet
        self._readers = readers
        self._of_webhook = of_webhook
        self._loop_lag_s = loop_lag_s

    def collect(self) -> Iterator[Metric]:
        fleet = self._fleet
        yield from _usage(fleet.usage, fleet.untold)
        agents = fleet.list()
        states = Tally(agent.state for agent in agents)
        yield _gauges("agents", "Running agents by state.", "state", {state: states[state] for state in _RUNNING})
        loads = [agent.load for agent in agents if agent.load is not None]
        waiting = {
            "uplink": sum(load.uplink_ms for load in loads) / 1000,
            "downlink": sum(load.downlink_ms for load in loads) / 1000,
        }
        yield _gauges(
            "waiting_audio_seconds", "Audio that waits in all agents: uplink, downlink.", "direction", waiting
        )
        ends = {reason.value: fleet.ends[reason] for reason in EndReason}
        yield _counters("ends", "Agents that ended, by reason.", "reason", ends)
        starts = {outcome: fleet.starts[outcome] for outcome in ("ready", "failed", "stopped")}
        yield _counters("starts", "Agents that were started, by what came of it.", "outcome", starts)
        waiting_events, lost_events = self._of_webhook()
        yield _gauge("webhook_waiting_events", "Events that wait to be posted.", waiting_events)
        yield _counter("webhook_lost_events", "Events that the webhook's receiver did not get.", lost_events)
        yield _gauge("stream_readers", "Readers of agents' events.", self._readers.present)
        yield _counter("stream_readers_dropped", "Readers that were too slow.", self._readers.dropped)
        commands = sum(agent.worker.commands_waiting for agent in agents if agent.worker is not None)
        yield _gauge("waiting_commands", "Commands that agents have not answered.", commands)
        late_s = self._loop_lag_s()
        yield _gauge("server_loop_lag_seconds", "How late the server's event loop was at the most lately.", late_s)


_RUNNING = [state for state in State if state is not State.ENDED]


def _usage(usage: TotalUsage, untold: Mapping[str, int]) -> Iterator[Metric]:
    """Of each sum its parts, so that they can be added up; `other` is what the model did not tell the kind of."""

    def kinds(of: str) -> dict[str, int]:
        return usage.by_kind(of) | {OTHER: untold[of]}

    tokens = {f"{of}_{kind}": count for of in ("input", "output") for kind, count in kinds(of).items()}
    transcription = {f"input_{kind}": count for kind, count in kinds("transcription_input").items()}
    transcription["output"] = usage.transcription_output_tokens
    yield _counters("tokens", "Tokens of responses, cached ones included.", "kind", tokens)
    yield _counters("cached_tokens", "Tokens of the input that were cached.", "kind", kinds("cached"))
    yield _counters("transcription_tokens", "Tokens of transcriptions.", "kind", transcription)
    yield _counter("responses", "Responses of models.", usage.responses)
    yield _counter("transcriptions", "Transcriptions of what users said.", usage.transcriptions)
    yield _counter("transcription_seconds", "Audio transcribed, where paid by time.", usage.transcription_seconds)


def _counter(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}_{name}", words, value=value)


def _counters(name: str, words: str, label: str, values: dict[str, int]) -> Metric:
    family = CounterMetricFamily(f"{PREFIX}_{name}", words, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", words, value=value)


def _gauges(name: str, words: str, label: str, values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", words, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family
