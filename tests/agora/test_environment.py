"""What docs/agora.md tells to try the service over the loopback library by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.usefixtures("agora_site")
def test_a_shell_that_took_over_the_variables_finds_the_packages(tmp_path: Path) -> None:
    script = f"""
set -eu
cd {ROOT}
eval "$({sys.executable} -m tests.agora.environment)"
cd {tmp_path}
test -d "$AGORA_LOOPBACK_DIR"
{sys.executable} -c '
from realtime_agent.config import load_settings
from realtime_agent.rtc.agora import load
load()
print(load_settings(dotenv=None).uses_agora)
'
"""
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
