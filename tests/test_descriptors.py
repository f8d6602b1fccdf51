"""How many descriptors a program takes."""

from __future__ import annotations

import resource

import pytest

from realtime_agent.descriptors import allow_many_descriptors, most_descriptors


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        ((1024, resource.RLIM_INFINITY), 65_536),
        ((1024, 10**6), 65_536),
        ((1024, 4096), 4096),
        ((10**6, 10**6), 10**6),
    ],
)
def test_a_program_takes_as_many_as_it_may_and_needs(
    limits: tuple[int, int], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, wanted: taken.append(wanted))
    assert most_descriptors() == most
    allow_many_descriptors()
    assert taken == [(most, limits[1])]


def test_a_limit_that_can_t_be_raised_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_kind: int, _wanted: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    allow_many_descriptors()
