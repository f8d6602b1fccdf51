"""The items of the conversation, sans-I/O: those that the server makes, and those that it is told.

What the agent says is kept with how much of it was heard, so that the model can be told, on another connection too.
"""

from __future__ import annotations

from collections.abc import Iterable

from realtime_agent.realtime import events as ev
from realtime_agent.realtime.conversation.actions import Action, Answer, Send
from realtime_agent.realtime.conversation.history import Entry, History, Kind
from realtime_agent.realtime.conversation.outgoing import OnError, Outgoing
from realtime_agent.realtime.conversation.responses import Responses
from realtime_agent.realtime.conversation.spoken import Spoken
from realtime_agent.realtime.session import EndPart, Play, Report, Transcript
from realtime_agent.realtime.types import ErrorDetail
from realtime_agent.recent import Recent

__all__ = ["Items"]

_MAX_UNANSWERED = 64
"""Items that the model has neither taken nor refused; not every server says so."""

_MAX_PLAYING = 64
"""Parts that may be played at a time; a model speaks one."""

_KINDS: dict[tuple[str, str | None], Kind] = {
    ("message", "user"): "user",
    ("message", "assistant"): "assistant",
    ("function_call", None): "call",
}
"""What a server adds to a conversation by itself."""

_Words = ev.OutputTranscriptDelta | ev.OutputTextDelta
_AllWords = ev.OutputTranscriptDone | ev.OutputTextDone


