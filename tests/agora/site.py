"""Agora's real Python packages over the loopback library, in a folder that Python can import from.

The packages come from the package index, pinned and with their hashes as in requirements-agora.txt. Of the SDK only
`agora/rtc/__init__.py` is left out, which downloads Agora's native library and exits where that fails; in its place is
one that loads the library built from native/*.c, and that turns off certificate checks as the real one does.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

__all__ = ["build_library", "build_site", "has_compiler", "original_sdk"]

_HERE = Path(__file__).parent
_ROOT = _HERE.parent.parent
_NATIVE = _HERE / "native"
_PACKAGES = ("agora-realtime-ai-api", "colorlog", "pyee")
_SDK = "agora-python-server-sdk"
_TIMEOUT_S = 100

_INIT = """\
import ctypes
import ssl
from pathlib import Path

ssl._create_default_https_context = ssl._create_unverified_context
agora_lib = ctypes.CDLL(str(Path(__file__).parent / "agora_sdk" / "libagora_rtc_sdk.so"))
"""


def has_compiler() -> bool:
    """Whether the loopback library can be built here."""
    return shutil.which("cc") is not None


def build_site() -> Path:
    """The folder to import from. Built once for each state of what it is made of, however many processes ask for it."""
    made_of = [_ROOT / "requirements-agora.txt", Path(__file__), *sorted(_NATIVE.glob("*.c"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in made_of) + sys.version.encode()).hexdigest()
    python = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    cache = _ROOT / ".agora"
    cache.mkdir(exist_ok=True)
    site = cache / f"{python}-{digest[:16]}"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not site.is_dir():
            for old in cache.glob(f"{python}-*"):
                shutil.rmtree(old)
            _build(cache / "new")
            (cache / "new").rename(site)
    return site


def original_sdk(site: Path) -> Path:
    """The SDK as it came from the index, with its own `__init__`."""
    return site / "sdk"


def build_library(target: Path) -> None:
    """Compile the loopback library."""
    sources = [str(path) for path in sorted(_NATIVE.glob("*.c"))]
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-shared", "-fPIC", "-pthread"]
    _run(["cc", *flags, "-o", str(target), *sources])


def _build(site: Path) -> None:
    shutil.rmtree(site, ignore_errors=True)
    downloads = site / "downloads"
    downloads.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    pinned = downloads / "packages.txt"
    pinned.write_text("".join(_pins(name) for name in _PACKAGES), encoding="utf-8")
    _run([*pip, "install", "--no-deps", "--require-hashes", "--target", str(site), "-r", str(pinned)])
    pinned.write_text(_pins(_SDK), encoding="utf-8")
    _run([*pip, "download", "--no-deps", "--require-hashes", "-d", str(downloads), "-r", str(pinned)])
    with tarfile.open(next(downloads.glob("*.tar.gz"))) as archive:
        archive.extractall(downloads, filter="data")
    unpacked = next(path for path in downloads.iterdir() if path.is_dir())
    shutil.copytree(unpacked / "agora", site / "sdk" / "agora")
    shutil.copytree(unpacked / "agora", site / "agora")
    (site / "agora" / "rtc" / "__init__.py").write_text(_INIT, encoding="utf-8")
    metadata = site / f"{unpacked.name}.dist-info"
    metadata.mkdir()
    shutil.copy(unpacked / "PKG-INFO", metadata / "METADATA")
    library = site / "agora" / "rtc" / "agora_sdk" / "libagora_rtc_sdk.so"
    library.parent.mkdir()
    build_library(library)
    shutil.rmtree(downloads)


def _pins(name: str) -> str:
    """A package's lines of requirements-agora.txt: its version and its hashes."""
    text = (_ROOT / "requirements-agora.txt").read_text(encoding="utf-8")
    found = re.search(rf"^{name}==\S+ \\\n(?: +--hash=\S+(?: \\)?\n)+", text, re.MULTILINE)
    assert found is not None, f"requirements-agora.txt does not pin {name}"
    return found[0]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    assert done.returncode == 0, f"{' '.join(command)} failed: {done.stdout}{done.stderr}"
