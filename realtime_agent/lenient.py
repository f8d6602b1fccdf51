"""Fields of which a server may make what it likes: what can't be read counts as left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

__all__ = ["Lenient", "OrEmpty"]

T = TypeVar("T")


@dataclass(frozen=True)
class _Or:
    """Stands beside a type: what can't be read as that is this instead. No code of Python's runs for what can."""

    default: Callable[[], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_default_schema(handler(source), default_factory=self.default, on_error="default")


def _nothing() -> None:
    return None


Lenient = Annotated[T | None, _Or(_nothing)]
"""A value, or `None` for what is none."""


def OrEmpty(kind: Callable[[], Any]) -> _Or:  # noqa: N802 - it stands where a validator's name stands
    """An object, or an empty one for what is none: an event that others wait for is not lost with its details."""
    return _Or(kind)
