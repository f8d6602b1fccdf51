"""Why there is no connection to the model, in words, and whether another one may do.

`SessionLost` says that it may; any other `SessionError`, that it would end in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from realtime_agent.errors import SessionError, SessionLost
from realtime_agent.text import one_line

__all__ = ["closed", "refused", "without_secrets"]

_TRANSIENT_STATUS = (408, 425, 429)
"""Beside 5xx: the server was waiting, or is asked too early, or too often."""

_FINAL_CODES = frozenset(
    {
        1002,  # protocol error: we would speak in the same way again
        1003,  # unsupported data: likewise
        1007,  # invalid payload: likewise
        1008,  # policy violation: who we are, or what we ask for, is not allowed
        1009,  # message too big: it would be as big again
        1010,  # mandatory extension: we offer none
        3000,  # unauthorized: the key is wrong
        3003,  # forbidden: the key may not do this
        *range(4000, 5000),  # the server's own: OpenAI's 4000 is a request that it does not take
    }
)
"""Close codes (RFC 6455 and IANA's registry) after which another connection would end in the same way."""

_SHORTEST_SECRET = 4
"""Characters; to hide anything shorter would only garble the message."""


def closed(code: int | None, reason: str) -> SessionError:
    """The connection ended.

    Args:
        code: What the server closed it with; None where it did not say goodbye.
        reason: What it said to it, or what we know.
    """
    because = f": {one_line(reason)}" if reason else ""
    if code is None:
        return SessionLost(f"the connection to the model was lost{because}")
    kind = SessionError if code in _FINAL_CODES else SessionLost
    return kind(f"the model closed the connection with {code}{because}")


def refused(who: str, status: int, content_type: str, body: bytes, secrets: Iterable[str]) -> SessionError:
    """An HTTP server answered the upgrade with something else.

    Args:
        who: `model` or `proxy`.
        status: Its status.
        content_type: What its answer is; only JSON and plain text are passed on.
        body: Its answer, which says why.
        secrets: What it may have been sent and must not be repeated.
    """
    kind = SessionLost if status in _TRANSIENT_STATUS or status >= 500 else SessionError
    words = one_line(without_secrets(_words(content_type, body), secrets))
    if 300 <= status < 400:
        words = "it leads elsewhere, and is not followed there"
    return kind(f"the {who} refused the connection: HTTP {status}" + (f": {words}" if words else ""))


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """The text with each of these made illegible, the longest first as one may hold another."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    return text


def _words(content_type: str, body: bytes) -> str:
    """The message in an answer, if it has one."""
    kind = content_type.partition(";")[0].strip().lower()
    text = body.decode("utf-8", "replace")
    if kind == "text/plain":
        return text
    if kind != "application/json" and not kind.endswith("+json"):
        return ""
    try:
        answer: Any = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    # OpenAI and Azure: {"error": {"message": …}}; others: {"error": …}, {"message": …} or {"detail": …}.
    for _ in range(2):
        if isinstance(answer, dict):
            answer = next((answer[name] for name in ("error", "message", "detail") if answer.get(name)), "")
    return answer if isinstance(answer, str) else ""
