"""One browser for a module's tests, a fresh page and server for each."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.chromium import chromium
from tests.browser.sounds import murmur, write_wav
from tests.browser.stub import StubServer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """A browser whose microphone hears `murmur`."""
    wav = write_wav(tmp_path_factory.mktemp("microphone") / "murmur.wav", murmur(48_000), 48_000)
    async with chromium(wav) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def stub() -> AsyncIterator[StubServer]:
    """A server for the page."""
    async with StubServer() as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page of its own, with storage of its own; a script that throws fails the test."""
    thrown: list[str] = []
    async with await browser.new_context() as context:
        opened = await context.new_page()
        opened.on("pageerror", lambda error: thrown.append(str(error)))
        yield opened
    assert thrown == []
