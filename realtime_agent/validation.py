"""What pydantic found wrong with somebody's input, in words that name the field as they wrote it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from pydantic_core import ErrorDetails

__all__ = ["field_path", "in_words"]


def field_path(raw: object, detail: ErrorDetails) -> str:
    """The field at fault, such as `turn_detection.type`; empty when it is the whole input.

    A location also has steps that only name the member of a union that was tried; those lead nowhere in the input.

    Args:
        raw: The input as it came, in plain values.
        detail: One error about it.
    """
    path: list[int | str] = []
    place: Any = raw
    for step in detail["loc"]:
        with suppress(KeyError, IndexError, TypeError):
            place = place[step]
            path.append(step)
    if detail["type"] == "missing":
        path += detail["loc"][-1:]
    elif detail["type"] in ("union_tag_not_found", "union_tag_invalid"):
        path.append(detail["ctx"]["discriminator"].strip("'"))
    return ".".join(str(step) for step in path)


def in_words(detail: ErrorDetails) -> str:
    """What is wrong with it."""
    match detail["type"]:
        case "union_tag_not_found":
            return "Field required"
        case "union_tag_invalid":
            return f"Input should be one of {detail['ctx']['expected_tags']}"
        case _:
            return detail["msg"].removeprefix("Value error, ")
