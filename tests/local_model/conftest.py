"""The real voices, loaded once for all tests of a process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from realtime_agent.config import Settings
from realtime_agent.local_model.parts import Parts, load_parts
from realtime_agent.local_model.server import serve

LOAD_TIMEOUT_S = 100


@pytest.fixture(scope="session")
def parts() -> Parts:
    """The real voices and the rules; closed with the server."""
    return load_parts(Settings())


@pytest.fixture(scope="session")
def model_url(parts: Parts) -> Iterator[str]:
    """The URL of a server with the real voices, which runs in a thread of its own."""
    ready: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        stop = asyncio.Event()
        async with serve(Settings(), parts=parts) as model:
            ready.set_result((model.url, asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    url, loop, stop = ready.result(LOAD_TIMEOUT_S)
    yield url
    loop.call_soon_threadsafe(stop.set)
    thread.join(LOAD_TIMEOUT_S)
    assert not thread.is_alive()
