"""Whether the server can have its address, tried on this machine."""

from __future__ import annotations

import asyncio
import errno
import json
import socket

import pytest

from realtime_agent import __version__
from realtime_agent.config import Settings
from realtime_agent.doctor import port as module
from realtime_agent.doctor.finding import Finding, Level, ok
from realtime_agent.doctor.port import check_port
from realtime_agent.fleet.fleet import Fleet
from realtime_agent.fleet.model_process import Model
from realtime_agent.server.app import create_app
from realtime_agent.server.run import bind, serving
from tests.doctor.servers import answer, listening
from tests.fake_launcher import FakeLauncher

TIMEOUT_S = 30.0


async def examined(port: int, host: str = "127.0.0.1", timeout: float = TIMEOUT_S) -> Finding:
    (found,) = await check_port(Settings(server_host=host, server_port=port), timeout)
    return found


async def test_a_free_port_is_left_free() -> None:
    # Bound as this is, others are not given it, but whoever wants it by its number may have it.
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
        kept.bind(("127.0.0.1", 0))
        port = kept.getsockname()[1]
        assert await examined(port) == ok("SERVER_PORT", f"127.0.0.1:{port} is free")
        bind("127.0.0.1", port).close()


async def test_port_0_is_any() -> None:
    assert await examined(0) == ok("SERVER_PORT", "0: any free port of 127.0.0.1")


async def test_a_server_of_ours_that_runs_already_is_known() -> None:
    settings = Settings()
    fleet = Fleet(FakeLauncher(), settings, Model(settings))
    async with serving(create_app(settings, fleet), bind("127.0.0.1", 0)) as address:
        found = await examined(int(address.rpartition(":")[2]))
    assert found == ok("SERVER_PORT", f"realtime-agent {__version__} runs at {address} already")


async def test_one_of_another_version_is_told() -> None:
    async with listening(answer("200 OK", json.dumps({"status": "ok", "version": "9.9"}))) as server:
        found = await examined(server.port)
    assert found.level is Level.WARNING
    assert found.text.startswith("realtime-agent 9.9 runs at ")


@pytest.mark.parametrize(
    "says",
    [
        answer("200 OK", "hello"),
        answer("200 OK", "[]"),
        answer("200 OK", '{"status": "ok"}'),
        answer("404 Not Found", json.dumps({"status": "ok", "version": __version__})),
    ],
)
async def test_another_server_is_told(says: bytes) -> None:
    async with listening(says) as server:
        found = await examined(server.port)
    assert (found.level, found.subject) == (Level.PROBLEM, "SERVER_PORT")
    assert "another program has" in found.text
    assert "SERVER_PORT" in found.remedy


@pytest.mark.parametrize("says", [b"", b"SSH-2.0-x\r\n"])
async def test_a_program_that_is_no_http_server_is_told(says: bytes) -> None:
    async with listening(says) as server:
        found = await examined(server.port)
    assert (found.level, found.text.endswith("does not answer HTTP")) == (Level.PROBLEM, True)


async def test_a_program_that_says_nothing_is_not_waited_for() -> None:
    async with listening(None) as server:
        found = await examined(server.port, timeout=0.2)
    assert (found.level, found.text.endswith("does not answer HTTP")) == (Level.PROBLEM, True)


async def test_an_address_that_is_not_this_machine_s_is_told_and_not_asked() -> None:
    found = await examined(80, host="192.0.2.1")
    assert (found.level, found.subject) == (Level.PROBLEM, "SERVER_HOST")
    assert "127.0.0.1" in found.remedy


async def test_a_port_for_administrators_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_bind", lambda _host, _port: OSError(errno.EACCES, "Permission denied"))
    found = await examined(80)
    assert (found.level, found.remedy) == (Level.PROBLEM, "set SERVER_PORT to 1024 or more")


async def test_all_addresses_are_asked_at_this_machine_s_own() -> None:
    says = answer("200 OK", json.dumps({"status": "ok", "version": __version__}))
    async with listening(says) as server:
        found = await asyncio.wait_for(examined(server.port, host="0.0.0.0"), TIMEOUT_S)
    assert found == ok("SERVER_PORT", f"realtime-agent {__version__} runs at http://127.0.0.1:{server.port} already")
