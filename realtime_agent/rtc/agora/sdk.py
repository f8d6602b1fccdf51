"""Agora's packages: agora-realtime-ai-api 1.1.0 and agora-python-server-sdk 2.1.7.

This is the only module that imports them, and it does so only when a channel or a token is wanted: to import them
loads Agora's native library, and where that is not the right one even downloads it.
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import ssl
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from realtime_agent.errors import ChannelError, ConfigError

__all__ = ["Sdk", "build_token", "check_installed", "load"]

_WORKS_WITH = {"agora-realtime-ai-api": "1.1.0", "agora-python-server-sdk": "2.1.7"}
_LIBRARIES = {"linux": "libagora_rtc_sdk.so", "darwin": "libAgoraRtcKit.dylib"}
_INSTALL = f"install Agora's packages with {sys.executable} -m pip install -r requirements-agora.txt"
_DOWNLOAD = (
    f"{sys.executable} -c 'import agora.rtc' downloads it from Agora, for Linux on x86-64 and macOS, "
    "without checking the server's certificate"
)
_OWN_HANDLERS = ("agora_realtime_ai_api.rtc", "agora_realtime_ai_api.token_builder.realtimekit_token_builder")


def check_installed() -> None:
    """See whether Agora's packages and native library are there, without importing them.

    Raises:
        ConfigError: they are not, or not in the versions that work together; the message says how to mend it.
    """
    for package, wanted in _WORKS_WITH.items():
        try:
            found = version(package)
        except PackageNotFoundError:
            raise ConfigError(f"channels of Agora need {package}, which is not installed", _INSTALL) from None
        if found != wanted:
            raise ConfigError(f"{package} is {found}, but only {wanted} works here", _INSTALL)
    library = _LIBRARIES.get(sys.platform)
    if library is None or (sys.platform == "linux" and platform.machine() != "x86_64"):
        system = f"{platform.system()} on {platform.machine()}"
        raise ConfigError(f"Agora has no library for {system}, only for Linux on x86-64 and macOS")
    spec = find_spec("agora.rtc")
    if spec is None or spec.origin is None:
        raise ConfigError("the module agora.rtc is missing", _INSTALL)
    path = Path(spec.origin).parent / "agora_sdk" / library
    if not path.is_file():
        raise ConfigError(f"Agora's native library is not at {path}", _DOWNLOAD)


def build_token(app_id: str, certificate: str, channel_name: str, uid: int, ttl_s: int) -> str:
    """A token, of Agora's format 007, that lets `uid` join, speak and send messages; empty without a certificate.

    Raises:
        ChannelError: none could be made, which `check_installed` and the checks of the settings rule out.
    """
    if not certificate:
        return ""
    # Not its RealtimekitTokenBuilder, which writes each token to the log.
    from agora_realtime_ai_api.token_builder.RtcTokenBuilder2 import RtcTokenBuilder

    token = RtcTokenBuilder.build_token_with_uid_and_privilege(
        app_id, certificate, channel_name, uid, ttl_s, ttl_s, ttl_s, ttl_s, ttl_s
    )
    if not token:
        raise ChannelError("Agora's package made no token: are AGORA_APP_ID and AGORA_APP_CERT 32 hex digits each?")
    return str(token)


class Sdk(NamedTuple):
    """What is used of Agora's packages."""

    AgoraService: Any
    AgoraServiceConfig: Any
    PcmAudioFrame: Any
    RtcEngine: Any
    RtcOptions: Any


def load() -> Sdk:
    """Import Agora's packages, and undo what that does to the rest of the process.

    Raises:
        ConfigError: they can't be had.
    """
    check_installed()
    try:
        with _nothing_changed():
            import agora.rtc.audio_pcm_data_sender as sending
            from agora.rtc.agora_service import AgoraService, AgoraServiceConfig
            from agora.rtc.local_user import RTCLocalUserObserverInner as MessageObserver
            from agora_realtime_ai_api.rtc import RtcEngine, RtcOptions
    except ConfigError:
        raise
    except ModuleNotFoundError as error:
        name = str(error.name).partition(".")[0]
        raise ConfigError(f"Agora's packages need {name}, which is not installed", _INSTALL) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it loads a library, and exits where that fails
        why = error.__context__ if isinstance(error, SystemExit) else error
        raise ConfigError(f"Agora's native library can't be loaded ({why!s:.200})", _DOWNLOAD) from None
    # The SDK throws away whether a frame was taken.
    sending.agora_audio_pcm_data_sender_send.restype = ctypes.c_int
    # It takes every message for a text, and tells of one that is none in a traceback on standard error.
    tells = MessageObserver._on_stream_message  # noqa: SLF001 - nothing public leads there

    def tell_texts(observer: Any, *message: Any) -> None:
        with suppress(UnicodeDecodeError):
            tells(observer, *message)

    MessageObserver._on_stream_message = tell_texts  # noqa: SLF001
    # It logs tokens, at DEBUG itself and at INFO in the other package, through handlers of its own.
    logging.getLogger("agora").setLevel(logging.WARNING)
    for name in _OWN_HANDLERS:
        talkative = logging.getLogger(name)
        talkative.handlers.clear()
        talkative.propagate = True
        talkative.setLevel(logging.WARNING)
    return Sdk(AgoraService, AgoraServiceConfig, sending.PcmAudioFrame, RtcEngine, RtcOptions)


@contextmanager
def _nothing_changed() -> Iterator[None]:
    """Keep what Agora's packages do when they are imported from the process, from its files and from the network.

    Where the library is not the one that they know, they remove the folder that it is in and download it.
    """
    checks_certificates = ssl._create_default_https_context  # noqa: SLF001 - as they do
    retrieves, runs = urllib.request.urlretrieve, os.system
    urllib.request.urlretrieve = _refuse_download
    os.system = _refuse_removal
    try:
        yield
    finally:
        ssl._create_default_https_context = checks_certificates  # noqa: SLF001
        urllib.request.urlretrieve, os.system = retrieves, runs


def _refuse_download(url: str, filename: Any = None, reporthook: Any = None, data: Any = None) -> NoReturn:
    _refuse()


def _refuse_removal(command: Any) -> NoReturn:
    _refuse()


def _refuse() -> NoReturn:
    raise ConfigError("Agora's native library is not the one that its package wants", _DOWNLOAD)
