"""The command line, from outside."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import textwrap
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from realtime_agent import __version__
from realtime_agent.config import Settings
from realtime_agent.main import main, parser
from realtime_agent.testing import RefuseSettings, ScriptedServer
from tests.local_model.fakes import Voices
from tests.ports import dead_port
from tests.processes import command_line, descendants, until_dead

_TIMEOUT_S = 90
_SETTINGS = (
    "OPENAI_",
    "AGORA_",
    "REALTIME_",
    "LOCAL_",
    "SERVER_",
    "MAX_",
    "USER_",
    "IDLE_",
    "LOG_",
    "ALLOWED_",
    "AGENT_",
)


pytestmark = pytest.mark.usefixtures("logging_as_before")


@pytest.fixture(autouse=True)
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the environment's settings nor a .env of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith(_SETTINGS)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SERVER_PORT", "0")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))


@asynccontextmanager
async def program(*arguments: str, **settings: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "realtime_agent.main", *arguments, env=os.environ | settings, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def address(process: Process) -> str:
    """What it printed once it was ready."""
    assert process.stdout is not None
    async with asyncio.timeout(_TIMEOUT_S):
        line = (await process.stdout.readline()).decode()
    assert line.startswith("Ready. Open http://127.0.0.1:"), line
    return line.split()[2].split("/?")[0]


async def end(process: Process) -> tuple[int, str, str]:
    async with asyncio.timeout(_TIMEOUT_S):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, (output or b"").decode(), errors.decode()


async def post(url: str, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.post(url + path, json=body) as response:
        return response.status, await response.json()


def fails_with_one_line(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that is used wrongly; gives what it says."""
    try:
        code = main(arguments)
    except SystemExit as leaving:
        code = int(str(leaving.code))
    output, errors = capsys.readouterr()
    assert (code, output, errors.count("\n")) == (2, "", 1)
    return errors.strip()


@pytest.mark.parametrize("command", [[], ["server"], ["agent"], ["model"], ["call"], ["doctor"]])
def test_help_explains_each_command(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    output = capsys.readouterr().out
    assert output.startswith("usage: realtime-agent")
    options = [line for line in output.splitlines() if line.startswith("  --")]
    # Every option says what it is, beside it or below it.
    assert all(len(line.split()) > 1 for line in options)


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.strip() == __version__


async def test_the_model_can_be_told_only_to_listen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("realtime_agent.local_model.server.load_ears", lambda _: Voices().ears())
    options = parser().parse_args(["model", "--port=0", "--listen-only"])
    running = asyncio.create_task(options.program(options, Settings()))
    url = ""
    async with asyncio.timeout(_TIMEOUT_S):
        while not url:
            await asyncio.sleep(0.01)
            url = capsys.readouterr().out.strip()
    with pytest.raises(InvalidStatus, match="400"):
        await connect(f"{url}/realtime")
    async with connect(f"{url}/realtime?intent=transcription") as connection:
        assert '"type":"transcription"' in str(await connection.recv())
    running.cancel()
    await asyncio.wait([running])


AGENT = ["agent", "--channel_name=room", "--uid=7"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND"),
        (["dance"], "'dance'"),
        (["server", "--colour=red"], "--colour=red"),
        (["server", "--port=x"], "'x' is not a port"),
        (["server", "--port=65536"], "'65536' is not a port"),
        (["server", "--port=-1"], "'-1' is not a port"),
        (["agent"], "--channel_name, --uid"),
        (["agent", "--channel_name=room", "--uid=seven"], "--uid"),
        (["agent", "--channel_name=room", "--uid=-1"], "--uid"),
        (["agent", "--channel_name=a/b", "--uid=7"], "--channel_name"),
        (["agent", "--channel_name=" + "a" * 65, "--uid=7"], "--channel_name"),
        ([*AGENT, "--voice=darth"], "--voice: unknown voice 'darth'"),
        ([*AGENT, "--language=english"], "--language"),
        ([*AGENT, "--user_uid=7"], "--user_uid"),
        (["model", "--port=x"], "'x' is not a port"),
        (["call"], "--channel_name"),
        (["call", "--channel_name=room"], "--wav"),
        (["call", "--channel_name=room", "--wav=a.wav", "--mic"], "--mic"),
    ],
)
def test_a_wrong_argument_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    line = fails_with_one_line(capsys, *arguments)
    assert line.startswith("realtime-agent")
    assert words in line


@pytest.mark.parametrize("arguments", [["server"], AGENT])
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MAX_AGENTS", "many", "MAX_AGENTS"),
        ("DEFAULT_VOICE", "darth", "DEFAULT_VOICE 'darth'"),
        ("REALTIME_API_BASE_URI", "http://x", "REALTIME_API_BASE_URI"),
        ("REALTIME_API_BASE_URI", "wss://x/v1/realtime", "/realtime"),
        ("REALTIME_API_AUTH", "api-key", "OPENAI_API_KEY"),
        ("AGENT_TOOLS", "./shop.py", "such as shop"),
        ("AGORA_APP_ID", "my-app", "AGORA_APP_ID"),
        ("AGORA_APP_CERT", "0123456789abcdef0123456789abcdef", "AGORA_APP_ID is empty"),
        ("SERVER_HOST", "192.0.2.1", "192.0.2.1"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    name: str,
    value: str,
    words: str,
) -> None:
    monkeypatch.setenv(name, value)
    assert words in fails_with_one_line(capsys, *arguments)


