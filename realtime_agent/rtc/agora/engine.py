"""Agora's service, of which a process may have one."""

from __future__ import annotations

import asyncio
import atexit
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from realtime_agent.errors import ChannelError
from realtime_agent.rtc.agora.events import NativeEvents
from realtime_agent.rtc.agora.native_call import native_call
from realtime_agent.rtc.agora.native_connection import NativeConnection
from realtime_agent.rtc.agora.sdk import load

__all__ = ["AgoraEngine", "log_folder", "make_log_folder"]

_MAX_LOGS = 100


def log_folder(configured: str) -> Path:
    """AGORA_LOG_DIR, or else a folder of this user's own among the system's temporary ones."""
    return Path(configured or Path(tempfile.gettempdir()) / f"realtime-agent-agora-{os.getuid()}")


class AgoraEngine:
    """The service; channels share it.

    Args:
        app_id: The project.
        log_dir: Where the library writes its log.
        timeout_s: How long it may take to begin, and to end.
    """

    def __init__(self, app_id: str, log_dir: Path, *, timeout_s: float = 10) -> None:
        self._app_id = app_id
        self._log_dir = log_dir
        self._timeout_s = timeout_s
        self._shares = 0
        self._changing = asyncio.Lock()
        self._sdk: Any = None
        self._engine: Any = None
        # The library may call what is in here until it is freed; what is half made stays.
        self._connections: set[NativeConnection] = set()
        self._half_made: list[ChannelError] = []

    async def open(self) -> None:
        """Begin, unless it has begun. Each `open` wants its `close`.

        Raises:
            ConfigError: Agora's packages can't be used.
            ChannelError: the service does not begin.
        """
        async with self._changing:
            if self._engine is None:
                self._sdk = load()
                beginning = asyncio.ensure_future(native_call(self._begin, self._timeout_s, "begin Agora's service"))
                try:
                    self._engine = await asyncio.shield(beginning)
                except asyncio.CancelledError:
                    # Nobody would end it, and there may be only one.
                    with suppress(ChannelError):
                        engine = await beginning
                        await native_call(engine.destroy, self._timeout_s, "end Agora's service")
                    raise
                atexit.register(self._fall_silent)
            self._shares += 1

    async def close(self) -> None:
        """End, if nobody else needs it; harmless when it has not begun."""
        async with self._changing:
            self._shares = max(0, self._shares - 1)
            if not self._shares and self._engine is not None:
                engine, self._engine = self._engine, None
                atexit.unregister(self._fall_silent)
                await native_call(engine.destroy, self._timeout_s, "end Agora's service")

    def create_connection(self, channel_name: str, uid: int, events: NativeEvents) -> NativeConnection:
        """One participant's connection to a channel, not made yet. Call it in the loop that the participant lives in.

        Raises:
            ChannelError: the library does not give one.
        """
        try:
            connection = NativeConnection(self._sdk, self._engine, channel_name, uid, events)
        except ChannelError as error:
            self._half_made.append(error)  # its traceback has what was made
            raise
        self._connections.add(connection)
        return connection

    async def free(self, connection: NativeConnection) -> None:
        """Give back all that a connection has.

        Raises:
            ChannelError: that takes too long; it goes on all the same.
        """
        await native_call(lambda: self._release(connection), self._timeout_s, "free a connection of Agora's")

    def _release(self, connection: NativeConnection) -> None:
        connection.release()
        self._connections.discard(connection)

    def _fall_silent(self) -> None:
        """At the end of the process: what calls into an interpreter that ends takes it down."""
        for connection in self._connections:
            connection.fall_silent()

    def _begin(self) -> Any:
        service = self._sdk.AgoraService()
        make_log_folder(self._log_dir)
        config = self._sdk.AgoraServiceConfig(appid=self._app_id, log_path=str(_new_log(self._log_dir)))
        try:
            result = service.initialize(config)
        except AttributeError:
            raise ChannelError("Agora's service does not begin: its library gives nothing to set") from None
        if result != 0:
            raise ChannelError(f"Agora's service does not begin: its library answers {result}")
        # Its own way to begin ignores that answer, and writes its log among the installed packages. It gets no
        # certificate, so that it makes no tokens, which it would log.
        engine = self._sdk.RtcEngine.__new__(self._sdk.RtcEngine)
        engine.appid, engine.appcert, engine.agora_service = self._app_id, "", service
        return engine


def make_log_folder(folder: Path) -> None:
    """See that there is a folder for logs. What they hold is nobody else's business.

    Raises:
        ChannelError: it can't be had, or is somebody else's.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_ours = folder.stat().st_uid == os.getuid()
    except OSError as error:
        raise ChannelError(f"{folder} can't hold Agora's log ({error.strerror}): set AGORA_LOG_DIR") from None
    if not is_ours:
        raise ChannelError(f"{folder} belongs to somebody else: set AGORA_LOG_DIR")


def _new_log(folder: Path) -> Path:
    """A log of this process's own; the oldest of many are removed."""
    logs = sorted(folder.glob("agora-*.log"), key=_modified)
    for old in logs[: max(0, len(logs) - _MAX_LOGS + 1)]:
        with suppress(OSError):  # another process may have removed it
            old.unlink()
    return folder / f"agora-{os.getpid()}.log"


def _modified(log: Path) -> float:
    """When a file was written to; others of this kind are removed by other processes."""
    try:
        return log.stat().st_mtime
    except FileNotFoundError:
        return 0
