"""The brain behind LOCAL_LLM_URL, against a small endpoint."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from realtime_agent.errors import SessionError
from realtime_agent.local_model.brain import Message, Prompt
from realtime_agent.local_model.chat import ChatBrain

PROMPT = Prompt((Message("user", "Hi."), Message("assistant", "Hello."), Message("user", "")), "Be brief.")


@asynccontextmanager
async def endpoint(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/v1"))


def chunk(text: str | None) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"


async def ask(url: str, prompt: Prompt = PROMPT) -> list[str]:
    return [piece async for piece in ChatBrain(url, "tiny", "key").reply(prompt)]


async def test_the_answer_is_streamed_and_the_conversation_is_sent() -> None:
    seen: dict[str, Any] = {}

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.update(await request.json(), authorization=request.headers["Authorization"])
        stream = web.StreamResponse()
        await stream.prepare(request)
        for data in (chunk(None), chunk("Good "), b": a comment\n\n", chunk("day."), b'data: {"choices": []}\n\n'):
            await stream.write(data)
        await stream.write(b"data: [DONE]\n\n")
        return stream

    async with endpoint(answer) as url:
        assert await ask(url) == ["Good ", "day."]
    assert (seen["model"], seen["stream"], seen["authorization"]) == ("tiny", True, "Bearer key")
    assert [message["role"] for message in seen["messages"]] == ["system", "user", "assistant", "user"]
    assert seen["messages"][0]["content"] == "Be brief."
    assert "could not be understood" in seen["messages"][3]["content"]


async def test_the_instructions_of_one_response_replace_the_sessions() -> None:
    seen: dict[str, Any] = {}

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.update(await request.json())
        return web.Response(body=chunk("Ahoy."))

    async with endpoint(answer) as url:
        assert await ask(url, Prompt((), "Be brief.", "Be a pirate.")) == ["Ahoy."]
    assert seen["messages"] == [{"role": "system", "content": "Be a pirate."}]


async def test_a_refusal_is_an_error_that_names_the_status() -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=404, text="no such model")

    async with endpoint(answer) as url:
        with pytest.raises(SessionError, match="404"):
            await ask(url)


async def test_what_is_not_json_is_an_error() -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"data: oops\n\n")

    async with endpoint(answer) as url:
        with pytest.raises(SessionError, match="LOCAL_LLM_URL failed"):
            await ask(url)


async def test_the_end_of_the_stream_may_be_written_without_a_space() -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=chunk("Good day.") + b"data:[DONE]\n\n")

    async with endpoint(answer) as url:
        assert await ask(url) == ["Good day."]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>It works!</html>", "did not stream an answer"),
        (b'{"choices": [{"message": {"content": "Good day."}}]}', "did not stream an answer"),
        (b"data: [DONE]\n\n", "did not stream an answer"),
        (b'data: {"error": {"message": "out of memory"}}\n\n', "out of memory"),
        (b'data: ["no object"]\n\n', "no JSON object"),
    ],
)
async def test_an_answer_of_another_kind_is_an_error(body: bytes, words: str) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    async with endpoint(answer) as url:
        with pytest.raises(SessionError, match=words):
            await ask(url)


async def test_an_endpoint_that_is_not_there_is_an_error() -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response()

    async with endpoint(answer) as url:
        pass
    with pytest.raises(SessionError, match="LOCAL_LLM_URL failed"):
        await ask(url)
