"""What waits for a client that reads slowly."""

from __future__ import annotations

import asyncio

import pytest
from websockets.exceptions import ConnectionClosedOK

from realtime_agent.local_model.outbox import Outbox


async def test_messages_are_sent_in_order() -> None:
    outbox, sent = Outbox(), list[str]()

    async def send(message: str) -> None:
        sent.append(message)

    writer = asyncio.create_task(outbox.send_all(send))
    for number in range(200):
        outbox.put(str(number))
        await outbox.room()
    async with asyncio.timeout(30):
        while len(sent) < 200:
            await asyncio.sleep(0)
    writer.cancel()
    assert sent == [str(number) for number in range(200)]


async def test_a_full_outbox_has_no_room_until_something_was_sent() -> None:
    outbox, gate = Outbox(), asyncio.Event()
    for _ in range(64):
        outbox.put("x")

    async def send(_message: str) -> None:
        await gate.wait()

    writer = asyncio.create_task(outbox.send_all(send))
    outbox.put("x")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(outbox.room(), 0.05)
    gate.set()
    await asyncio.wait_for(outbox.room(), 20)
    writer.cancel()


async def test_a_few_huge_messages_fill_it_too() -> None:
    outbox, gate = Outbox(), asyncio.Event()
    for _ in range(9):
        outbox.put("x" * 2**20)

    async def send(_message: str) -> None:
        await gate.wait()

    writer = asyncio.create_task(outbox.send_all(send))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(outbox.room(), 0.05)
    gate.set()
    await asyncio.wait_for(outbox.room(), 20)
    writer.cancel()


async def test_a_closed_connection_sets_everybody_free() -> None:
    outbox = Outbox()
    for _ in range(64):
        outbox.put("x")

    async def send(_message: str) -> None:
        raise ConnectionClosedOK(None, None)

    await outbox.send_all(send)
    outbox.put("x")
    await asyncio.wait_for(outbox.room(), 20)
