"""The application: its lifecycle, its middleware and its pages."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from importlib.resources import files
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from realtime_agent.assembly import load_tools
from realtime_agent.config import Settings
from realtime_agent.errors import (
    AgentExists,
    AgentNotFound,
    ChannelError,
    ControlTimeout,
    FleetClosed,
    FleetFull,
    Forbidden,
    InvalidRequest,
    ModelBusy,
    ModelConflict,
    ModelRefused,
    NotReady,
    QueueFull,
    RealtimeAgentError,
    SessionError,
    SessionTimeout,
    StartFailed,
    StartStopped,
    StartTimeout,
    TokenInvalid,
)
from realtime_agent.fleet.fleet import Fleet
from realtime_agent.loop_lag import running_lag
from realtime_agent.server.guard import guard
from realtime_agent.server.metrics import Metrics
from realtime_agent.server.openapi import openapi
from realtime_agent.server.routes import ROUTES, Services, services
from realtime_agent.server.schemas import Detail, Error
from realtime_agent.server.tokens import TokenSigner
from realtime_agent.server.webhook import Webhook

__all__ = ["create_app"]

logger = logging.getLogger(__name__)

_MAX_BODY = 512 * 1024
"""Bytes: above an instruction of 32,000 characters, were each of them escaped in JSON."""

_RETRY_AFTER_S = 5

_LAST_EVENTS_S = 3.0
"""How long the server's end may wait for a webhook to take what is left."""

_AGORA_SDK = "/agora/AgoraRTC.js"

_COMMONPLACE = ("/static/", _AGORA_SDK, "/health", "/ready", "/metrics")

_STATUS: dict[type[RealtimeAgentError], int] = {
    InvalidRequest: 400,
    Forbidden: 403,
    AgentExists: 409,
    AgentNotFound: 404,
    FleetFull: 503,
    FleetClosed: 503,
    NotReady: 503,
    StartFailed: 502,
    StartStopped: 409,
    StartTimeout: 504,
    ControlTimeout: 504,
    QueueFull: 429,
    TokenInvalid: 401,
    ChannelError: 503,
    ModelBusy: 429,
    ModelConflict: 409,
    ModelRefused: 422,
    SessionTimeout: 504,
    SessionError: 502,
}


def create_app(settings: Settings, fleet: Fleet) -> web.Application:
    """The HTTP service over a fleet, which it opens and closes."""
    app = web.Application(middlewares=[_log, _answer_errors, guard(settings)], client_max_size=_MAX_BODY)
    tools = load_tools(settings)
    metrics = Metrics(fleet, lambda: running_lag().lately(), tools.names)
    app[services] = Services(settings, fleet, TokenSigner(settings.token_ttl_s), metrics, tools)
    app.cleanup_ctx.append(_open_fleet)
    if settings.webhook_url:
        app.cleanup_ctx.append(_post_events(settings))
    app.on_shutdown.append(_drain)
    app.on_response_prepare.append(_forbid_frames)
    for route in ROUTES:
        for path in filter(None, (route.path, route.alias)):
            # aiohttp's own pattern leaves out braces, which a channel's name may have.
            pattern = path.replace("{channel}", "{channel:[^/]+}")
            if route.method == "GET":
                app.router.add_get(pattern, route.handler)  # and HEAD, by which some load balancers probe
            else:
                app.router.add_route(route.method, pattern, route.handler)
    document = openapi(ROUTES)

    async def show_document(_request: web.Request) -> web.Response:
        return web.json_response(document)

    pages = Path(str(files("realtime_agent") / "playground"))
    app.router.add_get("/openapi.json", show_document)
    app.router.add_get("/", _page(pages / "index.html"))
    app.router.add_get("/docs", _page(pages / "docs.html"))
    app.router.add_static("/static", pages)
    app.router.add_get(_AGORA_SDK, _agora_sdk(settings))
    return app


async def _open_fleet(app: web.Application) -> AsyncIterator[None]:
    fleet = app[services].fleet
    await fleet.open()
    yield
    await fleet.close()


