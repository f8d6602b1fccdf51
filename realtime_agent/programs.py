"""What the commands do; the command line itself is main.py."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import sys
import threading
from contextlib import AsyncExitStack, redirect_stdout
from urllib.parse import quote

from pydantic import ValidationError

from realtime_agent.assembly import check_settings, model_address
from realtime_agent.call import CallOptions, call
from realtime_agent.config import Settings, unknown_names
from realtime_agent.control.life import EndReason
from realtime_agent.doctor.examination import examine
from realtime_agent.doctor.finding import is_well
from realtime_agent.doctor.report import as_json, as_text
from realtime_agent.errors import ConfigError
from realtime_agent.fleet.fleet import Fleet
from realtime_agent.fleet.inline import InlineLauncher
from realtime_agent.fleet.model_process import embedded_model
from realtime_agent.fleet.process import ProcessLauncher
from realtime_agent.server.app import create_app
from realtime_agent.server.run import bind, serving
from realtime_agent.server.schemas import invalid_request
from realtime_agent.server.start_agent import StartAgent

__all__ = ["call_options", "run_agent", "run_call", "run_doctor", "run_model", "serve"]

logger = logging.getLogger(__name__)

_FAILED = 1
_FAILURES = (EndReason.MODEL_FAILED, EndReason.RTC_FAILED, EndReason.CRASHED)


async def serve(options: argparse.Namespace, settings: Settings) -> int:
    """The HTTP service, until it is told to end."""
    _check(settings)
    listener = bind(settings.server_host, settings.server_port if options.port is None else options.port)
    async with embedded_model(settings) as model:
        logger.info("agents talk to the model at %s", model_address(model.settings))
        preload = ["realtime_agent.rtc.agora"] if settings.uses_agora else []
        fleet = Fleet(ProcessLauncher(model.settings, preload=preload), settings, model)
        async with serving(create_app(settings, fleet), listener) as address:
            print(f"Ready. Open {address} and speak; its API is at {address}/docs. Ctrl-C ends it.", flush=True)
            await asyncio.Event().wait()
    return 0


async def run_agent(options: argparse.Namespace, settings: Settings) -> int:
    """One agent in this process, with the page for its channel, until it ends."""
    _check(settings)
    spec = _start_request(options).to_spec(settings)
    listener = bind(settings.server_host, settings.server_port if options.port is None else options.port)
    async with embedded_model(settings) as model:
        fleet = Fleet(InlineLauncher(model.settings), settings, model)
        async with serving(create_app(settings, fleet), listener) as address:
            agent = await fleet.start(spec)
            channel = quote(spec.channel_name, safe="")
            print(f"Ready. Open {address}/?channel={channel} and speak. Ctrl-C ends it.", flush=True)
            await agent.gone.wait()
    if agent.ended is None:
        return _FAILED
    print(f"The agent ended: {agent.ended.reason}", flush=True)
    return _FAILED if agent.ended.reason in _FAILURES else 0


async def run_model(options: argparse.Namespace, settings: Settings) -> int:
    """The embedded Realtime server alone."""
    from realtime_agent.local_model.server import serve

    async with AsyncExitStack() as stack:
        try:
            model = await stack.enter_async_context(
                serve(settings, host=options.host, port=options.port, listen_only=options.listen_only)
            )
        except OSError as error:
            raise ConfigError(f"can't listen on {options.host} port {options.port}: {error.strerror}") from None
        print(model.url, flush=True)
        await (_end_of_input() if options.until_eof else asyncio.Event().wait())
    return 0


async def run_call(options: argparse.Namespace, settings: Settings) -> int:
    """The user's side of a channel."""
    return await call(call_options(options), settings, out=sys.stdout)


async def run_doctor(options: argparse.Namespace, _settings: Settings) -> int:
    """What is missing, in words."""
    # What the modules of AGENT_TOOLS print is no part of the report.
    with redirect_stdout(sys.stderr):
        sections = await examine(timeout=options.timeout)
    print(as_json(sections) if options.json else as_text(sections, shutil.get_terminal_size().columns), flush=True)
    return 0 if is_well(sections) else _FAILED


def call_options(options: argparse.Namespace) -> CallOptions:
    """What the arguments of `call` ask for."""
    return CallOptions(
        channel_name=options.channel_name,
        uid=options.uid,
        wav=options.wav,
        mic=options.mic,
        save=options.save,
        json=options.json,
        server_url=options.server,
        timeout_s=options.timeout,
        linger_s=options.linger,
    )


def _check(settings: Settings) -> None:
    for name, nearest in unknown_names().items():
        logger.warning(".env: %r is no setting%s", name, f"; is it {nearest}?" if nearest else "")
    check_settings(settings)


async def _end_of_input() -> None:
    """Wait until standard input ends, as it does when the process that holds its other end is gone."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def read() -> None:
        # In a thread, since an event loop can wait for pipes but not for files; and below Python's buffered reader,
        # whose lock a thread that waits in it would still hold when the interpreter ends.
        while os.read(0, 1024):
            pass
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=read, name="lifeline", daemon=True).start()
    await ended.wait()


def _start_request(options: argparse.Namespace) -> StartAgent:
    given = {name: value for name in StartAgent.model_fields if (value := getattr(options, name, None)) is not None}
    try:
        return StartAgent.model_validate(given)
    except ValidationError as error:
        raise invalid_request(given, error) from None
