"""Messages over a data stream: their parts, their pace, and what is made of them at the far end."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_agent.rtc.agora.data_stream import Assembler, DataStream

FAR = 1e9


def parts_of(*bodies: Mapping[str, Any]) -> list[str]:
    stream = DataStream()
    for body in bodies:
        stream.add(body)
    return drain(stream)


def drain(stream: DataStream, now: float = 0) -> list[str]:
    parts = []
    while (due := stream.next_due()) is not None:
        now = max(now, due)
        part = stream.take(now)
        assert part is not None
        parts.append(part)
    return parts


def assembled(parts: list[str]) -> list[dict[str, Any]]:
    assembler = Assembler()
    return [body for part in parts if (body := assembler.add(5, part)) is not None]


def delta(text: str, item_id: str = "a", kind: str = "answer.delta") -> dict[str, Any]:
    return {"type": kind, "item_id": item_id, "delta": text}


def final(text: str, item_id: str = "a") -> dict[str, Any]:
    return {"type": "answer.done", "item_id": item_id, "transcript": text}


def test_a_small_message_is_one_part_in_agora_s_form() -> None:
    (part,) = parts_of({"type": "state", "state": "active"})
    msg_id, number, total, content = part.split("|")
    assert (number, total) == ("1", "1")
    assert 0 < len(msg_id) <= 32
    assert json.loads(base64.b64decode(content)) == {"type": "state", "state": "active"}


def test_a_large_message_is_cut_into_numbered_parts_of_a_kilobyte_at_most() -> None:
    body = final("größer " * 500)
    parts = parts_of(body)
    heads = [part.split("|")[:3] for part in parts]
    assert [head[1:] for head in heads] == [[str(n), str(len(parts))] for n in range(1, len(parts) + 1)]
    assert len({head[0] for head in heads}) == 1
    assert {len(part) for part in parts[:-1]} <= set(range(1000, 1025))
    assert all(part.isascii() for part in parts)
    assert assembled(parts) == [body]


def test_other_alphabets_take_no_more_room_than_they_must() -> None:
    (part,) = parts_of(final("ü" * 300))
    assert len(part) < 1000


def test_messages_have_ids_of_their_own_also_across_senders() -> None:
    ids = [part.split("|")[0] for _ in range(3) for part in parts_of(final("a"), final("b"), final("c"))]
    assert len(set(ids)) == 9


def test_a_message_that_is_too_large_is_dropped_and_counted() -> None:
    stream = DataStream()
    stream.add(final("x" * 200_000))
    stream.add(final("y", "b"))
    assert stream.take(0) is not None
    assert stream.take(FAR) is None
    assert stream.dropped == 1


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_no_second_carries_more_than_agora_takes(sizes: list[int], random: Random) -> None:
    stream, now, sent = DataStream(), 0.0, list[tuple[float, int]]()
    for number, size in enumerate(sizes):
        stream.add(final("x" * size, str(number)))
        for _ in range(random.randrange(4)):
            now += random.random() * 0.3
            while (part := stream.take(now)) is not None:
                sent.append((now, len(part)))
    while (due := stream.next_due()) is not None:
        now = max(now, due)
        part = stream.take(now)
        assert part is not None
        sent.append((now, len(part)))
    for start, _ in sent:
        assert sum(size for at, size in sent if start <= at < start + 1) <= 6_000
        assert sum(start <= at < start + 1 for at, _ in sent) <= 26


def test_nothing_is_due_before_its_time() -> None:
    stream = DataStream()
    assert stream.next_due() is None
    stream.add(final("a"))
    stream.add(final("b", "b"))
    assert stream.take(10) is not None
    assert stream.next_due() == 10.04
    assert stream.take(10.03) is None
    assert stream.take(10.05) is not None
    assert stream.next_due() is None


def test_deltas_that_wait_become_one_message() -> None:
    said = [delta("How "), delta("are "), delta("you?")]
    assert assembled(parts_of(*said)) == [delta("How are you?")]


def test_deltas_of_other_items_and_sides_stay_apart_in_their_order() -> None:
    said = [delta("A1"), delta("B1", "b"), delta("A2"), delta("U", "a", "question.delta")]
    assert assembled(parts_of(*said)) == [delta("A1A2"), delta("B1", "b"), delta("U", "a", "question.delta")]


def test_a_delta_that_was_sent_is_not_sent_again() -> None:
    stream = DataStream()
    stream.add(delta("How "))
    first = stream.take(0)
    stream.add(delta("are "))
    stream.add(delta("you?"))
    assert first is not None
    assert assembled([first, *drain(stream)]) == [delta("How "), delta("are you?")]


def test_the_whole_text_takes_the_place_of_deltas_that_wait() -> None:
    said = [delta("How "), delta("Fine", "b"), final("How are you?")]
    assert assembled(parts_of(*said)) == [delta("Fine", "b"), final("How are you?")]


def test_a_delta_after_the_whole_text_is_a_message_of_its_own() -> None:
    assert assembled(parts_of(final("How?"), delta("More"))) == [final("How?"), delta("More")]


def test_what_is_given_is_not_changed() -> None:
    first = delta("How ")
    stream = DataStream()
    stream.add(first)
    stream.add(delta("are"))
    assert first == delta("How ")


def test_of_too_many_messages_the_oldest_delta_is_dropped() -> None:
    stream = DataStream()
    for number in range(250):
        stream.add(final("x", f"f{number}") if number < 100 else delta("y", f"d{number}"))
    assert stream.dropped == 50
    kept = [body["item_id"] for body in assembled(drain(stream))]
    assert kept == [f"f{number}" for number in range(100)] + [f"d{number}" for number in range(150, 250)]


def test_where_no_delta_waits_the_oldest_of_all_is_dropped() -> None:
    stream = DataStream()
    for number in range(201):
        stream.add(final("x", f"f{number}"))
    assert stream.dropped == 1
    assert assembled(drain(stream))[0]["item_id"] == "f1"


BODIES = st.dictionaries(st.text(max_size=5), st.text(max_size=2000) | st.integers() | st.none(), max_size=4)


@given(st.lists(BODIES, max_size=5), st.randoms(use_true_random=False))
def test_messages_survive_any_order_and_repetition_of_their_parts(bodies: list[dict[str, Any]], random: Random) -> None:
    parts = [part for body in bodies for part in parts_of(body)]
    random.shuffle(parts)
    came = assembled(parts)
    assert sorted(map(repr, came)) == sorted(map(repr, bodies))


def test_a_part_that_comes_twice_counts_once() -> None:
    first, second, *rest = parts_of(final("x" * 2000))
    assert assembled([first, first, second, second, *rest]) == [final("x" * 2000)]


def test_a_message_that_comes_twice_counts_once() -> None:
    (small,), large = parts_of(delta("How ")), parts_of(final("x" * 2000))
    assert assembled([small, *large, small, *large, *large]) == [delta("How "), final("x" * 2000)]


def test_only_so_many_messages_are_kept_in_mind() -> None:
    assembler = Assembler()
    for number in range(300):
        assert assembler.add(5, f"{number}|1|1|e30=") == {}
    assert assembler.add(5, "299|1|1|e30=") is None
    assert len(assembler._done) == 256


@given(st.text(max_size=40) | st.from_regex(r"[a-c]\|[0-9]{1,3}\|[0-9]{1,3}\|[A-Za-z0-9+/=]{0,12}", fullmatch=True))
def test_whatever_comes_breaks_nothing(part: str) -> None:
    assembler = Assembler()
    body = assembler.add(5, part)
    assert body is None or isinstance(body, dict)
    assert assembler.add(5, "z|1|1|e30=") == {}


@pytest.mark.parametrize("content", ["", "e30", "e3*0=", "W10=", "/w==", "e30=e30="])
def test_what_is_no_json_object_in_base64_is_no_message(content: str) -> None:
    assert Assembler().add(5, f"a|1|1|{content}") is None


def test_senders_are_told_apart() -> None:
    first, second = parts_of(final("x" * 1000))
    assembler = Assembler()
    assert assembler.add(5, first) is None
    assert assembler.add(6, second) is None
    assert assembler.add(5, second) == final("x" * 1000)


def test_a_total_that_changes_ends_the_message() -> None:
    assembler = Assembler()
    assert assembler.add(5, "a|1|2|e30") is None
    assert assembler.add(5, "a|2|3|=") is None
    assert assembler.add(5, "a|2|2|=") is None


def test_only_so_many_messages_stay_open() -> None:
    assembler = Assembler()
    for number in range(40):
        assert assembler.add(5, f"{number}|1|2|e3") is None
    assert assembler.add(5, "0|2|2|0=") is None
    assert assembler.add(5, "39|2|2|0=") == {}


def test_what_a_participant_did_not_finish_is_forgotten_when_it_leaves() -> None:
    assembler = Assembler()
    assert assembler.add(5, "a|1|2|e3") is None
    assert assembler.add(6, "a|1|2|e3") is None
    assembler.forget(5)
    assert assembler.add(5, "a|2|2|0=") is None
    assert assembler.add(6, "a|2|2|0=") == {}


def test_what_a_participant_sends_after_it_returned_is_new() -> None:
    assembler = Assembler()
    for times in range(2):
        assert assembler.add(5, "1|1|1|e30=") == {}, times
        assert assembler.add(6, "1|1|1|e30=") == (None if times else {})
        assembler.forget(5)


def test_of_the_states_that_wait_only_the_newest_goes() -> None:
    states = [{"type": "state", "state": state} for state in ("waiting", "active", "active")]
    assert assembled(parts_of(states[0], delta("How"), states[1], states[2])) == [delta("How"), states[2]]


def test_what_came_last_can_go_next() -> None:
    stream, assembler = DataStream(), Assembler()
    stream.hurry_last()
    bodies = [{"n": n, "text": "x" * 3000} for n in range(3)]
    for body in bodies:
        stream.add(body)
    now, came = 0.0, []
    for step in range(30):
        if step == 1:
            stream.hurry_last()
        now += 10
        part = stream.take(now)
        if part is not None and (message := assembler.add(5, part)) is not None:
            came.append(message["n"])
    assert came == [2, 0, 1]


def test_a_message_of_too_many_parts_is_not_gathered() -> None:
    assembler = Assembler()
    content = base64.b64encode(b"{}" + b" " * 300).decode()
    pieces = [content[at : at + 4] for at in range(0, len(content), 4)]
    assert len(pieces) == 101
    assert [assembler.add(5, f"a|{n}|101|{piece}") for n, piece in enumerate(pieces, 1)] == [None] * 101
    assert not assembler._open


def test_a_part_that_is_too_long_is_ignored() -> None:
    content = base64.b64encode(json.dumps({"text": "x" * 1000}).encode()).decode()
    assert Assembler().add(5, f"a|1|1|{content}") is None
