"""Whether the functions that the model may call can be had."""

from __future__ import annotations

import asyncio

from realtime_agent.assembly import load_tools
from realtime_agent.config import Settings
from realtime_agent.doctor.finding import Finding, ok, problem, warning
from realtime_agent.errors import ConfigError
from realtime_agent.threads import in_thread

__all__ = ["check_tools"]

_SUBJECT = "AGENT_TOOLS"


async def check_tools(settings: Settings, timeout: float) -> list[Finding]:
    """Import AGENT_TOOLS, as agents do, in a thread: a module may do anything."""
    if not settings.agent_tools:
        return []
    try:
        async with asyncio.timeout(timeout):
            tools = await in_thread(lambda: load_tools(settings), f"import {settings.agent_tools}")
    except ConfigError as error:
        return [problem(_SUBJECT, str(error).removeprefix(f"{_SUBJECT}: "), "correct the name or the module")]
    except TimeoutError:
        text = f"it took longer than {timeout:g} s to import {settings.agent_tools}"
        return [problem(_SUBJECT, text, "let the module do slow things when a function is called, not before")]
    functions = tools.definitions
    findings = [ok(_SUBJECT, f"{settings.agent_tools} has the functions {', '.join(each.name for each in functions)}")]
    if settings.uses_local_model:
        remedy = "use another model: set OPENAI_API_KEY or REALTIME_API_BASE_URI"
        findings.append(warning(_SUBJECT, "the embedded model calls no functions", remedy))
    bare = [each.name for each in functions if not each.description]
    if bare:
        text = f"without a docstring: {', '.join(bare)}"
        findings.append(warning(_SUBJECT, text, "say in it what the function does; the model reads that"))
    return findings
