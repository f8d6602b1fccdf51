"""The command line: server, agent, model, call, doctor."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from realtime_agent import __version__, programs
from realtime_agent.call_log import LINGER_S, TIMEOUT_S
from realtime_agent.config import Settings, load_settings
from realtime_agent.descriptors import allow_many_descriptors
from realtime_agent.doctor.examination import TIMEOUT_S as DOCTOR_TIMEOUT_S
from realtime_agent.errors import ConfigError, InvalidRequest, RealtimeAgentError
from realtime_agent.logs import configure_logging
from realtime_agent.loop_lag import WatchedLoop

__all__ = ["main", "parser"]

_FAILED = 1
_USAGE = 2
_INTERRUPTED = 130

Program = Callable[[argparse.Namespace, Settings], Coroutine[Any, Any, int]]

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction["_Parser"]  # noqa: SLF001 - it has no public name


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 well, 1 failed, 2 used wrongly, 130 interrupted."""
    options = parser().parse_args(arguments)
    program: Program = options.program
    try:
        settings = options.load_settings()
        configure_logging(settings.log_level)
        allow_many_descriptors()
        with asyncio.Runner(loop_factory=WatchedLoop) as runner:
            return runner.run(_until_signal(program(options, settings)))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        return _FAILED  # whoever read our output has gone
    except ExceptionGroup as errors:
        if errors.split(BrokenPipeError)[1] is not None:
            raise
        return _FAILED
    except (ConfigError, InvalidRequest) as error:
        print(f"realtime-agent: {_in_words(error)}", file=sys.stderr)
        return _USAGE
    except RealtimeAgentError as error:
        print(f"realtime-agent: {error}", file=sys.stderr)
        return _FAILED


async def _until_signal(program: Coroutine[Any, Any, int]) -> int:
    """Run a program; SIGTERM and Ctrl-C cancel it, so that it ends what it started."""
    task = asyncio.create_task(program)
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


def parser() -> argparse.ArgumentParser:
    """Reads the command line; `program` of what it returns is what to run, with what `load_settings` gives."""
    top = _Parser(
        prog="realtime-agent",
        description="Real-time voice agents. Settings come from the environment and .env; see .env.example.",
    )
    top.add_argument("--version", action="version", version=__version__)
    top.set_defaults(load_settings=load_settings)
    commands = top.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    for add in (_add_server, _add_agent, _add_model, _add_call, _add_doctor):
        add(commands)
    return top


def _add_server(commands: _Commands) -> None:
    server = commands.add_parser(
        "server", help="the HTTP service", description="Serve the HTTP API and the page, until Ctrl-C."
    )
    server.add_argument("--port", type=_port, help="instead of SERVER_PORT; 0 is any free one")
    server.set_defaults(program=programs.serve)


def _add_agent(commands: _Commands) -> None:
    agent = commands.add_parser(
        "agent",
        help="one agent in the foreground",
        description="Run one agent, with the page for its channel, until its user has left.",
    )
    agent.add_argument("--channel_name", required=True, help="the channel to join")
    agent.add_argument("--uid", type=_uid, required=True, help="the agent's number in the channel; 0 is any")
    agent.add_argument("--user_uid", type=_uid, help="whom it hears (default: the first who comes)")
    agent.add_argument("--system_instruction", help="how it should behave")
    agent.add_argument("--voice", help="its voice")
    agent.add_argument("--language", help="what the user speaks, such as en")
    agent.add_argument("--model", help="the model's name")
    agent.add_argument("--greeting", help="what it says first")
    agent.add_argument("--port", type=_port, help="of its page, instead of SERVER_PORT; 0 is any free one")
    agent.set_defaults(program=programs.run_agent)


def _add_model(commands: _Commands) -> None:
    model = commands.add_parser(
        "model",
        help="the embedded Realtime server",
        description="Serve the embedded voice model at ws://HOST:PORT/v1, for any Realtime client.",
    )
    model.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    model.add_argument("--port", type=_port, default=9000, help="default: %(default)s; 0 is any free one")
    model.add_argument(
        "--listen-only",
        action="store_true",
        help="only write down what is said, in sessions with ?intent=transcription; loads no voice, to use less memory",
    )
    model.add_argument("--until-eof", action="store_true", help="end when standard input ends")
    model.set_defaults(program=programs.run_model)


def _add_call(commands: _Commands) -> None:
    user = commands.add_parser(
        "call",
        help="call an agent, as its user",
        description="Join a channel as its user: play a file as the microphone, or use the real one; print both sides' "
        "words and how long the answer took. Exits with 0 only if the agent answered.",
    )
    user.add_argument("--channel_name", required=True, metavar="NAME", help="the channel that the agent is in")
    user.add_argument("--uid", type=_uid, default=0, metavar="N", help="the user's number (default: 0, any)")
    source = user.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--wav", type=Path, metavar="FILE", help="speak this sound file in real time: WAV of any rate, MP3, FLAC or Ogg"
    )
    source.add_argument(
        "--mic",
        action="store_true",
        help="speak with the microphone, hear with the loudspeaker, until Ctrl-C; there is no echo cancellation, "
        "so use headphones",
    )
    user.add_argument("--save", type=Path, metavar="FILE", help="write what was heard as a WAV file")
    user.add_argument(
        "--json", action="store_true", help="print nothing but one JSON object at the end: transcripts, latencies"
    )
    user.add_argument(
        "--server",
        type=_http_url,
        metavar="URL",
        help="the server's address (default: http://SERVER_HOST:SERVER_PORT of the settings)",
    )
    user.add_argument(
        "--timeout",
        type=_seconds,
        default=TIMEOUT_S,
        metavar="SECONDS",
        help="how long after the file's end to wait for the end of the answer (default: %(default)g)",
    )
    user.add_argument(
        "--linger",
        type=_seconds,
        default=LINGER_S,
        metavar="SECONDS",
        help="how long it must be quiet after the answer for the call to end (default: %(default)g)",
    )
    user.set_defaults(program=programs.run_call)


def _add_doctor(commands: _Commands) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="what is missing, and how to mend it",
        description="Check the settings, this machine, and the servers that the settings name; say what is missing and "
        "how to mend it. No key is sent, nor shown. Exits with 0 if nothing is missing or wrong, else with 1.",
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    doctor.add_argument(
        "--timeout",
        type=_seconds,
        default=DOCTOR_TIMEOUT_S,
        metavar="SECONDS",
        help="how long each server may take to answer (default: %(default)g); a silent name server may take longer",
    )
    # It reads the settings itself, to say of each what is wrong, and what others log would only say the same again.
    doctor.set_defaults(program=programs.run_doctor, load_settings=partial(Settings, log_level="ERROR"))


def _uid(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) >= 1 << 32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 4294967295")
    return int(text)


def _http_url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with http:// or https://")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def _in_words(error: Exception) -> str:
    if isinstance(error, InvalidRequest):
        return "; ".join(f"--{field}: {message}" for field, message in error.fields)
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
