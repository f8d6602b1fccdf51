"""What somebody at the page does and sees."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Page, expect

from tests.browser.stub import StubServer

__all__ = ["facts", "holds", "join", "press", "shown_notice"]

_TIMEOUT_MS = 30_000


async def facts(page: Page) -> dict[str, Any]:
    """What the page says of itself."""
    found: dict[str, Any] = await page.evaluate("window.realtimeAgent")
    return found


async def holds(page: Page, condition: str) -> None:
    """Wait until `condition` holds, where `agent` is the page's account of itself."""
    await page.wait_for_function(f"(agent => {condition})(window.realtimeAgent)", timeout=_TIMEOUT_MS)


async def press(page: Page, name: str) -> None:
    """Press the button of this name."""
    await page.get_by_role("button", name=name, exact=True).click()


async def join(page: Page, stub: StubServer, query: str = "?processing=off") -> None:
    """Open the page and join."""
    await page.goto(f"{stub.origin}/{query}")
    await press(page, "Join")
    await holds(page, f"agent.state === '{stub.state}'")


async def shown_notice(page: Page) -> str:
    """What the notice says, once there is one."""
    notice = page.get_by_role("alert")
    await expect(notice).to_be_visible(timeout=_TIMEOUT_MS)
    return await notice.locator("p").inner_text()
