"""One round of talk: so many subjects of a kind for so many seconds, and what it cost and how long it took."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from bench.far_end import Noted
from bench.model import Model
from bench.subjects import Kind, Subject, running_subjects

__all__ = ["Figures", "interrupt", "spread", "talk"]

Figures = dict[str, float]

_SETTLE_S = 1.0
_SETTLE_EACH_S = 0.02
"""Until what waited while so many were started is worked off."""


def talk(model: Model, kind: Kind, count: int, *, seconds: float, frame_ms: int = 20) -> Figures:
    """Let them talk, the model half the time.

    Returns:
        `cpu` seconds a minute and subject, and `uplink`, `downlink` and `first` in ms as of `spread`.
    """
    model.speak("half", frame_ms)
    with running_subjects(kind, count, model.url, frame_ms=frame_ms) as subjects:
        time.sleep(_SETTLE_S + _SETTLE_EACH_S * count)
        model.collect()
        noted = _measure(subjects, seconds)
        heard = model.collect()
    uplink_ns = heard.all_uplink_ns()
    cpu = sum(each.cpu_s for each in noted) / count / seconds * 60
    return {
        "cpu": cpu,
        "model_cpu": heard.cpu_s / count / seconds * 60,
        "frames": len(uplink_ns) / count / seconds,
        "appends": heard.appends / count / seconds,
        **spread("uplink", uplink_ns),
        **spread("downlink", [ns for each in noted for ns in each.downlink_ns]),
        **spread("first", [ns for each in noted for ns in each.first_ns]),
    }


def interrupt(model: Model, kind: Kind, count: int, *, seconds: float, delay_ms: int = 0) -> Figures:
    """Let users speak into what the model says.

    Returns:
        `barge` in ms from the word of the model to the flush, and by how much a truncation was wrong.
    """
    model.speak("barge")
    with running_subjects(kind, count, model.url, delay_ms=delay_ms) as subjects:
        time.sleep(_SETTLE_S + _SETTLE_EACH_S * count)
        for subject in subjects:
            subject.reset()
        model.collect()
        time.sleep(seconds)
        model.speak("silent")
        time.sleep(2.5)
        heard = model.collect()
        noted = _collect(subjects)
    took, wrong = [], []
    for subject, each in zip(subjects, noted, strict=True):
        asked = heard.cuts.get(subject.name, [])
        told = dict(heard.truncated.get(subject.name, []))
        for (sent, item), (flushed, heard_ms) in zip(asked, each.cuts, strict=False):
            took.append(flushed - sent)
            if item in told:
                wrong.append(told[item] - heard_ms)
    figures = spread("barge", took) | {"cuts": float(len(took)), "asked": float(sum(map(len, heard.cuts.values())))}
    if wrong:
        figures |= {"truncate_median": statistics.median(wrong), "truncate_worst": max(map(abs, wrong))}
    return figures


def _measure(subjects: Sequence[Subject], seconds: float) -> list[Noted]:
    for subject in subjects:
        subject.reset()
    time.sleep(seconds)
    return _collect(subjects)


def _collect(subjects: Sequence[Subject]) -> list[Noted]:
    for subject in subjects:
        subject.ask()
    return [subject.answer() for subject in subjects]


def spread(name: str, values_ns: list[int]) -> Figures:
    """The median and the 99th percentile of some times, in ms, and how many there are; nothing of none."""
    if not values_ns:
        return {}
    ordered = sorted(values_ns)
    return {
        f"{name}_p50": ordered[len(ordered) // 2] / 1e6,
        f"{name}_p99": ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] / 1e6,
        f"{name}_n": float(len(ordered)),
    }
