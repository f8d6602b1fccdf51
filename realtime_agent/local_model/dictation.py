"""A session that writes down what it hears, and never answers."""

from __future__ import annotations

from collections.abc import AsyncIterable

from realtime_agent.errors import InvalidEvent
from realtime_agent.local_model.context import Context
from realtime_agent.local_model.exchange import Exchange
from realtime_agent.local_model.items import Conversation
from realtime_agent.local_model.listener import Listener
from realtime_agent.local_model.outbox import Outbox
from realtime_agent.local_model.parts import Ears
from realtime_agent.local_model.transcription_settings import TranscriptionSettings
from realtime_agent.realtime.events import ClientEvent

__all__ = ["Dictation"]

_MAX_ITEMS = 1
"""Each item names the one before it; no more is needed of those that were written down, and a session hears for an
hour."""


class Dictation:
    """A session whose items are the user's turns."""

    def __init__(self, ears: Ears, settings: TranscriptionSettings, outbox: Outbox) -> None:
        context = Context(outbox, Conversation(_MAX_ITEMS))
        self._exchange = Exchange(context, Listener(context, ears, settings), settings, _refuse)

    async def run(self, messages: AsyncIterable[str | bytes]) -> None:
        """Serve a client until its messages end."""
        await self._exchange.run(messages)


def _refuse(event: ClientEvent) -> None:
    message = f"A transcription session writes down what it hears and does nothing else: {event.type} is not for it."
    raise InvalidEvent(message, "invalid_value", "type")
