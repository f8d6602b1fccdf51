"""What a test may let a model say and wait for, on one connection or on whichever is the newest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from realtime_agent.testing import acknowledge
from realtime_agent.testing.conversation import Conversation, ReplyOptions
from realtime_agent.testing.outputs import Call, Event, Output, Speech, Text

__all__ = ["Script"]


class Script(ABC):
    """The lines of a model."""

    @property
    @abstractmethod
    def conversation(self) -> Conversation:
        """What the model knows of its conversation.

        Raises:
            AssertionError: nobody has connected yet.
        """

    @abstractmethod
    async def send(self, event: str | Mapping[str, Any], /, **fields: Any) -> None:
        """Emit one event: a whole one, or a type and its fields. What has no `event_id` gets one.

        Raises:
            ConnectionClosed: the client is gone.
        """

    @abstractmethod
    async def send_raw(self, message: str | bytes) -> None:
        """Emit what need not be an event, nor JSON. Raises as `send` does."""

    @abstractmethod
    async def expect(
        self, kind: str, nth: int | None = None, /, *, timeout: float | None = None, **fields: Any
    ) -> Event:
        """Wait for an event of the client's.

        Args:
            kind: Its type.
            nth: Which of its kind, the first being 1; by default the next after the last one that was expected.
            timeout: How many seconds to wait, if not the server's.
            fields: What it must have; an object needs only these fields of it, at any depth.

        Raises:
            AssertionError: it did not come; says what did.
        """

    async def send_all(self, events: Iterable[Event]) -> None:
        """Emit events one after another, such as a slice of `reply`."""
        for event in events:
            await self.send(event)

    def reply(self, *outputs: Output, **options: Unpack[ReplyOptions]) -> list[Event]:
        """The events of a whole response, in order, to be sent as far as a test likes.

        What the options mean, `Conversation.reply` says.
        """
        return list(self.conversation.reply(*outputs, **options))

    async def speak(
        self,
        text: str = "Hello.",
        pcm: bytes | None = None,
        *,
        item_id: str | None = None,
        **options: Unpack[ReplyOptions],
    ) -> str:
        """Give a whole spoken reply, with options as `reply` has; gives its item's id."""
        await self._ready()
        item_id = item_id or self.conversation.ids.new("item")
        await self.send_all(self.reply(Speech(text, pcm, item_id=item_id), **options))
        return item_id

    async def write(self, text: str = "Hello.", *, item_id: str | None = None, **options: Unpack[ReplyOptions]) -> str:
        """Give a whole written reply, with options as `reply` has; gives its item's id."""
        await self._ready()
        item_id = item_id or self.conversation.ids.new("item")
        await self.send_all(self.reply(Text(text, item_id=item_id), **options))
        return item_id

    async def call_function(
        self,
        name: str,
        arguments: Mapping[str, Any] | str | None = None,
        *,
        call_id: str | None = None,
        **options: Unpack[ReplyOptions],
    ) -> str:
        """Give a whole reply that calls a function, with options as `reply` has; gives the call's id."""
        await self._ready()
        call_id = call_id or self.conversation.ids.new("call")
        await self.send_all(self.reply(Call(name, arguments or {}, call_id), **options))
        return call_id

    async def output_of(self, call_id: str) -> str:
        """Wait for what the client says came of a call."""
        item = {"type": "function_call_output", "call_id": call_id}
        event = await self.expect("conversation.item.create", 1, item=item)
        output: str = event["item"]["output"]
        return output

    async def hear(self, words: str | None, *, item_id: str | None = None, speech_ms: int = 500) -> str:
        """Take a turn of the user's, as a server does that detects turns; gives its item's id.

        The response that is being given is cancelled, if the settings say that a user may interrupt.
        """
        await self._ready()
        conversation = self.conversation
        item_id = item_id or conversation.ids.new("item")
        started, *rest = conversation.heard(words, item_id=item_id, speech_ms=speech_ms)
        await self.send(started)
        if conversation.interrupts():
            await self.send_all(conversation.cancelled("turn_detected"))
        await self.send_all(rest)
        return item_id

    async def transcribe(self, words: str, *, item_id: str) -> None:
        """Tell what the user said in an item, such as one that the client committed."""
        await self._ready()
        await self.send_all(self.conversation.transcribed(words, item_id=item_id))

    async def error(
        self,
        code: str | None,
        message: str | None = None,
        *,
        event_id: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        """Report an error; `event_id` names the client's event at fault."""
        await self.send(acknowledge.error(code, message, event_id=event_id, param=param, kind=kind))

    @abstractmethod
    async def _ready(self) -> None:
        """Wait until there is a connection."""
