"""Whether the chat endpoint is there, and has its model."""

from __future__ import annotations

import json

import pytest

from realtime_agent.config import load_settings
from realtime_agent.doctor.chat import check_chat
from realtime_agent.doctor.finding import Finding, Level, ok
from tests.doctor.servers import answer, listening
from tests.ports import dead_port

TIMEOUT_S = 30.0
KEY = "llm-very-secret-key"


def models(*names: str) -> bytes:
    return answer("200 OK", json.dumps({"object": "list", "data": [{"id": name} for name in names]}))


async def check(url: str = "", model: str = "", **more: str) -> list[Finding]:
    environ = {"LOCAL_LLM_URL": url, "LOCAL_LLM_MODEL": model, "LOCAL_LLM_API_KEY": KEY, **more}
    found = await check_chat(load_settings(environ, None), TIMEOUT_S)
    assert KEY not in str(found)
    return found


async def ask(says: bytes, model: str = "llama") -> list[Finding]:
    async with listening(says) as server:
        found = await check(f"http://127.0.0.1:{server.port}/v1", model)
    assert server.received.startswith(b"GET /v1/models HTTP/1.1\r\n")
    assert KEY.encode() not in server.received
    assert b"authorization" not in server.received.lower()
    return found


async def test_without_it_nothing_is_asked() -> None:
    assert await check() == []


@pytest.mark.parametrize("there", ["llama", "llama:latest"])
async def test_an_endpoint_that_has_the_model_will_do(there: str) -> None:
    reached, found = await ask(models("other", there))
    assert (reached.level, reached.subject) == (Level.OK, "LOCAL_LLM_URL")
    assert reached.text.endswith("/v1 has 2 models")
    assert found == ok("LOCAL_LLM_MODEL", "llama is there")


async def test_a_model_that_is_not_there_is_told_with_those_that_are() -> None:
    _, found = await ask(models(*(f"m{number}" for number in range(10))))
    assert (found.level, found.subject) == (Level.WARNING, "LOCAL_LLM_MODEL")
    assert found.remedy == "name one that is: m0, m1, m2, m3, m4, m5, m6, m7, …"
    _, found = await ask(models())
    assert found.remedy == "load it there, for example with ollama pull"


@pytest.mark.parametrize(("url", "model"), [("", "llama"), ("http://127.0.0.1:{port}/v1", "")])
async def test_one_without_the_other_is_a_warning(url: str, model: str) -> None:
    async with listening(models("llama")) as server:
        found = (await check(url.format(port=server.port), model))[-1]
    assert (found.level, found.subject) == (Level.WARNING, "LOCAL_LLM_MODEL")


@pytest.mark.parametrize("more", [{"OPENAI_API_KEY": "sk-1"}, {"REALTIME_API_BASE_URI": "ws://127.0.0.1:9/v1"}])
async def test_another_model_does_not_ask_it(more: dict[str, str]) -> None:
    with dead_port() as port:
        (found,) = await check(f"http://127.0.0.1:{port}/v1", "llama", **more)
    assert (found.level, found.subject) == (Level.WARNING, "LOCAL_LLM_URL")
    assert "is not used" in found.text
    assert [found.subject for found in await check(model="llama", **more)] == ["LOCAL_LLM_MODEL"]


@pytest.mark.parametrize(
    ("says", "level", "words"),
    [
        (answer("401 Unauthorized"), Level.OK, "without the key"),
        (answer("403 Forbidden"), Level.OK, "without the key"),
        (answer("429 Too Many"), Level.WARNING, "can't serve now"),
        (answer("500 Broken"), Level.WARNING, "can't serve now"),
        (answer("404 Not Found"), Level.PROBLEM, "HTTP 404: nothing is there"),
        (answer("200 OK", "<html>"), Level.WARNING, "no list of models"),
        (answer("200 OK", "[]"), Level.WARNING, "no list of models"),
        (answer("200 OK", '{"data": [1]}'), Level.WARNING, "no list of models"),
        (answer("200 OK", "[" * 100_000), Level.WARNING, "no list of models"),
    ],
)
async def test_other_answers_are_told(says: bytes, level: Level, words: str) -> None:
    (found,) = await ask(says)
    assert (found.level, found.subject) == (level, "LOCAL_LLM_URL")
    assert words in found.text


async def test_an_endpoint_that_is_not_there_is_told_without_its_password() -> None:
    with dead_port() as port:
        (found,) = await check(f"http://user:{KEY}@127.0.0.1:{port}/v1?key={KEY}", "llama")
    assert found.level is Level.PROBLEM
    assert found.text == f"http://127.0.0.1:{port}/v1: nothing listens at 127.0.0.1:{port}"
    assert found.remedy
