"""What a user asks the server over HTTP: a token for a channel, and who its agent is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from aiohttp import ClientConnectorCertificateError, ClientError, ClientSession, ClientSSLError, ClientTimeout

from realtime_agent.errors import ChannelError
from realtime_agent.rtc.wire import natural, parse_object

__all__ = ["ServerClient", "UserToken", "no_agent"]


@dataclass(frozen=True, slots=True)
class UserToken:
    """What a user needs to join a channel.

    Attributes:
        rtc: Where the channel is: "web", embedded in the server, or "agora".
        token: For Agora; empty where the project takes users without one. The embedded channel's is in `url`.
        url: The websocket of an embedded channel.
        app_id: The project of a channel of Agora's.
    """

    rtc: str
    channel_name: str
    uid: int
    token: str = field(default="", repr=False)
    url: str = field(default="", repr=False)
    app_id: str = ""


class ServerClient:
    """Asks one server.

    Args:
        server_url: Where it is, like "http://127.0.0.1:8080".
        timeout_s: The bound on each question.
    """

    def __init__(self, server_url: str, *, timeout_s: float = 10) -> None:
        self._server_url = server_url.rstrip("/")
        self._timeout = ClientTimeout(total=timeout_s)

    async def ask_token(self, channel_name: str, uid: int) -> UserToken:
        """Get leave to join a channel; uid 0 lets the server choose.

        Raises:
            ChannelError: no server, or it gave no token.
        """
        body = {"channel_name": channel_name, "uid": uid}
        status, answer = await self._ask("POST", "/token", body)
        if status != 200:
            raise ChannelError(f"the server gave no token: {_in_words(answer)}")
        chosen, texts = natural(answer.get("uid")), {name: answer.get(name, "") for name in ("token", "url", "app_id")}
        wanted = {"web": "url", "agora": "app_id"}.get(str(answer.get("rtc")))
        if chosen is None or wanted is None or not texts[wanted] or any(not isinstance(t, str) for t in texts.values()):
            raise ChannelError(f"the server at {self._server_url} gave a token that nothing can be joined with")
        return UserToken(answer["rtc"], channel_name, chosen, **texts)

    async def find_agent(self, channel_name: str) -> Mapping[str, Any]:
        """The channel's running agent, as GET /agents/{channel} tells.

        Raises:
            ChannelError: no server, or none runs there.
        """
        path = f"/agents/{quote(channel_name, safe='')}"
        status, answer = await self._ask("GET", path)
        if status == 404 or answer.get("state") == "ended":
            raise ChannelError(no_agent(channel_name))
        if status != 200:
            raise ChannelError(f"the server tells nothing of channel {channel_name!r}: {_in_words(answer)}")
        return answer

    async def why_ended(self, channel_name: str) -> str:
        """Why the channel's agent ended, as far as the server knows: its reason, and what failed; or nothing."""
        try:
            status, answer = await self._ask("GET", f"/agents/{quote(channel_name, safe='')}")
        except ChannelError:
            return ""
        if status != 200 or answer.get("state") != "ended":
            return ""
        return ": ".join(str(words) for words in (answer.get("reason"), answer.get("cause")) if words)

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        where = self._server_url
        try:
            async with (
                ClientSession(timeout=self._timeout) as session,
                session.request(method, where + path, json=body) as response,
            ):
                answer = parse_object(await response.text(errors="replace"))
        except ClientConnectorCertificateError:
            raise ChannelError(
                f"the certificate of {where} is not trusted; SSL_CERT_FILE names other authorities"
            ) from None
        except ClientSSLError:
            raise ChannelError(f"the server at {where} does not speak TLS with us: is it http://?") from None
        except (ClientError, OSError, TimeoutError):
            raise ChannelError(f"no server answers at {where}: is `realtime-agent server` running there?") from None
        if answer is None:
            raise ChannelError(f"{where} is not a realtime-agent server: {method} {path} gave no JSON object")
        return response.status, answer


def no_agent(channel_name: str) -> str:
    """That nobody is there to talk to, and what to do."""
    return (
        f"no agent runs in channel {channel_name!r}: start one with POST /start_agent; "
        f"GET /agents/{quote(channel_name, safe='')} tells how the last one ended, if there was one"
    )


def _in_words(answer: Mapping[str, Any]) -> str:
    """An error answer {"error", "details"} as one line."""
    error, details = str(answer.get("error", "no reason given")), answer.get("details")
    if isinstance(details, list):
        details = "; ".join(f"{d.get('field')}: {d.get('message')}" for d in details if isinstance(d, dict))
    return f"{error} ({details})" if details else error
