"""Everything that is measured, on one machine, in one run.

    python -m bench [--agents 1 10 25 50 100] [--rounds 3] [--seconds 8] [--quick] [--only PART ...] [--json FILE]

Progress goes to standard error, tables to standard output, all rounds to a file. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import budgets, parts, plot, tables
from bench.machine import describe
from bench.model import running_model
from bench.results import Results
from bench.rounds import Series

__all__ = ["main"]

_RESULTS = Path(__file__).parent / "results"
_QUICK = parts.Plan((1, 10), rounds=1, seconds=4, is_quick=True)


def main(arguments: Sequence[str]) -> None:
    """The command line."""
    options = _parse(arguments)
    chosen = parts.Plan(sorted(set(options.agents)), options.rounds, options.seconds)
    _raise_limit_of_files()
    results = Results(_measure(_QUICK if options.quick else chosen, options.only))
    results.content["budgets"] = [vars(each) for each in budgets.judge_all(results)]
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results.content, indent=1) + "\n", encoding="utf-8")
    if options.plot:
        options.plot.write_text(plot.draw(results), encoding="utf-8")
    print(tables.report(results))
    print(f"All rounds are in {options.json}.", file=sys.stderr)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure everything, beside the floors.")
    parser.add_argument("--agents", type=int, nargs="+", default=[1, 10, 25, 50, 100], help="how many at once")
    parser.add_argument("--rounds", type=int, default=3, help="of each measurement (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=8, help="of each round (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a little of everything, to see that it works")
    parser.add_argument("--only", nargs="+", choices=parts.PARTS, default=parts.PARTS, help="these parts alone")
    parser.add_argument(
        "--json", type=Path, default=_default_file(), help="default: bench/results/<date>-<n>cores.json"
    )
    parser.add_argument("--plot", type=Path, help="draw the plot to this file, such as docs/performance.svg")
    return parser.parse_args(arguments)


def _measure(plan: parts.Plan, only: Sequence[parts.Part]) -> dict[str, Any]:
    series: list[Series] = []
    content: dict[str, Any] = {"machine": describe(), "arguments": vars(plan) | {"only": list(only)}}
    with running_model() as model:
        if "talk" in only:
            series += parts.talks(model, plan)
            if not plan.is_quick:
                content["saturation"] = parts.saturate(model, series, plan)
        if "interrupt" in only:
            series += parts.interrupts(model, plan)
        if "web" in only:
            series += parts.webs(model, plan)
    content["series"] = [each.as_json() for each in series]
    others: dict[parts.Part, Callable[[parts.Plan], dict[str, Any]]] = {
        "starts": parts.measure_starts,
        "answers": parts.measure_answers,
    }
    return content | {name: measure(plan) for name, measure in others.items() if name in only}


def _default_file() -> Path:
    return _RESULTS / f"{time.strftime('%Y-%m-%d', time.gmtime())}-{os.cpu_count()}cores.json"


def _raise_limit_of_files() -> None:
    """Each agent takes a few descriptors here and in the model."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main(sys.argv[1:])
