"""The brain behind LOCAL_LLM_URL: an OpenAI-compatible chat endpoint, such as Ollama, vLLM or llama.cpp."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp

from realtime_agent.errors import SessionError
from realtime_agent.local_model.brain import Prompt

__all__ = ["ChatBrain"]

_TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=5, sock_read=30)
"""Seconds; a small machine may need many to read a long prompt before its first token."""


class ChatBrain:
    """Streams the answer from `{url}/chat/completions`."""

    def __init__(self, url: str, model: str, api_key: str) -> None:
        self._url = f"{url}/chat/completions"
        self._model = model
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        """Answer a prompt, piece by piece.

        Raises:
            SessionError: the endpoint can't be reached, refuses, stalls, or answers with something else.
        """
        body = {"model": self._model, "messages": _messages(prompt), "stream": True}
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT, headers=self._headers) as http,
                http.post(self._url, json=body) as response,
            ):
                if response.status != 200:
                    raise SessionError(f"the language model at LOCAL_LLM_URL answered {response.status}")
                answered = False
                async for line in response.content:
                    if (choice := _choice(line)) is not None:
                        answered = True
                        if piece := _text(choice):
                            yield piece
                if not answered:
                    raise SessionError("the language model at LOCAL_LLM_URL did not stream an answer")
        except TimeoutError:
            raise SessionError("the language model at LOCAL_LLM_URL did not answer in time") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise SessionError(f"the language model at LOCAL_LLM_URL failed: {error}") from error


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    instructions = prompt.request or prompt.instructions
    system = [{"role": "system", "content": instructions}] if instructions else []
    unclear = "(The user said something that could not be understood, or nothing.)"
    return system + [{"role": m.role, "content": m.text or unclear} for m in prompt.messages]


def _choice(line: bytes) -> Any:
    """The first choice in one line of a server-sent event stream; `None` if the line holds none."""
    data = line.removeprefix(b"data:").strip()
    if not line.startswith(b"data:") or data in (b"", b"[DONE]"):
        return None
    chunk: Any = json.loads(data)
    if not isinstance(chunk, dict):
        raise SessionError("the language model at LOCAL_LLM_URL failed: a chunk is no JSON object")
    if error := chunk.get("error"):
        raise SessionError(f"the language model at LOCAL_LLM_URL failed: {str(error)[:200]}")
    choices = chunk.get("choices")
    return choices[0] if isinstance(choices, list) and choices else None


def _text(choice: Any) -> str:
    try:
        return choice["delta"].get("content") or ""
    except (LookupError, TypeError, AttributeError):
        return ""
