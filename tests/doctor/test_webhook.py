"""Whether anybody takes the events that are posted."""

from __future__ import annotations

from aiohttp import web
from aiohttp.test_utils import TestServer

from realtime_agent.config import Settings
from realtime_agent.doctor.finding import Level
from realtime_agent.doctor.webhook import check_webhook
from tests.ports import dead_port


def posting_to(url: str) -> Settings:
    return Settings.model_validate({"webhook_url": url, "webhook_secret": "secret"})


async def test_where_nothing_is_posted_there_is_nothing_to_say() -> None:
    assert await check_webhook(Settings(), 1) == []


async def test_any_answer_shows_that_somebody_is_there() -> None:
    async with TestServer(web.Application()) as server:
        (finding,) = await check_webhook(posting_to(f"{server.make_url('/hook')}?token=hidden"), 5)
    assert finding.level is Level.OK
    assert "hidden" not in finding.text


async def test_where_nobody_listens_that_is_told() -> None:
    with dead_port() as port:
        (finding,) = await check_webhook(posting_to(f"http://127.0.0.1:{port}/hook"), 5)
    assert finding.level is Level.PROBLEM
