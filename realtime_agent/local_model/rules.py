"""The brain that needs nothing: a few honest rules, for trying out an agent without a model."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from datetime import datetime

from realtime_agent.local_model.arithmetic import spoken_result
from realtime_agent.local_model.brain import Prompt

__all__ = ["RulesBrain"]

_HINT = "I only follow simple rules; with an API key, a real model answers."
_SAY_EXACTLY = re.compile(r"\s*say\b[^\"“]*[\"“](?P<words>.+)[\"”]\s*", re.IGNORECASE | re.DOTALL)
_REPEAT = re.compile(r"\b(?:repeat|say) after me\b\W*(?P<words>\w.*)", re.IGNORECASE | re.DOTALL)
_GREETING = re.compile(r"(?:hello|hi|hey|good (?:morning|afternoon|evening))\b(?: (?:there|again|agent|everyone))?")
_WHAT_DID_I_SAY = re.compile(r"\bwhat (?:did i|have i|i) (?:just )?(?:say|said)\b")
_TIME = re.compile(r"\b(?:what time|(?:what is|what's|tell me) the time)\b")
_DATE = re.compile(r"\b(?:(?:what|which) (?:date|day)|(?:what is|what's|tell me) the date|today's date)\b")
_MAX_QUOTE = 60


class RulesBrain:
    """Greets, repeats, tells the time and the date, does sums, and otherwise says what it heard."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        """Answer a prompt by the first rule that fits."""
        yield self.answer(prompt)

    def answer(self, prompt: Prompt) -> str:
        """The whole answer to a prompt."""
        if prompt.request:
            return _obey(prompt.request)
        last = prompt.messages[-1] if prompt.messages else None
        if last is None or last.role == "assistant":
            return "Hello! How can I help?"
        if last.role == "system":
            return _obey(last.text)
        return self._answer_user(prompt, last.text.strip())

    def _answer_user(self, prompt: Prompt, heard: str) -> str:
        if not heard:
            return "I did not hear anything. Are you still there?"
        if repeat := _REPEAT.search(heard):
            return repeat["words"].strip()
        words = _plain(heard)
        if _WHAT_DID_I_SAY.search(words):
            return _recall(prompt)
        if result := spoken_result(heard):
            return result
        if _TIME.search(words):
            return f"It is {_spoken_time(self._clock())}."
        if _DATE.search(words):
            return f"Today is {_spoken_date(self._clock())}."
        if _GREETING.fullmatch(words):
            return "Hello! How can I help?"
        hint = "" if any(m.role == "assistant" and _HINT in m.text for m in prompt.messages) else f" {_HINT}"
        return f"You said: {_as_sentence(heard)}{hint}"


def _obey(request: str) -> str:
    if exact := _SAY_EXACTLY.fullmatch(request):
        return exact["words"]
    quote = " ".join(request.split())
    if len(quote) > _MAX_QUOTE:
        quote = quote[:_MAX_QUOTE].rsplit(" ", 1)[0] + "…"
    return f'I only follow simple rules, so I can\'t do this: "{quote}"'


def _recall(prompt: Prompt) -> str:
    earlier = [message.text for message in prompt.messages[:-1] if message.role == "user" and message.text.strip()]
    return f"You said: {_as_sentence(earlier[-1])}" if earlier else "You have not said anything before that."


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9']+", text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")))


def _as_sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _spoken_time(now: datetime) -> str:
    return f"{now.hour % 12 or 12}:{now:%M} {'AM' if now.hour < 12 else 'PM'}"


def _spoken_date(now: datetime) -> str:
    return f"{now:%A}, {now:%B} {now.day}, {now.year}"
