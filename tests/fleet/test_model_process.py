"""The keeper of the embedded model's process, with a stand-in for the model."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from realtime_agent.config import Settings
from realtime_agent.errors import ConfigError, SessionError
from realtime_agent.fleet import model_process
from realtime_agent.fleet.model_process import Model, embedded_model
from tests.processes import alive, until_dead

# Writes its process id beside its address; ends when its input does.
STAND_IN = """
import os, sys
port = int(sys.argv[1].removeprefix("--port=")) or 4321
print(f"ws://127.0.0.1:{port}/v1", flush=True)
with open(sys.argv[0] + ".pids", "a") as pids:
    print(os.getpid(), port, *sys.argv[2:], file=pids, flush=True)
sys.stdin.read()
"""

# Answers questions about its health, until the file beside it says that it hangs.
LIVE = """
import os, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        with open(sys.argv[0] + ".asked", "a") as asked:
            print(self.path, file=asked, flush=True)
        if Path(sys.argv[0] + ".hang").exists():
            time.sleep(600)
        self.send_response(200)
        self.end_headers()

server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1].removeprefix("--port="))), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"ws://127.0.0.1:{server.server_port}/v1", flush=True)
with open(sys.argv[0] + ".pids", "a") as pids:
    print(os.getpid(), server.server_port, file=pids, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    def write(code: str) -> Path:
        path = tmp_path / "model.py"
        path.write_text(code)
        monkeypatch.setattr(model_process, "_COMMAND", (sys.executable, str(path)))
        return Path(f"{path}.pids")

    return write


async def lines(path: Path, count: int) -> list[list[str]]:
    async with asyncio.timeout(60):
        while len(found := read(path)) < count:
            await asyncio.sleep(0.01)
    return found


def read(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


async def test_for_another_model_it_listens_only_where_phrases_are_heard_here(
    stand_in: Callable[[str], Path],
) -> None:
    pids = stand_in(STAND_IN)
    settings = Settings(realtime_api_base_uri="ws://127.0.0.1:1/v1", voice_phrases="local")
    async with embedded_model(settings) as model:
        ((_, _, *options),) = await lines(pids, 1)
        assert options == ["--until-eof", "--listen-only"]
        assert model.settings.voice_phrases_uri == "ws://127.0.0.1:4321/v1"
        assert model.settings.realtime_api_base_uri == "ws://127.0.0.1:1/v1"


async def test_the_model_that_agents_talk_to_listens_for_phrases_too(stand_in: Callable[[str], Path]) -> None:
    pids = stand_in(STAND_IN)
    async with embedded_model(Settings(voice_phrases="local")) as model:
        ((_, _, *options),) = await lines(pids, 1)
        assert options == ["--until-eof"]
        assert model.settings.voice_phrases_uri == model.settings.realtime_api_base_uri == "ws://127.0.0.1:4321/v1"


async def test_where_ears_are_elsewhere_none_are_started() -> None:
    settings = Settings(
        realtime_api_base_uri="ws://127.0.0.1:1/v1", voice_phrases="local", voice_phrases_uri="ws://127.0.0.1:2/v1"
    )
    async with embedded_model(settings) as model:
        assert model == Model(settings, is_running=True)


async def test_agents_can_be_started_while_the_ears_are_away(
    stand_in: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = stand_in(STAND_IN)
    monkeypatch.setattr(model_process, "_RESTART_DELAYS_S", (0.01,))
    settings = Settings(realtime_api_base_uri="ws://127.0.0.1:1/v1", voice_phrases="local")
    async with embedded_model(settings) as model:
        ((pid, port, *_),) = await lines(pids, 1)
        os.kill(int(pid), signal.SIGKILL)
        again = (await lines(pids, 2))[1]
        assert model.is_running
        # At the same address, or its agents would not find it.
        assert port == again[1] == "4321"
        assert again[2:] == ["--until-eof", "--listen-only"]


async def test_nothing_is_started_for_another_model() -> None:
    settings = Settings(realtime_api_base_uri="ws://127.0.0.1:1/v1")
    async with embedded_model(settings) as model:
        assert model == Model(settings, is_running=True)


async def test_the_settings_lead_to_the_model_until_the_end(stand_in: Callable[[str], Path]) -> None:
    pids = stand_in(STAND_IN)
    async with embedded_model(Settings()) as model:
        assert model.settings.realtime_api_base_uri == "ws://127.0.0.1:4321/v1"
        assert model.is_running
        ((pid, _, *arguments),) = await lines(pids, 1)
        assert arguments == ["--until-eof"]
        assert alive(int(pid))
    await until_dead(int(pid))


async def test_a_model_that_dies_is_started_again_at_the_same_address(
    stand_in: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_process, "_RESTART_DELAYS_S", (0.0,))
    pids = stand_in(STAND_IN)
    async with embedded_model(Settings()):
        for count in (1, 2):
            pid, port, *_ = (await lines(pids, count))[-1]
            assert port == "4321"
            os.kill(int(pid), signal.SIGKILL)
        last = int((await lines(pids, 3))[-1][0])
    await until_dead(last)


async def test_a_model_that_is_gone_is_not_running_until_it_is_there_again(
    stand_in: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_process, "_RESTART_DELAYS_S", (0.2,))
    pids = stand_in(STAND_IN)
    async with embedded_model(Settings()) as model, asyncio.timeout(60):
        os.kill(int((await lines(pids, 1))[0][0]), signal.SIGKILL)
        while model.is_running:
            await asyncio.sleep(0.01)
        assert len(read(pids)) == 1
        while not model.is_running:
            await asyncio.sleep(0.01)
        await lines(pids, 2)


async def test_a_model_that_answers_no_more_is_started_again(
    stand_in: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_process, "_RESTART_DELAYS_S", (0.0,))
    monkeypatch.setattr(model_process, "_HEALTH_INTERVAL_S", 0.02)
    pids = stand_in(LIVE)
    asked, hang = pids.with_suffix(".asked"), pids.with_suffix(".hang")
    async with embedded_model(Settings()):
        (first, port), *_ = await lines(pids, 1)
        # While it answers, it stays.
        assert (await lines(asked, 5))[:5] == [["/health"]] * 5
        assert alive(int(first))
        monkeypatch.setattr(model_process, "_HEALTH_TIMEOUT_S", 0.1)
        hang.touch()
        await until_dead(int(first))
        hang.unlink()
        again = (await lines(pids, 2))[1]
        assert again[1] == port


async def test_a_model_that_has_run_steadily_is_started_again_without_delay(
    stand_in: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_process, "_RESTART_DELAYS_S", (0.0, 600.0))
    monkeypatch.setattr(model_process, "_STEADY_S", 0.0)
    pids = stand_in(STAND_IN)
    async with embedded_model(Settings()):
        for count in (1, 2, 3):
            os.kill(int((await lines(pids, count))[-1][0]), signal.SIGKILL)
        await lines(pids, 4)


async def test_a_model_that_hangs_at_the_end_is_killed(
    stand_in: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_process, "_STOP_TIMEOUT_S", 0.05)
    pids = stand_in(STAND_IN + "import time; time.sleep(600)")
    async with embedded_model(Settings()):
        pid = int((await lines(pids, 1))[0][0])
    await until_dead(pid)


async def test_a_model_that_does_not_load_in_time_is_given_up(
    stand_in: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in("import time; time.sleep(600)")
    monkeypatch.setattr(model_process, "_STOP_TIMEOUT_S", 0.05)
    with pytest.raises(SessionError, match="LOCAL_MODEL_LOAD_TIMEOUT_S"):
        async with embedded_model(Settings(local_model_load_timeout_s=0.05)):
            pass


@pytest.mark.parametrize(("code", "error"), [(2, ConfigError), (3, SessionError)])
async def test_a_model_that_ends_while_loading_is_an_error(
    stand_in: Callable[[str], Path], code: int, error: type[Exception]
) -> None:
    stand_in(f"raise SystemExit({code})")
    with pytest.raises(error):
        async with embedded_model(Settings()):
            pass
