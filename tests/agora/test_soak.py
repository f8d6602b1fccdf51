"""Many stays leave nothing behind: no thread, no descriptor, no memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROUNDS = 200
AGENTS = 50


def test_200_rounds_and_50_agents_at_once_leave_nothing_behind(agora_site: Path) -> None:
    command = [sys.executable, "-m", "tests.agora.soak", f"--rounds={ROUNDS}", f"--agents={AGENTS}"]
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    taken = json.loads(done.stdout)
    for before, after in ((part["before"], part["after"]) for part in taken.values()):
        for kind in ("threads", "descriptors", "objects"):
            assert after[kind] == before[kind], kind
    assert taken["agents"]["during"]["threads"] > 300
    grown = {name: part["after"]["memory_kib"] - part["before"]["memory_kib"] for name, part in taken.items()}
    # A participant that stayed behind costs some 100 KiB; the interpreter's own heap varies by a few in all.
    assert grown["rounds"] < 20 * ROUNDS, taken
    assert grown["agents"] < 50 * AGENTS, taken
