"""A run of the bench in words: Markdown tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench import answers, budgets, starts
from bench.results import AGENT, FAST, FLOOR, KINDS, WEB, Results
from bench.rounds import Series

__all__ = ["report"]

_TIMES = ("uplink", "downlink", "first")


def report(results: Results) -> str:
    """All tables, each under a heading, of what was measured."""
    content = results.content
    found = budgets.judge_all(results)
    sections = [
        ("Machine", "\n".join(f"- {name}: {value}" for name, value in content["machine"].items())),
        ("Budgets", budgets.table(found) if found else ""),
        *((f"Talk, frames of {frame_ms} ms", _talk(results, frame_ms)) for frame_ms in (20, 10)),
        *((f"Beside the floors, frames of {frame_ms} ms", _beside(results, frame_ms)) for frame_ms in (20, 10)),
        ("Interruptions", _interrupts(results)),
        ("Where it saturates", _saturation(content.get("saturation"))),
        ("Starts and memory", starts.report(content["starts"]) if "starts" in content else ""),
        ("The embedded model's answers", answers.report(content["answers"]) if "answers" in content else ""),
    ]
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in sections if text)


def _talk(results: Results, frame_ms: int) -> str:
    head = "| agents | | CPU net, s/min | uplink, ms | downlink, ms | first audio, ms | samples | USS / PSS, MB |"
    lines = []
    for series in _each(results, frame_ms):
        cells = [series.what["agents"], series.what["kind"], _number(results, series, "net")]
        cells += [_pair(results, series, name) for name in _TIMES]
        lines.append(_row([*cells, _counts(series), _memory(results, series)]))
    return _table(head, lines, "p50 / p99, medians of the rounds. ~: the rounds were apart, or the machine was busy.")


def _beside(results: Results, frame_ms: int) -> str:
    head = "| agents | | beside the | CPU net | uplink | downlink | first audio |"
    lines = []
    for series in _each(results, frame_ms):
        for floor in (FLOOR, FAST) if series.what["kind"] not in (FLOOR, FAST) else ():
            cells = [series.what["agents"], series.what["kind"], floor, _ratio(results, series, "net", floor)]
            for name in _TIMES:
                both = [_ratio(results, series, f"{name}_{which}", floor) for which in ("p50", "p99")]
                cells.append(" / ".join(both) if any(both) else "")
            lines += [_row(cells)] if any(cells[3:]) else []
    return _table(head, lines, "p50 / p99. A p99 of fewer than 100 samples is but the longest of them.")


def _interrupts(results: Results) -> str:
    head = "| agents | | far end late, ms | barge-in, ms | interruptions | truncation off by, ms: median / worst |"
    lines = []
    for agents in results.numbers("interrupt"):
        for kind, delay_ms in ((kind, delay_ms) for kind in KINDS for delay_ms in (None, 0, 150)):
            series = results.find("interrupt", kind, agents, delay_ms=delay_ms)
            if series:
                count = sum(int(figures.get("barge_n", 0)) for figures in series.rounds)
                wrong = [_number(results, series, f"truncate_{which}") for which in ("median", "worst")]
                cells = [agents, kind, delay_ms if kind == AGENT else "", _pair(results, series, "barge"), count]
                lines.append(_row([*cells, " / ".join(wrong) if any(wrong) else ""]))
    return _table(head, lines)


def _saturation(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    lines = []
    for count, figures in found["steps"].items():
        if figures:
            late = f"{figures.get('uplink_p50', 0):.2f} / {figures.get('uplink_p99', 0):.2f}"
            model_cores = figures["model_cpu"] * int(count) / 60
            lines.append(_row([count, f"{figures['cpu']:.2f}", f"{figures['frames']:.1f}", late, f"{model_cores:.2f}"]))
    end = f"{found['fails']} agents were too many" if found["fails"] else "It was not reached"
    head = "| agents | CPU with frames, s/min | frames/s | uplink, ms | the model's cores |"
    if found["model_cores"]:
        end += f" (the model took {found['model_cores']:.2f} of its one core)"
    words = f"{found['holds']} agents were served in time. {end}: {found['why']}."
    return _table(head, lines, f"{words} Model, users and agents share the machine.")


def _each(results: Results, frame_ms: int) -> Iterator[Series]:
    numbers = {*results.numbers("talk", frame_ms=frame_ms), *results.numbers("web", frame_ms=frame_ms)}
    for agents in sorted(numbers):
        for kind in KINDS:
            series = results.find("web" if kind == WEB else "talk", kind, agents, frame_ms=frame_ms)
            if series:
                yield series


def _table(head: str, lines: list[str], note: str = "") -> str:
    if not lines:
        return ""
    rule = "|---" * (head.count("|") - 1) + "|"
    return "\n".join([head, rule, *lines, *(["", note] if note else [])])


def _row(cells: list[Any]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _number(results: Results, series: Series, name: str) -> str:
    value = results.median(series, name)
    doubt = "" if series.is_judged("cpu" if name == "net" else name) else "~"
    return "" if value is None else f"{value:.2f}{doubt}"


def _pair(results: Results, series: Series, name: str) -> str:
    both = [_number(results, series, f"{name}_{which}") for which in ("p50", "p99")]
    return " / ".join(both) if any(both) else ""


def _ratio(results: Results, series: Series, name: str, floor: str) -> str:
    ratio = results.ratio(series, name, floor)
    return f"{ratio.value:.2f}x" if ratio else ""


def _counts(series: Series) -> str:
    counts = [sum(int(figures.get(f"{name}_n", 0)) for figures in series.rounds) for name in _TIMES]
    return " / ".join(map(str, counts))


def _memory(results: Results, series: Series) -> str:
    both = [results.median(series, name) for name in ("uss", "pss")]
    return " / ".join(f"{mib * 2**20 / 1e6:.1f}" for mib in both if mib is not None)
