from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import pytest

from realtime_agent.errors import QueueFull
from realtime_agent.fleet import link as module
from realtime_agent.fleet.link import Link, receive_connection, send_connection


async def open_pair() -> tuple[Link, Link]:
    ours, theirs = socket.socketpair()
    return await Link.open(ours), await Link.open(theirs)


async def read(link: Link) -> list[dict[str, Any]]:
    async with asyncio.timeout(30):
        return [message async for message in link.messages()]


async def test_messages_go_both_ways_in_order() -> None:
    left, right = await open_pair()
    for number in range(100):
        left.send({"n": number})
    right.send({"text": "grüße\n\N{WAVING HAND SIGN}", "none": None})
    messages = left.messages()
    assert await anext(messages) == {"text": "grüße\n\N{WAVING HAND SIGN}", "none": None}
    await left.close()
    assert await read(right) == [{"n": number} for number in range(100)]
    await right.close()


async def test_a_huge_message_arrives_whole() -> None:
    left, right = await open_pair()
    huge = {"text": "x" * 5_000_000}
    left.send(huge)
    reading = asyncio.create_task(read(right))
    await left.close()
    assert await reading == [huge]
    await right.close()


async def test_a_side_that_does_not_read_gets_no_more() -> None:
    left, right = await open_pair()
    message = {"text": "x" * 30_000}

    def fill() -> None:
        for _ in range(1000):
            left.send(message)

    with pytest.raises(QueueFull):
        fill()
    assert left._writer.transport.get_write_buffer_size() < 300_000
    assert await anext(right.messages()) == message
    left._writer.transport.abort()
    await right.close()


async def test_half_the_queue_is_for_what_can_t_be_spared_and_more_for_what_is_vital() -> None:
    left, right = await open_pair()
    message = {"text": "x" * 30_000}

    def fill(**how: bool) -> int:
        for sent in range(1000):
            try:
                left.send(message, **how)
            except QueueFull:
                return sent
        raise AssertionError("it is never full")

    assert fill(can_be_spared=True) > 0
    assert fill(can_be_spared=True) == 0
    assert fill() >= 4
    assert fill() == 0
    assert fill(is_vital=True) >= 8
    left._writer.transport.abort()
    await right.close()


async def test_closing_does_not_wait_for_ever_for_a_side_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CLOSE_TIMEOUT_S", 0.01)
    left, right = await open_pair()
    left.send({"text": "x" * 5_000_000})
    async with asyncio.timeout(30):
        await left.close()
    left._writer.transport.abort()
    await right.close()


async def test_a_message_that_is_cut_short_is_the_end() -> None:
    ours, theirs = socket.socketpair()
    link = await Link.open(ours)
    with theirs:
        theirs.sendall(b'\0\0\0\x02{}\0\0\0\x09{"cut')
    assert await read(link) == [{}]
    await link.close()


async def test_to_a_side_that_is_gone_messages_are_lost() -> None:
    left, right = await open_pair()
    await right.close()
    assert await read(left) == []
    left.send({"n": 1})
    await left.close()
    left.send({"n": 2})


@pytest.fixture
def pipe() -> Any:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def test_a_connection_is_handed_over_with_its_user_and_answer(pipe: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pipe
    user, connection = socket.socketpair()
    with user:
        with connection:
            send_connection(ours, connection, 2**32 - 1, b"HTTP/1.1 101\r\n\r\n")
        received, uid, answer = receive_connection(theirs)
        with received:
            assert (uid, answer) == (2**32 - 1, b"HTTP/1.1 101\r\n\r\n")
            received.sendall(b"hello")
            assert user.recv(5) == b"hello"
        assert user.recv(1) == b""


def test_no_connection_waits(pipe: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(BlockingIOError):
        receive_connection(pipe[1])


def test_connections_that_nobody_takes_are_refused(pipe: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pipe
    user, connection = socket.socketpair()

    def fill() -> None:
        for uid in range(100_000):
            send_connection(ours, connection, uid, b"")

    with user, connection, pytest.raises(BlockingIOError):
        fill()


def test_a_side_that_is_gone_is_an_error(pipe: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pipe
    theirs.close()
    user, connection = socket.socketpair()
    with user, connection, pytest.raises(OSError, match=os.strerror(111)):
        send_connection(ours, connection, 1, b"")


def test_a_message_without_its_connection_is_an_error(pipe: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pipe
    ours.send(b"\0\0\0\1answer")
    with pytest.raises(OSError, match="open files"):
        receive_connection(theirs)
