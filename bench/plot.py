"""Draws what agents cost, by how many there are.

python -m bench.plot RESULTS.json [docs/performance.svg]
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from bench.results import AGENT, FAST, FLOOR, WEB, Results

__all__ = ["draw", "main"]

Line = Sequence[tuple[float, float]]

_COLOURS = {AGENT: "#0b62c4", WEB: "#0f8a6d", FLOOR: "#b26a00", FAST: "#7a7f87"}
_LABELS = {AGENT: "agent, in memory", WEB: "agent, web", FLOOR: "floor", FAST: "fast floor"}
_DASHES = {FLOOR: ' stroke-dasharray="6 4"', FAST: ' stroke-dasharray="2 3"'}

_WIDTH, _HEIGHT = 860, 360
_PANEL_WIDTH, _PANEL_HEIGHT = 350, 210
_TOP = 76
_LEFTS = (56, 486)


def draw(results: Results) -> str:
    """The picture, as SVG."""
    cost, late = ({kind: list(_points(results, kind, name)) for kind in _COLOURS} for name in ("net", "uplink_p99"))
    machine = results.content["machine"]
    words = f"{machine['cpu']}, Python {machine['python']}, {machine['date']}; two-way frames of 20 ms"
    body = [
        *_panel(_LEFTS[0], "CPU of an agent, seconds per minute", cost, _linear),
        *_panel(_LEFTS[1], "Uplink added, p99, ms", late, _logarithmic),
        *_legend(),
        _text(_LEFTS[0], _HEIGHT - 12, words, "start", "note"),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            'aria-label="Cost and latency of an agent by the number of agents">',
            "<style>text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600;font-size:13px}"
            ".note{fill:#666;font-size:11px}.grid{stroke:#ddd}.axis{stroke:#888}</style>",
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
            *body,
            "</svg>\n",
        ]
    )


def _points(results: Results, kind: str, name: str) -> Iterator[tuple[float, float]]:
    part = "web" if kind == WEB else "talk"
    for agents in results.numbers(part, kind=kind, frame_ms=20):
        value = results.median(results.find(part, kind, agents, frame_ms=20), name)
        if value is not None and value > 0:
            yield agents, value


class _Scale:
    """Where a value is, between 0 (below) and 1, and which values are told."""

    def __init__(self, ticks: Sequence[float], place: Callable[[float], float]) -> None:
        self.ticks = ticks
        self.place = place


def _linear(values: Sequence[float]) -> _Scale:
    most = max(values)
    step = 10.0 ** math.floor(math.log10(most))
    step = next(each for each in (step / 5, step / 2, step, 2 * step) if most / each <= 6)
    count = math.ceil(most / step)
    return _Scale([n * step for n in range(count + 1)], lambda value: value / (count * step))


def _logarithmic(values: Sequence[float]) -> _Scale:
    low = math.floor(math.log10(min(values)))
    high = max(low + 1, math.ceil(math.log10(max(values))))
    return _Scale([10.0**n for n in range(low, high + 1)], lambda value: (math.log10(value) - low) / (high - low))


def _panel(
    left: int, title: str, lines: Mapping[str, Line], scale_of: Callable[[Sequence[float]], _Scale]
) -> Iterator[str]:
    yield _text(left, _TOP - 14, title, "start", "title")
    values = [value for line in lines.values() for _, value in line]
    if not values:
        yield _text(left, _TOP + 20, "not measured", "start", "note")
        return
    scale = scale_of(values)
    numbers = sorted({count for line in lines.values() for count, _ in line})
    bottom = _TOP + _PANEL_HEIGHT

    def x(count: float) -> float:
        return left + count / max(numbers) * _PANEL_WIDTH

    def y(value: float) -> float:
        return bottom - scale.place(value) * _PANEL_HEIGHT

    for tick in scale.ticks:
        at = y(tick)
        yield f'<path class="grid" d="M{left} {at:.1f}h{_PANEL_WIDTH}"/>' + _text(left - 6, at + 4, f"{tick:g}", "end")
    yield f'<path class="axis" d="M{left} {bottom}h{_PANEL_WIDTH}"/>'
    for count in _apart(numbers):
        yield _text(x(count), bottom + 17, f"{count:g}", "middle")
    yield _text(left + _PANEL_WIDTH / 2, bottom + 34, "agents", "middle", "note")
    for kind, line in lines.items():
        yield from _line(kind, [(x(count), y(value)) for count, value in line])


def _apart(numbers: Sequence[float]) -> Iterator[float]:
    """Those that have room for their figures below the axis."""
    last = -math.inf
    for number in numbers:
        if number - last >= max(numbers) * 0.08:
            yield number
            last = number


def _line(kind: str, points: Line) -> Iterator[str]:
    if points:
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        style = f'stroke="{_COLOURS[kind]}" stroke-width="2"{_DASHES.get(kind, "")}'
        yield f'<path d="M{path}" fill="none" {style}/>'
    for x, y in points:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{_COLOURS[kind]}"/>'


def _legend() -> Iterator[str]:
    for number, (kind, label) in enumerate(_LABELS.items()):
        x = _LEFTS[0] + number * 170
        yield from _line(kind, [(x, 24), (x + 26, 24)])
        yield _text(x + 34, 28, label, "start")


def _text(x: float, y: float, words: str, anchor: str, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(words)}</text>'


def main(arguments: Sequence[str]) -> None:
    """The command line."""
    results = Results(json.loads(Path(arguments[0]).read_text("utf-8")))
    picture = draw(results)
    if len(arguments) > 1:
        Path(arguments[1]).write_text(picture, encoding="utf-8")
    else:
        print(picture, end="")


if __name__ == "__main__":
    main(sys.argv[1:])
