"""What lets a shell's programs use Agora's packages over the loopback library, all of them in one network.

eval "$(python -m tests.agora.environment)"
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path

from tests.agora.site import build_site, has_compiler

__all__ = ["environment"]

_ROOT = Path(__file__).parent.parent.parent


def environment() -> dict[str, str]:
    """The variables; the network's folder is made."""
    network = Path(tempfile.gettempdir()) / f"agora-loopback-{os.getuid()}"
    network.mkdir(mode=0o700, exist_ok=True)
    return {
        "PYTHONPATH": f"{_ROOT}{os.pathsep}{build_site()}",
        "AGORA_LOOPBACK_DIR": str(network),
        # An app id of this shape is taken for none of an example's.
        "AGORA_APP_ID": "5e" * 16,
    }


if __name__ == "__main__":
    if not has_compiler():
        sys.exit("the loopback library needs a C compiler (cc)")
    sys.stdout.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in environment().items())
