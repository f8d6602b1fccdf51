"""Whether recordings can be written."""

from __future__ import annotations

from pathlib import Path

from realtime_agent.config import Settings
from realtime_agent.doctor.finding import Level
from realtime_agent.doctor.folder import check_recordings


def test_where_nothing_is_recorded_there_is_nothing_to_say() -> None:
    assert check_recordings(Settings()) == []


def test_a_folder_that_can_be_made_is_good_and_is_not_left_behind(tmp_path: Path) -> None:
    folder = tmp_path / "calls" / "today"
    (finding,) = check_recordings(Settings(record_dir=str(folder)))
    assert (finding.level, finding.subject) == (Level.OK, "RECORD_DIR")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "calls"
    file.touch()
    (finding,) = check_recordings(Settings(record_dir=str(file)))
    assert finding.level is Level.PROBLEM
    assert str(file) in finding.text
