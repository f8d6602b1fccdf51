"""Stays in a channel of the loopback network, as tests need them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from realtime_agent.rtc.agora import AgoraChannel, AgoraEngine
from realtime_agent.rtc.channel import ChannelEvent

__all__ = ["APP_ID", "CERTIFICATE", "TIMEOUT_S", "channel_of", "next_of", "staying"]

APP_ID = "a" * 32
CERTIFICATE = "b" * 32
TIMEOUT_S = 30


async def no_token() -> str:
    return ""


def channel_of(
    engine: AgoraEngine,
    uid: int = 7,
    *,
    channel_name: str = "room",
    token: Callable[[], Awaitable[str]] = no_token,
    timeout_s: float = TIMEOUT_S,
    reconnect_timeout_s: float = TIMEOUT_S,
) -> AgoraChannel:
    """One participant, who has not joined yet."""
    return AgoraChannel(engine, channel_name, uid, token, timeout_s=timeout_s, reconnect_timeout_s=reconnect_timeout_s)


@asynccontextmanager
async def staying(*channels: AgoraChannel) -> AsyncIterator[None]:
    """In the channel, one after the other, until the end of the block."""
    try:
        for channel in channels:
            await channel.join()
        yield
    finally:
        for channel in reversed(channels):
            await channel.leave()


async def next_of(events: AsyncIterator[ChannelEvent], kind: type[ChannelEvent]) -> ChannelEvent:
    """The next event, which must be of this kind."""
    async with asyncio.timeout(TIMEOUT_S):
        event = await anext(events)
    assert isinstance(event, kind), event
    return event
