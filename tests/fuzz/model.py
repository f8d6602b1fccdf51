"""A Realtime server in memory, for simulations: it keeps the protocol's rules and remembers who broke one."""

from __future__ import annotations

import base64
import json
import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime import events as ev

__all__ = ["Item", "Model", "Serials"]

WORD_MS = 100
"""Each word of a reply is spoken in so long."""


class Serials:
    """Numbers that are never given twice: for ids, and for audio of which every 20 ms is another."""

    def __init__(self) -> None:
        self._next = 0

    def take(self) -> int:
        self._next += 1
        return self._next


@dataclass
class Item:
    """An item as the server has it."""

    id: str
    kind: str
    words: list[str] = field(default_factory=list)
    sent_ms: int = 0
    call_id: str | None = None

    @property
    def text(self) -> str:
        return " ".join(self.words)


@dataclass
class _Response:
    id: str
    script: deque[dict[str, Any]]
    items: list[Item] = field(default_factory=list)


class Model:
    """One session. `take` gives it a client's event, `step` lets it go on with its response.

    Attributes:
        outgoing: What it has sent and the client has not received.
        faults: The rules that the client broke.
        contexts: What each response answers that has no instructions of its own: what was said by the user, and told
            of calls, before it began.
    """

    def __init__(self, chance: random.Random, serials: Serials, *, tells_request: bool) -> None:
        self.chance = chance
        self.serials = serials
        self.tells_request = tells_request
        self.items: list[Item] = []
        self.outgoing: deque[str] = deque()
        self.faults: list[str] = []
        self.active: _Response | None = None
        self.turn_detection: dict[str, Any] | None = {"create_response": True, "interrupt_response": True}
        self.heard_ms = 0
        self.speech: str | None = None
        self.open_calls: set[str] = set()
        self.untranscribed: list[str] = []
        self.contexts: dict[str, set[str]] = {}
        self.refused: set[str] = set()

    # The client.

    def take(self, event: ev.ClientEvent) -> None:
        """The client's event has arrived."""
        match event:
            case ev.SessionUpdate():
                self._update(event)
            case ev.ItemCreate():
                self._create_item(event)
            case ev.ItemDelete():
                self._delete_item(event)
            case ev.ItemTruncate():
                self._truncate(event)
            case ev.ResponseCreate():
                self._create_response(event)
            case ev.ResponseCancel():
                if self.active is None or event.response_id not in (None, self.active.id):
                    self._refuse(event, "response_cancel_not_active")
                else:
                    self._finish("cancelled")
            case ev.InputAudioBufferCommit():
                self._commit(event)
            case ev.InputAudioBufferClear():
                self.speech = None
                self.send("input_audio_buffer.cleared")
            case ev.InputAudioBufferAppend():
                self.heard_ms += len(base64.b64decode(event.audio)) // BYTES_PER_MS

    def _update(self, event: ev.SessionUpdate) -> None:
        config = event.session.to_dict()
        if config.get("instructions") == "refuse":
            self._refuse(event, "invalid_value", param="session.instructions")
            return
        audio = config.get("audio", {}).get("input", {})
        if "turn_detection" in audio:
            self.turn_detection = audio["turn_detection"]
            if self.turn_detection is None:
                self.speech = None
        self.send("session.updated", session=config)

    def _create_item(self, event: ev.ItemCreate) -> None:
        item = event.item
        assert item.id is not None
        if self.find(item.id) is not None:
            self.faults.append(f"item {item.id} was created twice")
        text = item.arguments or item.output or "".join(part.text or "" for part in item.content or [])
        if text == "refuse" or event.previous_item_id in self.refused:
            self.refused.add(item.id)
            self._refuse(event, "invalid_value", param="item.content")
            return
        is_output = item.type == "function_call_output"
        if is_output and not any((each.kind, each.call_id) == ("call", item.call_id) for each in self.items):
            self.faults.append(f"the output of {item.call_id} has no call")
        kind = {"function_call": "call", "function_call_output": "output"}.get(item.type, str(item.role))
        new = Item(item.id, kind, text.split(), call_id=item.call_id)
        before = event.previous_item_id
        index = len(self.items)
        if before == "root":
            index = 0
        elif before is not None:
            known = self.find(before)
            if known is None:
                self.faults.append(f"item {item.id} was put behind {before}, which is not there")
            else:
                index = self.items.index(known) + 1
        self.items.insert(index, new)
        self._announce(new)

    def _delete_item(self, event: ev.ItemDelete) -> None:
        item = self.find(event.item_id)
        if item is None:
            self._refuse(event, "item_delete_invalid_item_id")
            return
        self.items.remove(item)
        self.send("conversation.item.deleted", item_id=item.id)

    def _truncate(self, event: ev.ItemTruncate) -> None:
        item = self.find(event.item_id)
        if item is None or item.kind != "assistant" or not item.sent_ms:
            self.faults.append(f"there is no audio of {event.item_id} to truncate")
        elif event.audio_end_ms > item.sent_ms:
            self.faults.append(f"{event.item_id} was truncated at {event.audio_end_ms} of {item.sent_ms} ms")
        else:
            item.words = item.words[: event.audio_end_ms // WORD_MS]
            item.sent_ms = event.audio_end_ms

    def _create_response(self, event: ev.ResponseCreate) -> None:
        instructions = event.response.instructions if event.response else None
        if self.active is not None:
            self._refuse(event, "conversation_already_has_active_response")
        elif instructions == "refuse":
            self._refuse(event, "invalid_value", param="response.instructions")
        else:
            self.respond(event.response.metadata if event.response and self.tells_request else None)
            if instructions:
                assert self.active is not None
                del self.contexts[self.active.id]

    def _commit(self, event: ev.ClientEvent) -> None:
        if self.chance.random() < 0.2:
            self._refuse(event, "input_audio_buffer_commit_empty")
            return
        self.speech = None
        self._add_turn()

    def _refuse(self, event: ev.ClientEvent, code: str, *, param: str | None = None) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": code, "event_id": event.event_id}
        self.send("error", error=error | ({"param": param} if param else {}))

    # The user.

    def user_speaks(self) -> None:
        """Turn detection hears a voice, or the end of one."""
        if self.turn_detection is None:
            return
        if self.speech is None:
            self.speech = self._new_id("user")
            start = self.chance.randint(0, self.heard_ms)
            self.send("input_audio_buffer.speech_started", audio_start_ms=start, item_id=self.speech)
            if self.active is not None and self.turn_detection.get("interrupt_response", True):
                self._finish("cancelled")
            return
        self.send("input_audio_buffer.speech_stopped", audio_end_ms=self.heard_ms, item_id=self.speech)
        item_id, self.speech = self.speech, None
        self._add_turn(item_id)
        if self.turn_detection.get("create_response", True):
            if self.active is None:
                self.respond()
            else:
                error = {"type": "x", "message": "x", "code": "conversation_already_has_active_response"}
                self.send("error", error=error)

    def transcribe(self) -> None:
        """The words of a turn are known."""
        if not self.untranscribed:
            return
        item_id = self.untranscribed.pop(0)
        item = self.find(item_id)
        if item is not None:
            item.words = [f"said-{item_id}"]
            completed = "conversation.item.input_audio_transcription.completed"
            self.send(completed, item_id=item_id, content_index=0, transcript=item.text)

    def _add_turn(self, item_id: str | None = None) -> None:
        item = Item(item_id or self._new_id("user"), "user")
        previous = self.items[-1].id if self.items else None
        self.items.append(item)
        self.untranscribed.append(item.id)
        self.send("input_audio_buffer.committed", item_id=item.id, previous_item_id=previous)
        self._announce(item)

    # Responses.

    def respond(self, metadata: dict[str, str] | None = None) -> None:
        """Begin a response: some words, perhaps a call."""
        self.active = _Response(self._new_id("resp"), deque())
        self.contexts[self.active.id] = {item.id for item in self.items if item.kind in ("user", "output")}
        response = {"id": self.active.id, "status": "in_progress", "metadata": metadata}
        self.send("response.created", response=response)
        chance = self.chance
        if chance.random() < 0.9:
            item = Item(self._new_id("item"), "assistant")
            count = chance.randrange(0, 8)
            words = [f"w{self.serials.take()}" for _ in range(count)]
            for index, word in enumerate(words):
                self.active.script.append({"word": (item, word, index == 0)})
            self.active.script.append({"end": item})
        for _ in range(chance.choice([0, 0, 0, 1, 2])):
            item_id = self._new_id("item-call")
            self.active.script.append({"call": Item(item_id, "call", call_id=item_id.removeprefix("item-"))})

    def step(self) -> None:
        """Go on with the response."""
        if self.active is None:
            return
        if not self.active.script:
            self._finish("completed")
            return
        match self.active.script.popleft():
            case {"word": (item, word, first)}:
                self._say(item, word, first=first)
            case {"end": item}:
                self._end(item)
            case {"call": item}:
                self._call(item)

    def _where(self, item: Item) -> dict[str, Any]:
        assert self.active is not None
        return {"response_id": self.active.id, "item_id": item.id, "output_index": 0, "content_index": 0}

    def _begin(self, item: Item) -> None:
        assert self.active is not None
        self.active.items.append(item)
        shape = {"id": item.id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        self.send("response.output_item.added", response_id=self.active.id, output_index=0, item=shape)
        self.items.append(item)
        previous = self.items[-2].id if len(self.items) > 1 else None
        self.send("conversation.item.added", item=shape, previous_item_id=previous)

    def _say(self, item: Item, word: str, *, first: bool) -> None:
        if first:
            self._begin(item)
        item.words.append(word)
        delta = word if first else f" {word}"
        self.send("response.output_audio_transcript.delta", delta=delta, **self._where(item))
        pcm = b"".join(self.serials.take().to_bytes(4, "big") * (20 * BYTES_PER_MS // 4) for _ in range(WORD_MS // 20))
        item.sent_ms += WORD_MS
        self.send("response.output_audio.delta", delta=base64.b64encode(pcm).decode(), **self._where(item))

    def _end(self, item: Item) -> None:
        assert self.active is not None
        if item not in self.active.items:
            return
        self.send("response.output_audio.done", **self._where(item))
        self.send("response.output_audio_transcript.done", transcript=item.text, **self._where(item))
        shape = {"id": item.id, "type": "message", "role": "assistant", "status": "completed", "content": []}
        self.send("response.output_item.done", response_id=self.active.id, output_index=0, item=shape)
        self.send("conversation.item.done", item=shape)

    def _call(self, item: Item) -> None:
        assert self.active is not None
        item.words = ["{}"]
        self.items.append(item)
        self.active.items.append(item)
        shape = {
            "id": item.id, "type": "function_call", "status": "completed",
            "call_id": item.call_id, "name": "look_up", "arguments": "{}",
        }  # fmt: skip
        self.send("response.output_item.added", response_id=self.active.id, output_index=1, item=shape)
        previous = self.items[-2].id if len(self.items) > 1 else None
        self.send("conversation.item.added", item=shape, previous_item_id=previous)
        self.send("response.output_item.done", response_id=self.active.id, output_index=1, item=shape)

    def _finish(self, status: str) -> None:
        assert self.active is not None
        if status == "cancelled":
            # What a cancelled response called is forgotten: nobody will answer it.
            self.items = [item for item in self.items if item not in self.active.items or item.kind != "call"]
        usage = {"total_tokens": 3, "input_tokens": 1, "output_tokens": 2}
        output = [
            {"id": item.id, "type": "message", "role": "assistant"}
            if item.kind == "assistant"
            else {"id": item.id, "type": "function_call", "call_id": item.call_id, "name": "look_up"}
            for item in self.active.items
        ]
        response = {"id": self.active.id, "status": status, "output": output, "usage": usage}
        self.active = None
        self.send("response.done", response=response)

    # What both have in common.

    def find(self, item_id: str) -> Item | None:
        return next((item for item in self.items if item.id == item_id), None)

    def send(self, kind: str, **fields: Any) -> None:
        self.outgoing.append(json.dumps({"type": kind, "event_id": "e", **fields}))

    def _announce(self, item: Item) -> None:
        kinds = {"call": "function_call", "output": "function_call_output"}
        shape = {"id": item.id, "type": kinds.get(item.kind, "message")}
        if item.kind in ("user", "assistant", "system"):
            shape["role"] = item.kind
        index = self.items.index(item)
        previous = self.items[index - 1].id if index else None
        self.send("conversation.item.added", item=shape, previous_item_id=previous)
        self.send("conversation.item.done", item=shape, previous_item_id=previous)

    def _new_id(self, kind: str) -> str:
        return f"{kind}-{self.serials.take()}"
