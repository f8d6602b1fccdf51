"""What Agora's library tells from its own threads, as values.

The SDK calls one method per kind of event, and swallows whatever such a method raises; it must not be called back from
inside. So each only leaves a value behind.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from realtime_agent.rtc.channel import AudioFrame, UserJoined, UserLeft

__all__ = [
    "ConnectionChanged",
    "ConnectionState",
    "NativeError",
    "NativeEvent",
    "NativeEvents",
    "Received",
    "TokenExpires",
    "in_words",
]

logger = logging.getLogger(__name__)

_FROM_BEFORE_MIXING = 8
"""Which audio is wanted: each participant's own, of AUDIO_FRAME_POSITION."""


class ConnectionState(IntEnum):
    """CONNECTION_STATE_TYPE of Agora's C interface."""

    DISCONNECTED = 1
    CONNECTING = 2
    CONNECTED = 3
    RECONNECTING = 4
    FAILED = 5


_REASONS = {
    0: "connecting",
    2: "the connection was interrupted",
    3: "Agora's server has banned this participant",
    4: "Agora did not let us in, for longer than it tries",
    6: "AGORA_APP_ID is no app id that Agora knows",
    7: "Agora does not take this channel name",
    8: "Agora did not accept the token: does AGORA_APP_CERT belong to AGORA_APP_ID?",
    9: "the token has expired",
    10: "Agora's server refused",
    14: "Agora's server did not answer any more",
    16: "the connection was lost",
    19: "another participant joined with the same uid",
    20: "the channel has too many participants",
}
"""CONNECTION_CHANGED_REASON_TYPE, those that end or refuse a stay."""


def in_words(reason: int) -> str:
    """Why a connection changed, for people."""
    return _REASONS.get(reason, f"reason {reason} of Agora's")


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """The connection is in this state now, for this reason."""

    state: int
    reason: int


@dataclass(frozen=True, slots=True)
class TokenExpires:
    """The token ends in half a minute, or has ended."""


@dataclass(frozen=True, slots=True)
class Received:
    """A part of a message came over a data stream."""

    uid: int
    part: str


@dataclass(frozen=True, slots=True)
class NativeError:
    """The library has met an error."""

    code: int
    message: str


NativeEvent = AudioFrame | UserJoined | UserLeft | Received | ConnectionChanged | TokenExpires | NativeError


class NativeEvents:
    """Takes what the SDK tells of one connection; stands in for its three kinds of observers.

    Args:
        put: Gets each event, in a thread of the library's; must neither block nor raise.
        sample_rate: Audio of another rate, or not mono, is not for us.
    """

    def __init__(self, put: Callable[[NativeEvent], None], sample_rate: int) -> None:
        self._put = put
        self._sample_rate = sample_rate
        self._told_of_unfit = False

    def __getattr__(self, name: str) -> Callable[..., int]:
        """The SDK has some seventy kinds of events; those without a method here are not needed."""
        if not name.startswith("on_"):
            raise AttributeError(name)
        return _ignore

    def on_connected(self, _connection: object, info: Any, reason: int) -> None:
        """The connection is in another state."""
        self._put(ConnectionChanged(info.state, reason))

    on_disconnected = on_connecting = on_reconnecting = on_reconnected = on_connection_failure = on_connected

    def on_token_privilege_will_expire(self, _connection: object, _token: str) -> None:
        """Half a minute is left."""
        self._put(TokenExpires())

    def on_token_privilege_did_expire(self, _connection: object) -> None:
        """Nothing is left."""
        self._put(TokenExpires())

    def on_error(self, _connection: object, code: int, message: str) -> None:
        """Something failed; the library goes on."""
        self._put(NativeError(code, message))

    def on_user_joined(self, _connection: object, user_id: str) -> None:
        """A participant is there."""
        if (uid := _number(user_id)) is not None:
            self._put(UserJoined(uid))

    def on_user_left(self, _connection: object, user_id: str, _reason: int) -> None:
        """A participant is gone."""
        if (uid := _number(user_id)) is not None:
            self._put(UserLeft(uid))

    def on_stream_message(self, _user: object, user_id: str, _stream_id: int, data: str, _length: int) -> None:
        """A participant sent something."""
        if (uid := _number(user_id)) is not None:
            self._put(Received(uid, data))

    def on_playback_audio_frame_before_mixing(
        self, _user: object, _channel: str, user_id: str, frame: Any, _vad_state: int, _vad_bytes: object
    ) -> int:
        """10 ms of a participant's voice."""
        uid = _number(user_id)
        fits = (frame.samples_per_sec, frame.channels, frame.bytes_per_sample) == (self._sample_rate, 1, 2)
        if uid is not None and fits:
            self._put(AudioFrame(uid, bytes(frame.buffer)))
        elif not fits and not self._told_of_unfit:
            self._told_of_unfit = True
            logger.warning("audio of %d Hz with %d channels is not heard", frame.samples_per_sec, frame.channels)
        return 0

    def on_get_audio_frame_position(self, _user: object) -> int:
        """Which audio is wanted."""
        return _FROM_BEFORE_MIXING


def _number(user_id: str) -> int | None:
    """A uid, which is a string to the SDK; `None` for a name, by which nobody can be addressed here."""
    return int(user_id) if user_id.isascii() and user_id.isdigit() and len(user_id) <= 10 else None


def _ignore(*_: object) -> int:
    return 0
