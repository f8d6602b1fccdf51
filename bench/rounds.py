"""Measurements in turns: what is compared is measured side by side, again and again, and the median counts."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.machine import Watch
from bench.talk import Figures

__all__ = ["MAX_SPREAD", "Series", "take_turns"]

MAX_SPREAD = 0.25
"""How far apart rounds may be, as a share of their median, to be judged by."""


@dataclass
class Series:
    """The same measurement of the same thing, several times.

    Attributes:
        what: Such as the kind of subject and how many of them.
        rounds: The figures of each time.
        stolen: Which share of the machine others had meanwhile, at the worst; and `others`.
    """

    what: Mapping[str, Any]
    rounds: list[Figures]
    stolen: float = 0.0
    others: float = 0.0
    quiet: bool = True

    def median(self, name: str) -> float | None:
        """The median of a figure, or `None` if it was never there."""
        values = [figures[name] for figures in self.rounds if name in figures]
        return statistics.median(values) if values else None

    def spread(self, name: str) -> float:
        """How far apart its values are, as a share of the median."""
        values = [figures[name] for figures in self.rounds if name in figures]
        median = statistics.median(values) if values else 0.0
        return (max(values) - min(values)) / median if median else 0.0

    def is_judged(self, name: str) -> bool:
        """Whether the machine was quiet enough for this figure to say something."""
        return self.quiet and self.spread(name) <= MAX_SPREAD

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        names = {name: None for figures in self.rounds for name in figures}
        return asdict(self) | {
            "median": {name: self.median(name) for name in names},
            "spread": {name: self.spread(name) for name in names},
        }


def take_turns(measurements: Sequence[tuple[Mapping[str, Any], Callable[[], Figures]]], rounds: int) -> list[Series]:
    """Let each have its turn, in each round."""
    series = [Series(what, []) for what, _ in measurements]
    for number in range(rounds):
        for each, (what, measure) in zip(series, measurements, strict=True):
            watch = Watch()
            figures = measure()
            seen = watch.look()
            each.rounds.append(figures)
            each.stolen, each.others = max(each.stolen, seen.stolen), max(each.others, seen.others)
            each.quiet = each.quiet and seen.is_quiet
            words = " ".join(f"{name}={value:.3g}" for name, value in figures.items())
            print(f"{number + 1}/{rounds} {' '.join(map(str, what.values()))}: {words}", file=sys.stderr, flush=True)
    return series
