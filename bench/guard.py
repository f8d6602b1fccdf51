"""What an agent costs beside the fast floor, held against what it did: ratios only, so that any machine can judge.

    python -m bench.guard [--write]

The floor, agents and bare frames run at the same time, so that whatever else the machine does meets them all alike, and
they are started anew a few times. They are looked at over whole cycles of the model's speech, and the median of the
looks counts. What is more than a quarter above bench/guard.json is measured again, up to twice, and fails if it is
found each time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.far_end import Noted
from bench.machine import Quiet, Watch
from bench.model import Heard, Model, running_model
from bench.subjects import Kind, Subject, running_subjects

__all__ = ["Look", "failures", "main", "ratios"]

Look = Mapping[Kind, Mapping[str, float]]
"""What was seen in a while: of each kind the `cpu` seconds, and the medians of `uplink` and `downlink` in ns."""

Ratios = dict[str, float]

_ALLOWED = 1.25
_FILE = Path(__file__).parent / "guard.json"
_KINDS: tuple[Kind, ...] = ("frames", "fast floor", "agent")
_NAMES = ("cpu", "uplink", "downlink")
_COUNT = 8
"""What a tick costs depends on what ran just before it: many of them, started anew, meet all cases."""

_STARTS = 4
_LOOKS = 2
_LOOK_S = 4.0
"""A cycle of the model's: each look has the same work in it."""

_SETTLE_S = 1.5
_TIMES = 3
_ENOUGH = 0.5
"""Which share of the frames must arrive, for a look to be one."""


def main(arguments: Sequence[str]) -> int:
    """The command line; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.guard", description="Has an agent become slower?")
    parser.add_argument("--write", action="store_true", help="take what is measured now as what is right")
    if parser.parse_args(arguments).write:
        found = [_measure() for _ in range(_TIMES)]
        middle = {name: statistics.median(each[name] for each in found) for name in _NAMES}
        _FILE.write_text(json.dumps(middle, indent=2) + "\n", encoding="utf-8")
        return 0
    written: Ratios = json.loads(_FILE.read_text("utf-8")) if _FILE.exists() else {}
    best: Ratios = {}
    for _ in range(_TIMES):
        best = {name: min(value, best.get(name, value)) for name, value in _measure().items()}
        failed = failures(best, written)
        if not failed:
            return 0
    print(*failed, "If it is worth that, accept it: python -m bench.guard --write", sep="\n", file=sys.stderr)
    return 1


def ratios(looks: Sequence[Look]) -> Ratios:
    """How much an agent takes as multiples of what the fast floor does, of CPU without what the frames alone take.

    Raises:
        SystemExit: there is nothing to tell it by.
    """
    if not looks:
        raise SystemExit("nothing was measured")
    found = {name: statistics.median(_ratio(look, name) for look in looks) for name in _NAMES}
    return {name: round(value, 3) for name, value in found.items()}


def failures(found: Ratios, written: Ratios) -> list[str]:
    """What is wrong, in words: a ratio that is more than a quarter above the one written, or that is missing."""
    words = []
    for name in _NAMES:
        if name not in found or name not in written:
            words.append(f"{name}: not {'written in ' + _FILE.name if name in found else 'measured'}")
        elif found[name] > written[name] * _ALLOWED:
            more = found[name] / written[name] - 1
            words.append(
                f"{name}: an agent takes {found[name]:.2f} times what the fast floor does, {more:.0%} more than the "
                f"{written[name]:.2f} of {_FILE.name}; at most {_ALLOWED - 1:.0%} more is allowed"
            )
    return words


def _ratio(look: Look, name: str) -> float:
    floor, ours = look["fast floor"], look["agent"]
    taken_off = look["frames"]["cpu"] if name == "cpu" else 0.0
    if name not in floor or name not in ours or floor[name] <= taken_off:
        raise SystemExit(f"{name}: there is nothing to tell it by")
    return (ours[name] - taken_off) / (floor[name] - taken_off)


def _measure() -> Ratios:
    watch = Watch()
    looks: list[Look] = []
    with running_model() as model:
        model.speak("half")
        for _ in range(_STARTS):
            with ExitStack() as stack:
                running = {kind: stack.enter_context(running_subjects(kind, _COUNT, model.url)) for kind in _KINDS}
                time.sleep(_SETTLE_S)
                looks += [_look(model, running) for _ in range(_LOOKS)]
    found = ratios(looks)
    _tell(found, looks, watch.look())
    return found


def _tell(found: Ratios, looks: Sequence[Look], seen: Quiet) -> None:
    words = []
    for name, value in found.items():
        each = [_ratio(look, name) for look in looks]
        words.append(f"{name} {value:.2f} ({min(each):.2f}-{max(each):.2f})")
    machine = f"stolen {seen.stolen:.0%}, others {seen.others:.0%}"
    print(f"An agent beside the fast floor: {', '.join(words)} in {len(looks)} looks; {machine}", flush=True)


def _look(model: Model, running: Mapping[Kind, Sequence[Subject]]) -> Look:
    subjects = [subject for each in running.values() for subject in each]
    model.collect()
    for subject in subjects:
        subject.reset()
    time.sleep(_LOOK_S)
    for subject in subjects:
        subject.ask()
    heard = model.collect()
    return {kind: _figures(each, [subject.answer() for subject in each], heard) for kind, each in running.items()}


def _figures(subjects: Sequence[Subject], noted: Sequence[Noted], heard: Heard) -> dict[str, float]:
    uplink = [ns for subject in subjects for ns in heard.uplink_ns.get(subject.name, [])]
    downlink = [ns for each in noted for ns in each.downlink_ns]
    figures = {"cpu": sum(each.cpu_s for each in noted)}
    if len(uplink) > _ENOUGH * _COUNT * _LOOK_S * 50 and downlink:
        figures |= {"uplink": statistics.median(uplink), "downlink": statistics.median(downlink)}
    return figures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
