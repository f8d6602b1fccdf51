"""What can go wrong with a connection from its beginning; `ScriptedServer.fail` takes these.

What goes wrong later is a method: of one connection `cut`, `close` and `stop_reading`, of the whole server `delay` and
`silent_on`.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

__all__ = ["Cut", "Fault", "HangUp", "Mute", "Refuse", "RefuseSettings", "StopReading"]


@dataclass(frozen=True, slots=True)
class Refuse:
    """The upgrade to a websocket is answered with this status instead."""

    status: HTTPStatus = HTTPStatus.SERVICE_UNAVAILABLE
    body: str = "go away\n"


@dataclass(frozen=True, slots=True)
class RefuseSettings:
    """Every `session.update` is answered with an error."""

    code: str = "invalid_value"
    message: str = "no such model"


@dataclass(frozen=True, slots=True)
class Mute:
    """The connection is accepted, and the server says nothing of itself: no greeting, no answer."""


@dataclass(frozen=True, slots=True)
class StopReading:
    """The client is greeted, and nothing that it sends is read, pings neither: as a machine that hangs."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """The connection is closed in order, `after_s` seconds after the settings were taken, or without a greeting."""

    code: int = 1001
    reason: str = ""
    after_s: float = 0
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection is reset, `after_s` seconds after the settings were taken, or without a greeting."""

    after_s: float = 0
    at_once: bool = False


Fault = Refuse | RefuseSettings | Mute | StopReading | HangUp | Cut
