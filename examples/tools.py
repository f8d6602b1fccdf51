"""Two functions that an agent's model may call.

AGENT_TOOLS=examples.tools realtime-agent server

Then ask "What time is it in Tokyo?" or "Where is my order 1002?".
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, Field

from realtime_agent.tools import tool

__all__ = ["current_time", "order_status"]


@tool
def current_time(zone: Annotated[str, Field(description="an IANA time zone such as Asia/Tokyo")]) -> str:
    """The day, date and time of now in a part of the world."""
    zones = available_timezones()
    if not zones:
        raise ValueError("This machine does not know the time zones: pip install tzdata.")
    if zone not in zones:
        raise ValueError(f"There is no time zone {zone!r}: use an IANA name such as Asia/Tokyo.")
    return f"{datetime.now(ZoneInfo(zone)):%A, %d %B %Y, %H:%M}"


class Order(BaseModel):
    """What the shop knows about an order; the model gets it as JSON."""

    articles: list[str]
    status: Literal["packed", "on its way", "delivered"]
    days_to_go: int = 0


ORDERS = {
    1001: Order(articles=["a teapot"], status="delivered"),
    1002: Order(articles=["a lamp", "two bulbs"], status="on its way", days_to_go=2),
}


@tool
async def order_status(number: Annotated[int, Field(ge=1000, le=9999, description="the order's four digits")]) -> Order:
    """What was ordered, and where it is now."""
    await asyncio.sleep(0.2)  # in place of your database or your shop's API
    if number not in ORDERS:
        raise ValueError(f"There is no order {number}: ask the user to read the number out again.")
    return ORDERS[number]
