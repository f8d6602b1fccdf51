"""The embedded model's process: one for all agents, started and watched by the server.

It is this package's own `model` command. Its standard input is its lifeline: when this process is gone, however it
went, the input ends and the model ends too. One that dies, or answers no more, is started again.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from realtime_agent.config import Settings
from realtime_agent.errors import ConfigError, SessionError
from realtime_agent.local_model.health import is_healthy

__all__ = ["Model", "embedded_model"]

logger = logging.getLogger(__name__)

_COMMAND = (sys.executable, "-m", "realtime_agent.main", "model")

_STOP_TIMEOUT_S = 3.0
_RESTART_DELAYS_S = (0.5, 1, 2, 5, 10)
"""Between restarts of a model that dies again and again; the last one repeats."""

_STEADY_S = 60.0
"""A model that has run for so long does not die again and again."""

_HEALTH_INTERVAL_S = 5.0
_HEALTH_TIMEOUT_S = 5.0
_MAX_MISSED = 3
"""Questions in a row without an answer, after which the model is taken to hang."""

_USAGE_ERROR = 2


@dataclass
class Model:
    """What agents talk to.

    Attributes:
        settings: They lead agents to it.
        is_running: Whether it is there; of a model that is not embedded this is always assumed.
    """

    settings: Settings
    is_running: bool = True


@asynccontextmanager
async def embedded_model(settings: Settings) -> AsyncIterator[Model]:
    """Run the embedded model if the settings want it: as what agents talk to, to listen for phrases, or for both.

    Raises:
        ConfigError: it is not installed.
        SessionError: it did not load.
    """
    if not settings.uses_local_model and not settings.needs_ears:
        yield Model(settings)
        return
    logger.info("loading the embedded model%s", "" if settings.uses_local_model else ", to listen for phrases")
    process = _ModelProcess(settings)
    url = await process.start(port=0)
    logger.info("the embedded model is ready at %s", url)
    found = {"realtime_api_base_uri": url} if settings.uses_local_model else {}
    found |= {"voice_phrases_uri": url} if settings.needs_ears else {}
    model = Model(settings.model_copy(update=found))
    keeper = asyncio.create_task(process.keep_running(model, url), name="embedded model")
    try:
        yield model
    finally:
        keeper.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await keeper
        finally:
            await process.stop()


class _ModelProcess:
    """The model's process: the one that runs now."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: Process | None = None

    async def start(self, port: int) -> str:
        """Start the process; gives its address once it has said where it listens."""
        command = [*_COMMAND, f"--port={port}", "--until-eof"]
        if not self._settings.uses_local_model:
            command.append("--listen-only")
        # In a session of its own, so that Ctrl-C reaches only the server, which then ends the model.
        self._process = process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, start_new_session=True
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(self._settings.local_model_load_timeout_s):
                url = (await process.stdout.readline()).decode().strip()
        except TimeoutError:
            await self.stop()
            raise SessionError("the embedded model did not load in time (LOCAL_MODEL_LOAD_TIMEOUT_S)") from None
        except asyncio.CancelledError:
            await self.stop()
            raise
        if not url:
            code = await process.wait()
            if code == _USAGE_ERROR:
                raise ConfigError("the embedded model can't start; the line above says why")
            raise SessionError(f"the embedded model ended with code {code} while loading")
        return url

    async def keep_running(self, model: Model, address: str) -> None:
        """Start the model again, at the same address, when it dies or hangs."""
        url = urlsplit(address)
        assert url.hostname is not None
        assert url.port is not None
        now = asyncio.get_running_loop().time
        failures = 0
        while True:
            began = now()
            code = await self._until_dead(url.hostname, url.port)
            # Agents that talk to another model can go on without ears.
            model.is_running = not self._settings.uses_local_model
            if now() - began >= _STEADY_S:
                failures = 0
            logger.error("the embedded model ended with code %s; starting it again", code)
            await asyncio.sleep(_RESTART_DELAYS_S[min(failures, len(_RESTART_DELAYS_S) - 1)])
            failures += 1
            with suppress(SessionError, ConfigError, OSError):
                await self.start(url.port)
                model.is_running = True
                logger.info("the embedded model is ready again")

    async def _until_dead(self, host: str, port: int) -> int:
        """Wait until the process ends, and end it when it hangs; gives its exit code."""
        process = self._process
        assert process is not None
        missed = 0
        while missed < _MAX_MISSED:
            with suppress(TimeoutError):
                async with asyncio.timeout(_HEALTH_INTERVAL_S):
                    return await process.wait()
            missed = 0 if await is_healthy(host, port, timeout=_HEALTH_TIMEOUT_S) else missed + 1
        logger.error("the embedded model does not answer any more")
        with suppress(ProcessLookupError):
            process.kill()
        return await process.wait()

    async def stop(self) -> None:
        """End the process, by force if it takes too long; harmless when repeated."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
