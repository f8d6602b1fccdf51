"""The environment and .env, as one frozen Settings.

A setting's name is its environment variable in lower case; `.env.example` lists them all with their defaults.
Nothing is read at import: call `load_settings`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from realtime_agent.errors import ConfigError
from realtime_agent.phrase_setting import parse_phrases
from realtime_agent.validation import in_words
from realtime_agent.webhook_key import webhook_key

__all__ = ["Settings", "emptied_names", "load_settings", "unknown_names", "usable_settings"]

_DOTENV = Path(".env")

Seconds = Annotated[float, Field(ge=0, le=7 * 24 * 3600)]
Timeout = Annotated[float, Field(gt=0, le=3600)]
Milliseconds = Annotated[int, Field(ge=0, le=2000)]

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token of RFC 9110."""

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")

_NEAR = 0.65
"""How alike two names must be for one to be taken for the other misspelt; DATABASE_URL is like none of ours."""

_AGORA_KEY = re.compile(r"[0-9a-fA-F]{32}")

_OWN_HEADERS = ("host", "connection", "upgrade", "content-length", "transfer-encoding")
"""Those that the client sets itself, beside `Sec-WebSocket-…`: others would break the request, or lead it elsewhere."""


class Settings(BaseModel):
    """Everything that a deployment may choose. Durations are seconds unless the name ends in `_ms`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server_host: str = "127.0.0.1"
    server_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    allowed_hosts: tuple[str, ...] = ()
    max_agents: Annotated[int, Field(ge=1)] = 100
    warm_workers: Annotated[int, Field(ge=0, le=100)] = 1
    event_buffer: Annotated[int, Field(ge=1, le=100_000)] = 500
    record_dir: str = ""
    write_rtc_pcm: bool = False
    write_agent_pcm: bool = False
    webhook_url: str = ""
    webhook_secret: SecretStr = SecretStr("")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    openai_api_key: SecretStr = SecretStr("")
    openai_model: str = "gpt-realtime-2.1"
    realtime_api_base_uri: str = ""
    realtime_api_auth: Literal["bearer", "api-key"] = "bearer"
    realtime_api_headers: SecretStr = SecretStr("")
    transcription_model: str = "gpt-realtime-whisper"
    default_voice: str = "marin"
    voices: tuple[str, ...] = (
        "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar",
    )  # fmt: skip
    system_instruction: str = "You are a friendly voice assistant. Answer briefly, in one or two spoken sentences."
    session_rotate_s: Seconds = 3300
    replay_tokens: Annotated[int, Field(ge=0)] = 8000
    agent_tools: str = ""

    voice_phrases: Literal["transcript", "local", "off"] = "transcript"
    voice_phrases_uri: str = ""
    voice_phrases_name: str = "agent"
    stop_phrases: str = "hey|hay|hei … stop|stopp"
    start_phrases: str = "hey|hay|hei … start"

    local_llm_url: str = ""
    local_llm_model: str = ""
    local_llm_api_key: SecretStr = SecretStr("")
    local_stt_model: str = ""
    local_tts_voice: str = "heart"

    agora_app_id: str = ""
    agora_app_cert: SecretStr = SecretStr("")
    agora_timeout_s: Timeout = 10
    agora_log_dir: str = ""
    agora_web_sdk: str = "node_modules/agora-rtc-sdk-ng/AgoraRTC_N-production.js"
    token_ttl_s: Annotated[int, Field(ge=60, le=3600)] = 3600

    greeting: str = ""
    idle_prompt: str = ""
    goodbye: str = ""
    user_wait_timeout_s: Seconds = 120
    user_left_grace_s: Seconds = 15
    idle_prompt_s: Seconds = 30
    idle_timeout_s: Seconds = 600
    max_duration_s: Seconds = 7200

    start_timeout_s: Timeout = 20
    stop_timeout_s: Timeout = 5
    control_timeout_s: Timeout = 5
    model_timeout_s: Timeout = 10
    reconnect_timeout_s: Timeout = 30
    tool_timeout_s: Timeout = 30
    local_model_load_timeout_s: Timeout = 120

    uplink_frame_ms: Annotated[int, Field(ge=10, le=200)] = 20
    playout_lead_ms: Milliseconds = 60
    far_end_delay_ms: Milliseconds = 150

    @field_validator("allowed_hosts", "voices", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _check_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not re.fullmatch(r"[\w.-]+|[0-9a-fA-F:]+", name):
                raise ValueError(f"{name!r} is not a name alone, such as voice.example.com")
        return tuple(name.lower() for name in value)

    @field_validator("realtime_api_base_uri", "voice_phrases_uri")
    @classmethod
    def _check_websocket_url(cls, value: str) -> str:
        address = _url(value, "ws://", "wss://")
        parts = urlsplit(address)
        if "RESOURCE" in parts.netloc.split("."):
            raise ValueError("RESOURCE stands for the name of your Azure resource")
        if parts.path.endswith("/realtime"):
            raise ValueError("leave out /realtime and model=, which are added")
        return address

    @field_validator("openai_api_key")
    @classmethod
    def _check_key(cls, value: SecretStr) -> SecretStr:
        # It becomes a header.
        if not _is_printable(value.get_secret_value()):
            raise ValueError("must be printable ASCII characters on one line")
        return value

    @field_validator("agora_app_id")
    @classmethod
    def _check_app_id(cls, value: str) -> str:
        if value and not _AGORA_KEY.fullmatch(value):
            raise ValueError("must be 32 hex digits, as Agora's console shows it")
        return value

    @field_validator("agora_app_cert")
    @classmethod
    def _check_app_cert(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        certificate, app_id = value.get_secret_value(), info.data.get("agora_app_id")
        # Agora's token builder makes an empty token of any other, without a word.
        if certificate and not _AGORA_KEY.fullmatch(certificate):
            raise ValueError("must be 32 hex digits, as Agora's console shows it")
        if certificate and app_id == "":
            raise ValueError("is set, but AGORA_APP_ID is empty")
        if certificate and app_id == certificate:
            raise ValueError("is the same as AGORA_APP_ID; the console shows it under Configure")
        return value

    @field_validator("agora_log_dir", "agora_web_sdk", "local_stt_model", "record_dir")
    @classmethod
    def _expand_home(cls, value: str) -> str:
        return str(Path(value).expanduser()) if value.startswith("~/") else value

    @field_validator("realtime_api_headers")
    @classmethod
    def _check_headers(cls, value: SecretStr) -> SecretStr:
        for name, content in _headers(value).items():
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError("has a name that is no name of an HTTP header")
            if name.lower() in _OWN_HEADERS or name.lower().startswith("sec-websocket-"):
                raise ValueError(f"may not have {name}, which the client sets itself")
            if not content or not _is_printable(content) or content != content.strip():
                raise ValueError(f"{name} must be printable ASCII characters on one line, without space around them")
        return value

    @field_validator("stop_phrases", "start_phrases")
    @classmethod
    def _check_phrases(cls, value: str) -> str:
        parse_phrases(value)
        return value

    @field_validator("local_llm_url", "webhook_url")
    @classmethod
    def _check_http_url(cls, value: str) -> str:
        return _url(value, "http://", "https://")

    @model_validator(mode="after")
    def _check_voice(self) -> Settings:
        if self.default_voice not in self.voices:
            raise ValueError(f"DEFAULT_VOICE {self.default_voice!r} is not one of VOICES")
        return self

    @model_validator(mode="after")
    def _check_phrases_apart(self) -> Settings:
        stops, starts = parse_phrases(self.stop_phrases), parse_phrases(self.start_phrases)
        if any(stop.is_like(start) for stop in stops for start in starts):
            raise ValueError("START_PHRASES has a phrase that STOP_PHRASES has too: it would never let an agent resume")
        return self

    @model_validator(mode="after")
    def _check_auth(self) -> Settings:
        has_key = self.openai_api_key.get_secret_value() or "api-key" in map(str.lower, self.extra_headers)
        if self.realtime_api_auth == "api-key" and not has_key:
            raise ValueError("REALTIME_API_AUTH is api-key, but OPENAI_API_KEY is empty")
        return self

    @model_validator(mode="after")
    def _check_webhook(self) -> Settings:
        if self.webhook_url and not self.webhook_secret.get_secret_value():
            raise ValueError("WEBHOOK_URL is set, but WEBHOOK_SECRET is empty, by which it would be signed")
        if self.webhook_url:
            webhook_key(self.webhook_secret.get_secret_value())
        return self

    @property
    def extra_headers(self) -> Mapping[str, str]:
        """REALTIME_API_HEADERS, by name."""
        return _headers(self.realtime_api_headers)

    @property
    def uses_local_model(self) -> bool:
        """Whether agents talk to the model embedded in this package."""
        return not self.realtime_api_base_uri and not self.openai_api_key.get_secret_value()

    @property
    def needs_ears(self) -> bool:
        """Whether the embedded model must be there to listen for phrases, whatever else agents talk to."""
        return self.voice_phrases == "local" and not self.voice_phrases_uri

    @property
    def uses_agora(self) -> bool:
        """Whether agents join Agora SD-RTN rather than this server's browser channel."""
        return bool(self.agora_app_id)


