"""The key of a webhook's signature, as WEBHOOK_SECRET gives it."""

from __future__ import annotations

import base64

__all__ = ["webhook_key"]

_BASE64 = "whsec_"
"""What a key in base64 begins with (https://www.standardwebhooks.com)."""


def webhook_key(secret: str) -> bytes:
    """The bytes of a key: of `whsec_` and base64, or the UTF-8 of any other text.

    Raises:
        ValueError: it is empty, or not base64; the message does not quote it.
    """
    try:
        key = _of_base64(secret.removeprefix(_BASE64)) if secret.startswith(_BASE64) else secret.encode()
    except UnicodeEncodeError:
        raise ValueError("WEBHOOK_SECRET is no text") from None
    if not key:
        # Anybody could sign with an empty one.
        raise ValueError("WEBHOOK_SECRET is empty")
    return key


def _of_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise ValueError("WEBHOOK_SECRET begins with whsec_, but what follows is not base64") from None
