"""A session that is a conversation: what it hears it answers."""

from __future__ import annotations

from collections.abc import AsyncIterable

from realtime_agent.errors import InvalidEvent
from realtime_agent.local_model.buffer import decode_pcm
from realtime_agent.local_model.context import Context
from realtime_agent.local_model.exchange import Exchange
from realtime_agent.local_model.items import Conversation, Entry, new_entry
from realtime_agent.local_model.listener import Listener
from realtime_agent.local_model.outbox import Outbox
from realtime_agent.local_model.parts import Parts
from realtime_agent.local_model.responder import Responder
from realtime_agent.local_model.session import SessionSettings
from realtime_agent.realtime.events import (
    ClientEvent,
    ItemCreate,
    ItemDelete,
    ItemDeleted,
    ItemRetrieve,
    ItemRetrieved,
    ItemTruncate,
    ItemTruncated,
    OutputAudioBufferClear,
    ResponseCancel,
    ResponseCreate,
)
from realtime_agent.realtime.types import Item, ResponseConfig

__all__ = ["Dialogue"]


class Dialogue:
    """A session whose items are what its user and the model say."""

    def __init__(self, parts: Parts, settings: SessionSettings, outbox: Outbox) -> None:
        self._settings = settings
        self._context = Context(outbox, Conversation())
        self._listener = Listener(
            self._context, parts, settings, on_start=self._user_began, on_turn=self._user_finished
        )
        self._responder = Responder(
            self._context, parts, settings, self._listener.settled, self._listener.expect_speech
        )
        self._exchange = Exchange(self._context, self._listener, settings, self._answer)

    async def run(self, messages: AsyncIterable[str | bytes]) -> None:
        """Serve a client until its messages end."""
        await self._exchange.run(messages)

    def _answer(self, event: ClientEvent) -> None:
        match event:
            case ItemCreate():
                self._create_item(event)
            case ItemRetrieve():
                self._context.emit(ItemRetrieved(item=self._context.conversation.get(event.item_id).item))
            case ItemTruncate():
                self._truncate_item(event)
            case ItemDelete():
                self._context.conversation.delete(event.item_id)
                self._context.emit(ItemDeleted(item_id=event.item_id))
            case ResponseCreate():
                self._create_response(event.response or ResponseConfig())
            case ResponseCancel():
                self._responder.cancel(event.response_id)
            case OutputAudioBufferClear():
                raise InvalidEvent("There is no output audio buffer on a websocket.", "invalid_value", "type")

    def _create_item(self, event: ItemCreate) -> None:
        entry, pcm = _entry_and_audio(event.item, "item")
        self._context.add(entry, event.previous_item_id)
        if pcm:
            self._listener.transcribe(entry, pcm)

    def _truncate_item(self, event: ItemTruncate) -> None:
        item_id, content_index, audio_end_ms = event.item_id, event.content_index, event.audio_end_ms
        self._context.conversation.truncate(item_id, content_index, audio_end_ms)
        self._context.emit(ItemTruncated(item_id=item_id, content_index=content_index, audio_end_ms=audio_end_ms))

    def _create_response(self, config: ResponseConfig) -> None:
        if config.input is None:
            self._responder.start(config)
            return
        entries = [self._input_entry(item, f"response.input[{i}]") for i, item in enumerate(config.input)]
        self._responder.start(config, entries)

    def _input_entry(self, item: Item, param: str) -> Entry:
        if item.type == "item_reference":
            return self._context.conversation.get(item.id or "")
        entry, pcm = _entry_and_audio(item, param)
        if pcm:
            self._listener.transcribe(entry, pcm, announce=False)
        return entry

    def _user_began(self) -> None:
        detection = self._settings.input.turn_detection
        if detection and detection.interrupt_response:
            self._responder.interrupt()

    def _user_finished(self) -> None:
        detection = self._settings.input.turn_detection
        if not detection or not detection.create_response:
            return
        try:
            self._responder.start(ResponseConfig())
        except InvalidEvent as error:
            self._context.emit_error(error)


def _entry_and_audio(item: Item, param: str) -> tuple[Entry, bytes]:
    """The entry of a client's item, and its audio that is not written down yet."""
    entry = new_entry(item, param)
    parts = enumerate(item.content or [])
    audio = [
        decode_pcm(part.audio, f"{param}.content[{i}].audio")
        for i, part in parts
        if part.type == "input_audio" and part.transcript is None
    ]
    return entry, b"".join(audio)
