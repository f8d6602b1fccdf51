"""Whether agents can join Agora."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from realtime_agent.config import Settings, load_settings
from realtime_agent.doctor.agora import check_channel
from realtime_agent.doctor.finding import Finding, Level, ok, problem
from realtime_agent.errors import ConfigError
from realtime_agent.rtc import agora

APP_ID = "0123456789abcdef" * 2
CERTIFICATE = "fedcba9876543210" * 2


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agora, "check_installed", lambda: None)


def refuse(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    def check_installed() -> None:
        raise ConfigError(words)

    monkeypatch.setattr(agora, "check_installed", check_installed)


def check(subject: str, **settings: str) -> Finding:
    found = check_channel(load_settings({"AGORA_APP_ID": APP_ID, **settings}, None))
    assert CERTIFICATE not in str(found)
    assert APP_ID not in str(found)
    (one,) = [each for each in found if each.subject == subject]
    return one


def test_without_an_app_id_it_is_the_browser_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "not asked")
    assert check_channel(Settings()) == [
        ok("channel", "the browser channel of this server, as there is no AGORA_APP_ID")
    ]


@pytest.mark.usefixtures("installed")
def test_all_is_well(tmp_path: Path) -> None:
    sdk = tmp_path / "sdk.js"
    sdk.touch()
    environ = {
        "AGORA_APP_ID": APP_ID,
        "AGORA_APP_CERT": CERTIFICATE,
        "AGORA_LOG_DIR": str(tmp_path / "logs" / "agora"),
        "AGORA_WEB_SDK": str(sdk),
    }
    found = check_channel(load_settings(environ, None))
    assert [each.level for each in found] == [Level.OK] * 5
    assert list(tmp_path.iterdir()) == [sdk]


@pytest.mark.usefixtures("installed")
def test_without_a_certificate_tokens_are_empty() -> None:
    found = check("AGORA_APP_CERT")
    assert found.level is Level.WARNING
    assert "without token authentication" in found.text
    assert "Agora's console" in found.remedy


@pytest.mark.parametrize(
    ("words", "text", "remedy"),
    [
        (
            "channels of Agora need x, which is not installed: pip install x",
            "channels of Agora need x, which is not installed",
            "pip install x",
        ),
        ("the library is not at /a; python -c 'b'", "the library is not at /a", "python -c 'b'"),
        ("no library for win32", "no library for win32", "leave AGORA_APP_ID empty to use the browser channel"),
    ],
)
def test_packages_that_are_missing_are_told(
    words: str, text: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, words)
    assert check("packages") == problem("packages", text, remedy)


@pytest.mark.usefixtures("installed")
def test_a_file_where_the_logs_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0o777)
    found = check("AGORA_LOG_DIR", AGORA_LOG_DIR=str(tmp_path / "file" / "logs"))
    assert (found.level, found.text) == (Level.PROBLEM, f"{tmp_path}/file/logs: {tmp_path}/file is no folder")


@pytest.mark.usefixtures("installed")
def test_a_folder_that_can_t_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The administrator, as whom tests may run, may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != tmp_path)
    found = check("AGORA_LOG_DIR", AGORA_LOG_DIR=str(tmp_path / "logs"))
    assert (found.level, found.text) == (Level.PROBLEM, f"{tmp_path}/logs: {tmp_path} can't be written")


@pytest.mark.usefixtures("installed")
def test_a_folder_from_here_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert check("AGORA_LOG_DIR", AGORA_LOG_DIR="logs").level is Level.OK
    assert check("AGORA_LOG_DIR").level is Level.OK


@pytest.mark.usefixtures("installed")
def test_without_the_browser_s_sdk_the_page_can_t_join(tmp_path: Path) -> None:
    found = check("AGORA_WEB_SDK", AGORA_WEB_SDK=str(tmp_path / "none.js"))
    assert (found.level, found.text) == (Level.WARNING, f"there is no {tmp_path}/none.js: the page can't join")
    assert "npm ci" in found.remedy
