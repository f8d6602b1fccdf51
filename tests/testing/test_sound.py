"""Audio for tests."""

from __future__ import annotations

import array
import sys
from itertools import pairwise

import pytest

from realtime_agent.testing import tone


@pytest.mark.parametrize("hz", [440, 1000])
def test_a_tone_is_as_long_and_as_high_as_is_said(hz: int) -> None:
    samples = array.array("h", tone(500, hz))
    if sys.byteorder == "big":
        samples.byteswap()
    assert len(samples) == 12_000
    rises = sum(before < 0 <= after for before, after in pairwise(samples))
    assert rises == pytest.approx(hz / 2, abs=1)
    assert max(samples) == pytest.approx(8000, abs=100)
