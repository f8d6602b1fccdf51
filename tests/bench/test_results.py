"""Figures of a run, and their ratios to the floors."""

from __future__ import annotations

import pytest

from bench.results import Results
from tests.bench import made_up


def test_what_frames_take_alone_is_taken_off() -> None:
    results = made_up.run()
    agent = results.find("talk", "agent", 1, frame_ms=20)
    assert results.median(agent, "net") == pytest.approx(0.3)
    web = results.find("web", "agent, web", 1)
    assert results.median(web, "net") == pytest.approx(1.2)


def test_ratios_tell_what_the_rounds_make_them_at_least_and_at_most() -> None:
    rounds = [{"cpu": 1.0, "uplink_p99": ms, "uplink_n": 10.0} for ms in (2.0, 3.0, 4.0)]
    floor = [{"cpu": 1.0, "uplink_p99": ms, "uplink_n": 10.0} for ms in (1.0, 2.0, 1.5)]
    saved = [made_up.series("talk", kind, 5, of, frame_ms=20) for kind, of in (("agent", rounds), ("floor", floor))]
    results = Results({"series": saved})
    ratio = results.ratio(results.find("talk", "agent", 5), "uplink_p99", "floor")
    assert ratio is not None
    assert (ratio.value, ratio.least, ratio.most, ratio.samples) == (2.0, 1.0, 4.0, 30)


def test_what_was_not_measured_has_no_ratio() -> None:
    results = Results({"series": [made_up.talk("agent", 5, 1.0, 1.0)]})
    agent = results.find("talk", "agent", 5)
    assert results.ratio(agent, "uplink_p99", "floor") is None
    assert results.median(agent, "net") is None
    assert results.find("talk", "agent", 6) is None


def test_numbers_of_agents_are_each_told_once() -> None:
    assert made_up.run().numbers("talk", frame_ms=20) == [1, 25]
