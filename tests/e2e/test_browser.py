"""The page in a real browser, with recorded human speech as its microphone, through the whole product."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.chromium import chromium
from tests.e2e.program import get, post, write_wav
from tests.e2e.test_phrases import spoken
from tests.speech import clip, silence, word_error_rate

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("embedded")]

_TIMEOUT_MS = 60_000
_AUDIBLE_ENERGY = 1.0
"""The sum of squares, full scale = 1, of a few quiet words; silence has none."""


async def facts(page: Page) -> dict[str, Any]:
    """What the page measured of itself."""
    found: dict[str, Any] = await page.evaluate("window.realtimeAgent")
    return found


def said(found: dict[str, Any], role: str) -> str:
    return " ".join(line["text"] for line in found["transcripts"] if line["role"] == role)


async def test_speaking_to_the_page_is_written_down_and_answered_aloud(server: str, tmp_path: Path) -> None:
    sentence = clip("amiable")
    wav = write_wav(tmp_path / "microphone.wav", silence(1) + sentence.pcm + silence(30))
    async with chromium(Path(f"{wav}%noloop")) as browser:
        page = await browser.new_page()
        # The recording is clean, and the browser's own noise suppression would change it.
        await page.goto(f"{server}/?channel=page&processing=off")
        await page.get_by_role("button", name="Join").click()
        await page.wait_for_function("window.realtimeAgent.state === 'active'", timeout=_TIMEOUT_MS)
        answered = "window.realtimeAgent.transcripts.some(line => line.role === 'assistant' && line.final)"
        await page.wait_for_function(answered, timeout=_TIMEOUT_MS)
        # Half a second of it at least, and it was not silence.
        heard = f"window.realtimeAgent.samplesPlayed > 12000 && window.realtimeAgent.playedEnergy > {_AUDIBLE_ENERGY}"
        await page.wait_for_function(heard, timeout=_TIMEOUT_MS)
        found = await facts(page)
        assert word_error_rate(sentence.transcript, said(found, "user")) <= 0.3
        assert said(found, "assistant").startswith("You said")
        # What the page shows is what it was sent.
        shown = await page.get_by_role("log").inner_text()
        assert said(found, "user") in shown
        assert said(found, "assistant") in shown
        assert not found["errors"]
        await page.get_by_role("button", name="Leave").click()
        await page.wait_for_function("window.realtimeAgent.closeCode === 1000", timeout=_TIMEOUT_MS)
    assert (await get(server, "/agents/page"))["usage"]["responses"] == 1
    await post(server, "/stop_agent", channel_name="page")


async def test_push_to_talk_on_the_page_ends_in_an_answer_that_is_heard(server: str, tmp_path: Path) -> None:
    sentence = clip("forward")
    # It is said again and again, so that it is being said whenever the button is held.
    wav = write_wav(tmp_path / "microphone.wav", (sentence.pcm + silence(1)) * 20)
    async with chromium(wav) as browser:
        page = await browser.new_page()
        await page.goto(f"{server}/?channel=push&processing=off")
        await page.get_by_role("button", name="Join").click()
        await page.wait_for_function("window.realtimeAgent.state === 'active'", timeout=_TIMEOUT_MS)
        await page.get_by_role("button", name="Push to talk", exact=True).click()
        await page.wait_for_function("window.realtimeAgent.pushToTalk", timeout=_TIMEOUT_MS)
        before = len((await facts(page))["transcripts"])
        await page.get_by_role("button", name="Hold to talk", exact=True).hover()
        await page.mouse.down()
        await page.wait_for_function("window.realtimeAgent.talking && !window.realtimeAgent.muted", timeout=_TIMEOUT_MS)
        # A whole sentence of it at least.
        await page.wait_for_timeout(1000 * 2 * (len(sentence.pcm) / 48_000 + 1))
        played = (await facts(page))["samplesPlayed"]
        await page.mouse.up()
        answered = (
            f"window.realtimeAgent.transcripts.slice({before}).some(line => line.role === 'assistant' && line.final)"
        )
        await page.wait_for_function(answered, timeout=_TIMEOUT_MS)
        await page.wait_for_function(f"window.realtimeAgent.samplesPlayed > {played} + 12000", timeout=_TIMEOUT_MS)
        found = await facts(page)
        assert "meters" in " ".join(line["text"] for line in found["transcripts"][before:] if line["role"] == "user")
        assert not found["errors"]
        # Silence of the muted microphone is no turn: nobody is answered while nobody holds the button.
        answers = len([line for line in found["transcripts"] if line["role"] == "assistant"])
        await page.wait_for_timeout(4000)
        assert len([line for line in (await facts(page))["transcripts"] if line["role"] == "assistant"]) == answers
    await post(server, "/stop_agent", channel_name="push")


async def test_pausing_by_voice_is_shown_on_the_page(server: str, tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "microphone.wav", silence(1) + spoken("Hey agent, stop.") + silence(60))
    async with chromium(Path(f"{wav}%noloop")) as browser:
        page = await browser.new_page()
        await page.goto(f"{server}/?channel=voice&processing=off")
        await page.get_by_role("button", name="Join").click()
        await page.wait_for_function("window.realtimeAgent.state === 'paused'", timeout=_TIMEOUT_MS)
        assert await page.locator("#state-name").inner_text() == "Paused"
        await page.get_by_role("button", name="Resume", exact=True).click()
        await page.wait_for_function("window.realtimeAgent.state === 'active'", timeout=_TIMEOUT_MS)
    await post(server, "/stop_agent", channel_name="voice")


async def test_a_reload_within_the_grace_continues_the_conversation(server: str, tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "microphone.wav", silence(60))
    async with chromium(Path(f"{wav}%noloop")) as browser:
        page = await browser.new_page()
        await page.goto(f"{server}/?channel=reload")
        await page.get_by_role("button", name="Join").click()
        await page.wait_for_function("window.realtimeAgent.state === 'active'", timeout=_TIMEOUT_MS)
        before = await get(server, "/agents/reload")
        await page.reload()
        await page.wait_for_function("window.realtimeAgent.state === 'active'", timeout=_TIMEOUT_MS)
        after = await get(server, "/agents/reload")
        assert (before["pid"], before["generation"]) == (after["pid"], after["generation"])
        await page.get_by_role("button", name="End agent").click()
        await page.wait_for_function("window.realtimeAgent.state === 'ended'", timeout=_TIMEOUT_MS)
    assert (await get(server, "/agents/reload"))["reason"] == "stopped"


async def test_the_docs_page_shows_every_address(server: str) -> None:
    async with chromium() as browser:
        page = await browser.new_page()
        failures: list[str] = []
        page.on("requestfailed", lambda request: failures.append(request.url))
        await page.goto(f"{server}/docs")
        await page.wait_for_function("document.body.innerText.includes('/control_agent')", timeout=_TIMEOUT_MS)
        document = await get(server, "/openapi.json")
        text = await page.inner_text("body")
        assert [path for path in document["paths"] if path not in text] == []
        assert failures == []
