"""The command line: server, agent, model, call."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NoReturn

from realtime_agent import __version__, call, programs
from realtime_agent.config import Settings, load_settings
from realtime_agent.errors import ConfigError, RealtimeAgentError
from realtime_agent.logs import configure_logging
from realtime_agent.server.schemas import InvalidRequest

__all__ = ["main"]

_FAILED = 1
_USAGE = 2
_INTERRUPTED = 130

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

    server = commands.add_parser(
        "server", help="the HTTP service", description="Serve the HTTP API and the page, until Ctrl-C."
    )
    server.add_argument("--port", type=_port, help="instead of SERVER_PORT; 0 is any free one")
    server.set_defaults(program=programs.serve)

    agent = commands.add_parser(
        "agent",
        help="one agent in the foreground",
        description="Run one agent, with the page for its channel, until its user has left.",
    )
    agent.add_argument("--channel_name", required=True, help="the channel to join")
    agent.add_argument("--uid", type=int, required=True, help="the agent's number in the channel; 0 is any")
    agent.add_argument("--user_uid", type=int, help="whom it hears (default: the first who comes)")
    agent.add_argument("--system_instruction", help="how it should behave")
    agent.add_argument("--voice", help="its voice")
    agent.add_argument("--language", help="what the user speaks, such as en")
    agent.add_argument("--model", help="the model's name")
    agent.add_argument("--greeting", help="what it says first")
    agent.add_argument("--port", type=_port, help="of its page, instead of SERVER_PORT; 0 is any free one")
    agent.set_defaults(program=programs.run_agent)

    model = commands.add_parser(
        "model",
        help="the embedded Realtime server",
        description="Serve the embedded voice model at ws://HOST:PORT/v1, for any Realtime client.",
    )
    model.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    model.add_argument("--port", type=_port, default=9000, help="default: %(default)s; 0 is any free one")
    model.add_argument("--until-eof", action="store_true", help="end when standard input ends")
    model.set_defaults(program=programs.run_model)

    user = commands.add_parser(
        "call",
        help="call an agent, as its user",
        description="Join a channel as its user: play a file as the microphone, or use the real one; print both sides' "
        "words and how long the answer took. Exits with 0 only if the agent answered.",
    )
    call.add_arguments(user)
    user.set_defaults(program=programs.run_call)
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def _in_words(error: Exception) -> str:
    if isinstance(error, InvalidRequest):
        return "; ".join(f"--{detail.field}: {detail.message}" for detail in error.details)
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
