"""Whether this machine will do."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from realtime_agent.config import Settings
from realtime_agent.doctor import machine as module
from realtime_agent.doctor.finding import Level
from realtime_agent.doctor.machine import (
    Machine,
    check_authorities,
    check_capacity,
    check_python,
    check_sound,
    is_installed,
    this_machine,
)

GOOD = Machine((3, 12, 1), "Linux", "x86_64", descriptors=2100, memory=1900 * 2**20)


def levels(machine: Machine) -> list[Level]:
    return [found.level for found in check_python(machine)]


def test_a_machine_that_will_do() -> None:
    python, system = check_python(GOOD)
    assert (python.level, python.text) == (Level.OK, "3.12.1")
    assert (system.level, system.text) == (Level.OK, "Linux on x86_64")
    assert levels(replace(GOOD, system="Darwin", python=(3, 11, 0))) == [Level.OK, Level.OK]
    assert levels(replace(GOOD, python=(3, 13, 99))) == [Level.OK, Level.OK]


def test_a_python_that_is_too_old_or_not_tested_is_told() -> None:
    assert levels(replace(GOOD, python=(3, 10, 14))) == [Level.PROBLEM, Level.OK]
    assert levels(replace(GOOD, python=(3, 14, 0))) == [Level.WARNING, Level.OK]


def test_another_system_is_told() -> None:
    assert levels(replace(GOOD, system="Windows")) == [Level.OK, Level.PROBLEM]


def test_this_machine_is_looked_at() -> None:
    machine = this_machine()
    assert levels(machine)[0] is not Level.PROBLEM
    assert machine.descriptors > 0


def test_packages_are_found_without_importing_them() -> None:
    assert is_installed("json")
    assert not is_installed("no_such_package")
    assert not is_installed("no_such_package.part")


def test_the_sound_library_is_only_for_calls() -> None:
    assert [found.level for found in check_sound(lambda name: name == "miniaudio")] == [Level.OK]
    (found,) = check_sound(lambda name: name != "miniaudio")
    assert (found.level, found.subject) == (Level.WARNING, "miniaudio")
    assert "pip install miniaudio" in found.remedy


def test_there_is_room_for_all_agents() -> None:
    assert [found.level for found in check_capacity(GOOD, Settings())] == [Level.OK, Level.OK]
    assert len(check_capacity(replace(GOOD, memory=None), Settings())) == 1


def test_agents_over_agora_need_more_memory() -> None:
    agora = Settings(agora_app_id="5e" * 16)
    assert [found.level for found in check_capacity(GOOD, agora)] == [Level.OK, Level.WARNING]
    enough = replace(GOOD, memory=(100 * 17 + 600) * 2**20)
    assert [found.level for found in check_capacity(enough, agora)] == [Level.OK, Level.OK]


def test_too_few_descriptors_are_told_with_how_many_agents_they_are_enough_for() -> None:
    found = check_capacity(replace(GOOD, descriptors=2099), Settings())[0]
    assert (found.level, found.subject) == (Level.WARNING, "open files")
    assert found.remedy.endswith("or set MAX_AGENTS=99")
    assert check_capacity(replace(GOOD, descriptors=64), Settings())[0].remedy.endswith("MAX_AGENTS=1")


def test_too_little_memory_is_told_with_how_many_agents_it_is_enough_for() -> None:
    short = replace(GOOD, memory=GOOD.memory - 1 if GOOD.memory else 0)
    found = check_capacity(short, Settings())[1]
    assert (found.level, found.subject, found.remedy) == (Level.WARNING, "memory", "free some, or set MAX_AGENTS=99")
    with_key = Settings(openai_api_key=SecretStr("sk-1"))
    assert check_capacity(short, with_key)[1].level is Level.OK
    assert check_capacity(replace(GOOD, memory=2**20), Settings())[1].remedy == "free some"


def test_memory_is_what_can_be_had_and_what_the_container_may_have(tmp_path: Path) -> None:
    meminfo, limit = tmp_path / "meminfo", tmp_path / "memory.max"
    assert module._memory(meminfo, limit) is None
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:    2 kB\n")
    assert module._memory(meminfo, limit) == 2048
    limit.write_text("max\n")
    assert module._memory(meminfo, limit) == 2048
    limit.write_text("1024\n")
    assert module._memory(meminfo, limit) == 1024


def test_authorities_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(bundle)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    (found,) = check_authorities()
    assert (found.level, found.text) == (Level.OK, f"1 of {bundle}")


def test_a_folder_of_authorities_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "0a775a30.0").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    (found,) = check_authorities(lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    assert (found.level, found.text) == (Level.OK, f"certificates of {tmp_path}")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_bundle_that_is_not_there_or_empty_is_told(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    (found,) = check_authorities()
    assert (found.level, found.subject) == (Level.PROBLEM, "authorities")
    assert str(bundle) in found.text or content is None
    assert "SSL_CERT_FILE" in found.remedy
