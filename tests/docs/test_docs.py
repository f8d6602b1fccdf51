"""The pictures in the README are what their source says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_pictures_are_drawn_from_their_source() -> None:
    checked = subprocess.run(
        [sys.executable, "docs/draw_architecture.py", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_readmes_table_of_settings_is_the_env_example() -> None:
    checked = subprocess.run([sys.executable, "docs/settings.py", "--check"], cwd=ROOT, timeout=60)
    assert checked.returncode == 0, "run python docs/settings.py"


def test_what_stands_in_a_cell_of_the_table_of_settings_does_not_end_it() -> None:
    _, _, settings = (ROOT / "README.md").read_text(encoding="utf-8").partition("| Setting |")
    rows = [line for line in settings.partition("\n<!--")[0].splitlines() if line.startswith("| ")]
    assert len(rows) > 50
    assert {len(re.split(r"(?<!\\)\|", row)) for row in rows} == {5}
