from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest
from aiohttp import web

from realtime_agent.errors import ConfigError
from realtime_agent.server.run import bind, serving


async def test_an_application_is_served_on_a_bound_socket() -> None:
    listener = bind("127.0.0.1", 0)
    async with serving(web.Application(), listener) as address:
        assert address == f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with aiohttp.ClientSession() as session, session.get(address) as response:
            assert response.status == 404
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(address.rsplit(":", 1)[1])))


@pytest.mark.parametrize(("host", "url"), [("0.0.0.0", "http://127.0.0.1:"), ("", "http://127.0.0.1:")])
async def test_all_interfaces_are_opened_at_the_loopback_address(host: str, url: str) -> None:
    async with serving(web.Application(), bind(host, 0)) as address:
        assert address.startswith(url)


async def test_a_client_that_hangs_up_takes_its_request_with_it() -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return web.Response()

    app = web.Application()
    app.router.add_get("/", slow)
    async with serving(app, bind("127.0.0.1", 0)) as address, aiohttp.ClientSession() as session:
        asking = asyncio.create_task(session.get(address))
        async with asyncio.timeout(20):
            await began.wait()
            asking.cancel()
            await cancelled.wait()


def test_a_port_is_taken_from_the_moment_it_is_bound() -> None:
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigError, match=f"can't listen on 127.0.0.1 port {port}: Address already in use"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "::ffff:999"])
def test_an_address_that_is_not_ours_is_a_clear_error(host: str) -> None:
    with pytest.raises(ConfigError, match="SERVER_HOST"):
        bind(host, 0)
