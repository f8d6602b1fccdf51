"""The live stream of one agent's events, as server-sent events.

The format is https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re

from aiohttp import web

from realtime_agent.errors import FieldError, InvalidRequest
from realtime_agent.fleet.event_log import EventLog, LoggedEvent

__all__ = ["stream_events"]

logger = logging.getLogger(__name__)

_HEARTBEAT_S = 15.0
"""Proxies end what is silent for half a minute or more."""

_WRITE_TIMEOUT_S = 10.0
"""How long a reader may take nothing at all."""

_EVENT_ID = re.compile(r"([0-9a-z]{1,16})-(\d{1,15})")

_LAST_EVENT_ID = "Last-Event-ID"

_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would gather them
}


async def stream_events(request: web.Request, log: EventLog) -> web.StreamResponse:
    """Tell all that is kept behind `Last-Event-ID`, and then what happens, until the agent has ended.

    Raises:
        InvalidRequest: `Last-Event-ID` is none of ours.
    """
    place = _place(request, log)
    if log.is_complete and place >= log.last:
        # So a browser's EventSource does not come back.
        return web.Response(status=204)
    response = web.StreamResponse(headers=_HEADERS)
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    if missed := log.missed(place):
        await response.write(_message("missed", {"count": missed}))
        place += missed
    try:
        await _follow(response, log, place)
    except (TimeoutError, ConnectionError):
        logger.info("a reader of %s's events takes nothing any more, and is dropped", request.rel_url.raw_path)
        if request.transport is not None:
            request.transport.abort()
    return response


async def _follow(response: web.StreamResponse, log: EventLog, place: int) -> None:
    while True:
        if missed := log.missed(place):
            reason = f"too slow: {missed} events were gone before they could be sent; come back with Last-Event-ID"
            await _write(response, _message("dropped", {"reason": reason}))
            return
        events = log.after(place)
        if events:
            await _write(response, b"".join(map(_event, events)))
            place = events[-1].number
        elif log.is_complete:
            return
        try:
            async with asyncio.timeout(_HEARTBEAT_S):
                await log.wait(place)
        except TimeoutError:
            await _write(response, b":\n\n")


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(_WRITE_TIMEOUT_S):
        await response.write(data)


def _place(request: web.Request, log: EventLog) -> int:
    """The number of the last event that the reader had; of another agent's, none."""
    told = request.headers.get(_LAST_EVENT_ID) or request.query.get("last_event_id")
    if not told:
        return 0
    match = _EVENT_ID.fullmatch(told)
    if match is None:
        raise InvalidRequest(FieldError(_LAST_EVENT_ID, "it is no id of an event, such as 3f9c02d7-41"))
    log_id, number = match.groups()
    return min(int(number), log.last) if log_id == log.id else 0


def _event(event: LoggedEvent) -> bytes:
    return f"id: {event.id}\nevent: {event.type}\ndata: {event.text}\n\n".encode()


def _message(kind: str, body: dict[str, object]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(body)}\n\n".encode()