def test_a_wrong_setting_in_the_file_is_one_clear_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("IDLE_TIMEOUT_S=soon\n")
    assert "IDLE_TIMEOUT_S" in fails_with_one_line(capsys, "server")


async def test_what_looks_wrong_is_warned_of_when_the_server_starts(script: ScriptedServer, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_KEY=sk-secret\nDATABASE_URL=x\n")
    settings = {"REALTIME_API_BASE_URI": script.url, "AGENT_TOOLS": "examples.tools"}
    async with program("server", **settings) as process:
        await address(process)
        process.send_signal(signal.SIGTERM)
        _, _, errors = await end(process)
    assert ".env: 'OPENAI_KEY' is no setting; is it OPENAI_API_KEY?\n" in errors
    assert ".env: 'DATABASE_URL' is no setting\n" in errors
    assert "examples.tools has the functions current_time, order_status\n" in errors
    assert "sk-secret" not in errors


async def test_what_looks_wrong_is_warned_of_when_an_agent_starts(script: ScriptedServer, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_KEY=sk-secret\n")
    async with program(*AGENT, REALTIME_API_BASE_URI=script.url, AGENT_TOOLS="examples.tools") as process:
        await address(process)
        process.send_signal(signal.SIGTERM)
        _, _, errors = await end(process)
    assert errors.count("'OPENAI_KEY' is no setting") == 1
    assert errors.count("has the functions") == 1


@pytest.mark.parametrize("arguments", [["server"], AGENT])
def test_a_port_that_is_taken_is_one_clear_line(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = fails_with_one_line(capsys, *arguments, f"--port={port}")
    assert f"can't listen on 127.0.0.1 port {port}: Address already in use" in line


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
async def test_the_server_ends_everything_when_it_is_told_to(
    script: ScriptedServer, number: signal.Signals, code: int
) -> None:
    async with program("server", REALTIME_API_BASE_URI=script.url) as process:
        url = await address(process)
        for channel in ("a", "b"):
            assert (await post(url, "/start_agent", channel_name=channel, uid=7))[0] == 200
        started = descendants(process.pid)
        assert len(started) >= 3
        process.send_signal(number)
        ended, _, errors = await end(process)
        assert ended == code, errors
        assert "Traceback" not in errors
        assert "Warning" not in errors
        await until_dead(*started)


async def test_a_server_that_is_killed_leaves_no_process_behind(script: ScriptedServer) -> None:
    async with program("server", REALTIME_API_BASE_URI=script.url) as process:
        url = await address(process)
        status, body = await post(url, "/start_agent", channel_name="room", uid=7)
        assert status == 200
        started = descendants(process.pid)
        assert body["pid"] in started
        process.kill()
        await until_dead(*started)


async def test_a_worker_that_is_killed_is_reported_over_http(script: ScriptedServer) -> None:
    async with program("server", REALTIME_API_BASE_URI=script.url) as process:
        url = await address(process)
        _, body = await post(url, "/start_agent", channel_name="a room?", uid=7)
        os.kill(body["pid"], signal.SIGKILL)
        async with aiohttp.ClientSession() as session, asyncio.timeout(_TIMEOUT_S):
            shown: dict[str, Any] = {}
            while shown.get("state") != "ended":
                async with session.get(f"{url}/agents/a%20room%3F") as response:
                    shown = await response.json()
        assert (shown["reason"], shown["cause"]) == ("crashed", "its process was ended by SIGKILL")
        assert (await post(url, "/start_agent", channel_name="a room?", uid=7))[0] == 200


async def test_a_model_that_cannot_be_reached_is_502_with_the_cause() -> None:
    with dead_port() as port:
        async with program("server", REALTIME_API_BASE_URI=f"ws://127.0.0.1:{port}/v1") as process:
            status, body = await post(await address(process), "/start_agent", channel_name="room", uid=7)
    assert status == 502
    assert "can't be reached" in body["details"]


@pytest.mark.parametrize("arguments", [["server"], AGENT])
def test_no_program_starts_where_its_channel_cannot_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("AGORA_APP_ID", "0123456789abcdef0123456789abcdef")
    assert "agora-realtime-ai-api, which is not installed" in fails_with_one_line(capsys, *arguments)


async def test_a_program_may_have_many_descriptors(script: ScriptedServer) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        async with program("server", REALTIME_API_BASE_URI=script.url) as process:
            await address(process)
            limit, _ = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert limit == min(hard, 65_536)


async def test_a_program_whose_output_nobody_reads_ends_without_a_traceback(script: ScriptedServer) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "realtime_agent.main", "server",
            env=os.environ | {"REALTIME_API_BASE_URI": script.url}, stdout=writing, stderr=PIPE,
        )  # fmt: skip
    finally:
        os.close(writing)
    code, _, errors = await end(process)
    assert code == 1
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


async def test_a_server_that_is_killed_takes_the_embedded_model_with_it(tmp_path: Path) -> None:
    stand_in = tmp_path / "model.py"
    stand_in.write_text('import sys\nprint("ws://127.0.0.1:1/v1", flush=True)\nsys.stdin.read()\n')
    server = tmp_path / "server.py"
    server.write_text(
        textwrap.dedent(f"""
        import sys
        from realtime_agent.fleet import model_process
        from realtime_agent.main import main
        if __name__ == "__main__":
            model_process._COMMAND = (sys.executable, {str(stand_in)!r})
            sys.exit(main(["server"]))
        """)
    )
    process = await asyncio.create_subprocess_exec(sys.executable, str(server), stdout=PIPE, stderr=PIPE)
    try:
        await address(process)
        started = descendants(process.pid)
        assert any("model.py" in command_line(pid) for pid in started)
    finally:
        process.kill()
        await process.communicate()
    await until_dead(*started)


async def test_an_agent_in_the_foreground_serves_its_page(script: ScriptedServer) -> None:
    async with program(*AGENT, REALTIME_API_BASE_URI=script.url) as process:
        url = await address(process)
        async with aiohttp.ClientSession() as session:
            async with session.get(url) as response:
                assert (response.status, response.content_type) == (200, "text/html")
            async with session.get(f"{url}/agents") as response:
                (agent,) = (await response.json())["agents"]
        assert (agent["channel_name"], agent["uid"], agent["pid"]) == ("room", 7, process.pid)


async def test_an_agent_in_the_foreground_ends_when_nobody_comes(script: ScriptedServer) -> None:
    async with program(*AGENT, REALTIME_API_BASE_URI=script.url, USER_WAIT_TIMEOUT_S="1") as process:
        await address(process)
        code, output, errors = await end(process)
        assert (code, output) == (0, "The agent ended: user_never_came\n")
        assert "Traceback" not in errors


async def test_an_agent_in_the_foreground_talks_to_its_user(script: ScriptedServer) -> None:
    async with program(*AGENT, REALTIME_API_BASE_URI=script.url, USER_LEFT_GRACE_S="0.05") as process:
        url = await address(process)
        _, token = await post(url, "/token", channel_name="room", uid=5)
        async with aiohttp.ClientSession() as session, session.ws_connect(token["url"]) as ws:
            assert (await ws.receive_json(timeout=_TIMEOUT_S))["agent_uid"] == 7
            await ws.send_bytes(bytes(960))
            await script.expect("input_audio_buffer.append")
            await ws.send_json({"type": "leave"})
            async with asyncio.timeout(_TIMEOUT_S):
                async for _ in ws:
                    pass
        code, output, _ = await end(process)
        assert (code, output) == (0, "The agent ended: user_left\n")


async def test_an_agent_in_the_foreground_prints_an_address_that_leads_to_its_channel(script: ScriptedServer) -> None:
    arguments = ["agent", "--channel_name=a room #1 & more?", "--uid=7"]
    async with program(*arguments, REALTIME_API_BASE_URI=script.url) as process:
        assert process.stdout is not None
        async with asyncio.timeout(_TIMEOUT_S):
            line = (await process.stdout.readline()).decode()
    assert "/?channel=a%20room%20%231%20%26%20more%3F and speak" in line


async def test_an_agent_whose_model_refuses_says_why(script: ScriptedServer) -> None:
    script.fail(RefuseSettings())
    async with program(*AGENT, REALTIME_API_BASE_URI=script.url) as process:
        code, output, errors = await end(process)
    assert (code, output) == (1, "")
    assert errors.splitlines()[-1] == "realtime-agent: the model refused its settings: no such model"
    assert "Traceback" not in errors


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
async def test_an_agent_in_the_foreground_leaves_when_it_is_told_to(
    script: ScriptedServer, number: signal.Signals, code: int
) -> None:
    async with program(*AGENT, REALTIME_API_BASE_URI=script.url) as process:
        url = await address(process)
        _, token = await post(url, "/token", channel_name="room", uid=5)
        async with aiohttp.ClientSession() as session, session.ws_connect(token["url"]) as ws:
            await ws.receive_json(timeout=_TIMEOUT_S)
            process.send_signal(number)
            async with asyncio.timeout(_TIMEOUT_S):
                said = [json.loads(message.data) async for message in ws]
            assert (ws.close_code, said[-1]["state"]) == (4002, "ended")
        ended, _, errors = await end(process)
        assert ended == code
        assert "Traceback" not in errors


def test_importing_the_program_reads_no_setting_and_opens_nothing() -> None:
    code = "import realtime_agent.main, logging, threading; print(logging.root.handlers, threading.active_count())"
    environment = os.environ | {"MAX_AGENTS": "many"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[] 1\n"
