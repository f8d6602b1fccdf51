"""The model's side of a session: what it is asked, what it says, and what stops it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from realtime_agent.errors import InvalidEvent, SessionError
from realtime_agent.local_model.brain import Prompt
from realtime_agent.local_model.context import Context
from realtime_agent.local_model.items import Entry, messages_of
from realtime_agent.local_model.parts import Parts
from realtime_agent.local_model.reply import INPUT_MS_PER_TOKEN, Reply, count_words
from realtime_agent.local_model.sentences import split_sentences
from realtime_agent.local_model.session import SessionSettings
from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime.types import InputTokenDetails, ResponseConfig

__all__ = ["Responder"]

logger = logging.getLogger(__name__)

_DELTA = 100 * BYTES_PER_MS
"""How much audio goes into one delta."""

_SPEAK_TIMEOUT_S = 60
_MAX_REPLIES = 8
_APOLOGY = "I am sorry, I can't reach my language model."


class Responder:
    """Gives a session's responses: one at a time in the conversation, and a few beside it.

    `settled` waits until entries have their words; `on_done` is told how much audio a response has.
    """

    def __init__(
        self,
        context: Context,
        parts: Parts,
        settings: SessionSettings,
        settled: Callable[[list[Entry]], Awaitable[None]],
        on_done: Callable[[float | None], None],
    ) -> None:
        self._context = context
        self._parts = parts
        self._settings = settings
        self._settled = settled
        self._on_done = on_done
        self._replies: dict[str, tuple[Reply, asyncio.Task[None]]] = {}

    def start(self, config: ResponseConfig, entries: list[Entry] | None = None) -> None:
        """Begin a response to the conversation so far, or to `entries`.

        Raises:
            InvalidEvent: it asks for what this model can't do, or too many responses are going on.
        """
        self._settings.check_response(config)
        reply = Reply(self._context.emit, self._context.conversation, self._settings, config)
        active = self._active()
        if reply.in_conversation and active:
            message = (
                f"Conversation already has an active response in progress: {active.id}. "
                "Wait until the response is finished before creating a new one."
            )
            raise InvalidEvent(message, "conversation_already_has_active_response")
        if len(self._replies) >= _MAX_REPLIES:
            raise InvalidEvent(f"More than {_MAX_REPLIES} responses at a time.", "too_many_responses")
        if reply.in_conversation:
            self._on_done(None)
        reply.begin()
        shown = self._context.conversation.entries() if entries is None else entries
        task = self._context.spawn(self._respond(reply, shown, config.instructions))
        self._replies[reply.id] = reply, task
        task.add_done_callback(lambda _: self._replies.pop(reply.id))

    def cancel(self, response_id: str | None = None) -> None:
        """Stop the conversation's response, or the one with this id, because the client says so.

        Raises:
            InvalidEvent: there is none.
        """
        active = self._active() if response_id is None else self._replies.get(response_id, (None,))[0]
        if active is None or not active.active:
            raise InvalidEvent("Cancellation failed: no active response found", "response_cancel_not_active")
        self._stop(active, "client_cancelled")

    def interrupt(self) -> None:
        """Stop the conversation's response, if there is one, because the user speaks."""
        if active := self._active():
            self._stop(active, "turn_detected")

    def _active(self) -> Reply | None:
        replies = (reply for reply, _ in self._replies.values())
        return next((reply for reply in replies if reply.active and reply.in_conversation), None)

    def _stop(self, reply: Reply, reason: str) -> None:
        self._replies[reply.id][1].cancel()
        reply.finish("cancelled", reason)

    async def _respond(self, reply: Reply, entries: list[Entry], request: str | None) -> None:
        try:
            await self._settled(entries)
            await self._answer(reply, entries, request)
        except Exception:
            logger.exception("a response failed")
            reply.finish("failed", error={"type": "server_error", "message": "The response failed."})
        if reply.in_conversation:
            self._on_done(reply.audio_ms)

    async def _answer(self, reply: Reply, entries: list[Entry], request: str | None) -> None:
        prompt = Prompt(messages_of(entries), self._settings.config.instructions or "", request)
        reply.input_tokens = _count(prompt, entries)
        try:
            async with aclosing(split_sentences(self._parts.brain.reply(prompt))) as sentences:
                async for sentence in sentences:
                    if not await self._say(reply, sentence):
                        reply.finish("incomplete", "max_output_tokens")
                        return
        except SessionError as error:
            logger.warning("no answer: %s", error)
            await self._say(reply, _APOLOGY)
            reply.finish("failed", error={"type": "server_error", "code": "model_failed", "message": str(error)})
        else:
            reply.finish("completed")

    async def _say(self, reply: Reply, sentence: str) -> bool:
        """Speak or write a sentence; False if `max_output_tokens` cut it."""
        await self._context.outbox.room()
        audio = await self._speak(sentence, reply.speed) if reply.is_audio else b""
        text, pcm = reply.fit(sentence, audio)
        if text:
            reply.say(text, len(pcm) / BYTES_PER_MS)
        for start in range(0, len(pcm), _DELTA):
            await self._context.outbox.room()
            self._settings.lock_voice()
            reply.play(pcm[start : start + _DELTA])
        return text == sentence

    async def _speak(self, sentence: str, speed: float) -> bytes:
        async with asyncio.timeout(_SPEAK_TIMEOUT_S):
            return await self._parts.synthesizer.speak(sentence, speed)


def _count(prompt: Prompt, entries: list[Entry]) -> InputTokenDetails:
    spoken = [entry for entry in entries if entry.audio_ms and entry.item.role == "user"]
    instructions = prompt.instructions if prompt.request is None else prompt.request
    written = [instructions, *(entry.text for entry in entries if entry not in spoken)]
    return InputTokenDetails(
        text_tokens=sum(map(count_words, written)),
        audio_tokens=sum(int(entry.audio_ms / INPUT_MS_PER_TOKEN) for entry in spoken),
        cached_tokens=0,
    )
