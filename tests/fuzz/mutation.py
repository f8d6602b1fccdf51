"""Events of a server that has lost its mind: valid ones, changed at random."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

__all__ = ["mutate"]

_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, -(2**63), 2**70, 1e308, float("nan"), "", "x", "\x00", "é" * 50, "\ud800",
    "A" * 20_000, "AAA", "not base64!", [], {}, [[]], [None], {"": None}, {"type": "message"}, [{"type": "x"}],
    {"id": 5, "role": "wizard"}, "response.done", "error", "completed", "cancelled", "failed",
)  # fmt: skip
_NAMES = (
    "id",
    "item",
    "item_id",
    "response",
    "response_id",
    "status",
    "usage",
    "delta",
    "type",
    "error",
    "code",
    "role",
)


def mutate(chance: random.Random, message: str, others: list[str]) -> str | bytes:
    """Another message made of this one."""
    kind = chance.randrange(20)
    if kind == 0:
        return message[: chance.randrange(len(message))]
    if kind == 1:
        data = bytearray(message.encode())
        for _ in range(chance.randrange(1, 5)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        return bytes(data)
    event = json.loads(message)
    if kind == 2:
        event = event | json.loads(chance.choice(others)) | {"type": event["type"]}
    elif kind == 3:
        event["type"] = json.loads(chance.choice(others))["type"]
    elif kind == 4:
        event["deep"] = "deep"
    for _ in range(chance.randrange(1, 4)):
        _change(chance, event)
    depth = chance.randrange(1, 3000)
    return json.dumps(event).replace('"deep": "deep"', f'"deep": {"[" * depth}{"]" * depth}')


def _change(chance: random.Random, event: dict[str, Any]) -> None:
    place: Any = event
    while True:
        inside = [value for value in (place.values() if isinstance(place, dict) else place) if value]
        inside = [value for value in inside if isinstance(value, dict | list)]
        if not inside or chance.random() < 0.4:
            break
        place = chance.choice(inside)
    if isinstance(place, list):
        chance.choice(_LIST)(chance, place)
    else:
        chance.choice(_DICT)(chance, place)


def _replace(chance: random.Random, place: dict[str, Any]) -> None:
    place[chance.choice(list(place) or ["type"])] = copy.deepcopy(chance.choice(_VALUES))


def _leave_out(chance: random.Random, place: dict[str, Any]) -> None:
    if place:
        del place[chance.choice(list(place))]


def _add(chance: random.Random, place: dict[str, Any]) -> None:
    place[chance.choice(_NAMES)] = copy.deepcopy(chance.choice(_VALUES))


def _exchange(chance: random.Random, place: dict[str, Any]) -> None:
    if place:
        one, other = chance.choice(list(place)), chance.choice(list(place))
        place[one], place[other] = place[other], place[one]


def _put(chance: random.Random, place: list[Any]) -> None:
    place.insert(chance.randint(0, len(place)), copy.deepcopy(chance.choice(_VALUES)))


def _double(_chance: random.Random, place: list[Any]) -> None:
    place.extend(copy.deepcopy(place[:100]))


_DICT: tuple[Callable[[random.Random, dict[str, Any]], None], ...] = (_replace, _replace, _leave_out, _add, _exchange)
_LIST: tuple[Callable[[random.Random, list[Any]], None], ...] = (_put, _double)