def load_settings(environ: Mapping[str, str] | None = None, dotenv: Path | None = _DOTENV) -> Settings:
    """Read `environ` (default: the process's own) over the file `dotenv`.

    An empty variable is the default, so that a copied `.env.example` works as it is; in `environ` it also puts aside
    what the file says. Space around a value is not part of it: a key that came from a file ends in a newline.

    Raises:
        ConfigError: a value is wrong, and the message names every variable at fault; or the file can't be read.
    """
    values = _values(environ, dotenv)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(_in_words(detail) for detail in error.errors())) from None


def usable_settings(
    environ: Mapping[str, str] | None = None, dotenv: Path | None = _DOTENV
) -> tuple[Settings, dict[str, str]]:
    """What `load_settings` would read, with wrong values left out; and what is wrong with those, by their variables.

    Two values that do not go together are both left out, and told by the name that the message begins with.

    Raises:
        ConfigError: the file can't be read.
    """
    values = _values(environ, dotenv)
    faults: dict[str, str] = {}
    left_out: set[str] = set()
    while True:
        try:
            return Settings.model_validate(values), faults
        except ValidationError as error:
            for detail in error.errors():
                words = in_words(detail)
                names = [str(step) for step in detail["loc"][:1]] or _named(words)
                # What is wrong only because another value was left out is not wrong.
                if not left_out.intersection((*names, *_named(words))):
                    faults[names[0].upper() if names else ""] = words
                for name in names or list(values):
                    values.pop(name, None)
            left_out.update(name.lower() for name in faults)


