"""All checks together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from realtime_agent.doctor.examination import examine
from realtime_agent.doctor.finding import Finding, Level, Section, is_well
from realtime_agent.testing import ScriptedServer
from tests.doctor.servers import answer, listening
from tests.ports import dead_port

TIMEOUT_S = 30.0
FREE = {"SERVER_PORT": "0"}


async def examined(environ: Mapping[str, str], tmp_path: Path) -> list[Section]:
    return await examine(environ, tmp_path / ".env", timeout=TIMEOUT_S)


def of(sections: list[Section], title: str) -> dict[str, Finding]:
    (section,) = [section for section in sections if section.title == title]
    return {each.subject: each for each in section.findings}


async def test_with_the_defaults_all_that_they_need_is_looked_at(tmp_path: Path) -> None:
    sections = await examined(FREE, tmp_path)
    assert [section.title for section in sections] == ["Settings", "Machine", "Server", "Channel", "Model"]
    assert is_well(sections)
    assert of(sections, "Server").keys() >= {"SERVER_PORT", "open files"}
    assert "authorities" not in of(sections, "Machine")


async def test_what_is_configured_is_looked_at_too(tmp_path: Path, script: ScriptedServer) -> None:
    environ = FREE | {
        "REALTIME_API_BASE_URI": script.url,
        "AGENT_TOOLS": "examples.tools",
        "LOCAL_LLM_MODEL": "llama",
        "AGORA_APP_ID": "0123456789abcdef" * 2,
    }
    sections = await examined(environ, tmp_path)
    assert of(sections, "Model")["model"].level is Level.OK
    assert of(sections, "Functions")["AGENT_TOOLS"].level is Level.OK
    assert of(sections, "Chat model")["LOCAL_LLM_MODEL"].level is Level.WARNING
    assert of(sections, "Channel")["AGORA_APP_CERT"].level is Level.WARNING
    assert "authorities" not in of(sections, "Machine")
    secure = await examined(environ | {"REALTIME_API_BASE_URI": "wss://127.0.0.1:1/v1"}, tmp_path)
    assert "authorities" in of(secure, "Machine")


@pytest.mark.parametrize("address", ["wss://127.0.0.1:{}/v1", ""])
async def test_authorities_are_for_encrypted_connections(tmp_path: Path, address: str) -> None:
    with dead_port() as port:
        environ = FREE | {"REALTIME_API_BASE_URI": address.format(port)}
        if not address:
            environ["LOCAL_LLM_URL"] = f"https://127.0.0.1:{port}/v1"
        assert "authorities" in of(await examined(environ, tmp_path), "Machine")


async def test_a_file_that_can_t_be_read_is_told_and_not_died_of(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"SERVER_PORT=\xff\n")
    (section,) = await examined(FREE, tmp_path)
    (found,) = section.findings
    assert (found.level, found.subject) == (Level.PROBLEM, ".env")
    assert "can't be read" in found.text


async def test_every_wrong_value_is_told_and_what_does_not_need_it_is_checked(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_KEY=a\nnothing\nMAX_AGENTS=0\n")
    wrong = {"SERVER_PORT": "x", "REALTIME_API_BASE_URI": "x", "AGORA_APP_ID": "x", "LOCAL_LLM_URL": "x"}
    sections = await examined(wrong | {"LOG_LEVEL": "x", "OPENAI_MODEL": "<model>"}, tmp_path)
    settings = of(sections, "Settings")
    told = {subject for subject, found in settings.items() if found.level is Level.PROBLEM}
    assert told == {*wrong, "LOG_LEVEL", "MAX_AGENTS", "OPENAI_MODEL"}
    assert settings["OPENAI_KEY"].level is Level.WARNING
    assert settings[".env"].text == "no setting is assigned in line 2"
    not_checked = {
        "SERVER_PORT": "Server",
        "MAX_AGENTS": "Server",
        "LOCAL_LLM_URL": "Chat model",
    }
    for name, title in not_checked.items():
        found = of(sections, title)[name]
        assert (found.level, found.text) == (Level.WARNING, "is wrong, so what it is for was not checked")
    assert of(sections, "Machine")["Python"].level is not Level.PROBLEM
    assert list(of(sections, "Channel")) == ["packages", "AGORA_LOG_DIR", "AGORA_WEB_SDK"]


async def test_what_the_environment_puts_aside_of_the_file_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_MODEL=m\nOPENAI_API_KEY=\nOTHER=a\nSERVER_PORT=0\n")
    settings = of(await examined(FREE | {"OPENAI_MODEL": " ", "OPENAI_API_KEY": "", "OTHER": ""}, tmp_path), "Settings")
    assert (settings["OPENAI_MODEL"].level, settings["OPENAI_MODEL"].remedy) == (Level.WARNING, "unset OPENAI_MODEL")
    assert not settings.keys() & {"OPENAI_API_KEY", "SERVER_PORT"}


async def test_servers_are_asked_side_by_side(tmp_path: Path) -> None:
    # Two real servers, neither of which answers before the other has been asked.
    meeting = asyncio.Event()
    async with (
        listening(answer("503 Busy"), after=meeting) as port,
        listening(answer("401 Unauthorized"), after=meeting) as model,
        asyncio.TaskGroup() as group,
    ):

        async def see_both() -> None:
            while not (port.received and model.received):
                await asyncio.sleep(0.01)
            meeting.set()

        group.create_task(see_both())
        environ = {
            "SERVER_PORT": str(port.port),
            "REALTIME_API_BASE_URI": f"ws://127.0.0.1:{model.port}/v1",
            "OPENAI_API_KEY": "sk-1",
        }
        sections = await examined(environ, tmp_path)
    assert "HTTP 503" in of(sections, "Server")["SERVER_PORT"].text
    assert "HTTP 401" in of(sections, "Model")["model"].text


async def test_a_secret_that_a_module_repeats_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "doctor_s_leak.py").write_text("raise ValueError('not sk-very-secret-key')")
    environ = FREE | {"AGENT_TOOLS": "doctor_s_leak", "OPENAI_API_KEY": "sk-very-secret-key"}
    with dead_port() as port:
        environ["REALTIME_API_BASE_URI"] = f"ws://127.0.0.1:{port}/v1"
        sections = await examined(environ, tmp_path)
    assert "ValueError: not ***" in of(sections, "Functions")["AGENT_TOOLS"].text
