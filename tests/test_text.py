from __future__ import annotations

from realtime_agent.text import one_line


def test_words_become_one_printable_line() -> None:
    assert one_line(" That day\r\n\tis full:\x1b[31m ask \udcff\u202eagain. ") == "That day is full:[31m ask again."


def test_a_line_is_as_long_as_it_may_be() -> None:
    assert one_line("abcde", 5) == "abcde"
    assert one_line("abcdef", 5) == "abcd…"
    assert len(one_line("x" * 1000)) == 200
