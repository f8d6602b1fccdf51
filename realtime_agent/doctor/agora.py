"""Whether agents can join Agora SD-RTN."""

from __future__ import annotations

import os
import re
from pathlib import Path

from realtime_agent.config import Settings
from realtime_agent.doctor.finding import Finding, ok, problem, warning
from realtime_agent.errors import ConfigError

__all__ = ["check_channel"]


def check_channel(settings: Settings) -> list[Finding]:
    """The channel that agents would join."""
    from realtime_agent.rtc.agora import log_folder

    if not settings.uses_agora:
        return [ok("channel", "the browser channel of this server, as there is no AGORA_APP_ID")]
    return [
        ok("AGORA_APP_ID", "has the shape of an app id: agents join Agora SD-RTN"),
        _check_certificate(settings),
        _check_packages(),
        _check_log_dir(log_folder(settings.agora_log_dir)),
        _check_web_sdk(settings.agora_web_sdk),
    ]


def _check_certificate(settings: Settings) -> Finding:
    if settings.agora_app_cert.get_secret_value():
        return ok("AGORA_APP_CERT", "has the shape of a certificate; whether it is this project's is not known here")
    return warning(
        "AGORA_APP_CERT",
        "is empty: tokens are empty too, which only a project without token authentication takes",
        "copy the primary certificate of the project from Agora's console",
    )


def _check_packages() -> Finding:
    from realtime_agent.rtc.agora import check_installed

    try:
        check_installed()
    except ConfigError as error:
        text, *remedy = re.split("[:;] ", str(error), maxsplit=1)
        return problem("packages", text, remedy[0] if remedy else "leave AGORA_APP_ID empty to use the browser channel")
    return ok("packages", "Agora's packages and its native library are there")


def _check_log_dir(folder: Path) -> Finding:
    """The library makes the folder itself; so what counts is what is there already."""
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return ok("AGORA_LOG_DIR", f"{folder} can be written")
    why = f"{there} can't be written" if there.is_dir() else f"{there} is no folder"
    return problem("AGORA_LOG_DIR", f"{folder}: {why}", "name a folder that this user may write to")


def _check_web_sdk(path: str) -> Finding:
    if Path(path).is_file():
        return ok("AGORA_WEB_SDK", f"{path} is there: the page can join")
    return warning(
        "AGORA_WEB_SDK",
        f"there is no {path}: the page can't join",
        "make agora-web, or npm ci, in the repository puts it there",
    )
