"""What one address of the service is: what it takes, what it answers, and who does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from aiohttp import web

__all__ = ["EventStream", "Parameter", "Route"]


class EventStream:
    """An answer that is a stream of events."""


class Parameter(NamedTuple):
    """Something that a request may say in its query or in a header."""

    name: str
    place: Literal["query", "header"]
    description: str
    required: bool = False


@dataclass(frozen=True)
class Route:
    """One address."""

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    summary: str
    request: Any = None
    response: Any = None
    """What it answers: JSON; where it is `str`, text; or an `EventStream`."""
    errors: Mapping[int, str] = field(default_factory=dict)
    status: int = 200
    empty: Mapping[int, str] = field(default_factory=dict)
    """Other good answers, which have no body."""
    parameters: Sequence[Parameter] = ()
    """What it takes beside its path and its body."""
    alias: str | None = None
    """Another path to the same."""
