"""Whether agents can join Agora SD-RTN."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from realtime_agent.config import Settings
from realtime_agent.doctor.finding import Finding, ok, problem, warning
from realtime_agent.doctor.folder import check_folder
from realtime_agent.doctor.machine import is_there
from realtime_agent.errors import ConfigError

__all__ = ["check_channel"]


def check_channel(settings: Settings, wrong: Container[str] = ()) -> list[Finding]:
    """The channel that agents would join, where these settings are not `wrong` anyway."""
    if not settings.uses_agora and "AGORA_APP_ID" not in wrong:
        return [ok("channel", "the browser channel of this server, as there is no AGORA_APP_ID")]
    from realtime_agent.rtc.agora import log_folder, make_log_folder

    found = []
    if "AGORA_APP_ID" not in wrong:
        found.append(ok("AGORA_APP_ID", "has the shape of an app id: agents join Agora SD-RTN"))
    # Beside a wrong id the certificate is not read.
    if "AGORA_APP_ID" not in wrong and "AGORA_APP_CERT" not in wrong:
        found.append(_check_certificate(settings))
    if settings.agora_timeout_s >= settings.start_timeout_s:
        found.append(_tell_of_times(settings))
    return [
        *found,
        _check_packages(),
        check_folder("AGORA_LOG_DIR", log_folder(settings.agora_log_dir).absolute(), make_log_folder),
        _check_web_sdk(Path(settings.agora_web_sdk).absolute()),
    ]


def _check_certificate(settings: Settings) -> Finding:
    if settings.agora_app_cert.get_secret_value():
        return ok("AGORA_APP_CERT", "has the shape of a certificate; whether it is this project's is not known here")
    return warning(
        "AGORA_APP_CERT",
        "is empty: tokens are empty too, which only a project without token authentication takes",
        "copy the primary certificate of the project from Agora's console",
    )


def _tell_of_times(settings: Settings) -> Finding:
    return warning(
        "AGORA_TIMEOUT_S",
        f"is {settings.agora_timeout_s:g}, but START_TIMEOUT_S gives up after {settings.start_timeout_s:g}, "
        "without Agora's own words",
        "make START_TIMEOUT_S the longer one",
    )


def _check_packages() -> Finding:
    """Whether they can be loaded, as an agent will."""
    from realtime_agent.rtc.agora import load

    try:
        load()
    except ConfigError as error:
        return problem("packages", error.what, error.remedy or "leave AGORA_APP_ID empty to use the browser channel")
    return ok("packages", "Agora's packages and its native library can be loaded")


def _check_web_sdk(path: Path) -> Finding:
    if is_there(path) and path.is_file():
        return ok("AGORA_WEB_SDK", f"{path} is there: the page can join")
    return warning(
        "AGORA_WEB_SDK",
        f"there is no file {path}: the page can't join",
        "make agora-web (or npm ci --ignore-scripts) in the repository gets it; AGORA_WEB_SDK names its file, if not "
        "there",
    )
