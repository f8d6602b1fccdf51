"""What every session does with its client: it answers each event in its turn, or says what is wrong."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, Callable

from realtime_agent.errors import InvalidEvent
from realtime_agent.local_model.buffer import decode_pcm
from realtime_agent.local_model.context import Context
from realtime_agent.local_model.listener import Listener
from realtime_agent.local_model.session import AnySettings
from realtime_agent.realtime.events import (
    ClientEvent,
    ErrorEvent,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    SessionCreated,
    SessionUpdate,
    SessionUpdated,
    parse_client_event,
)
from realtime_agent.realtime.types import AnySessionConfig, ErrorDetail

__all__ = ["Exchange"]

logger = logging.getLogger(__name__)

_MAX_UNREAD = 1024
"""Messages that may wait for a client before what it sends waits too. Far above what responses may fill, so that a
client which is busy sending can still interrupt them."""


class Exchange:
    """Holds one session with one client; nothing the client sends ends it.

    Audio and settings are the same in every session; `answer` does the other events.
    """

    def __init__(
        self, context: Context, listener: Listener, settings: AnySettings, answer: Callable[[ClientEvent], None]
    ) -> None:
        self._context = context
        self._listener = listener
        self._settings = settings
        self._answer = answer

    async def run(self, messages: AsyncIterable[str | bytes]) -> None:
        """Serve a client until its messages end."""
        async with self._context.tasks:
            self._context.emit(SessionCreated(session=self._settings.to_dict()))
            async for message in messages:
                await self._handle(message)
                await self._listener.keep_up()
                await self._context.outbox.room(_MAX_UNREAD)
            self._context.end()

    async def _handle(self, message: str | bytes) -> None:
        event_id = None
        try:
            event = parse_client_event(message)
            event_id = event.event_id
            await self._dispatch(event)
        except InvalidEvent as error:
            self._context.emit_error(error, error.event_id or event_id)
        except Exception:
            logger.exception("an event could not be handled")
            detail = ErrorDetail(type="server_error", message="The event could not be handled.", event_id=event_id)
            self._context.emit(ErrorEvent(error=detail))

    async def _dispatch(self, event: ClientEvent) -> None:
        match event:
            case InputAudioBufferAppend():
                await self._listener.append(decode_pcm(event.audio, "audio"))
            case InputAudioBufferCommit():
                self._listener.commit()
            case InputAudioBufferClear():
                self._listener.clear()
            case SessionUpdate():
                self._update(event.session)
            case _:
                self._answer(event)

    def _update(self, change: AnySessionConfig) -> None:
        self._settings.update(change)
        self._listener.configure()
        self._context.emit(SessionUpdated(session=self._settings.to_dict()))
