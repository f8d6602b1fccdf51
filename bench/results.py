"""What a run of the bench found, as it is written to a file and read again."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.rounds import Series

__all__ = ["AGENT", "FAST", "FLOOR", "FRAMES", "KINDS", "WEB", "Ratio", "Results", "samples"]

FRAMES, FLOOR, FAST, AGENT, WEB = "frames", "floor", "fast floor", "agent", "agent, web"
KINDS = (FLOOR, FAST, AGENT, WEB)
"""What is told of; frames alone are but taken off."""


@dataclass(frozen=True)
class Ratio:
    """A figure as a multiple of another: of their medians, and the least and the most that any of the rounds make it.

    Attributes:
        samples: How many values the figure is of, in all rounds; `None` if it is not of a number of them.
    """

    value: float
    least: float
    most: float
    samples: int | None


class Results:
    """A run's figures. `content` is what goes into the file."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        self._series = [_read(each) for each in content.get("series", [])]

    def numbers(self, part: str, **what: Any) -> list[int]:
        """How many agents there were, each number once."""
        return sorted({each.what["agents"] for each in self._of(part, **what)})

    def find(self, part: str, kind: str, agents: int, **what: Any) -> Series | None:
        """The measurement of this."""
        return next(iter(self._of(part, kind=kind, agents=agents, **what)), None)

    def values(self, series: Series, name: str) -> list[float]:
        """A figure of each round; `net` is CPU seconds per agent and minute without what the frames alone take."""
        if name != "net":
            return [figures[name] for figures in series.rounds if name in figures]
        taken_off = self._frames_cpu(series)
        return [] if taken_off is None else [cpu - taken_off for cpu in self.values(series, "cpu")]

    def median(self, series: Series | None, name: str) -> float | None:
        """The median of the rounds, if there are any."""
        values = self.values(series, name) if series else []
        return statistics.median(values) if values else None

    def ratio(self, series: Series | None, name: str, beside: str) -> Ratio | None:
        """A figure beside that of a floor under the same load."""
        if series is None:
            return None
        floor = self.find("talk", beside, series.what["agents"], frame_ms=series.what["frame_ms"])
        ours, theirs = self.values(series, name), self.values(floor, name) if floor else []
        if not ours or not theirs or min(theirs) <= 0:
            return None
        value = statistics.median(ours) / statistics.median(theirs)
        return Ratio(value, min(ours) / max(theirs), max(ours) / min(theirs), samples(series, name))

    def _frames_cpu(self, series: Series) -> float | None:
        if series.what["kind"] == WEB:
            return 0.0  # its frames come and go over a websocket, which is part of the work
        frames = self.find("talk", FRAMES, series.what["agents"], frame_ms=series.what["frame_ms"])
        return frames.median("cpu") if frames else None

    def _of(self, part: str, **what: Any) -> list[Series]:
        wanted = {"part": part} | what
        return [each for each in self._series if wanted.items() <= each.what.items()]


def samples(series: Series, name: str) -> int | None:
    """How many values a figure such as `uplink_p99` is of, in all rounds together."""
    counts = [figures.get(f"{name.rpartition('_')[0]}_n") for figures in series.rounds]
    found = [int(count) for count in counts if count is not None]
    return sum(found) if found else None


def _read(saved: Mapping[str, Any]) -> Series:
    rounds: Sequence[dict[str, float]] = saved["rounds"]
    return Series(saved["what"], list(rounds), saved["stolen"], saved["others"], saved["quiet"])
