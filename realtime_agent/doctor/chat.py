"""Whether the chat endpoint behind the embedded model is there, and has its model."""

from __future__ import annotations

import json
from typing import Any

from realtime_agent.addresses import public_address
from realtime_agent.config import Settings
from realtime_agent.doctor.finding import Finding, ok, problem, warning
from realtime_agent.doctor.probe import Answer, Unanswered, get
from realtime_agent.text import one_line

__all__ = ["check_chat"]

_SHOWN = 8
"""Names of models that are told."""


async def check_chat(settings: Settings, timeout: float) -> list[Finding]:
    """LOCAL_LLM_URL, and whether LOCAL_LLM_MODEL is there."""
    url, model = settings.local_llm_url, settings.local_llm_model
    if not url and not model:
        return []
    if not settings.uses_local_model:
        name = "LOCAL_LLM_URL" if url else "LOCAL_LLM_MODEL"
        remedy = "to use it, leave OPENAI_API_KEY and REALTIME_API_BASE_URI empty"
        return [warning(name, "is not used: only the embedded model asks it", remedy)]
    if not url:
        text = "is set, but LOCAL_LLM_URL is empty: simple rules answer"
        return [warning("LOCAL_LLM_MODEL", text, "set LOCAL_LLM_URL, for example to http://127.0.0.1:11434/v1")]
    address = public_address(url).partition("?")[0]
    answer = await get(f"{address}/models", timeout=timeout)
    if isinstance(answer, Unanswered):
        findings = [problem("LOCAL_LLM_URL", f"{address}: {answer.text}", answer.remedy)]
    else:
        findings = _check_list(address, answer, model)
    if not model:
        findings.append(warning("LOCAL_LLM_MODEL", "is empty, but LOCAL_LLM_URL is set", "name a model that it has"))
    return findings


def _check_list(address: str, answer: Answer, model: str) -> list[Finding]:
    text = f"{address}/models answers HTTP {answer.status}"
    if answer.status in (401, 403):
        return [ok("LOCAL_LLM_URL", f"{text} without the key: it can be reached, but does not tell its models")]
    if answer.status >= 500 or answer.status == 429:
        return [warning("LOCAL_LLM_URL", f"{text}: it is there, but can't serve now", "try again later")]
    models = _models(answer)
    remedy = "is it the address of an OpenAI-compatible server, with /v1 at its end?"
    if answer.status == 404:
        return [problem("LOCAL_LLM_URL", f"{text}: nothing is there", remedy)]
    if models is None:
        return [warning("LOCAL_LLM_URL", f"{text}, and no list of models", remedy)]
    reached = ok("LOCAL_LLM_URL", f"{address} has {len(models)} model{'' if len(models) == 1 else 's'}")
    if not model:
        return [reached]
    # Ollama adds the tag itself.
    if {model, f"{model}:latest"} & set(models):
        return [reached, ok("LOCAL_LLM_MODEL", f"{model} is there")]
    others = ", ".join(one_line(each, 60) for each in models[:_SHOWN]) + (", …" if len(models) > _SHOWN else "")
    remedy = f"name one that is: {others}" if models else "load it there, for example with ollama pull"
    # llama.cpp takes any name for the one that it has.
    return [reached, warning("LOCAL_LLM_MODEL", f"{model} is not among the server's models", remedy)]


def _models(answer: Answer) -> list[str] | None:
    """The models of an OpenAI-compatible list; None if it is none."""
    try:
        listed: Any = json.loads(answer.body)
        return [str(each["id"]) for each in listed["data"]] if answer.status == 200 else None
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
