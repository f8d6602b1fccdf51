"""Where the machine saturates."""

from __future__ import annotations

from typing import Any, cast

import pytest

from bench import parts
from bench.model import Model
from bench.rounds import Series
from bench.talk import Figures

PLAN = parts.Plan((1, 100), rounds=1, seconds=4)
MODEL = cast("Model", None)


def figures(uplink_ms: float, frames: float = 50.0) -> Figures:
    """Those of a round of talk."""
    return {"frames": frames, "uplink_p99": uplink_ms, "model_cpu": 0.3}


def talked(**late_ms: float) -> list[Series]:
    """Agents, so many as each name says, whose frames were so late."""
    what: dict[str, Any] = {"kind": "agent", "frame_ms": 20}
    return [Series(what | {"agents": int(name[1:])}, [figures(ms)]) for name, ms in late_ms.items()]


def test_it_goes_on_until_frames_come_a_frame_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_one", lambda _model, count, _seconds: figures(count / 10))
    found = parts.saturate(MODEL, talked(_1=0.5, _100=10.0), PLAN)
    assert (found["holds"], found["fails"]) == (200, 300)
    assert found["why"] == "the uplink's p99 was 30.0 ms, more than a frame"
    assert found["model_cores"] == pytest.approx(1.5)
    assert list(found["steps"]) == ["1", "100", "150", "200", "300"]


def test_it_may_be_reached_before() -> None:
    found = parts.saturate(MODEL, talked(_1=0.5, _50=21.0, _100=90.0), PLAN)
    assert (found["holds"], found["fails"]) == (1, 50)


def test_it_ends_with_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_available_bytes", lambda: 1e9)
    found = parts.saturate(MODEL, talked(_1=0.5, _100=1.0), PLAN)
    assert (found["holds"], found["fails"], found["model_cores"]) == (100, None, None)
    assert found["why"] == "the memory would not do for more"


def test_lost_frames_and_no_answer_are_too_many_agents_too() -> None:
    assert parts.overloaded(figures(1.0)) is None
    assert parts.overloaded(figures(1.0, frames=48.9)) == "48.9 frames a second of an agent arrived, of 50"
    assert parts.overloaded({}) == "they did not answer in time"
