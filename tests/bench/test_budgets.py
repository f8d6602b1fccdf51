"""Whether promises were kept."""

from __future__ import annotations

import pytest

from bench import budgets
from bench.results import Results
from tests.bench import made_up


@pytest.mark.parametrize(
    ("value", "least", "most", "verdict"),
    [
        (1.0, 0.5, 2.0, "met"),  # far apart, and yet all within
        (3.0, 2.1, 9.0, "missed"),
        (1.95, 1.8, 2.1, "met"),
        (2.05, 1.9, 2.1, "missed"),
        (1.5, 1.0, 2.5, "not judged"),
    ],
)
def test_rounds_that_disagree_are_judged_only_if_they_are_near(
    value: float, least: float, most: float, verdict: budgets.Verdict
) -> None:
    assert budgets.judge(value, 2.0, least, most, is_sure=True) == verdict
    assert budgets.judge(value, 2.0, least, most, is_sure=False) == "not judged"


def test_what_is_dear_is_missed_and_what_is_cheap_met() -> None:
    found = {each.name: each for each in budgets.judge_all(made_up.run())}
    assert found["CPU, net beside the fast floor, 1 agent"].verdict == "met"
    assert found["CPU, net beside the fast floor, 25 agents"].verdict == "missed"
    assert found["uplink p99 beside the fast floor, 25 agents"].value == pytest.approx(3.0)
    assert found["barge-in p50, far end 150 ms late, 1 agent"].verdict == "met"
    assert found["barge-in p99, far end 150 ms late, 1 agent"].verdict == "missed"
    assert found["truncation off by at most, far end 150 ms late, 25 agents"].verdict == "met"
    assert "8 samples, too few for a p99" in found["barge-in p99, far end 150 ms late, 1 agent"].note


def test_one_round_is_not_enough() -> None:
    saved = [made_up.series("interrupt", "agent", 1, [{"barge_p50": 0.3, "barge_n": 4.0}], delay_ms=0)]
    (found,) = budgets.judge_all(Results({"series": saved}))
    assert found.verdict == "not judged"
    assert found.note.startswith("one round is not enough")


def test_what_a_busy_machine_said_is_not_judged() -> None:
    busy = made_up.series("interrupt", "agent", 1, [{"barge_p50": 0.3}] * 3, delay_ms=0) | {
        "quiet": False,
        "others": 0.2,
    }
    (found,) = budgets.judge_all(Results({"series": [busy]}))
    assert found.verdict == "not judged"
    assert "machine busy: stolen 0%, others 20%" in found.note


def test_memory_is_told_in_millions_of_bytes() -> None:
    found = {each.name: each for each in budgets.judge_all(made_up.run())}
    memory = found["USS of a worker in talk, web, 25 agents"]
    assert memory.value == pytest.approx(8.389, abs=0.001)
    assert memory.verdict == "met"


def test_starts_are_judged_if_the_machine_was_quiet() -> None:
    workers = {
        "spawn": {"uss_mib": 30.0, "pss_mib": 30.0},
        "the service's, had waited": {"uss_mib": 9.0, "pss_mib": 13.0},
    }
    starts = {"workers": workers, "beyond_handshake_ms": {"warm": 4.0, "cold": 61.0, "first": 20.0}, "quiet": True}
    found = budgets.judge_all(Results({"starts": starts}))
    assert [each.verdict for each in found] == ["met", "missed", "met", "missed", "met"]
    found = budgets.judge_all(Results({"starts": starts | {"quiet": False}}))
    assert [each.verdict for each in found] == ["met", "missed", *["not judged"] * 3]


def test_nothing_measured_is_nothing_promised() -> None:
    assert budgets.judge_all(Results({})) == []
