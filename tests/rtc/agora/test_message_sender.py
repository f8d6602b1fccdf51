"""Messages go when they are due, by a clock that jumps."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from realtime_agent.rtc.agora.data_stream import Assembler
from realtime_agent.rtc.agora.message_sender import MessageSender
from tests.scene import in_virtual_time


class Sent:
    def __init__(self) -> None:
        self.parts: list[tuple[float, str]] = []
        self.sender = MessageSender(lambda part: self.parts.append((asyncio.get_running_loop().time(), part)))

    @property
    def numbers(self) -> list[int]:
        assembler = Assembler()
        bodies = [assembler.add(5, part) for _, part in self.parts]
        return [body["number"] for body in bodies if body is not None]


@in_virtual_time
async def test_messages_wait_for_the_channel_and_go_in_their_order_one_by_one() -> None:
    sent = Sent()
    for number in range(5):
        sent.sender.add({"number": number})
    await asyncio.sleep(1)
    assert sent.numbers == []
    sent.sender.open()
    assert sent.numbers == [0]
    await asyncio.sleep(1)
    assert sent.numbers == [0, 1, 2, 3, 4]
    times = [at for at, _ in sent.parts]
    assert all(later - earlier >= 0.04 for earlier, later in pairwise(times))


@in_virtual_time
async def test_a_message_into_the_silence_goes_at_once() -> None:
    sent = Sent()
    sent.sender.open()
    await asyncio.sleep(1)
    sent.sender.add({"number": 1})
    assert sent.numbers == [1]
    sent.sender.add({"number": 2})
    assert sent.numbers == [1]
    await asyncio.sleep(0.05)
    assert sent.numbers == [1, 2]


@in_virtual_time
async def test_draining_waits_for_the_last_but_not_for_ever() -> None:
    sent, loop = Sent(), asyncio.get_running_loop()
    sent.sender.open()
    for number in range(5):
        sent.sender.add({"number": number})
    await sent.sender.drain(10)
    assert sent.numbers == [0, 1, 2, 3, 4]
    sent.sender.add({"number": 5, "text": "x" * 40_000})
    began = loop.time()
    await sent.sender.drain(0.5)
    assert loop.time() - began == 0.5
    assert 5 not in sent.numbers


@in_virtual_time
async def test_draining_what_is_empty_or_never_opened_does_not_wait() -> None:
    sent, loop = Sent(), asyncio.get_running_loop()
    sent.sender.add({"number": 0})
    began = loop.time()
    await sent.sender.drain(10)
    sent.sender.open()
    await asyncio.sleep(1)
    await sent.sender.drain(10)
    assert loop.time() - began == 1


@in_virtual_time
async def test_nothing_goes_while_it_is_closed() -> None:
    sent = Sent()
    sent.sender.open()
    for number in range(5):
        sent.sender.add({"number": number})
    sent.sender.close()
    sent.sender.add({"number": 5})
    await asyncio.sleep(10)
    assert sent.numbers == [0]
    sent.sender.open()
    await asyncio.sleep(10)
    assert sent.numbers == [0, 1, 2, 3, 4, 5]


@in_virtual_time
async def test_opening_twice_is_as_opening_once() -> None:
    sent = Sent()
    for number in range(10):
        sent.sender.add({"number": number})
    sent.sender.open()
    sent.sender.open()
    await asyncio.sleep(0.1)
    assert sent.numbers == [0, 1, 2]
    sent.sender.close()
    await asyncio.sleep(1)
    assert sent.numbers == [0, 1, 2]
