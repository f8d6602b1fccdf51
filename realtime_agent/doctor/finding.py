"""What a check found: the words of the doctor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Level", "Section", "is_well", "ok", "problem", "warning"]


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """Agents run all the same, but something may be other than was meant."""
    PROBLEM = "problem"
    """Something that agents need is not there, or wrong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        subject: What was looked at, such as a setting's name.
        text: What was found; never a secret, nor a part of one.
        remedy: How to mend it; empty where there is nothing to mend.
    """

    level: Level
    subject: str
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """The findings of one check, under a title."""

    title: str
    findings: tuple[Finding, ...]


def ok(subject: str, text: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, subject, text)


def warning(subject: str, text: str, remedy: str) -> Finding:
    """Something to know of."""
    return Finding(Level.WARNING, subject, text, remedy)


def problem(subject: str, text: str, remedy: str) -> Finding:
    """Something to mend."""
    return Finding(Level.PROBLEM, subject, text, remedy)


def is_well(sections: Iterable[Section]) -> bool:
    """Whether nothing is missing."""
    return all(each.level is not Level.PROBLEM for section in sections for each in section.findings)
