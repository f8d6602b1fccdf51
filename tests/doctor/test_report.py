"""The findings as a person and a program read them."""

from __future__ import annotations

import json
import textwrap

from realtime_agent import __version__
from realtime_agent.doctor.finding import Section, is_well, ok, problem, warning
from realtime_agent.doctor.report import as_json, as_text

SECTIONS = [
    Section("Settings", (ok(".env", "is read"), problem("SERVER_PORT", "must be a number", "set it to a number"))),
    Section("Machine", (warning("memory", "is short: " + "there is not enough of it " * 3, "free some"),)),
]


def test_a_person_reads_aligned_lines() -> None:
    expected = """\
        Settings
          ok       .env         is read
          problem  SERVER_PORT  must be a number
                                → set it to a number

        Machine
          warning  memory       is short: there is not enough of it
                                there is not enough of it there is not
                                enough of it
                                → free some

        1 missing or wrong, 1 warning."""
    assert as_text(SECTIONS, 64) == textwrap.dedent(expected)


def test_a_window_that_is_too_narrow_is_not_followed() -> None:
    assert as_text(SECTIONS, 10) == as_text(SECTIONS, 60)


def test_what_is_to_be_copied_is_in_one_piece() -> None:
    path = "/a-long/path-" * 10
    assert path in as_text([Section("A", (ok("path", path),))], 60)


def test_the_end_says_how_it_is() -> None:
    well = [Section("A", (ok("b", "c"),))]
    assert as_text(well, 80).endswith("\n\nNothing missing or wrong, no warnings.")
    two = [Section("A", (warning("b", "c", "d"), warning("b", "c", "d")))]
    assert as_text(two, 80).endswith("\n\nNothing missing or wrong, 2 warnings.")
    assert as_text([], 80) == "Nothing missing or wrong, no warnings."


def test_a_program_reads_one_object() -> None:
    told = json.loads(as_json(SECTIONS))
    assert (told["ok"], told["version"]) == (False, __version__)
    assert told["findings"][1] == {
        "section": "Settings",
        "level": "problem",
        "subject": "SERVER_PORT",
        "text": "must be a number",
        "remedy": "set it to a number",
    }
    assert len(told["findings"]) == 3
    assert json.loads(as_json(SECTIONS[1:]))["ok"] is True


def test_only_what_is_missing_is_not_well() -> None:
    assert not is_well(SECTIONS)
    assert is_well(SECTIONS[1:])
    assert is_well([])
