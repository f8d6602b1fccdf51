"""Tokens: who may join which channel as whom, until when; signed, nothing stored."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
import time
from collections.abc import Callable

from realtime_agent.config import Settings
from realtime_agent.errors import TokenInvalid
from realtime_agent.server.schemas import AgoraToken

__all__ = ["TokenSigner", "agora_token"]


def agora_token(settings: Settings, channel_name: str, uid: int) -> AgoraToken:
    """A token for a channel of Agora's; without a certificate there is none, and users join with the app id alone."""
    from realtime_agent.rtc.agora import build_token

    certificate = settings.agora_app_cert.get_secret_value()
    token = build_token(settings.agora_app_id, certificate, channel_name, uid, settings.token_ttl_s)
    expires_at = int(time.time() + settings.token_ttl_s) if token else None
    return AgoraToken(
        channel_name=channel_name, uid=uid, app_id=settings.agora_app_id, token=token, expires_at=expires_at
    )


class TokenSigner:
    """Makes and checks tokens of the embedded channel with a key of its own, so that they end with the server.

    Args:
        ttl_s: How long a token is good for.
        clock: Unix seconds.
    """

    def __init__(self, ttl_s: float, *, clock: Callable[[], float] = time.time) -> None:
        self._key = secrets.token_bytes(32)
        self._ttl_s = ttl_s
        self._clock = clock

    def sign(self, channel_name: str, uid: int) -> tuple[str, int]:
        """A token, and the Unix second at which it expires."""
        expires_at = int(self._clock() + self._ttl_s)
        payload = json.dumps([channel_name, uid, expires_at], separators=(",", ":")).encode()
        return f"{_encode(payload)}.{_encode(self._mac(payload))}", expires_at

    def check(self, token: str, channel_name: str) -> int:
        """The uid that a token lets in.

        Raises:
            TokenInvalid: it is forged, expired or for another channel.
        """
        try:
            payload, mac = (_decode(part) for part in token.split("."))
        except (ValueError, binascii.Error):
            raise TokenInvalid("the token is malformed") from None
        if not hmac.compare_digest(mac, self._mac(payload)):
            raise TokenInvalid("the token was not made by this server")
        channel, uid, expires_at = json.loads(payload)
        if channel != channel_name:
            raise TokenInvalid("the token is for another channel")
        if self._clock() > expires_at:
            raise TokenInvalid("the token has expired")
        return int(uid)

    def _mac(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, "sha256")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