async def _drain(app: web.Application) -> None:
    # Before connections are closed, so that those who watch learn how their agents end.
    await app[services].fleet.drain()


def _post_events(settings: Settings) -> Callable[[web.Application], AsyncIterator[None]]:
    """Posts the events of all agents, from the first to the last."""

    async def post(app: web.Application) -> AsyncIterator[None]:
        webhook = Webhook(settings.webhook_url, settings.webhook_secret.get_secret_value())
        app[services].metrics.watch_webhook(webhook)
        app[services].fleet.observe(lambda _agent, _event, logged: webhook.offer(logged.text) if logged else None)
        task = asyncio.create_task(webhook.run(), name="webhook")
        yield
        webhook.close(_LAST_EVENTS_S)
        await task

    return post


async def _forbid_frames(_request: web.Request, response: web.StreamResponse) -> None:
    # In another site's frame, a click meant for that site could start an agent here.
    response.headers["Content-Security-Policy"] = "frame-ancestors 'none'"


def _page(path: Path) -> Handler:
    async def show(_request: web.Request) -> web.StreamResponse:
        return web.FileResponse(path, headers={"Cache-Control": "no-cache"})

    return show


def _agora_sdk(settings: Settings) -> Handler:
    """Agora's SDK for browsers, which is not part of this package."""
    path = Path(settings.agora_web_sdk)

    async def show(_request: web.Request) -> web.StreamResponse:
        if not settings.uses_agora:
            return _error(
                404, Error(error="Not found", details="this server does not use Agora: AGORA_APP_ID is not set")
            )
        if not await asyncio.to_thread(path.is_file):
            details = (
                "this server lacks Agora's SDK for browsers: run npm ci --ignore-scripts where package.json is, or let "
                "AGORA_WEB_SDK name the file AgoraRTC_N-production.js"
            )
            return _error(404, Error(error="Not found", details=details))
        return web.FileResponse(path, headers={"Content-Type": "text/javascript", "Cache-Control": "max-age=3600"})

    return show


@web.middleware
async def _log(request: web.Request, handler: Handler) -> web.StreamResponse:
    """One line a request: without its query, which may hold a token, and not decoded, since that may hold lines."""
    began = time.perf_counter()
    response = await handler(request)
    took_ms = (time.perf_counter() - began) * 1000
    path = request.rel_url.raw_path
    # The files of a page are no news, nor are a balancer's probes, unless they fail.
    level = logging.DEBUG if response.status < 400 and path.startswith(_COMMONPLACE) else logging.INFO
    logger.log(level, "%s %s %d %.1f ms", request.method, path, response.status, took_ms)
    return response


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error as JSON."""
    try:
        return await handler(request)
    except RealtimeAgentError as error:
        status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
        return _error(status, Error(error=_title(error), details=_details(error)))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {name: value for name, value in error.headers.items() if name == "Allow"}
        details = f"{request.method} {request.path}"
        if isinstance(error, web.HTTPRequestEntityTooLarge):
            details += f": the body is larger than {_MAX_BODY} bytes"
        return _error(error.status, Error(error=error.reason, details=details), headers)
    except Exception:
        logger.exception("%s %s failed", request.method, request.rel_url.raw_path)
        return _error(500, Error(error="Internal server error", details="the server's log has the cause"))


def _title(error: RealtimeAgentError) -> str:
    """An error's name as words: AgentExists is "Agent exists"."""
    name = type(error).__name__
    return name[0] + "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name[1:])


def _details(error: RealtimeAgentError) -> list[Detail] | str:
    if isinstance(error, InvalidRequest):
        return [Detail(field=field, message=message) for field, message in error.fields]
    return str(error)


def _error(status: int, body: Error, headers: dict[str, str] | None = None) -> web.Response:
    headers = dict(headers or {})
    if status == 503:
        headers["Retry-After"] = str(_RETRY_AFTER_S)
    return web.json_response(body.model_dump(), status=status, headers=headers)
