"""Whether the functions that the model may call can be had."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime_agent.config import load_settings
from realtime_agent.doctor.finding import Finding, Level, ok
from realtime_agent.doctor.tools import check_tools

TIMEOUT_S = 30.0


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for modules, which are forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("doctor_s_"):
            del sys.modules[name]


async def check(module: str, key: str = "sk-1", timeout: float = TIMEOUT_S) -> list[Finding]:
    return await check_tools(load_settings({"AGENT_TOOLS": module, "OPENAI_API_KEY": key}, None), timeout)


async def test_without_them_nothing_is_told() -> None:
    assert await check("") == []


async def test_functions_are_named(here: Path) -> None:
    (here / "doctor_s_tools.py").write_text(
        "from realtime_agent.tools import tool\n"
        "@tool\ndef add(a: int) -> int:\n    '''Adds.'''\n    return a\n"
        "@tool\ndef bare(a: int) -> int:\n    return a\n"
    )
    functions, bare = await check("doctor_s_tools")
    assert functions == ok("AGENT_TOOLS", "doctor_s_tools has the functions add, bare")
    assert (bare.level, bare.text) == (Level.WARNING, "without a docstring: bare")
    assert [found.level for found in await check("doctor_s_tools", key="")] == [
        Level.OK,
        Level.WARNING,
        Level.WARNING,
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no module 'doctor_s_none'"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("x = 1", "holds no function"),
    ],
)
async def test_a_module_that_can_t_be_used_is_told(here: Path, content: str | None, words: str) -> None:
    if content is not None:
        (here / "doctor_s_none.py").write_text(content)
    (found,) = await check("doctor_s_none")
    assert (found.level, found.subject) == (Level.PROBLEM, "AGENT_TOOLS")
    assert words in found.text
    assert not found.text.startswith("AGENT_TOOLS")


async def test_a_module_that_never_ends_is_not_waited_for(here: Path) -> None:
    release = here / "release"
    (here / "doctor_s_endless.py").write_text(
        f"import pathlib, time\nwhile not pathlib.Path({str(release)!r}).exists(): time.sleep(0.01)\n"
    )
    (found,) = await check("doctor_s_endless", timeout=0.2)
    release.touch()
    assert (found.level, found.text) == (Level.PROBLEM, "it took longer than 0.2 s to import doctor_s_endless")
