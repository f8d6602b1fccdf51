from __future__ import annotations

import threading

import pytest

from realtime_agent.errors import ChannelError
from realtime_agent.rtc.agora.native_call import native_call


async def test_a_call_that_hangs_is_an_error_that_says_what_it_was_to_do() -> None:
    end = threading.Event()
    with pytest.raises(ChannelError, match=r"it took longer than 0\.05 s to begin"):
        await native_call(end.wait, 0.05, "begin")
    end.set()


async def test_what_the_library_answers_is_given() -> None:
    assert await native_call(lambda: -7, 30, "begin") == -7
