"""What was promised, and whether a run of the bench kept it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.results import AGENT, FAST, WEB, Results, samples
from bench.rounds import MAX_SPREAD, Series

__all__ = ["Budget", "Verdict", "judge", "judge_all", "table"]

Verdict = Literal["met", "missed", "not judged"]

_AGENTS = (1, 25)
_DELAYS_MS = (0, 150)

_MOST_TIMES = 2.0
_BARGE_MS = 1.0
_TRUNCATE_MS = 20.0
_USS_MB, _PSS_MB = 10.0, 13.0
_WARM_MS, _COLD_MS = 15.0, 60.0
_MB_PER_MIB = 2**20 / 1e6
_FEW = 100
"""Of fewer values than this, the 99th percentile is the greatest."""

_SERVICE = "the service's, "
"""How bench.starts calls workers that are started as they are in operation."""


@dataclass(frozen=True)
class Budget:
    """A promise.

    Attributes:
        name: What about.
        value: What was found, in `unit`.
        limit: What it may be at most.
        note: What to know of the value, such as how far the rounds were apart.
    """

    name: str
    value: float
    limit: float
    unit: str
    verdict: Verdict
    note: str = ""


def judge(value: float, limit: float, least: float, most: float, *, is_sure: bool) -> Verdict:
    """Whether a value is within its limit, given the least and the most that was found.

    What all rounds agree on counts, however far they are apart.

    Args:
        is_sure: Whether the machine was quiet, and there was more than one round.
    """
    if not is_sure:
        return "not judged"
    if most <= limit:
        return "met"
    if least > limit:
        return "missed"
    if most - least > MAX_SPREAD * value:
        return "not judged"
    return "met" if value <= limit else "missed"


def judge_all(results: Results) -> list[Budget]:
    """All promises of which something was measured."""
    found: list[Budget] = []
    for look in (_beside_the_floor, _interrupts, _memory_in_talk):
        for agents in _AGENTS:
            found += look(results, agents)
    return [*found, *_starts(results.content.get("starts"))]


def table(budgets: Sequence[Budget]) -> str:
    """Budgets as a Markdown table."""
    lines = ["| budget | found | at most | | |", "|---|--:|--:|---|---|"]
    for each in budgets:
        cells = (each.name, f"{each.value:.3g}{each.unit}", f"{each.limit:g}{each.unit}", each.verdict, each.note)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _beside_the_floor(results: Results, agents: int) -> Iterator[Budget]:
    ours, floor = (results.find("talk", kind, agents, frame_ms=20) for kind in (AGENT, FAST))
    for name, words in (("net", "CPU, net"), ("uplink_p99", "uplink p99"), ("first_p99", "first audio p99")):
        ratio = results.ratio(ours, name, FAST)
        if ours and floor and ratio:
            is_sure = _is_sure(ours) and _is_sure(floor)
            verdict = judge(ratio.value, _MOST_TIMES, ratio.least, ratio.most, is_sure=is_sure)
            note = _note(name, ratio.least, ratio.most, ours, floor)
            words += f" beside the fast floor, {_count(agents)}"
            yield Budget(words, ratio.value, _MOST_TIMES, "x", verdict, note)


def _interrupts(results: Results, agents: int) -> Iterator[Budget]:
    wanted = (
        ("barge_p50", "barge-in p50", _BARGE_MS),
        ("barge_p99", "barge-in p99", _BARGE_MS),
        ("truncate_worst", "truncation off by at most", _TRUNCATE_MS),
    )
    for delay_ms in _DELAYS_MS:
        series = results.find("interrupt", AGENT, agents, delay_ms=delay_ms)
        for name, words, limit in wanted if series else ():
            yield from _plain(results, series, name, f"{words}, far end {delay_ms} ms late, {_count(agents)}", limit)


def _plain(results: Results, series: Series | None, name: str, words: str, limit: float) -> Iterator[Budget]:
    values = results.values(series, name) if series else []
    value = results.median(series, name)
    if series and value is not None:
        verdict = judge(value, limit, min(values), max(values), is_sure=_is_sure(series))
        note = _note(name, min(values), max(values), series)
        yield Budget(words, value, limit, " ms", verdict, note)


def _memory_in_talk(results: Results, agents: int) -> Iterator[Budget]:
    series = results.find("web", WEB, agents)
    for name, limit in (("uss", _USS_MB), ("pss", _PSS_MB)):
        mib = results.median(series, name)
        if mib is not None:
            yield _memory(f"{name.upper()} of a worker in talk, web, {_count(agents)}", mib, limit)


def _starts(starts: dict[str, Any] | None) -> Iterator[Budget]:
    if not starts:
        return
    for name, each in starts["workers"].items():
        if name.startswith(_SERVICE):  # others are there for comparison
            for key, limit in (("uss", _USS_MB), ("pss", _PSS_MB)):
                words = f"{key.upper()} of a worker with a session, {name.removeprefix(_SERVICE)}"
                yield _memory(words, each[f"{key}_mib"], limit)
    for key, words, limit in (
        ("warm", "from a worker that waited", _WARM_MS),
        ("cold", "from one forked for it", _COLD_MS),
        ("first", "of a service just started", _COLD_MS),
    ):
        beyond = starts["beyond_handshake_ms"][key]
        verdict = judge(beyond, limit, beyond, beyond, is_sure=starts["quiet"])
        note = "p50" if starts["quiet"] else "p50; machine busy"
        yield Budget(f"start beyond the model's handshake, {words}", beyond, limit, " ms", verdict, note)


def _memory(name: str, mib: float, limit_mb: float) -> Budget:
    """How busy the machine is does not matter to it."""
    mb = mib * _MB_PER_MIB
    return Budget(name, mb, limit_mb, " MB", judge(mb, limit_mb, mb, mb, is_sure=True))


def _is_sure(series: Series) -> bool:
    return series.quiet and len(series.rounds) > 1


def _note(name: str, least: float, most: float, *series: Series) -> str:
    count = samples(series[0], name)
    words = [f"rounds {least:.2f}-{most:.2f}" if len(series[0].rounds) > 1 else "one round is not enough"]
    if count is not None:
        words.append(
            f"{count} samples, too few for a p99" if name.endswith("p99") and count < _FEW else f"{count} samples"
        )
    if not all(each.quiet for each in series):
        stolen, others = max(each.stolen for each in series), max(each.others for each in series)
        words.append(f"machine busy: stolen {stolen:.0%}, others {others:.0%}")
    return "; ".join(words)


def _count(agents: int) -> str:
    return "1 agent" if agents == 1 else f"{agents} agents"
