"""Browser audio to the worker: the server checks the websocket's opening handshake, then hands the connection over.

No audio passes the server: the worker reads and writes the user's socket itself (docs/design.md has the figures).
"""

from __future__ import annotations

import socket

from aiohttp import web
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from realtime_agent.errors import ChannelError, FieldError, InvalidRequest
from realtime_agent.fleet.fleet import Fleet

__all__ = ["hand_over"]

_SWITCHING_PROTOCOLS = 101


def hand_over(request: web.Request, fleet: Fleet, channel_name: str, uid: int) -> web.Response:
    """Give a user's connection to the channel's agent.

    Raises:
        AgentNotFound: no agent runs there.
        ChannelError: it takes no connections now.
        InvalidRequest: this is not a websocket's opening handshake.
    """
    fleet.find_running(channel_name)
    answer = _handshake(request)
    transport = request.transport
    if transport is None:
        raise ChannelError("the user has hung up")
    with socket.socket(fileno=socket.dup(transport.get_extra_info("socket").fileno())) as connection:
        fleet.hand_over(channel_name, connection, uid, answer)
    # Closes our descriptor only; the connection lives on in the worker, which sends the answer. Until it has,
    # the user sends nothing that could have been read here.
    transport.abort()
    return web.Response(status=_SWITCHING_PROTOCOLS)


def _handshake(request: web.Request) -> bytes:
    protocol = ServerProtocol()
    response = protocol.accept(Request(request.path_qs, Headers(request.headers.items())))
    if response.status_code != _SWITCHING_PROTOCOLS:
        raise InvalidRequest(FieldError("Upgrade", f"this address takes websockets only: {protocol.handshake_exc}"))
    return response.serialize()
