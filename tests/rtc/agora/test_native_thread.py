from __future__ import annotations

import asyncio
import threading

import pytest

from realtime_agent.errors import ChannelError
from realtime_agent.rtc.agora.native_thread import in_thread


async def test_it_gives_what_the_call_gives_from_another_thread() -> None:
    thread = await in_thread(threading.current_thread, 30, "look")
    assert thread is not threading.current_thread()
    assert thread.daemon


async def test_it_raises_what_the_call_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0, 30, "divide")


async def test_a_call_that_hangs_is_given_up_and_may_end_later() -> None:
    end = threading.Event()
    with pytest.raises(ChannelError, match=r"it took longer than 0\.05 s to wait"):
        await in_thread(end.wait, 0.05, "wait")
    end.set()
    await asyncio.sleep(0.05)


def test_a_call_that_ends_after_the_loop_does_no_harm() -> None:
    end = threading.Event()

    async def give_up() -> None:
        with pytest.raises(ChannelError):
            await in_thread(end.wait, 0.01, "wait")

    asyncio.run(give_up())
    (thread,) = [each for each in threading.enumerate() if each.name == "wait"]
    end.set()
    thread.join(30)
    assert not thread.is_alive()