def emptied_names(environ: Mapping[str, str] | None = None, dotenv: Path = _DOTENV) -> list[str]:
    """The settings that a file gives and that are empty in `environ`, which puts aside what the file says.

    Raises:
        ConfigError: the file can't be read.
    """
    outer = os.environ if environ is None else environ
    given = [name for name, value in _read(dotenv).items() if value and name.lower() in Settings.model_fields]
    return [name for name in given if name in outer and not outer[name].strip()]


def unknown_names(dotenv: Path = _DOTENV) -> dict[str, str | None]:
    """What a file assigns to that is no setting, each with the setting whose name is nearest, if one is near.

    Raises:
        ConfigError: the file can't be read.
    """
    known = [name.upper() for name in Settings.model_fields]
    unknown = [name for name, value in _read(dotenv).items() if name not in known and value is not None]
    nearest = {name: next(iter(get_close_matches(name.upper(), known, n=1, cutoff=_NEAR)), None) for name in unknown}
    # A line that is not meant as `NAME=value` may be a part of a key.
    return {name: near for name, near in nearest.items() if near is not None or _VARIABLE.fullmatch(name)}


def _values(environ: Mapping[str, str] | None, dotenv: Path | None) -> dict[str, str]:
    """What is set, by the names of the settings."""
    found = _read(dotenv) if dotenv is not None else {}
    found.update(os.environ if environ is None else environ)
    return {name: value for name in Settings.model_fields if (value := (found.get(name.upper()) or "").strip())}


def _named(words: str) -> list[str]:
    """The settings that a message names, in its order."""
    return [name for word in _VARIABLE.findall(words) if (name := word.lower()) in Settings.model_fields]


def _read(dotenv: Path) -> dict[str, str | None]:
    """The variables of a file, in which a name without `=` has no value; none if there is no file."""
    if not dotenv.is_file():
        return {}
    try:
        return dict(dotenv_values(dotenv))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{dotenv} can't be read: {error}") from None


def _headers(value: SecretStr) -> dict[str, str]:
    """A JSON object of strings; nothing is none. The error must not quote it."""
    try:
        headers = json.loads(value.get_secret_value() or "{}")
    except (ValueError, RecursionError):
        headers = None
    if not isinstance(headers, dict) or not all(isinstance(content, str) for content in headers.values()):
        raise ValueError('must be a JSON object of strings, such as {"OpenAI-Project": "proj_1"}')
    return headers


def _is_printable(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _url(value: str, *schemes: str) -> str:
    """Check an address, which may be empty, and drop the slash that its path may end in."""
    if not value:
        return value
    if not value.lower().startswith(schemes):
        raise ValueError(f"must begin with {' or '.join(schemes)}")
    try:
        parts = urlsplit(value)
        is_whole = bool(parts.hostname) and parts.port != 0 and not parts.fragment
    except ValueError:
        # Its words may quote a password.
        is_whole = False
    if not is_whole or not _is_printable(value) or " " in value:
        raise ValueError(f"is no address such as {schemes[-1]}voice.example.com/v1")
    try:
        (parts.hostname or "").encode("idna")
    except UnicodeError:
        raise ValueError("names a host that can't be: between its dots are 1 to 63 letters each") from None
    return parts._replace(path=parts.path.rstrip("/")).geturl()


def _in_words(detail: ErrorDetails) -> str:
    location = detail["loc"]
    return f"{str(location[0]).upper()}: {in_words(detail)}" if location else in_words(detail)
