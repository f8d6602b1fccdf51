"""Fields of which a server may make what it likes: what can't be read counts as left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import ValidationError, WrapValidator

__all__ = ["Lenient", "OrEmpty"]

T = TypeVar("T")


def _or(default: Callable[[], Any]) -> Callable[[Any, Callable[[Any], Any]], Any]:
    def read(value: Any, validate: Callable[[Any], Any]) -> Any:
        try:
            return validate(value)
        except ValidationError:
            return default()

    return read


Lenient = Annotated[T | None, WrapValidator(_or(lambda: None))]
"""A value, or `None` for what is none."""


def OrEmpty(kind: Callable[[], Any]) -> WrapValidator:  # noqa: N802 - it stands where a validator's name stands
    """An object, or an empty one for what is none: an event that others wait for is not lost with its details."""
    return WrapValidator(_or(kind))
