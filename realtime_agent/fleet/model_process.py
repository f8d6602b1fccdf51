"""The embedded model's process: one for all agents, started and watched by the server.

It is this package's own `model` command. Its standard input is its lifeline: when this process is gone, however it
went, the input ends and the model ends too.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from realtime_agent.config import Settings
from realtime_agent.errors import ConfigError, SessionError

__all__ = ["embedded_model"]

logger = logging.getLogger(__name__)

_COMMAND = (sys.executable, "-m", "realtime_agent.main", "model")

_STOP_TIMEOUT_S = 3.0
_RESTART_DELAYS_S = (0.5, 1, 2, 5, 10)
"""Between restarts of a model that dies again and again; the last one repeats."""

_USAGE_ERROR = 2


@asynccontextmanager
async def embedded_model(settings: Settings) -> AsyncIterator[Settings]:
    """Run the embedded model if the settings want it; gives the settings that lead agents to their model.

    Raises:
        ConfigError: it is not installed.
        SessionError: it did not load.
    """
    if not settings.uses_local_model:
        yield settings
        return
    logger.info("loading the embedded model")
    model = _Model(settings)
    url = await model.start(port=0)
    logger.info("the embedded model is ready at %s", url)
    keeper = asyncio.create_task(model.keep_running(url), name="embedded model")
    try:
        yield settings.model_copy(update={"realtime_api_base_uri": url})
    finally:
        keeper.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await keeper
        finally:
            await model.stop()


class _Model:
    """The model's process: the one that runs now."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: Process | None = None

    async def start(self, port: int) -> str:
        """Start the process; gives its address once it has said where it listens."""
        command = [*_COMMAND, f"--port={port}", "--until-eof"]
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

    async def keep_running(self, url: str) -> None:
        """Start the model again, at the same address, when it dies."""
        port = int(url.rsplit(":", 1)[1].split("/")[0])
        failures = 0
        while self._process is not None:
            code = await self._process.wait()
            logger.error("the embedded model ended with code %s; starting it again", code)
            await asyncio.sleep(_RESTART_DELAYS_S[min(failures, len(_RESTART_DELAYS_S) - 1)])
            failures += 1
            with suppress(SessionError, ConfigError, OSError):
                await self.start(port)

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
