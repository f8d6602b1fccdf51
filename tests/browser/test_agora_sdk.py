"""The page over Agora, with Agora's real SDK as far as it gets without Agora: no request leaves this machine."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Request, Route, WebSocketRoute, expect

from realtime_agent.config import Settings
from tests.browser.chromium import chromium
from tests.browser.stub import AGORA_APP_ID, StubServer, until
from tests.browser.visit import facts, holds, press, shown_notice

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ROOT = Path(__file__).resolve().parents[2]

_WATCH_MICROPHONE = """
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wish) => (window.microphone = await open(wish));
window.microphoneIsFree = () => window.microphone.getTracks().every((track) => track.readyState === "ended");
"""

_REFUSED = {
    2010005: "does not know the AGORA_APP_ID",
    2010009: "did not accept the server's token",
    2010010: "Is the server's clock right?",
    2010015: "needs its AGORA_APP_CERT",
}
"""What the page says of a code of Agora's: no such project, not authorized, token too old, token needed."""


class Outside:
    """All that is not this machine: keeps what was asked of it, and answers nothing, or with a refusal.

    Attributes:
        refusal: A code of Agora's, to refuse whoever wants to join with.
        asked: The requests to it.
    """

    def __init__(self) -> None:
        self.refusal: int | None = None
        self.asked: list[Request] = []
        self.sockets: list[str] = []

    async def route(self, page: Page) -> None:
        """Stand between the page and the world."""
        await page.route(lambda url: not url.startswith(("http://127.0.0.1:", "blob:", "data:")), self._answer)
        await page.route_web_socket(re.compile("^wss?://(?!127\\.0\\.0\\.1:)"), self._refuse_socket)

    async def _answer(self, route: Route) -> None:
        self.asked.append(route.request)
        if self.refusal is None:
            await route.abort()
            return
        body = {"code": self.refusal, "flag": 4096, "cname": "", "uid": 0}
        answer = {"response_body": [{"uri": 23, "buffer": body}], "detail": {}, "enter_ts": 0, "leave_ts": 0, "opid": 0}
        await route.fulfill(json=answer, headers={"Access-Control-Allow-Origin": "*"})

    async def _refuse_socket(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket.url)
        await socket.close()

    def wishes(self) -> list[dict[str, Any]]:
        """What was asked of Agora: the JSON in the field "request" of each form."""
        forms = [(request.post_data_buffer or b"").decode("latin-1") for request in self.asked]
        return [
            json.loads(found[1]) for form in forms if (found := re.search(r'name="request"\r\n\r\n(.*?)\r\n--', form))
        ]


@pytest.fixture(scope="module")
def sdk() -> Path:
    """Agora's SDK. Without it the test is skipped, except in CI, where it fails."""
    path = _ROOT / Settings().agora_web_sdk
    if not path.exists():
        reason = "this test needs Agora's SDK for browsers: run make agora-web"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A browser that finds no other machine, whatever asks for one."""
    async with chromium(flags=("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",)) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def outside(page: Page, stub: StubServer, sdk: Path) -> Outside:
    """What the page would reach, were it not for this test."""
    stub.agora_sdk = sdk
    world = Outside()
    await world.route(page)
    await page.add_init_script(_WATCH_MICROPHONE)
    return world


async def test_the_first_that_agora_hears_of_is_the_wish_to_join(
    page: Page, stub: StubServer, outside: Outside
) -> None:
    await page.goto(f"{stub.origin}/?channel=room")
    await press(page, "Join")
    await until(lambda: len(outside.asked) >= 4, "requests to Agora")
    wish = outside.wishes()[0]
    assert wish["appid"] == AGORA_APP_ID
    joining = wish["request_bodies"][0]["buffer"]
    assert (joining["cname"], joining["key"], joining["uid"]) == ("room", "007token", 4711)
    await expect(page.get_by_role("status")).to_contain_text("Connecting to Agora")
    await press(page, "Cancel")
    await holds(page, "agent.state === 'idle'")
    # Its retries have ended, and nothing but the wish to join was told, to anyone.
    asked = len(outside.asked)
    await asyncio.sleep(2)
    assert len(outside.asked) == asked
    assert {re.sub(r"^https://webrtc2[\w.-]+\.(agora\.io|sd-rtn\.com)/", "/", each.url) for each in outside.asked} == {
        "/api/v2/transpond/webrtc?v=2"
    }
    assert outside.sockets == []
    assert await page.evaluate("microphoneIsFree()")
    assert (await facts(page))["errors"] == []


async def test_an_agora_that_does_not_answer_is_told(page: Page, stub: StubServer, outside: Outside) -> None:
    await page.goto(stub.origin)
    await press(page, "Join")
    assert (await shown_notice(page)).startswith("Agora did not answer.")
    assert (await facts(page))["state"] == "idle"
    assert await page.evaluate("microphoneIsFree()")
    asked = len(outside.asked)
    await asyncio.sleep(2)
    assert len(outside.asked) == asked


@pytest.mark.parametrize(("code", "words"), _REFUSED.items())
async def test_what_agora_refuses_is_told_in_words(
    page: Page, stub: StubServer, outside: Outside, code: int, words: str
) -> None:
    outside.refusal = code
    await page.goto(stub.origin)
    await press(page, "Join")
    assert words in await shown_notice(page)
    assert await page.evaluate("microphoneIsFree()")


async def test_the_sdk_has_all_that_the_page_uses_of_it(page: Page, stub: StubServer, outside: Outside) -> None:
    await page.goto(stub.origin)
    missing = await page.evaluate(
        """async () => {
          const { loadSdk } = await import("/static/agora-sdk.js");
          const sdk = await loadSdk();
          const client = sdk.createClient({ mode: "rtc", codec: "vp8" });
          const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
          const track = sdk.createCustomAudioTrack({ mediaStreamTrack: microphone.getAudioTracks()[0] });
          const used = [
            [client, "on", "removeAllListeners", "join", "publish", "subscribe", "renewToken", "leave"],
            [track, "close"],
          ];
          return used.flatMap(([has, ...names]) => names.filter((name) => typeof has[name] !== "function"));
        }"""
    )
    assert missing == []
    assert await page.evaluate("[AgoraRTC.VERSION, AgoraRTC.getParameter('ENABLE_EVENT_REPORT')]") == ["4.24.8", False]
    assert outside.asked == []
