"""What an idle worker does first: it lets an agent begin and leave, so that for the next one nothing is the first time.

The first call of everything costs ten times the second: pages that are shared with the fork server are copied when they
are written to, and the interpreter learns what it runs. The model is a few lines on a port of this machine's own, which
say what every model does at its beginning; nobody hears of the agent.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha1

from pydantic import SecretStr

from realtime_agent.assembly import assemble
from realtime_agent.config import Settings
from realtime_agent.control.events import AgentEvent, StateChanged
from realtime_agent.control.life import EndReason, State
from realtime_agent.control.spec import AgentSpec
from realtime_agent.rtc.web import WebChannel

__all__ = ["rehearse"]

logger = logging.getLogger(__name__)

_TIMEOUT_S = 5.0

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What RFC 6455 has the key of a handshake hashed with."""

_KEY = b"sec-websocket-key:"
_SAID = (
    b'{"type":"session.created","event_id":"e1","session":{}}',
    b'{"type":"session.updated","event_id":"e2","session":{}}',
)

_NEVER = 0.0
_SPEC = {
    "channel_name": "rehearsal",
    "uid": 1,
    "user_uid": None,
    "greeting": "",
    "idle_prompt": "",
    "goodbye": "",
    "record": False,
    "tools": None,
    "session": {
        "model": "rehearsal",
        "instructions": "Be brief.",
        "output_modalities": ["audio"],
        "audio": {
            "input": {"format": {"type": "audio/pcm", "rate": 24000}, "transcription": {"model": "rehearsal"}},
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin"},
        },
    },
    "limits": dict.fromkeys(
        ("user_wait_timeout_s", "user_left_grace_s", "idle_prompt_s", "idle_timeout_s", "max_duration_s"), _NEVER
    ),
}


async def rehearse(settings: Settings) -> bool:
    """Let an agent begin and leave; returns whether it did. Where it did not, the next one is only slower."""
    try:
        with _silence():
            async with asyncio.timeout(_TIMEOUT_S), await asyncio.start_server(_play_model, "127.0.0.1", 0) as model:
                port = model.sockets[0].getsockname()[1]
                await _begin_and_leave(_for_rehearsal(settings, f"ws://127.0.0.1:{port}/v1"))
    except Exception as error:  # noqa: BLE001
        logger.debug("the rehearsal failed: %r", error)
        return False
    return True


def _for_rehearsal(settings: Settings, url: str) -> Settings:
    """The deployment's, but that nothing leaves this process."""
    changes = {
        "realtime_api_base_uri": url,
        "openai_api_key": SecretStr(""),
        "realtime_api_headers": SecretStr(""),
        "voice_phrases": "off" if settings.voice_phrases == "local" else settings.voice_phrases,
        "write_rtc_pcm": False,
        "write_agent_pcm": False,
    }
    return settings.model_copy(update=changes)


async def _begin_and_leave(settings: Settings) -> None:
    spec = AgentSpec.model_validate(_SPEC)
    spec = AgentSpec.model_validate_json(spec.model_dump_json(exclude_unset=True))

    def follow(event: AgentEvent) -> None:
        event.model_dump(mode="json", exclude_none=True)
        if isinstance(event, StateChanged) and event.state is State.WAITING:
            agent.stop()

    agent, _ = assemble(spec, settings, follow, WebChannel(spec.channel_name, spec.uid))
    ended = await agent.run()
    if ended.reason is not EndReason.STOPPED:
        raise RuntimeError(ended.cause or ended.reason)


async def _play_model(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greet, take the settings, and hang up when the agent does."""
    with suppress(OSError, asyncio.IncompleteReadError):
        asked = await reader.readuntil(b"\r\n\r\n")
        key = next(line[len(_KEY) :].strip() for line in asked.splitlines() if line.lower().startswith(_KEY))
        accept = b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
        upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(upgrade + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        for message in _SAID:
            writer.write(bytes((0x81, len(message))) + message)
            await reader.read(1 << 16)
    writer.close()


@contextmanager
def _silence() -> Iterator[None]:
    """Log nothing of it."""
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
