"""`realtime-agent doctor`, from outside."""

from __future__ import annotations

import json
import os
import sys
from asyncio import create_subprocess_exec, timeout
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from realtime_agent.config import Settings
from tests.doctor.servers import answer, listening

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 90
KEY = "sk-very-secret-0123456789"


async def doctor(folder: Path, *arguments: str, **settings: str) -> tuple[int, str, str]:
    """Run it in a folder with these settings; its exit code, output and errors."""
    own = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    process = await create_subprocess_exec(
        *(sys.executable, "-m", "realtime_agent.main", "doctor", *arguments),
        env=own | {"SERVER_PORT": "0", "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"} | settings,
        cwd=folder,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        async with timeout(TIMEOUT_S):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def test_with_the_defaults_all_is_well(tmp_path: Path) -> None:
    code, output, errors = await doctor(tmp_path)
    assert (code, errors) == (0, "")
    assert output.startswith("Settings\n  ok       .env ")
    assert output.splitlines()[-1].startswith("Nothing missing or wrong")


async def test_what_is_wrong_is_told_in_one_object_and_by_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOG_LEVEL=LOUD\nMAX_AGENTS=0\n")
    code, output, errors = await doctor(tmp_path, "--json")
    assert (code, errors, output.count("\n")) == (1, "", 1)
    told = json.loads(output)
    assert told["ok"] is False
    wrong = [each["subject"] for each in told["findings"] if each["level"] == "problem"]
    assert wrong == ["MAX_AGENTS", "LOG_LEVEL"]


async def test_what_a_module_prints_is_no_part_of_the_report(tmp_path: Path) -> None:
    (tmp_path / "talkative.py").write_text("print('hello')\nfrom examples.tools import *\n")
    code, output, errors = await doctor(tmp_path, "--json", AGENT_TOOLS="talkative")
    assert code == 0
    assert json.loads(output)["ok"] is True
    assert errors == "hello\n"


async def test_a_module_that_hangs_does_not_keep_the_report(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text("import time\nwhile True: time.sleep(1)\n")
    code, output, _ = await doctor(tmp_path, "--json", "--timeout=0.5", AGENT_TOOLS="endless")
    assert code == 1
    assert "to import endless" in output


@pytest.mark.parametrize("form", ["--json", "--timeout=20"])
@pytest.mark.parametrize("status", ["401 Unauthorized", "500 Broken"])
async def test_no_secret_is_shown_or_sent(tmp_path: Path, form: str, status: str) -> None:
    (tmp_path / ".env").write_text(f'OPENAI_API_KEY={KEY}\nREALTIME_API_HEADERS=\'{{"X-Project": "{KEY}"}}\'\n')
    async with listening(answer(status, f"not {KEY}", f"X-Key: {KEY}")) as server:
        address = f"ws://me:{KEY}@127.0.0.1:{server.port}/v1?key={KEY}"
        _, output, errors = await doctor(
            tmp_path,
            form,
            REALTIME_API_BASE_URI=address,
            SERVER_PORT=str(server.port),
            LOCAL_LLM_URL=f"http://me:{KEY}@127.0.0.1:{server.port}/v1",
            LOCAL_LLM_API_KEY=KEY,
            LOG_LEVEL="DEBUG",
        )
        sent = bytes(server.received)
    assert b"GET /health " in sent
    assert b"GET /v1/realtime?model=" in sent
    assert b"X-Project" not in sent
    assert b"authorization" not in sent.lower()
    assert f"HTTP {status[:3]}" in output
    for place in (output, errors, sent.decode()):
        # Nor a part of it.
        assert "very-secret" not in place
        assert "0123456789" not in place


async def test_no_secret_of_the_chat_endpoint_is_shown_or_sent(tmp_path: Path) -> None:
    async with listening(answer("404 Not Found", f"not {KEY}")) as server:
        address = f"http://me:{KEY}@127.0.0.1:{server.port}/v1?key={KEY}"
        _, output, errors = await doctor(tmp_path, LOCAL_LLM_URL=address, LOCAL_LLM_MODEL="m", LOCAL_LLM_API_KEY=KEY)
        sent = bytes(server.received)
    assert sent.startswith(b"GET /v1/models HTTP/1.1\r\n")
    assert b"authorization" not in sent.lower()
    assert "very-secret" not in output + errors + sent.decode()
