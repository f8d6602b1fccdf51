"""Whether phrases can be heard where VOICE_PHRASES says: on this machine, or by another server that listens."""

from __future__ import annotations

import sys
from collections.abc import Callable
from urllib.parse import urlsplit

from realtime_agent.addresses import is_loopback, public_address
from realtime_agent.config import Settings
from realtime_agent.doctor.finding import Finding, ok, problem, warning
from realtime_agent.doctor.machine import is_installed
from realtime_agent.doctor.model import EARS
from realtime_agent.doctor.probe import Answer, open_websocket
from realtime_agent.realtime.endpoint import ear_endpoint

__all__ = ["check_phrases"]

_SWITCHING_PROTOCOLS = 101


async def check_phrases(
    settings: Settings, timeout: float, installed: Callable[[str], bool] = is_installed
) -> list[Finding]:
    """What listens for phrases, where that is not the agents' own model."""
    if settings.voice_phrases != "local":
        return []
    if not settings.needs_ears:
        return [await _check_server(settings, timeout)]
    absent = ", ".join(name for name in EARS if not installed(name))
    if not absent:
        return [ok("VOICE_PHRASES", "local; the packages that listen are installed"), *_check_language(settings)]
    remedy = f"{sys.executable} -m pip install '.[local]' in the repository; or set VOICE_PHRASES=transcript"
    return [problem("VOICE_PHRASES", f"local; but these packages are not installed: {absent}", remedy)]


def _check_language(settings: Settings) -> list[Finding]:
    usual = (Settings.model_fields[name].default for name in ("stop_phrases", "start_phrases"))
    if settings.local_stt_model or (settings.stop_phrases, settings.start_phrases) == tuple(usual):
        return []
    text = "empty: what listens for STOP_PHRASES and START_PHRASES then understands English only"
    remedy = "if they are of another language, name a folder with a multilingual faster-whisper model"
    return [warning("LOCAL_STT_MODEL", text, remedy)]


async def _check_server(settings: Settings, timeout: float) -> Finding:
    address = public_address(settings.voice_phrases_uri)
    answer = await open_websocket(ear_endpoint(settings).url, timeout=timeout)
    if not isinstance(answer, Answer):
        return problem("VOICE_PHRASES_URI", f"{address}: {answer.text}", answer.remedy)
    if answer.status == _SWITCHING_PROTOCOLS and is_loopback(urlsplit(address).hostname or ""):
        return ok("VOICE_PHRASES_URI", f"{address} listens")
    if answer.status == _SWITCHING_PROTOCOLS:
        text = f"{address} listens, and is another machine: what users say goes there, also in a pause"
        return warning("VOICE_PHRASES_URI", text, "leave it empty for nothing to leave this machine then")
    remedy = "name a server such as realtime-agent model --listen-only; the address ends before /realtime, often in /v1"
    return problem("VOICE_PHRASES_URI", f"{address} answers HTTP {answer.status}: it opens no session", remedy)
