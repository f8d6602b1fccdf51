"""The guard's comparison."""

from __future__ import annotations

import pytest

from bench import guard

WRITTEN = {"cpu": 2.0, "uplink": 1.5, "downlink": 1.6}


def look(cpu: float) -> guard.Look:
    """An agent that takes so much, beside a floor that takes 0.3 of which 0.1 is for the frames."""
    floor = {"cpu": 0.3, "uplink": 100.0, "downlink": 200.0}
    return {"frames": {"cpu": 0.1}, "fast floor": floor, "agent": {"cpu": cpu, "uplink": 150.0, "downlink": 300.0}}


def test_the_median_of_the_looks_counts() -> None:
    assert guard.ratios([look(0.5), look(0.5), look(9.0)]) == {"cpu": 2.0, "uplink": 1.5, "downlink": 1.5}


def test_a_quarter_more_is_allowed_and_no_more() -> None:
    assert guard.failures({name: value * 1.25 for name, value in WRITTEN.items()}, WRITTEN) == []
    failed = guard.failures(WRITTEN | {"uplink": 1.95}, WRITTEN)
    assert len(failed) == 1
    assert failed[0].startswith("uplink: an agent takes 1.95 times what the fast floor does, 30% more than the 1.50")


def test_what_is_missing_fails() -> None:
    assert guard.failures({}, WRITTEN) == [f"{name}: not measured" for name in WRITTEN]
    assert guard.failures(WRITTEN, {"cpu": 2.0, "uplink": 1.5}) == ["downlink: not written in guard.json"]


def test_it_does_not_pass_for_want_of_samples() -> None:
    with pytest.raises(SystemExit, match="nothing was measured"):
        guard.ratios([])
    with pytest.raises(SystemExit, match="uplink: there is nothing to tell it by"):
        guard.ratios([{**look(0.5), "agent": {"cpu": 0.5}}])
    with pytest.raises(SystemExit, match="cpu"):
        guard.ratios([{**look(0.5), "frames": {"cpu": 0.4}}])


def test_it_fails_when_it_is_found_each_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = iter([WRITTEN | {"cpu": 9.0}, WRITTEN | {"cpu": 8.0}, WRITTEN | {"cpu": 7.0}])
    monkeypatch.setattr(guard, "_measure", lambda: next(found))
    assert guard.main([]) == 1
    said = capsys.readouterr().err
    assert "7.00 times" in said
    assert "python -m bench.guard --write" in said


def test_it_passes_when_it_is_not_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([{"cpu": 9.0, "uplink": 0.1, "downlink": 0.1}, {"cpu": 0.1, "uplink": 9.0, "downlink": 0.1}])
    monkeypatch.setattr(guard, "_measure", lambda: next(found))
    assert guard.main([]) == 0
