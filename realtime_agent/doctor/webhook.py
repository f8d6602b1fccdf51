"""Whether anybody takes the events that are posted."""

from __future__ import annotations

from realtime_agent.addresses import public_address
from realtime_agent.config import Settings
from realtime_agent.doctor.finding import Finding, ok, problem
from realtime_agent.doctor.probe import Answer, get

__all__ = ["check_webhook"]


async def check_webhook(settings: Settings, timeout: float) -> list[Finding]:
    """Where events are posted, if they are: any answer shows that somebody is there."""
    if not settings.webhook_url:
        return []
    address = public_address(settings.webhook_url).partition("?")[0]
    answer = await get(settings.webhook_url, timeout=timeout)
    if isinstance(answer, Answer):
        return [ok("WEBHOOK_URL", f"{address} answers; whether it takes events is not asked")]
    return [problem("WEBHOOK_URL", f"{address}: {answer.text}", answer.remedy)]
