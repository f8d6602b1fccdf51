"""How a connection to a model begins: it greets, and takes the settings."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from realtime_agent.errors import ModelRefused, SessionLost, SessionTimeout
from realtime_agent.realtime.connection import Connection
from realtime_agent.realtime.events import ErrorEvent, ServerEvent, SessionCreated, SessionUpdate, SessionUpdated
from realtime_agent.realtime.types import AnySessionConfig

__all__ = ["EXPIRED", "FINAL", "Connector", "connect"]

logger = logging.getLogger(__name__)

EXPIRED = "session_expired"
"""The code of the error by which a model tells that a connection has reached its hour."""

FINAL = ("invalid_api_key", "insufficient_quota", "model_not_found", "beta_api_shape_disabled")
"""The codes of errors that no other try is spared."""

_TRANSIENT = ("server_error", "rate_limit_exceeded", EXPIRED)
"""Errors for an answer to the settings that another try may be spared."""


class Connector(Protocol):
    """Where the model is."""

    @property
    def timeout(self) -> float:
        """Seconds for each step of getting a session."""
        ...

    async def connect(self) -> Connection:
        """Open a connection.

        Raises:
            SessionLost: it can't be had now.
            SessionError: it can't be had.
        """
        ...


async def connect(connector: Connector, config: AnySessionConfig) -> Connection:
    """A connection on which the model has taken these settings.

    Raises:
        SessionLost, SessionError: as the connector, and when the model does not take them.
    """
    connection = await connector.connect()
    try:
        async with asyncio.timeout(connector.timeout):
            await _expect(connection, SessionCreated)
            connection.send(SessionUpdate(session=config))
            await _expect(connection, SessionUpdated)
    except BaseException as error:
        await connection.close()
        if isinstance(error, TimeoutError):
            message = f"the model did not take its settings within {connector.timeout:g} s"
            raise SessionTimeout(message) from None
        raise
    return connection


async def _expect(connection: Connection, kind: type[ServerEvent]) -> None:
    """Wait for the one event; what comes before it is of no use yet.

    Raises:
        ModelRefused: the model sent an error instead.
        SessionLost: it sent one that may pass.
    """
    while True:
        event = await connection.receive()
        if isinstance(event, kind):
            return
        if isinstance(event, ErrorEvent):
            error = event.error
            message = f"the model refused its settings: {error.message}"
            if error.code in _TRANSIENT or error.type in _TRANSIENT:
                raise SessionLost(message)
            raise ModelRefused(message, error.code)
        logger.debug("before %s came %s", kind.__name__, event.type)
