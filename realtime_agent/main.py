"""The command line: server, agent, model, call."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from pydantic import ValidationError

from realtime_agent import __version__, call
from realtime_agent.assembly import check_channel
from realtime_agent.config import Settings, load_settings
from realtime_agent.control.life import EndReason
from realtime_agent.errors import ConfigError, RealtimeAgentError
from realtime_agent.fleet.fleet import Fleet
from realtime_agent.fleet.inline import InlineLauncher
from realtime_agent.fleet.model_process import embedded_model
from realtime_agent.fleet.process import ProcessLauncher
from realtime_agent.logs import configure_logging
from realtime_agent.server.app import create_app
from realtime_agent.server.run import bind, serving
from realtime_agent.server.schemas import InvalidRequest, StartAgent, describe_validation

__all__ = ["main"]

logger = logging.getLogger(__name__)

_FAILED = 1
_USAGE = 2
_INTERRUPTED = 130

_FAILURES = (EndReason.MODEL_FAILED, EndReason.RTC_FAILED, EndReason.CRASHED)

Program = Callable[[argparse.Namespace, Settings], Coroutine[Any, Any, int]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 well, 1 failed, 2 used wrongly, 130 interrupted."""
    options = _parser().parse_args(arguments)
    program: Program = options.program
    try:
        settings = load_settings()
        configure_logging(settings.log_level)
        return asyncio.run(_until_signal(program(options, settings)))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except (ConfigError, InvalidRequest) as error:
        print(f"realtime-agent: {_in_words(error)}", file=sys.stderr)
        return _USAGE
    except RealtimeAgentError as error:
        print(f"realtime-agent: {error}", file=sys.stderr)
        return _FAILED


async def serve(options: argparse.Namespace, settings: Settings) -> int:
    """The HTTP service, until it is told to end."""
    check_channel(settings)
    listener = bind(settings.server_host, settings.server_port if options.port is None else options.port)
    async with embedded_model(settings) as complete:
        fleet = Fleet(ProcessLauncher(complete, preload=["realtime_agent.main"]), settings)
        async with serving(create_app(settings, fleet), listener) as address:
            print(f"Ready. Open {address} and speak; its API is at {address}/docs. Ctrl-C ends it.", flush=True)
            await asyncio.Event().wait()
    return 0


async def run_agent(options: argparse.Namespace, settings: Settings) -> int:
    """One agent in this process, with the page for its channel, until it ends."""
    check_channel(settings)
    spec = _start_request(options).to_spec(settings)
    listener = bind(settings.server_host, settings.server_port if options.port is None else options.port)
    async with embedded_model(settings) as complete:
        fleet = Fleet(InlineLauncher(complete), settings)
        async with serving(create_app(settings, fleet), listener) as address:
            agent = await fleet.start(spec)
            print(f"Ready. Open {address}/?channel={spec.channel_name} and speak. Ctrl-C ends it.", flush=True)
            await agent.gone.wait()
    if agent.ended is None:
        return _FAILED
    print(f"The agent ended: {agent.ended.reason}", flush=True)
    return _FAILED if agent.ended.reason in _FAILURES else 0


async def run_model(options: argparse.Namespace, settings: Settings) -> int:
    """The embedded Realtime server alone."""
    from realtime_agent.local_model.server import run

    def announce(url: str) -> None:
        print(url, flush=True)

    serving_model = asyncio.ensure_future(run(settings, options.host, options.port, announce))
    waits: set[asyncio.Future[Any]] = {serving_model}
    if options.until_eof:
        waits.add(asyncio.ensure_future(_end_of_input()))
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    serving_model.cancel()
    with suppress(asyncio.CancelledError):
        await serving_model
    return 0


async def run_call(options: argparse.Namespace, settings: Settings) -> int:
    """The user's side of a channel."""
    return await call.call(call.options_from(options), settings, out=sys.stdout)


async def _end_of_input() -> None:
    """Wait until standard input ends, as it does when the process that holds its other end is gone."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1024):
        pass


async def _until_signal(program: Coroutine[Any, Any, int]) -> int:
    """Run a program; SIGTERM and Ctrl-C cancel it, so that it ends what it started."""
    task = asyncio.ensure_future(program)
    received: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        received.append(number)
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, number)
    try:
        return await task
    except asyncio.CancelledError:
        return _INTERRUPTED if signal.SIGINT in received else 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(_USAGE, f"{self.prog}: {message} (--help explains)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="realtime-agent",
        description="Real-time voice agents. Settings come from the environment and .env; see .env.example.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    server = commands.add_parser("server", help="the HTTP service", description=serve.__doc__)
    server.add_argument("--port", type=_port, help="instead of SERVER_PORT; 0 is any free one")
    server.set_defaults(program=serve)

    agent = commands.add_parser("agent", help="one agent in the foreground", description=run_agent.__doc__)
    agent.add_argument("--channel_name", required=True, help="the channel to join")
    agent.add_argument("--uid", type=int, required=True, help="the agent's number in the channel; 0 is any")
    agent.add_argument("--user_uid", type=int, help="whom it hears (default: the first who comes)")
    agent.add_argument("--system_instruction", help="how it should behave")
    agent.add_argument("--voice", help="its voice")
    agent.add_argument("--language", help="what the user speaks, such as en")
    agent.add_argument("--model", help="the model's name")
    agent.add_argument("--greeting", help="what it says first")
    agent.add_argument("--port", type=_port, help="of its page, instead of SERVER_PORT; 0 is any free one")
    agent.set_defaults(program=run_agent)

    model = commands.add_parser("model", help="the embedded Realtime server", description=run_model.__doc__)
    model.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    model.add_argument("--port", type=_port, default=9000, help="default: %(default)s; 0 is any free one")
    model.add_argument("--until-eof", action="store_true", help="end when standard input ends")
    model.set_defaults(program=run_model)

    user = commands.add_parser("call", help="call an agent, as its user", description=call.call.__doc__)
    call.add_arguments(user)
    user.set_defaults(program=run_call)
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def _start_request(options: argparse.Namespace) -> StartAgent:
    given = {name: value for name in StartAgent.model_fields if (value := getattr(options, name, None)) is not None}
    try:
        return StartAgent.model_validate(given)
    except ValidationError as error:
        raise InvalidRequest("Invalid arguments", describe_validation(error.errors())) from None


def _in_words(error: Exception) -> str:
    if isinstance(error, InvalidRequest):
        return "; ".join(f"--{detail.field}: {detail.message}" for detail in error.details)
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
