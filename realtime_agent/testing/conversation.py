"""What a model knows of its conversation, read from the events that went either way. No I/O."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypedDict

from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime.conversation.settings import merge_settings
from realtime_agent.testing.ids import Ids
from realtime_agent.testing.outputs import Call, Event, Output, Text, words_of
from realtime_agent.testing.session import new_session

__all__ = ["USAGE", "Conversation", "ReplyOptions"]

USAGE: Mapping[str, Any] = {
    "total_tokens": 30,
    "input_tokens": 20,
    "output_tokens": 10,
    "input_token_details": {
        "text_tokens": 15,
        "audio_tokens": 5,
        "image_tokens": 0,
        "cached_tokens": 8,
        "cached_tokens_details": {"text_tokens": 6, "audio_tokens": 2, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 4, "audio_tokens": 6},
}
"""What a reply costs, unless a test says otherwise."""

_MAX_REQUESTS = 100


class ReplyOptions(TypedDict, total=False):
    """What `Conversation.reply` takes by name."""

    response_id: str | None
    status: str
    reason: str | None
    usage: Mapping[str, Any] | None
    in_conversation: bool | None
    metadata: Mapping[str, str] | None


class Conversation:
    """One session: its settings, its items in order, and the response that is being given.

    Attributes:
        id: The conversation's id.
        session: The settings in force.
        response: The response of the conversation that has begun and is not done, as it was announced.
        requests: What the client has asked for in each `response.create` that no response has answered yet.
        heard_ms: How much of the user's audio has come.
        waiting_ms: How much of it is in no item yet.
    """

    def __init__(self, ids: Ids, model: str) -> None:
        self.ids = ids
        self.id = ids.new("conv")
        self.session = new_session(ids.new("sess"), model)
        self.response: Event | None = None
        self.requests: deque[Mapping[str, Any]] = deque(maxlen=_MAX_REQUESTS)
        self.heard_ms = 0.0
        self.waiting_ms = 0.0
        self._items: dict[str, Event] = {}
        self._open: dict[str, tuple[int, Event]] = {}
        # Milliseconds of audio by item: all that was sent, and what of it was heard where the client has truncated it.
        self._sent_ms: dict[str, float] = {}
        self._heard_ms: dict[str, float] = {}

    @property
    def items(self) -> dict[str, Event]:
        """Every item by its id, in the order of the conversation.

        An item that the client has truncated has only the words that were heard. For this, its words count as spread
        evenly over its audio: ten words in three seconds, of which two were heard, leave six.
        """
        return {item_id: self._as_heard(item_id, item) for item_id, item in self._items.items()}

    @property
    def last_id(self) -> str | None:
        """The last item's id."""
        return next(reversed(self._items), None)

    def spoken_ms(self, item_id: str) -> float:
        """How much audio this item has: what was sent, or what the client has left of it."""
        return self._heard_ms.get(item_id, self._sent_ms.get(item_id, 0))

    def interrupts(self) -> bool:
        """Whether a user who speaks ends the response."""
        turn_detection = self.session["audio"]["input"]["turn_detection"]
        return turn_detection is not None and turn_detection.get("interrupt_response") is not False

    def update(self, change: Event) -> Event:
        """Apply a `session.update`; gives all settings."""
        self.session = merge_settings(self.session, change)
        return self.session

    def hear(self, pcm: bytes) -> None:
        """More of the user's audio."""
        self.heard_ms += len(pcm) / BYTES_PER_MS
        self.waiting_ms += len(pcm) / BYTES_PER_MS

    def note(self, event: Mapping[str, Any]) -> None:
        """Remember what an event says that goes to the client, as far as it says what such an event should."""
        match event:
            case {"type": "conversation.item.added", "item": {"id": str(item_id)} as item}:
                self._insert(item_id, item, event.get("previous_item_id"))
            case {"type": "conversation.item.done", "item": {"id": str(item_id)} as item} if item_id in self._items:
                self._items[item_id] = item
            case {"type": "conversation.item.truncated", "item_id": str(item_id), "audio_end_ms": int(heard_ms)}:
                self._heard_ms[item_id] = heard_ms
            case {"type": "conversation.item.deleted", "item_id": str(item_id)}:
                for known in (self._items, self._sent_ms, self._heard_ms):
                    known.pop(item_id, None)
            case {"type": "input_audio_buffer.committed" | "input_audio_buffer.cleared"}:
                self.waiting_ms = 0
            case {"type": str(kind)} if kind.startswith("response."):
                self._note_response(event)

    def _note_response(self, event: Mapping[str, Any]) -> None:
        match event:
            case {"type": "response.created", "response": {} as response}:
                if self.requests:
                    self.requests.popleft()
                if _in_conversation(response):
                    self.response = dict(response)
                    self._open.clear()
            case {"type": "response.done", "response": {} as response}:
                if self.response is not None and response.get("id") == self.response.get("id"):
                    self.response = None
            case {"type": "response.output_item.added", "item": {"id": str(item_id)} as item}:
                self._open[item_id] = event.get("output_index", 0), dict(item)
            case {"type": "response.output_item.done", "item": {"id": str(item_id)}}:
                self._open.pop(item_id, None)
            case {"type": "response.output_audio.delta", "item_id": str(item_id), "delta": str(delta)}:
                self._sent_ms[item_id] = self._sent_ms.get(item_id, 0) + len(base64.b64decode(delta)) / BYTES_PER_MS
            case {"type": str(kind), "item_id": str(item_id), "delta": str(delta)} if item_id in self._open:
                _, item = self._open[item_id]
                _extend(item, kind, delta)

    def reply(
        self,
        *outputs: Output,
        response_id: str | None = None,
        status: str = "completed",
        reason: str | None = None,
        usage: Mapping[str, Any] | None = USAGE,
        in_conversation: bool | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Iterator[Event]:
        """The events of a whole response, in order; it is remembered only when they are sent.

        Args:
            outputs: What it says and does, each an item.
            response_id: Its id; made up, unless given.
            status: How it ends: completed, cancelled, incomplete or failed; then the last item is incomplete.
            reason: Why it ends so, as in `status_details`.
            usage: What it costs.
            in_conversation: Whether its items join the conversation; else it is out-of-band. Unless given, it is as
                the oldest request says that was not answered yet.
            metadata: What it is marked with; unless given, with what that request says.
        """
        request = self.requests[0] if self.requests else {}
        if in_conversation is None:
            in_conversation = request.get("conversation") != "none"
        if metadata is None:
            metadata = request.get("metadata")
        response_id = response_id or self.ids.new("resp")
        audio = self.session["audio"]["output"]
        modality = "text" if any(isinstance(output, Text) for output in outputs) else "audio"
        response: Event = {
            "id": response_id,
            "object": "realtime.response",
            "status": "in_progress",
            "status_details": None,
            "output": [],
            "conversation_id": self.id if in_conversation else None,
            "output_modalities": [modality],
            "max_output_tokens": self.session["max_output_tokens"],
            "audio": {"output": {"format": audio["format"], "voice": audio["voice"]}},
            "metadata": None if metadata is None else dict(metadata),
            "usage": None,
        }
        yield {"type": "response.created", "response": response}
        items: list[Event] = []
        previous = self.last_id
        for index, output in enumerate(outputs):
            item_id = output.item_id or self.ids.new("item")
            if isinstance(output, Call) and output.call_id is None:
                output = replace(output, call_id=self.ids.new("call"))
            whole = status == "completed" or index < len(outputs) - 1
            item = output.end(item_id, "completed" if whole else "incomplete")
            place = {"response_id": response_id, "output_index": index}
            first = output.begin(item_id)
            yield {"type": "response.output_item.added", **place, "item": first}
            if in_conversation:
                yield {"type": "conversation.item.added", "previous_item_id": previous, "item": first}
            content = {} if isinstance(output, Call) else {"content_index": 0}
            yield from output.pieces({**place, "item_id": item_id, **content})
            yield {"type": "response.output_item.done", **place, "item": item}
            if in_conversation:
                yield {"type": "conversation.item.done", "previous_item_id": previous, "item": item}
            items.append(item)
            previous = item_id
        details = {"type": status} | ({"reason": reason} if reason else {})
        end = {"status": status, "status_details": details, "output": items, "usage": usage and dict(usage)}
        yield {"type": "response.done", "response": response | end}

    def cancelled(self, reason: str) -> list[Event]:
        """The events that end the response before its time; none if there is none."""
        if self.response is None:
            return []
        events: list[Event] = []
        items = []
        for item_id, (index, item) in self._open.items():
            item = item | {"status": "incomplete"}
            place = {"response_id": self.response.get("id"), "output_index": index}
            events.append({"type": "response.output_item.done", **place, "item": item})
            if item_id in self._items:
                order = [None, *self._items]
                previous = order[order.index(item_id) - 1]
                events.append({"type": "conversation.item.done", "previous_item_id": previous, "item": item})
            items.append(item)
        details = {"type": "cancelled", "reason": reason}
        end = {"status": "cancelled", "status_details": details, "output": items, "usage": dict(USAGE)}
        return [*events, {"type": "response.done", "response": self.response | end}]

    def heard(
        self, words: str | None, *, item_id: str | None = None, speech_ms: int = 500, by_vad: bool = True
    ) -> Iterator[Event]:
        """The events of a whole turn of the user's, in order.

        Args:
            words: What the transcription says; None if there is none.
            item_id: The item's id; made up, unless given.
            speech_ms: How long they spoke; the turn ends now.
            by_vad: Whether the server found the turn itself; else the client committed it.
        """
        item_id = item_id or self.ids.new("item")
        if by_vad:
            end = max(int(self.heard_ms), speech_ms)
            start = end - speech_ms
            yield {"type": "input_audio_buffer.speech_started", "audio_start_ms": start, "item_id": item_id}
            yield {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": end, "item_id": item_id}
        previous = self.last_id
        yield {"type": "input_audio_buffer.committed", "previous_item_id": previous, "item_id": item_id}
        part = {"type": "input_audio", "transcript": None}
        item: Event = {"id": item_id, "object": "realtime.item", "type": "message", "status": "completed"}
        item |= {"role": "user", "content": [part]}
        yield {"type": "conversation.item.added", "previous_item_id": previous, "item": item}
        yield {"type": "conversation.item.done", "previous_item_id": previous, "item": item}
        if words is not None:
            yield from self.transcribed(words, item_id=item_id, speech_ms=speech_ms)

    def transcribed(self, words: str, *, item_id: str, speech_ms: int = 500) -> Iterator[Event]:
        """The events that bring the words of an item of the user's."""
        kind = "conversation.item.input_audio_transcription"
        where = {"item_id": item_id, "content_index": 0}
        usage = {"type": "duration", "seconds": speech_ms / 1000}
        yield {"type": f"{kind}.delta", **where, "delta": words}
        yield {"type": f"{kind}.completed", **where, "transcript": words, "usage": usage}

    def _insert(self, item_id: str, item: Event, previous: str | None) -> None:
        order = list(self._items.items())
        at = 0 if previous is None else next((n for n, (id_, _) in enumerate(order, 1) if id_ == previous), len(order))
        order.insert(at, (item_id, item))
        self._items = dict(order)

    def _as_heard(self, item_id: str, item: Event) -> Event:
        heard_ms, sent_ms = self._heard_ms.get(item_id), self._sent_ms.get(item_id)
        if heard_ms is None or sent_ms is None:
            return item
        content = []
        for part in item.get("content", []):
            words = words_of(part.get("transcript") or "")
            content.append(part | {"transcript": "".join(words[: int(len(words) * heard_ms / sent_ms)])})
        return item | {"content": content}


def _in_conversation(response: Mapping[str, Any]) -> bool:
    """Out-of-band responses name no conversation, and may run beside the one that does."""
    return response.get("conversation_id", "") is not None


def _extend(item: Event, kind: str, delta: str) -> None:
    """Complete an item with more of what it says."""
    if kind == "response.function_call_arguments.delta":
        item["arguments"] = item.get("arguments", "") + delta
        return
    part, text = {
        "response.output_audio_transcript.delta": ("output_audio", "transcript"),
        "response.output_text.delta": ("output_text", "text"),
    }.get(kind, ("", ""))
    if part:
        said = "".join(old.get(text, "") for old in item.get("content", []))
        item["content"] = [{"type": part, text: said + delta}]