class Items:
    """Keeps `history` as the model has it, and the model's as `history` has it."""

    def __init__(self, history: History, responses: Responses, outgoing: Outgoing) -> None:
        self.history = history
        self._responses = responses
        self._outgoing = outgoing
        # Commands that wait until the model has added an item.
        self._adding: dict[str, int] = {}
        # What comes of it if the model refuses an item.
        self._on_refused: Recent[str, OnError] = Recent(_MAX_UNANSWERED)
        # Parts whose audio has begun to be played, and has not all come.
        self._playing: Recent[tuple[str, int], None] = Recent(_MAX_PLAYING)

    @property
    def adding(self) -> int:
        """How many commands wait until the model has added an item."""
        return len(self._adding)

    def connected(self, running: frozenset[str], *, in_words: bool = False) -> list[Action]:
        """Tell the model on another connection what was said.

        Args:
            running: The calls whose outputs are to come.
            in_words: Whether to leave out what the user said that could only be told as their voice.
        """
        told = [entry for entry in self.history.replay(running=running) if entry.text or not (in_words and entry.audio)]
        actions: list[Action] = [self._tell(entry) for entry in told]
        for item_id in self._adding.keys() - {entry.id for entry in told}:
            # Too much was said since: it fell out of what another connection is told.
            actions += self._taken(item_id)
        return actions

    def disconnected(self) -> list[Action]:
        """The connection is gone: of what the model was saying, no more will come."""
        actions: list[Action] = [EndPart(*part) for part in self._playing]
        for entry in self.history:
            entry.known = "nothing"
            actions += self._cut_short(entry)
            if not entry.is_ours:
                # Another connection may give the same id to something else.
                self._rename(entry)
        for call, output in self.history.answered_calls():
            call.call_id = output.call_id = self._outgoing.new_id("answered")
        self._playing.clear()
        return actions

    def make(
        self,
        kind: Kind,
        text: str,
        *,
        command: int | None = None,
        call_id: str = "",
        on_refused: OnError | None = None,
    ) -> tuple[Entry, list[Action]]:
        """Add an item of ours; while there is no connection, it is told on the next one.

        A `command` is answered when the model has taken or refused it. `on_refused` decides what comes of a refusal.
        """
        entry = self.history.put(self._outgoing.new_id("output" if kind == "output" else "text"), kind)
        # Half a character can't be sent.
        entry.text, entry.call_id = text.encode("utf-8", "replace").decode(), call_id
        entry.is_whole = entry.is_ours = True
        if command is not None:
            self._adding[entry.id] = command
        if on_refused is not None:
            self._on_refused[entry.id] = on_refused
        return entry, [self._tell(entry)] if self._outgoing.is_connected else []

    def withdraw(self, command: int) -> bool:
        """Nobody waits for this command any more. Returns whether it was an item that the model was not told."""
        item_id = next((item_id for item_id, adding in self._adding.items() if adding == command), None)
        if item_id is None:
            return False
        del self._adding[item_id]
        if not self._outgoing.is_connected:
            self.history.remove(item_id)
        return not self._outgoing.is_connected

    def refused(self, error: ErrorDetail) -> list[Action]:
        """The server has refused an item and does not say which: it is the one that it was told first."""
        entry = next((entry for item_id in self._adding if (entry := self.history.get(item_id)) is not None), None)
        return self._refused(entry, error) if entry is not None else [Report(error)]

    def forget_unheard(self, item_ids: Iterable[str]) -> list[Action]:
        """Let the model forget what it said in a response that was interrupted before any of it came."""
        said = [entry for item_id in item_ids if (entry := self.history.get(item_id)) and entry.kind == "assistant"]
        return self.forget_all(entry.id for entry in said if not entry.is_begun)

    def forget_said_after(self, item_id: str) -> list[Action]:
        """Let the model forget all that it has said and called since this item."""
        after = [entry for entry in self.history.after(item_id) if not entry.is_gone]
        called = {entry.call_id for entry in after if entry.kind == "call"}
        return [
            self.forget(entry.id)
            for entry in after
            if entry.kind in ("assistant", "call") or (entry.kind == "output" and entry.call_id in called)
        ]

    def forget_all(self, item_ids: Iterable[str]) -> list[Action]:
        """Let the model forget these items, where it was not told to already."""
        entries = [(item_id, self.history.get(item_id)) for item_id in item_ids]
        return [self.forget(item_id) for item_id, entry in entries if entry is None or not entry.is_gone]

    def forget(self, item_id: str) -> Send:
        """Let the model forget an item."""
        entry = self.history.get(item_id)
        if entry is None:
            return self._delete(item_id)
        entry.is_gone = True
        return self._delete(entry.id)

    def end(self, item_ids: Iterable[str]) -> list[Action]:
        """The response of these items is done: no more of their audio comes, said the server so or not."""
        ended = [part for part in self._playing if part[0] in set(item_ids)]
        for part in ended:
            del self._playing[part]
        return [EndPart(*part) for part in ended]

    def tell_call_again(self, call_id: str) -> list[Action]:
        """An output is to be told, whose call fell out of what was told on this connection."""
        entry = self.history.call(call_id)
        if entry is None or entry.known != "nothing" or not self._outgoing.is_connected:
            return []
        self.history.move_to_end(entry)
        return [self._tell(entry)]

    def interrupted(self, heard: Iterable[tuple[str, int, int]]) -> list[Action]:
        """What of the agent's speech was cut, as (item_id, content_index, ms heard)."""
        actions: list[Action] = []
        changed: list[Entry] = []
        self._playing.clear()
        for item_id, content_index, ms in heard:
            entry = self.history.get(item_id)
            if entry is None or entry.kind != "assistant":
                continue
            part = entry.part(content_index)
            end = min(ms, part.received_ms)
            part.cut(end)
            actions.append(_final(entry, item_id, interrupted=True))
            if entry.known == "audio":
                truncate = ev.ItemTruncate(item_id=item_id, content_index=content_index, audio_end_ms=end)
                actions.append(self._outgoing.send(truncate))
            elif entry.known == "words" and entry not in changed and not entry.is_gone:
                changed.append(entry)
        remade = [action for entry in changed for action in self._make_anew(entry)]
        return [*actions, *remade, *self._stop_all()]

    def added(self, event: ev.ItemAdded | ev.ItemDone | ev.ItemCreated) -> list[Action]:
        """The server has an item, at its place."""
        item = event.item
        if item.id is None:
            return []
        kind = _KINDS.get((item.type, item.role))
        entry = self.history.put(item.id, kind) if kind is not None else self.history.get(item.id)
        if entry is not None:
            entry.known = "words" if entry.known == "words" else "audio"
            self.history.move(entry, event.previous_item_id)
        return self._taken(item.id)

    def output(self, event: ev.OutputItemAdded | ev.OutputItemDone) -> None:
        """A response begins or ends an item."""
        active = self._responses.active
        if active is not None and event.response_id == active.id and event.item.id is not None:
            active.items[event.item.id] = isinstance(event, ev.OutputItemDone)

    def deleted(self, event: ev.ItemDeleted) -> list[Action]:
        """The server has forgotten an item."""
        self.history.remove(event.item_id)
        return []

    def audio(self, event: ev.OutputAudioDelta) -> list[Action]:
        """The agent says more."""
        if not self._responses.is_heard(event.response_id):
            return []
        try:
            pcm = event.pcm()
        except ValueError:
            return [Report(ErrorDetail(type="invalid_audio", message="the model sent audio that is not base64"))]
        self._said(event).part(event.content_index).add_audio(pcm)
        key = event.item_id, event.content_index
        if key not in self._playing:
            self._playing[key] = None
        return [Play(event.item_id, event.content_index, pcm)]

    def all_audio(self, event: ev.OutputAudioDone) -> list[Action]:
        """The agent has said all of a part."""
        if not self._responses.is_heard(event.response_id):
            return []
        self._playing.pop((event.item_id, event.content_index), None)
        return [EndPart(event.item_id, event.content_index)]

    def words(self, event: _Words) -> list[Action]:
        """More words of what the agent says, or writes."""
        entry, part = self._part_of(event)
        if entry is None or part is None:
            return []
        part.is_written = isinstance(event, ev.OutputTextDelta)
        part.add_words(event.delta)
        return [Transcript("assistant", event.item_id, event.delta, typed=entry.is_written)]

    def all_words(self, event: _AllWords) -> list[Action]:
        """All words of a part."""
        entry, part = self._part_of(event)
        if entry is None or part is None:
            return []
        part.is_written = isinstance(event, ev.OutputTextDone)
        part.complete(event.transcript if isinstance(event, ev.OutputTranscriptDone) else event.text)
        return [_final(entry, event.item_id)]

    def _part_of(self, event: _Words | _AllWords) -> tuple[Entry, Spoken] | tuple[None, None]:
        """The item and the part of it that words belong to, if they count."""
        if not self._responses.is_shown(event.response_id):
            return None, None
        entry = self._said(event)
        part = entry.part(event.content_index)
        if not part.text and not part.is_begun and not self._responses.is_heard(event.response_id):
            # Its response was interrupted before it began, so nobody hears it.
            part.stop()
        return (None, None) if part.is_whole else (entry, part)

    def _said(self, event: ev.OutputAudioDelta | _Words | _AllWords) -> Entry:
        """The assistant's item that an event is about."""
        active = self._responses.active
        if active is not None and active.id == event.response_id:
            active.items.setdefault(event.item_id, False)
        entry = self.history.put(event.item_id, "assistant")
        if entry.kind != "assistant":
            return Entry(event.item_id, "assistant")  # a server that mixes up its ids
        entry.known = "audio"
        return entry

    def _cut_short(self, entry: Entry) -> list[Action]:
        was_whole, entry.is_whole = entry.is_whole, True
        if entry.kind == "user" and not was_whole and not entry.is_overheard:
            return [Transcript("user", entry.id, "", final=True)]
        actions: list[Action] = []
        for content_index, part in entry.parts.items():
            if not part.is_whole or (entry.id, content_index) in self._playing:
                part.stop()
                actions.append(_final(entry, entry.id, interrupted=True))
        return actions

    def _stop_all(self) -> list[Action]:
        """Of what is being said no more will be heard, also where no audio had come yet."""
        actions: list[Action] = []
        for entry in self.history:
            for part in entry.parts.values():
                if not part.is_whole:
                    part.stop()
                    actions.append(_final(entry, entry.id, interrupted=True))
        return actions

    def _make_anew(self, entry: Entry) -> list[Action]:
        """Correct an assistant's item of which the model has no audio that it could truncate."""
        actions: list[Action] = [self._delete(entry.id)]
        before = self.history.known_before(entry)
        self._rename(entry)
        entry.known = "nothing"
        if entry.item() is not None:
            actions.append(self._tell(entry, before.id if before is not None else "root"))
        return actions

    def _rename(self, entry: Entry) -> None:
        self.history.rename(entry, self._outgoing.new_id("text"))
        entry.is_ours = True

    def _delete(self, item_id: str) -> Send:
        return self._outgoing.send(ev.ItemDelete(item_id=item_id), _not_deleted)

    def _tell(self, entry: Entry, after: str | None = None) -> Send:
        """Tell the model an item, whose words are known."""
        entry.known = "words"
        item = entry.item()
        assert item is not None, "only what can be told is told"
        create = ev.ItemCreate(item=item)
        if after is not None:
            create.previous_item_id = after
        return self._outgoing.send(create, lambda error: self._refused(entry, error))

    def _refused(self, entry: Entry, error: ErrorDetail) -> list[Action]:
        self.history.remove(entry.id)
        self._responses.item_refused(entry.id)
        command = self._adding.pop(entry.id, None)
        on_refused = self._on_refused.pop(entry.id, None)
        if command is not None:
            return [Answer(command, error)]
        return (on_refused(error) if on_refused is not None else []) or [Report(error)]

    def _taken(self, item_id: str) -> list[Action]:
        self._responses.item_taken(item_id)
        command = self._adding.pop(item_id, None)
        self._on_refused.pop(item_id, None)
        return [Answer(command, outcome=item_id)] if command is not None else []


def _final(entry: Entry, item_id: str, *, interrupted: bool = False) -> Transcript:
    """All the words of an assistant's item, of each of its parts those that were heard."""
    return Transcript("assistant", item_id, entry.words, final=True, interrupted=interrupted, typed=entry.is_written)


def _not_deleted(error: ErrorDetail) -> list[Action]:
    # Where it is not there, it need not be deleted; servers have several codes for that.
    return [] if error.param == "item_id" or "item" in (error.code or "") else [Report(error)]
