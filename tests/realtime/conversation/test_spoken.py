"""Which words were heard by a moment of their audio."""

from __future__ import annotations

import pytest

from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime.conversation.spoken import Spoken


def audio(ms: int) -> bytes:
    return bytes(ms * BYTES_PER_MS)


def sentence() -> Spoken:
    """Four words of 500 ms each, each told just before its audio."""
    part = Spoken()
    for word in ("One", " two", " three", " four"):
        part.add_words(word)
        part.add_audio(audio(500))
    part.complete("One two three four")
    return part


@pytest.mark.parametrize(
    ("ms", "heard"),
    [
        (0, ""),
        (499, ""),
        (500, "One"),
        (999, "One"),
        (1000, "One two"),
        (1600, "One two three"),
        (2000, "One two three four"),
    ],
)
def test_the_words_that_were_heard_to_their_end_count(ms: int, heard: str) -> None:
    part = sentence()
    part.cut(ms)
    assert part.heard_text == heard


def test_what_was_not_cut_was_heard_whole() -> None:
    assert sentence().heard_text == "One two three four"


def test_words_that_all_came_at_once_are_spoken_evenly() -> None:
    part = Spoken()
    part.complete("aaaa bbbb cccc dddd ")
    part.add_audio(audio(2000))
    part.cut(1100)
    assert part.heard_text == "aaaa bbbb"


def test_a_script_without_spaces_is_cut_between_any_letters() -> None:
    part = Spoken()
    part.complete("天" * 100)
    part.add_audio(audio(1000))
    part.cut(500)
    assert part.heard_text == "天" * 50


def test_a_second_cut_never_makes_more_of_it_heard() -> None:
    part = sentence()
    part.cut(500)
    part.cut(2000)
    assert part.heard_text == "One"


def test_words_without_any_audio_were_not_heard_when_it_was_cut() -> None:
    part = Spoken()
    part.add_words("Hello")
    part.cut(0)
    assert part.heard_text == ""


def test_where_no_more_comes_the_words_whose_audio_had_not_begun_are_left_out() -> None:
    part = Spoken()
    part.add_words("One")
    part.add_audio(audio(500))
    part.add_words(" two")
    part.stop()
    assert part.heard_text == "One"
    assert part.is_whole


def test_text_that_nobody_speaks_is_kept_where_no_more_comes() -> None:
    part = Spoken()
    part.is_written = True
    part.add_words("One")
    part.stop()
    assert part.heard_text == "One"


def test_what_can_no_longer_be_cut_keeps_only_what_was_heard() -> None:
    part = sentence()
    part.cut(1000)
    part.freeze()
    assert part.text == part.heard_text == "One two"


def test_words_without_end_do_not_fill_the_memory() -> None:
    part = Spoken()
    for _ in range(300):
        part.add_words("x" * 1000)
        part.add_audio(audio(1))
    assert len(part.text) == 100_000
    assert len(part._marks) < 10
    part.complete("y" * 200_000)
    assert len(part.text) == 100_000
    part.cut(150)
    assert len(part.heard_text) <= 100_000


def test_words_that_come_behind_all_audio_are_spoken_in_the_last_of_it() -> None:
    part = Spoken()
    for words, ms in (("aaaaa ", 1000), ("bbbb ", 1000), ("ccccc", 0)):
        part.add_words(words)
        part.add_audio(bytes(ms * BYTES_PER_MS))
    part.complete("aaaaa bbbb ccccc")
    part.cut(1500)
    assert part.heard_text == "aaaaa bbbb"
