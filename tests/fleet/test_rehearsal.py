"""What an idle worker does first."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from realtime_agent.config import Settings
from realtime_agent.fleet.rehearsal import rehearse
from realtime_agent.testing import ScriptedServer


@pytest.mark.parametrize(
    "changes", [{}, {"voice_phrases": "off"}, {"voice_phrases": "local"}, {"agent_tools": "examples.tools"}]
)
async def test_an_agent_begins_and_leaves(settings: Settings, changes: dict[str, object]) -> None:
    assert await rehearse(settings.model_copy(update=changes))


async def test_nobody_hears_of_it(
    scripted: Settings, script: ScriptedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    recorded = {"record_dir": str(tmp_path), "write_rtc_pcm": True, "write_agent_pcm": True}
    assert await rehearse(scripted.model_copy(update=recorded))
    assert script.connections == []
    assert not files_of(tmp_path)
    assert caplog.text == ""
    logging.getLogger("realtime_agent").warning("as before")
    assert "as before" in caplog.text


def files_of(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_one_that_fails_does_no_harm(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("realtime_agent.fleet.rehearsal.assemble", fail)
    assert not await rehearse(settings)


async def test_one_that_hangs_is_given_up(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime_agent.fleet.rehearsal._TIMEOUT_S", 0.1)
    monkeypatch.setattr("realtime_agent.fleet.rehearsal._SAID", ())
    monkeypatch.setattr("realtime_agent.fleet.rehearsal._KEY", b"none")
    assert not await rehearse(settings)
