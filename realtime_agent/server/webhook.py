"""The events of agents, posted to WEBHOOK_URL: in order, signed, tried again, and never at anybody's cost.

The signature is that of the Standard Webhooks specification (https://www.standardwebhooks.com), so that a receiver can
check it with any library for it. What is lost is counted, and the receiver is told.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import io
import logging
import random
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp

from realtime_agent.addresses import public_address
from realtime_agent.webhook_key import webhook_key

__all__ = ["Webhook"]

logger = logging.getLogger(__name__)

_MAX_EVENTS = 2000
_MAX_BYTES = 4 * 1024 * 1024
"""What may wait, beside the batch that is under way."""

_BATCH = 100
"""Events that one request carries at most."""

_BATCH_BYTES = 512 * 1024
"""Bytes of events that it carries at most, unless one alone has more: receivers take bodies of a MiB or so."""

_TIMEOUT_S = 10.0

_ATTEMPTS = 8
_FIRST_DELAY_S = 0.5
_MAX_DELAY_S = 30.0
_MAX_RETRY_AFTER_S = 60.0

_MAX_ANSWER = 64 * 1024
"""Bytes of an answer that are read, so that its connection can be used again; a longer one costs the connection."""

_PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
"""The refusals that may be otherwise next time; so may every 5xx."""


class _Batch(NamedTuple):
    """What one request carries. The id stays over its attempts: by it a receiver drops what it has had."""

    id: str
    body: bytes
    events: int
    dropped: int


class _Failure(NamedTuple):
    """Why an attempt has failed."""

    reason: str
    may_pass: bool
    retry_after_s: float = 0


class Webhook:
    """Posts events as `{"events": [...]}`, one request at a time; with `"dropped": n`, had n been lost before them.

    An event counts as lost if it gave way to newer ones, or if nothing has acknowledged it after all attempts. For use
    on one event loop.

    Args:
        url: Where to; a name and password in it become Basic authentication.
        secret: The key of the signature: `whsec_` and base64, or any other text, of which the UTF-8 bytes are the key.
        http: Makes the session that `run` uses and closes.
        clock: Unix seconds.
        sleep: Waits between attempts, in seconds.
        jitter: Gives numbers from 0 to 1, so that servers that lost a receiver together don't come back together.
        timeout: For each attempt, in seconds.

    Attributes:
        delivered: How many events the receiver has acknowledged.
        dropped: How many were lost.

    Raises:
        ValueError: the secret is none.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        http: Callable[[], aiohttp.ClientSession] | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        timeout: float = _TIMEOUT_S,
    ) -> None:
        self.delivered = 0
        self.dropped = 0
        self._url = url
        self._address = urlsplit(public_address(url))._replace(query="", fragment="").geturl()
        self._key = webhook_key(secret)
        self._http = http or _one_connection
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._under_way = 0
        self._untold = 0
        self._news = asyncio.Event()
        self._deadline: float | None = None
        self._limit: asyncio.Timeout | None = None
        self._pausing: asyncio.Timeout | None = None

    @property
    def waiting(self) -> int:
        """How many events wait to be posted, or are under way."""
        return len(self._waiting) + self._under_way

    def offer(self, event: str) -> None:
        """Let an event, a JSON object as text, be posted; returns at once. When too many wait, the oldest give way."""
        encoded = event.encode()
        if len(encoded) > _MAX_BYTES:
            self._drop(1, f"larger than {_MAX_BYTES} bytes")
            return
        self._waiting.append(encoded)
        self._bytes += len(encoded)
        while len(self._waiting) > _MAX_EVENTS or self._bytes > _MAX_BYTES:
            self._bytes -= len(self._waiting.popleft())
            self._drop(1)
        self._news.set()

    async def run(self) -> None:
        """Post what is offered, until it is cancelled or has done what `close` asks for. Run it once."""
        async with self._http() as http:
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(self._deadline) as self._limit:
                        while batch := await self._next():
                            await self._deliver(http, batch)
            finally:
                self._limit = None
                self._leave()

    def close(self, timeout: float) -> None:
        """Let `run` return once nothing waits, and in any case after this many seconds. What is left then is lost.

        A batch that waits for its next attempt is tried at once. Events may still be offered until `run` returns.
        """
        now = asyncio.get_running_loop().time()
        if self._deadline is not None:
            return
        self._deadline = now + timeout
        self._news.set()
        if self._limit is not None:
            self._limit.reschedule(self._deadline)
        if self._pausing is not None:
            self._pausing.reschedule(now)

    async def _next(self) -> _Batch | None:
        """The next batch, once there is one; None if the webhook closes and nothing waits."""
        while not self._waiting:
            if self._deadline is not None:
                return None
            self._news.clear()
            await self._news.wait()
        events = [self._waiting.popleft()]
        size = len(events[0])
        while self._waiting and len(events) < _BATCH and size + len(self._waiting[0]) <= _BATCH_BYTES:
            events.append(self._waiting.popleft())
            size += len(events[-1])
        self._bytes -= size
        self._under_way = len(events)
        told = b'"dropped":%d,' % self._untold if self._untold else b""
        body = b'{%b"events":[%b]}' % (told, b",".join(events))
        return _Batch(f"msg_{uuid.uuid4().hex}", body, len(events), self._untold)

    async def _deliver(self, http: aiohttp.ClientSession, batch: _Batch) -> None:
        """Post a batch until it is taken or given up."""
        for attempt in range(1, _ATTEMPTS + 1):
            failure = await self._post(http, batch)
            if failure is None:
                self.delivered += batch.events
                self._untold -= batch.dropped
                break
            if not failure.may_pass or attempt == _ATTEMPTS:
                self._drop(batch.events, f"{failure.reason} at attempt {attempt}")
                break
            logger.info("webhook %s: %s at attempt %d", self._address, failure.reason, attempt)
            await self._pause(max(self._delay(attempt), failure.retry_after_s))
        self._under_way = 0

    async def _post(self, http: aiohttp.ClientSession, batch: _Batch) -> _Failure | None:
        """Make one attempt."""
        headers = {"Content-Type": "application/json", **self._signature(batch)}
        try:
            # As a file, since a large body is then written piece by piece.
            async with http.post(
                self._url, data=io.BytesIO(batch.body), headers=headers, timeout=self._timeout, allow_redirects=False
            ) as answer:
                # Its status says all, and is not taken back if the rest does not come.
                with suppress(aiohttp.ClientError, OSError):
                    await _skim(answer.content)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this attempt's end, and not the webhook's
            # Not its words, which may quote the address.
            return _Failure(type(error).__name__, may_pass=True)
        if 200 <= answer.status < 300:
            return None
        may_pass = answer.status in _PASSING or answer.status >= 500
        retry_after_s = _retry_after(answer.headers.get("Retry-After", ""), self._clock())
        return _Failure(f"HTTP {answer.status}", may_pass, retry_after_s)

    def _signature(self, batch: _Batch) -> dict[str, str]:
        """The headers that say who has sent a batch, and when."""
        timestamp = str(int(self._clock()))
        mac = hmac.digest(self._key, f"{batch.id}.{timestamp}.".encode() + batch.body, "sha256")
        return {
            "webhook-id": batch.id,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
        }

    def _delay(self, attempt: int) -> float:
        delay: float = min(_FIRST_DELAY_S * 2 ** (attempt - 1), _MAX_DELAY_S)
        return delay * (0.5 + self._jitter() / 2)

    async def _pause(self, seconds: float) -> None:
        """Wait before the next attempt, unless `close` comes meanwhile."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(None) as self._pausing:
                    await self._sleep(seconds)
        finally:
            self._pausing = None

    def _drop(self, events: int, why: str = "") -> None:
        """Count what is lost, and log why; that some give way, only once until a batch has told of it."""
        if why:
            logger.warning("webhook %s: %s: events lost: %d", self._address, why, events)
        elif not self._untold:
            logger.warning("webhook %s: too much waits: the oldest events give way", self._address)
        self.dropped += events
        self._untold += events

    def _leave(self) -> None:
        left = self._under_way + len(self._waiting)
        self._waiting.clear()
        self._bytes = self._under_way = 0
        if left:
            self._drop(left, "the server ends")


def _one_connection() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        headers={"User-Agent": "realtime-agent"},
        connector=aiohttp.TCPConnector(limit=1),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


def _retry_after(value: str, now: float) -> float:
    """The seconds that a `Retry-After` asks for, which may be a date (RFC 9110, section 10.2.3); 0 if it is none."""
    try:
        if value.isdecimal():
            seconds = float(value)
        else:
            # A date of HTTP is in UTC, whatever it says.
            seconds = parsedate_to_datetime(value).replace(tzinfo=UTC).timestamp() - now
    except (ValueError, OverflowError):
        return 0
    return min(max(seconds, 0), _MAX_RETRY_AFTER_S)


async def _skim(answer: aiohttp.StreamReader) -> None:
    left = _MAX_ANSWER
    while left and (read := await answer.read(left)):
        left -= len(read)
