"""What docs/testing.md shows runs, and what it names is there."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from realtime_agent import testing
from realtime_agent.testing import ScriptedServer, running_agent
from tests.testing.client import TIMEOUT_S, client_of, everything

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
EXAMPLE, CUT = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NAMED = re.findall(r"`(?:await )?((?:model|agent|connection|[A-Z][a-zA-Z]+)\b[.(][^`\n]+)`", PAGE)


def test_the_example_is_one_that_is_run() -> None:
    runs = (ROOT / "examples" / "test_my_agent.py").read_text(encoding="utf-8")
    beginning, test = EXAMPLE.split("\n\n\n")
    assert test in runs
    for line in beginning.splitlines():
        assert line.partition("  #")[0] in runs


@pytest.mark.parametrize("index", [0, 5, 20])
async def test_a_reply_is_cut_as_is_shown(script: ScriptedServer, index: int) -> None:
    names: dict[str, Any] = {**vars(testing), "model": script, "index": index}
    snippet = compile(CUT, "docs/testing.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    async with client_of(script) as client:
        running = asyncio.create_task(eval(snippet, names))
        assert len(await everything(client.websocket)) <= index
    async with client_of(script):
        await running
    assert names["again"] is script.connections[1]


async def test_what_is_named_can_be_called_so(script: ScriptedServer) -> None:
    """Its name is there, and takes these arguments."""
    assert len(NAMED) > 30
    async with running_agent(script, timeout_s=TIMEOUT_S) as agent:
        there = {**vars(testing), "model": script, "agent": agent, "connection": script.newest}
        for snippet in NAMED:
            expression = ast.parse(snippet.replace("=…", "=...").replace("…", "..."), mode="eval").body
            if isinstance(expression, ast.Call):
                function = eval(ast.unparse(expression.func), there)
                options = {keyword.arg: keyword.value for keyword in expression.keywords if keyword.arg is not None}
                inspect.signature(function).bind(*expression.args, **options)
            else:
                eval(snippet, there)
