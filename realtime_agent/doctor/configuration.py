"""Whether the settings are read, known, right, and filled in."""

from __future__ import annotations

import re
import stat
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from dotenv.parser import Binding, Original, parse_stream
from pydantic import SecretStr

from realtime_agent.config import Settings
from realtime_agent.doctor.finding import Finding, ok, problem, warning

__all__ = [
    "check_emptied",
    "check_faults",
    "check_lines",
    "check_placeholders",
    "check_privacy",
    "check_source",
    "check_unknown",
    "has_example_key",
    "is_placeholder",
]

_MARKS = re.compile(r"<[^>]*>|\.{3}|…|[xX*]{6,}")
"""What examples have where a value belongs: <key>, sk-..., xxxxxxxx."""

_WORDS = re.compile(
    r"(?<![a-z0-9])(your|my|insert|replace|change|changeme|placeholder|dummy|todo)(?![a-z0-9])", re.IGNORECASE
)
"""What they have where a key belongs: your-key, my_key. Models and hosts may be named so, and keys of other servers."""

_DIGITS = "0123456789abcdef"
_EXAMPLES = (2 * _DIGITS, 2 * _DIGITS[::-1])
"""The keys of Agora's in docs/agora.md."""

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")

_EXAMPLE_HOST = re.compile(r"(.*\.)?example(\.com|\.net|\.org)?", re.IGNORECASE)
"""Names that RFC 2606 keeps for examples."""

_SHORTEST = 8
"""Characters that are all the same, from which on they only fill a place."""

_OTHERS_READ = stat.S_IRGRP | stat.S_IROTH

_ADDRESSES = ("realtime_api_base_uri", "local_llm_url")
_FREE = (
    "system_instruction", "greeting", "idle_prompt", "goodbye", "stop_phrases", "start_phrases", "voice_phrases_name",
    "agora_log_dir", "agora_web_sdk", "local_stt_model", "record_dir", "server_host", "agent_tools",
)  # fmt: skip
"""Where such words may be meant."""


def check_source(dotenv: Path, settings: Settings, wrong: Container[str] = ()) -> list[Finding]:
    """Where the settings come from, and which are set, the `wrong` ones too; their names, not their values."""
    is_set = [
        name.upper() for name in Settings.model_fields if name in settings.model_fields_set or name.upper() in wrong
    ]
    names = ", ".join(is_set)
    words = f"set there or in the environment: {names}" if names else "nothing is set: all have their defaults"
    if dotenv.is_file():
        return [ok(".env", f"{dotenv.resolve()} is read; {words}")]
    return [ok(".env", f"there is no {dotenv.resolve()}; {words.replace('there or ', '')}")]


def check_privacy(dotenv: Path, settings: Settings) -> list[Finding]:
    """Whether others on this machine can read the secrets of .env."""
    secrets = [name for name in settings.model_fields_set if isinstance(getattr(settings, name), SecretStr)]
    if not secrets or not dotenv.is_file() or not dotenv.stat().st_mode & _OTHERS_READ:
        return []
    return [warning(".env", "others on this machine can read it, and a key is set", f"chmod 600 {dotenv.resolve()}")]


def check_lines(dotenv: Path, unknown: Container[str] = ()) -> list[Finding]:
    """The lines of .env that assign neither a setting nor what is `unknown`, by number: they may be a part of a key."""
    if not dotenv.is_file():
        return []
    with dotenv.open(encoding="utf-8") as file:
        numbers = [str(_number(each.original)) for each in parse_stream(file) if not _is_understood(each, unknown)]
    if not numbers:
        return []
    remedy = "write NAME=value, or begin the line with #"
    return [warning(".env", f"no setting is assigned in line {', '.join(numbers)}", remedy)]


def _number(line: Original) -> int:
    """Where its text begins: the blank lines before it count as its own."""
    blank = len(line.string) - len(line.string.lstrip())
    return line.line + line.string[:blank].count("\n")


def _is_understood(line: Binding, unknown: Container[str]) -> bool:
    """Whether a line is an assignment, or blank."""
    if line.error or line.key is None:
        return not line.error
    return line.value is not None and (line.key.lower() in Settings.model_fields or line.key in unknown)


def check_emptied(names: Iterable[str]) -> list[Finding]:
    """What .env gives in vain."""
    return [
        warning(name, "is given in .env, but is empty in the environment, which wins", f"unset {name}")
        for name in names
    ]


def check_faults(faults: Mapping[str, str]) -> list[Finding]:
    """The values that are wrong."""
    return [problem(name, words.removeprefix(f"{name} "), _mend(name, words)) for name, words in faults.items()]


def _mend(name: str, words: str) -> str:
    settings = {each.upper() for each in Settings.model_fields} - {name}
    other = next((word for word in _VARIABLE.findall(words) if word in settings), None)
    if other is not None:
        return f"correct it or {other} in .env or the environment; .env.example describes both"
    field = Settings.model_fields.get(name.lower())
    default = field.default if field is not None else ""
    shown = ",".join(default) if isinstance(default, tuple) else "" if isinstance(default, SecretStr) else str(default)
    return "correct it in .env or the environment; .env.example describes it" + (
        f"; left empty, it is {shown}" if shown else ", or leave it empty"
    )


def check_unknown(names: Mapping[str, str | None]) -> list[Finding]:
    """What .env assigns to that is no setting; with each its nearest setting."""
    return [
        warning(
            name,
            "is in .env, but is no setting",
            f"is it {nearest}?" if nearest else "take it out, unless another program reads it",
        )
        for name, nearest in names.items()
    ]


def check_placeholders(settings: Settings) -> list[Finding]:
    """The values that are still those of an example."""
    return [
        problem(name.upper(), "still has an example's value", "put in your own, or leave it empty")
        for name in sorted(settings.model_fields_set, key=list(Settings.model_fields).index)
        if name not in _FREE
        and getattr(settings, name) != Settings.model_fields[name].default
        and (
            any(is_placeholder(text) or _is_example(name, text) for text in _texts(settings, name))
            or (name == "openai_api_key" and has_example_key(settings))
        )
    ]


def has_example_key(settings: Settings) -> bool:
    """Whether OPENAI_API_KEY only shows where a key belongs."""
    key = settings.openai_api_key.get_secret_value()
    return is_placeholder(key) or (not settings.realtime_api_base_uri and bool(_WORDS.search(key)))


def is_placeholder(value: str) -> bool:
    """Whether a value only shows where one belongs."""
    is_one_character = len(value) >= _SHORTEST and len(set(value)) == 1
    return is_one_character or value.lower() in _EXAMPLES or bool(_MARKS.search(value))


def _is_example(name: str, value: str) -> bool:
    return name in _ADDRESSES and bool(_EXAMPLE_HOST.fullmatch(urlsplit(value).hostname or ""))


def _texts(settings: Settings, name: str) -> Iterable[str]:
    if name == "realtime_api_headers":
        return settings.extra_headers.values()
    value = getattr(settings, name)
    if isinstance(value, SecretStr):
        return (value.get_secret_value(),)
    return (value,) if isinstance(value, str) else ()
