"""The live stream of one agent's events, as server-sent events.

The format is https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from realtime_agent.errors import FieldError, InvalidRequest
from realtime_agent.fleet.event_log import EventLog, LoggedEvent

__all__ = ["Readers", "stream_events"]

logger = logging.getLogger(__name__)

_HEARTBEAT_S = 15.0
"""Proxies end what is silent for half a minute or more."""

_WRITE_TIMEOUT_S = 10.0
"""How long a reader may take nothing at all."""

_MAX_BYTES = 64 * 1024
"""Of events that are written at once, unless one alone has more."""

_EVENT_ID = re.compile(r"([0-9a-z]{1,16})-(\d{1,15})")

_NONE = "0-0"
"""The id of what is before every event."""

_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would gather them
}


@dataclass
class Readers:
    """Who reads the events of agents.

    Attributes:
        present: How many do now.
        dropped: How many were too slow, since the server started.
    """

    present: int = 0
    dropped: int = 0


async def stream_events(request: web.Request, log: EventLog, readers: Readers) -> web.StreamResponse:
    """Tell all that is kept behind `Last-Event-ID`, and then what happens, until the agent has ended.

    Raises:
        InvalidRequest: `last_event_id` is none of ours.
    """
    place = _place(request, log)
    if log.is_complete and place >= log.last:
        # So a browser's EventSource does not come back.
        return web.Response(status=204)
    response = web.StreamResponse(headers=_HEADERS)
    readers.present += 1
    try:
        # Who asks may hang up before there is an answer.
        await response.prepare(request)
        if request.method != "HEAD" and not await _Reader(request, response).follow(log, place):
            readers.dropped += 1
    except TimeoutError:
        readers.dropped += 1
        logger.info("a reader of %s's events takes nothing any more, and is dropped", request.rel_url.raw_path)
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass  # It has left; the line of its request says so.
    finally:
        readers.present -= 1
    return response


class _Reader:
    """Who reads the events of one agent."""

    def __init__(self, request: web.Request, response: web.StreamResponse) -> None:
        self._request = request
        self._response = response

    async def follow(self, log: EventLog, place: int) -> bool:
        """Tell what is in the log behind this place, until nothing comes any more; returns whether it kept up.

        Raises:
            TimeoutError: it takes nothing any more.
            ConnectionError: it has left.
        """
        if missed := log.missed(place):
            await self._write(_message("missed", {"count": missed}))
            place += missed
        while not (missed := log.missed(place)):
            # No more at once than it soon takes: the log may go on meanwhile, and what waits here is held twice.
            events = log.after(place, _MAX_BYTES)
            if events:
                await self._write(b"".join(map(_event, events)))
                place = events[-1].number
            elif log.is_complete:
                break
            else:
                await self._wait(log, place)
        if missed:
            reason = f"too slow: {missed} events were gone before they could be sent; come back with Last-Event-ID"
            await self._write(_message("dropped", {"reason": reason}))
        await self._patiently(self._response.write_eof(), 0)
        return not missed

    async def _wait(self, log: EventLog, place: int) -> None:
        try:
            async with asyncio.timeout(_HEARTBEAT_S):
                await log.wait(place)
        except TimeoutError:
            await self._write(b":\n\n")

    async def _write(self, data: bytes) -> None:
        await self._patiently(self._response.write(data), len(data))

    async def _patiently(self, work: Coroutine[Any, Any, None], size: int) -> None:
        """Write so many bytes, as long as any is taken."""
        writing = asyncio.ensure_future(work)
        try:
            waiting = self._waiting + size
            while not (await asyncio.wait([writing], timeout=_WRITE_TIMEOUT_S))[0]:
                if self._waiting >= waiting:
                    raise TimeoutError
                waiting = self._waiting
            writing.result()
        finally:
            writing.cancel()

    @property
    def _waiting(self) -> int:
        """How many bytes the reader's connection has not taken."""
        return self._request.transport.get_write_buffer_size() if self._request.transport is not None else 0


def _place(request: web.Request, log: EventLog) -> int:
    """The number of the last event that the reader had; of another agent's, none."""
    by_itself = request.headers.get("Last-Event-ID")
    match = _EVENT_ID.fullmatch(by_itself or request.query.get("last_event_id") or _NONE)
    if match is None and not by_itself:
        raise InvalidRequest(FieldError("last_event_id", "it is no id of an event, such as 3f9c02d7-41"))
    if match is None:
        # A browser's EventSource gives what it has from whatever was here before, and an error would end it for good.
        return 0
    log_id, number = match.groups()
    return min(int(number), log.last) if log_id == log.id else 0


def _event(event: LoggedEvent) -> bytes:
    return f"id: {event.id}\nevent: {event.type}\ndata: {event.text}\n\n".encode()


def _message(kind: str, body: dict[str, object]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(body)}\n\n".encode()
