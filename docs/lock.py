"""Write the pinned requirement files from pyproject.toml, with the hashes of the package index.

    make lock                       keep the present pins where they still fit
    make lock ARGS=--upgrade        take the newest that fit

requirements-dev.txt      the service, the embedded model and the development tools: what `make setup` installs
requirements.txt          the service alone, with the versions that were tested above
requirements-agora.txt    the service and Agora's packages

One file serves Python 3.11 and newer on every platform.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
COMPILE = (
    "pip", "compile", "pyproject.toml", "--quiet", "--no-config", "--no-python-downloads",
    "--universal", "--python-version", "3.11", "--fork-strategy", "fewest",
    "--generate-hashes", "--no-header",
)  # fmt: skip
SOURCES = ("UV_FIND_LINKS", "UV_INDEX", "UV_EXTRA_INDEX_URL")  # they would add hashes that the index does not have

DEV_HEADER = """\
# Written by `make lock`. The service, the embedded model and the development tools, for Python 3.11 and newer:
#     pip install --require-hashes -r requirements-dev.txt
"""
LIGHT_HEADER = """\
# Written by `make lock`. The service alone, for Python 3.11 and newer, from the package index:
#     pip install -r requirements.txt
# pip checks every download against the hashes below.
"""
AGORA_HEADER = """\
# Written by `make lock`. The service and Agora's packages, for channels on Agora SD-RTN:
#     pip install -r requirements-agora.txt
#
# agora-python-server-sdk has no native code in it. Its setup.py, and again its first import, download Agora's RTC SDK
# 4.4.30 from download.agora.io (Agora's own server; x86-64 Linux or macOS; proprietary, under Agora's terms): no hash
# below covers that archive, and the download does not verify the server's certificate. So this file is apart from
# requirements.txt, which needs the package index alone. colorlog is used by agora-realtime-ai-api, undeclared.

-r requirements.txt

"""


def compile_pins(target: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Let uv write the pins of pyproject.toml and the chosen extras to `target`."""
    command = [sys.executable, "-m", "uv", *COMPILE, "--output-file", str(target.relative_to(ROOT)), *arguments]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=600)


def names(pins: Path) -> list[str]:
    """The packages pinned in a file."""
    return re.findall(r"^([a-z0-9-]+)==", pins.read_text(encoding="utf-8"), re.MULTILINE)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write the pinned requirement files from pyproject.toml.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    upgrade = ["--upgrade"] if parser.parse_args(arguments).upgrade else []
    environment = {name: value for name, value in os.environ.items() if name not in SOURCES}
    dev, light, agora = (ROOT / f"requirements{part}.txt" for part in ("-dev", "", "-agora"))
    same = ["--constraints", dev.name]

    compile_pins(dev, ["--extra", "local", "--extra", "dev", *upgrade], environment)
    compile_pins(light, [*same, *upgrade], environment)
    rest = [option for name in names(light) for option in ("--no-emit-package", name)]
    compile_pins(agora, ["--extra", "agora", *same, *rest, *upgrade], environment)
    for file, header in ((dev, DEV_HEADER), (light, LIGHT_HEADER), (agora, AGORA_HEADER)):
        pins, _, _ = file.read_text(encoding="utf-8").partition("\n# The following packages were excluded")
        file.write_text(header + pins, encoding="utf-8")
        print(f"{file.name}: {len(names(file))} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
