"""What can be counted, for Prometheus: some of it as it happens, the rest read from the fleet when it is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import Metric
from pydantic import BaseModel

from realtime_agent.control import events
from realtime_agent.control.commands import Command
from realtime_agent.control.events import AgentEvent
from realtime_agent.control.life import State
from realtime_agent.errors import AgentNotFound, ControlTimeout, QueueFull
from realtime_agent.fleet.event_log import LoggedEvent
from realtime_agent.fleet.fleet import AgentRecord, Fleet
from realtime_agent.server.fleet_collector import OTHER, PREFIX, FleetCollector
from realtime_agent.server.stream import Readers
from realtime_agent.server.webhook import Webhook

__all__ = ["Metrics"]

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The format's version that every Prometheus reads."""

_WAITS_S = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_CUTS_S = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0)
_LAGS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
_CALLS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MAX_WORDS = 50
"""Codes of errors, and functions, that are counted apart; a model that makes up new ones must not fill the memory."""


class Metrics:
    """Counts what a fleet does, in a registry of its own.

    Args:
        fleet: Whose events are counted.
        loop_lag_s: How late the server's own event loop has been at the most lately.
        functions: The names of those that there are.

    Attributes:
        readers: Who reads the events of agents; the stream counts them.
    """

    def __init__(
        self, fleet: Fleet, loop_lag_s: Callable[[], float] = lambda: 0.0, functions: Iterable[str] = ()
    ) -> None:
        self.readers = Readers()
        self._webhook: Webhook | None = None
        self._codes, self._functions = _Words(), _Words()
        self._registry = CollectorRegistry(auto_describe=True)
        self._collector = _WithoutBirthdays(self._registry)
        self._registry.register(FleetCollector(fleet, self.readers, self._of_webhook, loop_lag_s))
        self._first_audio = self._histogram(
            "turn_first_audio_seconds", "From the user's last word to the first audio from the model.", _WAITS_S
        )
        self._first_frame = self._histogram(
            "turn_first_frame_seconds", "From the user's last word to the first frame for the channel.", _WAITS_S
        )
        self._barge_in = self._histogram(
            "barge_in_seconds", "From where the model heard the user begin to the cut of the agent's speech.", _CUTS_S
        )
        self._worker_lag = self._histogram(
            "worker_loop_lag_seconds", "How late a worker's event loop was at the most, every five seconds.", _LAGS_S
        )
        self._tool_calls = self._histogram("tool_call_seconds", "How long functions took.", _CALLS_S, "name")
        self._commands = self._counter("commands", "Commands, by what came of them.", "command", "outcome")
        self._errors = self._counter("errors", "Errors that agents reported and went on.", "of", "code")
        self._connections = self._counter("connections", "Connections lost, restored and renewed.", "to", "status")
        self._interruptions = self._counter("interruptions", "Cuts of an agent's speech.", "by")
        self._pauses = self._counter("pauses", "How often agents were paused or resumed.", "state", "by")
        self._dropped = self._counter("dropped_audio_seconds", "Audio that was too much to wait.", "direction")
        self._begin_at_zero(functions)
        fleet.observe(self._observe)

    def watch_webhook(self, webhook: Webhook) -> None:
        """Count what waits for a webhook, and what it has lost."""
        self._webhook = webhook

    @contextmanager
    def command(self, name: str) -> Iterator[None]:
        """Count a command that no agent takes, or answers in time; what agents make of the others they tell."""
        try:
            yield
        except (AgentNotFound, QueueFull):
            self._commands.labels(name, "not_taken").inc()
            raise
        except ControlTimeout:
            self._commands.labels(name, "unanswered").inc()
            raise

    def as_text(self) -> tuple[bytes, str]:
        """The present values, and their content type."""
        return generate_latest(self._collector), _CONTENT_TYPE

    def _of_webhook(self) -> tuple[int, int]:
        return (self._webhook.waiting, self._webhook.dropped) if self._webhook is not None else (0, 0)

    def _begin_at_zero(self, functions: Iterable[str]) -> None:
        """Have what may be counted from the start, since of a counter that comes with a 1 the rise is never seen."""
        for name, outcome in product(_COMMANDS, ("done", "refused", "not_taken", "unanswered")):
            self._commands.labels(name, outcome)
        for to, status in product(*(_choices(events.ConnectionChanged, label) for label in ("to", "status"))):
            self._connections.labels(to, status)
        for by in _choices(events.Interrupted, "by"):
            self._interruptions.labels(by)
        for state, by in product(("paused", "resumed"), _choices(events.StateChanged, "by")):
            self._pauses.labels(state, by)
        for of in _choices(events.ErrorReported, "of"):
            self._errors.labels(of, OTHER)
        for direction in ("uplink", "downlink"):
            self._dropped.labels(direction)
        for name in functions:
            self._tool_calls.labels(self._functions.label(name))

    def _observe(self, agent: AgentRecord, event: AgentEvent, _logged: LoggedEvent | None) -> None:
        match event:
            case events.TurnMeasured():
                self._first_audio.observe(event.first_audio_ms / 1000)
                self._first_frame.observe(event.first_frame_ms / 1000)
            case events.Interrupted():
                self._interruptions.labels(event.by).inc()
                if event.after_ms is not None:
                    self._barge_in.observe(event.after_ms / 1000)
            case events.ToolReturned():
                self._tool_calls.labels(self._functions.label(event.name)).observe(event.took_ms / 1000)
            case events.CommandDone():
                self._commands.labels(event.command, "refused" if event.error else "done").inc()
            case events.ErrorReported():
                self._errors.labels(event.of, self._codes.label(event.code)).inc()
            case events.ConnectionChanged():
                self._connections.labels(event.to, event.status).inc()
            case events.StateChanged(by=by) if by is not None:
                self._pauses.labels("paused" if event.state is State.PAUSED else "resumed", by).inc()
            case events.Load():
                self._worker_lag.observe(event.loop_lag_ms / 1000)
                self._count_dropped(event, agent.load_before)

    def _count_dropped(self, load: events.Load, before: events.Load | None) -> None:
        up, down = (before.dropped_uplink_ms, before.dropped_downlink_ms) if before is not None else (0, 0)
        self._dropped.labels("uplink").inc(max(0, load.dropped_uplink_ms - up) / 1000)
        self._dropped.labels("downlink").inc(max(0, load.dropped_downlink_ms - down) / 1000)

    def _histogram(self, name: str, words: str, buckets: Iterable[float], *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", words, labels, buckets=tuple(buckets), registry=self._registry)

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", words, labels, registry=self._registry)


def _choices(event: type[BaseModel], field: str) -> list[str]:
    """What a field of an event may say, but for nothing."""
    parts = get_args(event.model_fields[field].annotation)
    return [choice for part in parts for choice in (get_args(part) or (part,)) if isinstance(choice, str)]


_COMMANDS = [get_args(command.model_fields["command"].annotation)[0] for command in get_args(Command)]


class _Words:
    """The values of a label that a model may make up: the first so many are told apart."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def label(self, word: str) -> str:
        """The word, or what stands for all others."""
        if word not in self._known and (len(self._known) >= _MAX_WORDS or not _WORD.fullmatch(word)):
            return OTHER
        self._known.add(word)
        return word


class _WithoutBirthdays(CollectorRegistry):
    """What another registry has, but not when each counter was made: nobody asks, and it doubles the text."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._counted = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._counted.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric
