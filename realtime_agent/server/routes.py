"""Every address of the service, in one table: what it takes, what it answers, and who does it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json

from realtime_agent import __version__
from realtime_agent.config import Settings
from realtime_agent.control.commands import Command, UpdateSession, command_adapter
from realtime_agent.control.life import EndReason
from realtime_agent.errors import FieldError, InvalidRequest
from realtime_agent.fleet.fleet import Fleet
from realtime_agent.realtime.types import McpTool, SessionConfig, ToolChoiceFunction, ToolChoiceMcp
from realtime_agent.server import schemas
from realtime_agent.server.media import hand_over
from realtime_agent.server.metrics import Metrics
from realtime_agent.server.route import EventStream, Parameter, Route
from realtime_agent.server.start_agent import StartAgent
from realtime_agent.server.stream import stream_events
from realtime_agent.server.tokens import TokenSigner, agora_token
from realtime_agent.tools import Toolbox

__all__ = ["ROUTES", "Services", "services"]

T = TypeVar("T")

_BODY_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Services:
    """What the handlers work with."""

    settings: Settings
    fleet: Fleet
    tokens: TokenSigner
    metrics: Metrics
    tools: Toolbox


services = web.AppKey("services", Services)


_start_request = TypeAdapter(StartAgent)
_stop_request = TypeAdapter(schemas.StopAgent)
_token_request = TypeAdapter(schemas.TokenRequest)


async def start_agent(request: web.Request) -> web.Response:
    """Start an agent, and answer when it works."""
    have = request.app[services]
    body = await _read(request, _start_request)
    spec = body.to_spec(have.settings)
    _check_tools(have.tools, spec.tools, spec.session)
    agent = await have.fleet.start(spec)
    return _answer(
        schemas.Started(channel_name=agent.spec.channel_name, uid=agent.spec.uid, pid=agent.pid or 0, state=agent.state)
    )


async def stop_agent(request: web.Request) -> web.Response:
    """Stop an agent, and answer when it is gone."""
    body = await _read(request, _stop_request)
    agent = await request.app[services].fleet.stop(body.channel_name)
    reason = agent.ended.reason if agent.ended else EndReason.STOPPED
    return _answer(schemas.Stopped(channel_name=body.channel_name, reason=reason))


async def control_agent(request: web.Request) -> web.Response:
    """Let an agent do something."""
    have = request.app[services]
    command = await _read(request, command_adapter)
    if isinstance(command, UpdateSession):
        command = command.completed(have.settings)
        if command.functions is not None:
            _check_tools(have.tools, command.functions, command.session())
    with have.metrics.command(command.command):
        result = await have.fleet.control(command)
    status = f"Command {command.command} sent to agent."
    return _answer(schemas.CommandSent(status=status, result=result), exclude_none=True)


async def token(request: web.Request) -> web.Response:
    """Let a user join a channel."""
    body = await _read(request, _token_request)
    have = request.app[services]
    uid = body.uid or schemas.random_uid()
    if uid in [agent.spec.uid for agent in have.fleet.list() if agent.spec.channel_name == body.channel_name]:
        # Nobody could be told from the agent; Agora would even send the agent away.
        raise InvalidRequest(FieldError("uid", "it is the number of the channel's agent"))
    if have.settings.uses_agora:
        return _answer(agora_token(have.settings, body.channel_name, uid))
    signed, expires_at = have.tokens.sign(body.channel_name, uid)
    secure = request.secure or request.headers.get("X-Forwarded-Proto") == "https"
    url = f"{'wss' if secure else 'ws'}://{request.host}/rtc/{quote(body.channel_name, safe='')}?token={signed}"
    return _answer(schemas.Token(channel_name=body.channel_name, uid=uid, token=signed, url=url, expires_at=expires_at))


async def list_agents(request: web.Request) -> web.Response:
    """The running agents, and what all have cost."""
    fleet = request.app[services].fleet
    agents = [schemas.AgentInfo.of(agent) for agent in fleet.list()]
    return _answer(schemas.AgentList(agents=agents, total=fleet.usage))


async def show_agent(request: web.Request) -> web.Response:
    """One agent."""
    agent = request.app[services].fleet.find(request.match_info["channel"])
    return _answer(schemas.AgentInfo.of(agent))


async def agent_events(request: web.Request) -> web.StreamResponse:
    """What happens to one agent, as it happens."""
    have = request.app[services]
    agent = have.fleet.find(request.match_info["channel"])
    return await stream_events(request, agent.log, have.metrics.readers)


async def join_channel(request: web.Request) -> web.Response:
    """A user's websocket."""
    have = request.app[services]
    channel_name = request.match_info["channel"]
    if have.settings.uses_agora:
        raise InvalidRequest(FieldError("channel", "it is one of Agora's: join it there, with what POST /token gives"))
    uid = have.tokens.check(request.query.get("token", ""), channel_name)
    return hand_over(request, have.fleet, channel_name, uid)


async def health(_request: web.Request) -> web.Response:
    """Whether the server answers."""
    return _answer(schemas.Health(version=__version__))


async def ready(request: web.Request) -> web.Response:
    """Whether there is room for another agent, and a model if that is the embedded one."""
    request.app[services].fleet.check_ready()
    return _answer(schemas.Health(version=__version__))


async def metrics(request: web.Request) -> web.Response:
    """What can be counted."""
    body, content_type = request.app[services].metrics.as_text()
    return web.Response(body=body, headers={"Content-Type": content_type})


def _check_tools(tools: Toolbox, names: tuple[str, ...] | None, session: SessionConfig) -> None:
    """See whether there are the functions that an agent is to have, and those that its model must call.

    Raises:
        InvalidRequest: one of them is not there.
    """
    try:
        had = tools if names is None else tools.select(names)
    except ValueError as error:
        raise InvalidRequest(FieldError("tools", str(error))) from None
    servers = [each for each in session.tools or () if isinstance(each, McpTool)]
    match session.tool_choice:
        case ToolChoiceFunction(name=name) if name not in had.names:
            raise InvalidRequest(FieldError("tool_choice", f"the agent has no function {name!r}"))
        case ToolChoiceMcp(server_label=label) if label not in [server.server_label for server in servers]:
            raise InvalidRequest(FieldError("tool_choice", f"the agent has no MCP server {label!r}"))
        case "required" if not (had.names or servers):
            raise InvalidRequest(FieldError("tool_choice", "the agent has no tool that it could be required to use"))


async def _read(request: web.Request, adapter: TypeAdapter[T]) -> T:
    """The request's JSON body, checked.

    Raises:
        InvalidRequest: it did not come whole, is not JSON, or does not fit.
    """
    if request.content_type != "application/json":
        raise InvalidRequest(FieldError("Content-Type", "it must be application/json"))
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            body = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except (web.RequestPayloadError, ConnectionResetError):
        raise InvalidRequest(FieldError("body", "it could not be read to its end")) from None
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        raise schemas.invalid_request(_plain(body), error) from None


def _plain(body: bytes) -> object:
    """The body in plain values; `None` if it is no JSON."""
    try:
        return from_json(body)
    except ValueError:
        return None


def _answer(body: BaseModel, *, exclude_none: bool = False) -> web.Response:
    return web.Response(text=body.model_dump_json(exclude_none=exclude_none), content_type="application/json")


_BAD = {
    400: "The request is wrong; details name the fields.",
    408: "The body did not come in time.",
    413: "The body is too large.",
}
_GONE = {404: "No agent runs in this channel."}
_START_ERRORS = {
    **_BAD,
    409: "An agent runs in this channel already, or somebody stopped this one before it was ready.",
    502: "The channel or the model failed; details say how.",
    503: "MAX_AGENTS are running, the embedded model starts again, or the server ends; see Retry-After.",
    504: "The agent was not ready in time.",
}
_CONTROL_ERRORS = {
    **_BAD,
    **_GONE,
    409: "The model can't do it as things stand; details are its words.",
    422: "The model did not accept it; details are its words.",
    429: "Too many commands wait for the agent.",
    500: "An error in the agent; its log has the cause.",
    502: "The model is gone.",
    504: "The agent, or its model, did not answer in time.",
}

ROUTES = (
    Route(
        "POST",
        "/start_agent",
        start_agent,
        "Start an agent",
        StartAgent,
        schemas.Started,
        _START_ERRORS,
        alias="/start",
    ),
    Route(
        "POST",
        "/stop_agent",
        stop_agent,
        "Stop an agent",
        schemas.StopAgent,
        schemas.Stopped,
        {**_BAD, **_GONE, 504: "The agent could not be ended in time."},
        alias="/stop",
    ),
    Route("POST", "/control_agent", control_agent, "Steer an agent", Command, schemas.CommandSent, _CONTROL_ERRORS),
    Route("POST", "/token", token, "Let a user join", schemas.TokenRequest, schemas.AnyToken, _BAD),
    Route(
        "GET",
        "/agents",
        list_agents,
        "List the running agents, and what all have cost",
        response=schemas.AgentList,
    ),
    Route("GET", "/agents/{channel}", show_agent, "Show one agent", response=schemas.AgentInfo, errors=_GONE),
    Route(
        "GET",
        "/agents/{channel}/events",
        agent_events,
        "Watch one agent: server-sent events, again from behind Last-Event-ID; docs/api.md has them",
        response=EventStream,
        errors={**_GONE, 400: "last_event_id is no id of an event."},
        empty={204: "The agent has ended, and the reader has had everything."},
        parameters=(
            Parameter("Last-Event-ID", "header", "The id of the last event that the reader had."),
            Parameter("last_event_id", "query", "The same, for who can set no header."),
        ),
    ),
    Route(
        "GET",
        "/rtc/{channel}",
        join_channel,
        "Join a channel as a user, by websocket; docs/api.md has the messages",
        errors={**_BAD, 401: "The token is not good.", **_GONE, 503: "The agent takes no connections now."},
        parameters=(Parameter("token", "query", "What POST /token gave.", required=True),),
        status=101,
    ),
    Route("GET", "/health", health, "Does the server answer?", response=schemas.Health),
    Route(
        "GET",
        "/ready",
        ready,
        "Is there room for another agent, and does the embedded model run?",
        response=schemas.Health,
        errors={503: "Not now; details say why."},
    ),
    Route("GET", "/metrics", metrics, "Show the counters, as text for Prometheus", response=str),
)
