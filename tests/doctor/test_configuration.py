"""Whether the settings are read, known, right, and filled in."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime_agent.config import Settings, load_settings, usable_settings
from realtime_agent.doctor.configuration import (
    check_faults,
    check_lines,
    check_placeholders,
    check_privacy,
    check_source,
    check_unknown,
    is_placeholder,
)
from realtime_agent.doctor.finding import Finding, Level, problem, warning

ROOT = Path(__file__).resolve().parents[2]


def test_the_file_that_is_read_is_told_with_the_names_that_are_set(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("OPENAI_API_KEY=sk-secret-value\nSERVER_PORT=1\n")
    (found,) = check_source(dotenv, load_settings({}, dotenv))
    assert found.level is Level.OK
    assert found.text == f"{dotenv} is read; set there or in the environment: SERVER_PORT, OPENAI_API_KEY"


def test_a_file_that_is_not_there_is_told() -> None:
    (found,) = check_source(Path("/nowhere/.env"), Settings(server_port=1))
    assert found.text == "there is no /nowhere/.env; set in the environment: SERVER_PORT"
    (found,) = check_source(Path("/nowhere/.env"), Settings(), {"AGORA_APP_ID"})
    assert found.text == "there is no /nowhere/.env; set in the environment: AGORA_APP_ID"
    (found,) = check_source(Path("/nowhere/.env"), Settings())
    assert (found.level, found.text) == (
        Level.OK,
        "there is no /nowhere/.env; nothing is set: all have their defaults",
    )


def test_every_wrong_value_is_told_with_what_its_default_is() -> None:
    where = "correct it in .env or the environment; .env.example describes it"
    assert check_faults({}) == []
    assert check_faults({"SERVER_PORT": "must be a number", "AGORA_APP_CERT": "is set, but"}) == [
        problem("SERVER_PORT", "must be a number", f"{where}; left empty, it is 8080"),
        problem("AGORA_APP_CERT", "is set, but", f"{where}, or leave it empty"),
    ]
    (auth,) = check_faults({"REALTIME_API_AUTH": "REALTIME_API_AUTH is api-key, but OPENAI_API_KEY is empty"})
    assert auth == problem(
        "REALTIME_API_AUTH",
        "is api-key, but OPENAI_API_KEY is empty",
        "correct it or OPENAI_API_KEY in .env or the environment; .env.example describes both",
    )
    (voices,) = check_faults({"VOICES": "x"})
    assert voices.remedy.endswith("left empty, it is alloy,ash,ballad,coral,echo,sage,shimmer,verse,marin,cedar")


def test_names_that_are_no_settings_are_told_with_the_nearest() -> None:
    assert check_unknown({"OPENAI_KEY": "OPENAI_API_KEY", "OTHER": None}) == [
        warning("OPENAI_KEY", "is in .env, but is no setting", "is it OPENAI_API_KEY?"),
        warning("OTHER", "is in .env, but is no setting", "take it out, unless another program reads it"),
    ]


def test_lines_that_assign_nothing_are_told_by_number_only(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    assert check_lines(dotenv) == []
    dotenv.write_text(
        "\ufeffMAX_AGENTS=1\n# a comment\n\nSERVER_PORT: 80\nsk-secret\nexport SERVER_PORT=1\nsk-secret=\n"
        "OTHER=1\nsecret64=\n"
    )
    (found,) = check_lines(dotenv, {"OTHER"})
    assert (found.level, found.text) == (Level.WARNING, "no setting is assigned in line 4, 5, 7, 9")
    assert "secret" not in str(found)


def test_the_example_has_no_line_to_complain_of() -> None:
    example = ROOT / ".env.example"
    assert check_lines(example) == []
    assert check_placeholders(load_settings({}, example)) == []


PLACEHOLDERS = (
    "your-key", "YOUR_API_KEY", "my-key", "<key>", "sk-...", "sk-…", "sk-xxxxxxxx", "sk-********", "changeme",
    "change-me", "replace_me", "insert key here", "dummy", "0" * 32,
)  # fmt: skip


@pytest.mark.parametrize("value", PLACEHOLDERS)
def test_a_value_that_only_shows_where_one_belongs_is_told(value: str) -> None:
    (found,) = check_placeholders(load_settings({"OPENAI_API_KEY": value.replace("…", "...")}, None))
    assert (found.level, found.subject) == (Level.PROBLEM, "OPENAI_API_KEY")
    assert value not in found.text + found.remedy


@pytest.mark.parametrize(
    "value",
    [
        "",
        "sk-proj-4yourXmyChange0xx00Ab",
        "sk-abcdefghijkl0123456789",
        "llama3.2",
        "ollama",
        "gpt-realtime-2.1",
        "aaaa",
    ],
)
def test_a_value_that_may_be_meant_is_not(value: str) -> None:
    assert not is_placeholder(value)
    assert check_placeholders(load_settings({"OPENAI_API_KEY": value}, None)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REALTIME_API_HEADERS", '{"OpenAI-Project": "proj_1", "api-key": "<key>"}'),
        ("REALTIME_API_BASE_URI", "wss://voice.example.com/v1"),
        ("LOCAL_LLM_URL", "http://example/v1"),
        ("LOCAL_LLM_MODEL", "<model>"),
        ("AGORA_APP_ID", "0" * 32),
    ],
)
def test_settings_of_other_kinds_are_looked_at_too(name: str, value: str) -> None:
    assert [found.subject for found in check_placeholders(load_settings({name: value}, None))] == [name]


@pytest.mark.parametrize(
    "environ",
    [
        {"SYSTEM_INSTRUCTION": "Call me by my name...", "VOICES": "marin"},
        {"REALTIME_API_BASE_URI": "wss://my-company.openai.azure.com/openai/v1", "OPENAI_MODEL": "my-realtime"},
        {"LOCAL_LLM_URL": "http://my-gpu:8000/v1", "LOCAL_LLM_MODEL": "my-llama", "LOCAL_LLM_API_KEY": "dummy"},
        {"REALTIME_API_BASE_URI": "ws://127.0.0.1:9000/v1", "OPENAI_API_KEY": "dummy"},
        {"REALTIME_API_HEADERS": '{"X-Team": "my-team"}'},
    ],
)
def test_words_that_are_meant_are_left_alone(environ: dict[str, str]) -> None:
    assert check_placeholders(load_settings(environ, None)) == []


def private(tmp_path: Path, mode: int, text: str) -> list[Finding]:
    dotenv = tmp_path / ".env"
    dotenv.write_text(text)
    dotenv.chmod(mode)
    return check_privacy(dotenv, usable_settings({}, dotenv)[0])


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_with_a_key_that_others_can_read_is_warned_of(tmp_path: Path, mode: int) -> None:
    (found,) = private(tmp_path, mode, "OPENAI_API_KEY=sk-1\n")
    assert (found.level, found.remedy) == (Level.WARNING, f"chmod 600 {tmp_path / '.env'}")


@pytest.mark.parametrize(("mode", "text"), [(0o600, "OPENAI_API_KEY=sk-1\n"), (0o644, "SERVER_PORT=1\n")])
def test_a_private_file_and_one_without_a_key_are_not(tmp_path: Path, mode: int, text: str) -> None:
    assert private(tmp_path, mode, text) == []


@pytest.mark.parametrize("value", ["0123456789abcdef" * 2, "FEDCBA9876543210" * 2])
def test_the_keys_of_our_own_docs_are_placeholders(value: str) -> None:
    assert is_placeholder(value)
