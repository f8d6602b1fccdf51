"""The findings, for a person and for a program."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from realtime_agent import __version__
from realtime_agent.doctor.finding import Finding, Level, Section, is_well

__all__ = ["as_json", "as_text"]

_NARROWEST = 60
"""Columns; below that, lines are cut by whoever shows them."""


def as_text(sections: Sequence[Section], width: int) -> str:
    """Lines of at most `width` columns: level, subject and text in columns of their own, below them the remedy."""
    subjects = max((len(each.subject) for section in sections for each in section.findings), default=0)
    blocks = [
        "\n".join([section.title, *(_line(each, subjects, max(width, _NARROWEST)) for each in section.findings)])
        for section in sections
    ]
    return "\n\n".join([*blocks, _summary(sections)])


def as_json(sections: Sequence[Section]) -> str:
    """One object: whether all is well, and every finding with the title that it stands under."""
    findings = [{"section": section.title, **asdict(each)} for section in sections for each in section.findings]
    return json.dumps({"ok": is_well(sections), "version": __version__, "findings": findings}, ensure_ascii=False)


def _line(finding: Finding, subjects: int, width: int) -> str:
    head = f"  {finding.level:<7}  {finding.subject:<{subjects}}  "
    lines = _wrapped(finding.text, head, " " * len(head), width)
    if finding.remedy:
        lines += _wrapped(finding.remedy, " " * len(head) + "→ ", " " * len(head) + "  ", width)
    return "\n".join(lines)


def _wrapped(text: str, first: str, others: str, width: int) -> list[str]:
    # A command or an address must be one piece, to be copied.
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
    )


def _summary(sections: Sequence[Section]) -> str:
    levels = Counter(each.level for section in sections for each in section.findings)
    warnings = levels[Level.WARNING]
    told = f"{warnings} warning{'' if warnings == 1 else 's'}"
    return f"{levels[Level.PROBLEM] or 'Nothing'} missing or wrong, {told if warnings else 'no warnings'}."
