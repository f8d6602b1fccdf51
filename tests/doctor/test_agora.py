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
    monkeypatch.setattr(agora, "load", lambda: None)


def refuse(monkeypatch: pytest.MonkeyPatch, error: ConfigError) -> None:
    def load() -> None:
        raise error

    monkeypatch.setattr(agora, "load", load)


def check(subject: str, **settings: str) -> Finding:
    found = check_channel(load_settings({"AGORA_APP_ID": APP_ID, **settings}, None))
    assert CERTIFICATE not in str(found)
    assert APP_ID not in str(found)
    (one,) = [each for each in found if each.subject == subject]
    return one


def test_without_an_app_id_it_is_the_browser_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, ConfigError("not asked"))
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


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("wrong", [{"AGORA_APP_ID"}, {"AGORA_APP_ID", "AGORA_APP_CERT"}])
def test_what_is_wrong_anyway_is_not_told_twice_and_the_rest_is_checked(wrong: set[str]) -> None:
    found = check_channel(Settings(), wrong)
    assert [each.subject for each in found] == ["packages", "AGORA_LOG_DIR", "AGORA_WEB_SDK"]


@pytest.mark.usefixtures("installed")
def test_a_start_that_gives_up_before_agora_does_is_told() -> None:
    found = check("AGORA_TIMEOUT_S", AGORA_TIMEOUT_S="30", START_TIMEOUT_S="30")
    assert (found.level, found.text.partition(",")[0]) == (Level.WARNING, "is 30")
    settings = load_settings({"AGORA_APP_ID": APP_ID, "AGORA_TIMEOUT_S": "29", "START_TIMEOUT_S": "30"}, None)
    assert "AGORA_TIMEOUT_S" not in {each.subject for each in check_channel(settings)}


@pytest.mark.usefixtures("agora_site")
def test_packages_that_can_be_loaded_are_told() -> None:
    assert check("packages") == ok("packages", "Agora's packages and its native library can be loaded")


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (ConfigError("channels of Agora need x", "pip install x"), "pip install x"),
        (ConfigError("channels of Agora need x"), "leave AGORA_APP_ID empty to use the browser channel"),
    ],
)
def test_packages_that_are_missing_are_told(error: ConfigError, remedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, error)
    assert check("packages") == problem("packages", "channels of Agora need x", remedy)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("file/logs", "can't hold Agora's log (Not a directory)"),
        ("file", "can't hold Agora's log (File exists)"),
        ("made/" + "x" * 300, "can't hold Agora's log (File name too long)"),
    ],
)
def test_a_folder_that_logs_can_t_have_is_told(folder: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0o777)
    found = check("AGORA_LOG_DIR", AGORA_LOG_DIR=str(tmp_path / folder))
    assert (found.level, found.text) == (Level.PROBLEM, f"{tmp_path / folder} {why}")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.usefixtures("installed")
def test_a_folder_that_can_t_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The administrator, as whom tests may run, may write everywhere.
    def refuse_file(dir: Path) -> None:  # noqa: A002 - as TemporaryFile has it
        raise PermissionError(13, "Permission denied", dir)

    monkeypatch.setattr("realtime_agent.doctor.folder.TemporaryFile", refuse_file)
    found = check("AGORA_LOG_DIR", AGORA_LOG_DIR=str(tmp_path))
    assert (found.level, found.text) == (Level.PROBLEM, f"{tmp_path} can't be written (Permission denied)")


@pytest.mark.usefixtures("installed")
def test_the_folder_of_somebody_else_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check("AGORA_LOG_DIR", AGORA_LOG_DIR=str(tmp_path)).level is Level.OK
    monkeypatch.setattr(os, "getuid", lambda: 12345678)
    found = check("AGORA_LOG_DIR", AGORA_LOG_DIR=str(tmp_path))
    assert (found.level, found.text) == (Level.PROBLEM, f"{tmp_path} belongs to somebody else")


@pytest.mark.usefixtures("installed")
def test_a_folder_from_here_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert check("AGORA_LOG_DIR", AGORA_LOG_DIR="logs").level is Level.OK
    assert check("AGORA_LOG_DIR").level is Level.OK


@pytest.mark.usefixtures("installed")
def test_without_the_browser_s_sdk_the_page_can_t_join(tmp_path: Path) -> None:
    found = check("AGORA_WEB_SDK", AGORA_WEB_SDK=str(tmp_path / "none.js"))
    assert (found.level, found.text) == (Level.WARNING, f"there is no file {tmp_path}/none.js: the page can't join")
    assert "npm ci" in found.remedy


@pytest.mark.usefixtures("installed")
def test_a_name_that_no_file_can_have_is_no_file() -> None:
    assert check("AGORA_WEB_SDK", AGORA_WEB_SDK="x" * 300).level is Level.WARNING


@pytest.mark.usefixtures("installed")
def test_where_the_browser_s_sdk_is_looked_for_is_told_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert check("AGORA_WEB_SDK", AGORA_WEB_SDK="here.js").text.startswith(f"there is no file {tmp_path}/here.js:")
