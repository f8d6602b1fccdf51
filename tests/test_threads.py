from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from realtime_agent.threads import in_thread

NAME = contextvars.ContextVar("NAME", default="")


async def test_it_gives_what_the_call_gives_from_another_thread() -> None:
    thread = await in_thread(threading.current_thread, "look")
    assert thread is not threading.current_thread()
    assert (thread.daemon, thread.name) == (True, "look")


async def test_the_call_has_the_context_of_whoever_asks() -> None:
    NAME.set("mine")
    assert await in_thread(NAME.get, "look") == "mine"


@pytest.mark.parametrize("error", [ZeroDivisionError("no"), SystemExit(3)])
async def test_it_raises_what_the_call_raises(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        await in_thread(fail, "fail")
    assert caught.value is error


async def test_whoever_stops_waiting_is_not_told_later() -> None:
    end = threading.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await in_thread(end.wait, "wait")
    end.set()
    await asyncio.sleep(0.05)


def test_a_call_that_ends_after_the_loop_does_no_harm() -> None:
    end = threading.Event()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await in_thread(end.wait, "wait")

    asyncio.run(give_up())
    (thread,) = [each for each in threading.enumerate() if each.name == "wait"]
    end.set()
    thread.join(30)
    assert not thread.is_alive()
