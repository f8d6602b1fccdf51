"""What was said so far, and what of it another connection is told."""

from __future__ import annotations

import base64

import pytest

from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime.conversation.history import Entry, History, Kind


def add(history: History, item_id: str, kind: Kind, text: str, after: str | None = None) -> Entry:
    entry = history.put(item_id, kind, after)
    if kind == "assistant":
        entry.part(0).complete(text)
    else:
        entry.text = text
    entry.is_whole = True
    return entry


def add_call(history: History, number: int, *, answered: bool = True) -> None:
    call = add(history, f"c{number}", "call", "{}")
    call.call_id, call.name = f"call_{number}", "look_up"
    if answered:
        output = add(history, f"o{number}", "output", "42")
        output.call_id = f"call_{number}"


def told(history: History, running: frozenset[str] = frozenset()) -> list[str]:
    return [entry.id for entry in history.replay(running=running)]


def test_each_kind_of_item_is_told_as_it_was() -> None:
    history = History(8000)
    add(history, "s", "system", "It rains.")
    add(history, "u", "user", "Hello?")
    add(history, "a", "assistant", "Good day.")
    add_call(history, 1)
    assert [item.to_dict() for entry in history.replay() if (item := entry.item())] == [
        {"id": "s", "type": "message", "role": "system", "content": [{"type": "input_text", "text": "It rains."}]},
        {"id": "u", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello?"}]},
        {"id": "a", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Good day."}]},
        {"id": "c1", "type": "function_call", "call_id": "call_1", "name": "look_up", "arguments": "{}"},
        {"id": "o1", "type": "function_call_output", "call_id": "call_1", "output": "42"},
    ]


def test_of_an_assistant_only_the_words_that_were_heard_are_told() -> None:
    history = History(8000)
    part = history.put("a", "assistant").part(0)
    part.complete("One two three four")
    part.add_audio(bytes(1800 * BYTES_PER_MS))
    part.cut(900)
    (entry,) = history.replay()
    assert entry.words == "One two"


def test_a_user_whose_words_are_not_known_is_told_by_their_voice() -> None:
    history = History(8000)
    entry = history.put("u", "user")
    entry.audio = bytes(range(256))
    item = entry.item()
    assert item is not None
    assert item.content is not None
    assert item.content[0].to_dict() == {
        "type": "input_audio",
        "audio": base64.b64encode(bytes(range(256))).decode(),
    }


def test_what_has_no_words_is_not_told() -> None:
    history = History(8000)
    history.put("u", "user")
    history.put("a", "assistant").part(0)
    assert told(history) == []


def test_items_stand_where_the_server_put_them() -> None:
    history = History(8000)
    add(history, "u1", "user", "one")
    add(history, "a1", "assistant", "two")
    add(history, "u2", "user", "between", after="u1")
    add(history, "u3", "user", "end", after="never heard of")
    assert told(history) == ["u1", "u2", "a1", "u3"]
    assert history.put("u1", "user") is history.get("u1")


def test_the_oldest_is_left_out_first_and_what_is_told_fits_the_budget() -> None:
    history = History(100)
    for number in range(30):
        add(history, f"u{number}", "user", "words " * 8)
    ids = told(history)
    assert ids == [f"u{number}" for number in range(30 - len(ids), 30)]
    assert 0 < sum(entry.tokens for entry in history.replay()) <= 100


def test_a_budget_of_nothing_tells_nothing() -> None:
    history = History(0)
    add(history, "u", "user", "Hello?")
    assert told(history) == []


def test_a_day_of_talk_is_not_remembered() -> None:
    history = History(1000)
    for number in range(5000):
        add(history, f"u{number}", "user", "words " * 20)
    assert len(history) <= 64
    assert history.get("u0") is None
    assert history.get("u4999") is not None


def test_a_call_without_its_output_and_an_output_without_its_call_are_not_told() -> None:
    history = History(8000)
    add_call(history, 1, answered=False)
    orphan = add(history, "o9", "output", "42")
    orphan.call_id = "call_9"
    add_call(history, 2)
    assert told(history) == ["c2", "o2"]


def test_a_call_that_is_being_made_is_told_before_its_output_comes() -> None:
    history = History(8000)
    add_call(history, 1, answered=False)
    assert told(history, frozenset({"call_1"})) == ["c1"]


def test_an_output_whose_call_did_not_fit_is_left_out_with_it() -> None:
    history = History(20)
    call = add(history, "c1", "call", "{" + " " * 400 + "}")
    call.call_id, call.name = "call_1", "look_up"
    output = add(history, "o1", "output", "42")
    output.call_id = "call_1"
    add(history, "u", "user", "Hello?")
    assert told(history) == ["u"]


def test_the_user_s_voice_is_kept_for_a_minute_at_most() -> None:
    history = History(10**9)
    for number in range(5):
        history.put(f"u{number}", "user").audio = bytes(25_000 * BYTES_PER_MS)
        history.trim()
    assert [bool(entry.audio) for entry in history] == [False, False, False, True, True]


def test_an_item_can_be_forgotten_and_known_by_another_id() -> None:
    history = History(8000)
    entry = add(history, "a", "assistant", "Hello.")
    add(history, "b", "user", "Hi.")
    history.rename(entry, "c")
    assert told(history) == ["c", "b"]
    history.remove("c")
    history.remove("c")
    assert told(history) == ["b"]


def test_what_the_model_was_told_to_forget_is_neither_told_nor_stood_behind() -> None:
    history = History(8000)
    gone, last = add(history, "a", "user", "Hello?"), add(history, "b", "user", "Hi.")
    gone.known, gone.is_gone = "words", True
    assert told(history) == ["b"]
    assert history.known_before(last) is None


def test_an_item_of_endless_parts_does_not_fill_the_memory() -> None:
    entry = History(8000).put("a", "assistant")
    for index in range(1000):
        entry.part(index).add_words("x")
    assert len(entry.parts) == 64
    assert entry.part(0).text == "x"


def test_an_item_is_found_by_an_id_that_it_had_before() -> None:
    history = History(8000)
    entry = add(history, "a", "assistant", "Hello.")
    history.rename(entry, "b")
    history.rename(entry, "c")
    assert history.get("a") is history.get("b") is entry
    history.remove("a")
    assert history.get("c") is entry
    history.remove("c")
    assert history.get("a") is None


@pytest.mark.parametrize("kind", ["user", "system", "output"])
def test_a_long_text_is_told_in_part_and_leaves_room_for_what_it_belongs_to(kind: Kind) -> None:
    history = History(400)
    add(history, "a", "user", "What does the page say?")
    call = add(history, "c", "call", "{}")
    call.call_id = "call_1"
    add(history, "b", kind, "ä" * 5000).call_id = "call_1"
    replayed = history.replay()
    assert [entry.id for entry in replayed] == (["a", "c", "b"] if kind == "output" else ["a", "b"])
    assert replayed[-1].tokens <= 100
    assert replayed[-1].text.startswith("ä" * 180)
    assert replayed[-1].text.endswith("ä […]")


def test_what_is_too_long_by_itself_takes_nothing_else_with_it() -> None:
    history = History(400)
    add(history, "a", "user", "Tell me everything.")
    add(history, "b", "assistant", "words " * 400)
    add(history, "c", "user", "Thank you.")
    assert told(history) == ["a", "c"]


def test_what_was_said_long_ago_keeps_no_account_of_its_audio() -> None:
    history = History(10**6)
    for number in range(40):
        part = history.put(f"a{number}", "assistant").part(0)
        part.add_words("Hello")
        part.add_audio(bytes(960))
    assert sum(bool(part._marks) for entry in history for part in entry.parts.values()) <= 17
    assert {entry.words for entry in history} == {"Hello"}


def test_an_item_behind_itself_stands_at_the_end() -> None:
    history = History(8000)
    add(history, "u1", "user", "one")
    entry = add(history, "u2", "user", "two", after="u2")
    history.move(entry, "u2")
    assert told(history) == ["u1", "u2"]
