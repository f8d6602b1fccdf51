"""Headless Chromium, with a WAV file as its microphone."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

__all__ = ["chromium", "find_chromium"]

_FLAGS = (
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
)
_MICROPHONE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


def find_chromium() -> str:
    """Where Chromium is. Without one the test is skipped, except in CI, where it fails."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    reason = "this test needs Chromium on the PATH (chromium, chromium-browser or google-chrome)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@asynccontextmanager
async def chromium(
    wav: Path | None = None, *, microphone_allowed: bool = True, flags: tuple[str, ...] = ()
) -> AsyncIterator[Browser]:
    """A browser of its own.

    Args:
        wav: What the microphone hears, over and over; a beep without one.
        microphone_allowed: Whether pages get the microphone, unasked.
        flags: More for the command line.
    """
    path = find_chromium()
    chosen = [*_FLAGS, *flags]
    if microphone_allowed:
        chosen += _MICROPHONE
    if wav is not None:
        chosen.append(f"--use-file-for-fake-audio-capture={wav}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=chosen, headless=True)
        try:
            yield browser
        finally:
            await browser.close()
