"""Whether this machine will do."""

from __future__ import annotations

import platform
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from realtime_agent.config import Settings
from realtime_agent.descriptors import most_descriptors
from realtime_agent.doctor.finding import Finding, ok, problem, warning

__all__ = [
    "Machine",
    "check_authorities",
    "check_capacity",
    "check_python",
    "check_sound",
    "is_installed",
    "is_there",
    "this_machine",
]

_OLDEST = (3, 11)
_NEWEST = (3, 13)
_SYSTEMS = ("Linux", "Darwin")

_AGENT_DESCRIPTORS = 20
_OWN_DESCRIPTORS = 100
_AGENT_MIB = 13
_AGORA_AGENT_MIB = 17
"""Over the loopback library, see docs/operations.md; the real one's share is not known."""
_MODEL_MIB = 600

_MIB = 2**20
_MEMINFO = Path("/proc/meminfo")
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, slots=True)
class Machine:
    """What is asked of a machine.

    Attributes:
        python: Its version.
        system: As `platform.system()`.
        hardware: As `platform.machine()`.
        descriptors: How many files and sockets the server may have open.
        memory: Bytes that may be had; None is not known.
    """

    python: tuple[int, int, int]
    system: str
    hardware: str
    descriptors: int
    memory: int | None


def this_machine() -> Machine:
    """The one that this runs on."""
    return Machine(
        python=(sys.version_info.major, sys.version_info.minor, sys.version_info.micro),
        system=platform.system(),
        hardware=platform.machine(),
        descriptors=most_descriptors(),
        memory=_memory(_MEMINFO, _CGROUP_LIMIT),
    )


def _memory(meminfo: Path, cgroup_limit: Path) -> int | None:
    """What Linux says can be had without swapping, and no more than the container may have."""
    found = []
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
        found += [int(text) for text in (cgroup_limit.read_text(encoding="ascii").strip(),) if text.isdecimal()]
    except (OSError, ValueError):
        pass  # another system, or no container
    return min(found, default=None)


def is_installed(package: str) -> bool:
    """Whether a package can be imported, without importing it."""
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def check_python(machine: Machine) -> list[Finding]:
    """The interpreter and the system."""
    version = ".".join(map(str, machine.python))
    system = f"{machine.system} on {machine.hardware}"
    if machine.python < _OLDEST:
        python = problem("Python", f"{version} is too old", "install Python 3.11 or newer")
    elif machine.python[:2] > _NEWEST:
        python = warning("Python", f"{version} is newer than what was tested", "take 3.11 to 3.13 if anything fails")
    else:
        python = ok("Python", version)
    if machine.system in _SYSTEMS:
        return [python, ok("system", system)]
    return [
        python,
        problem("system", f"{system} is not supported", "run it on Linux or macOS, or in WSL or a container"),
    ]


def check_sound(installed: Callable[[str], bool] = is_installed) -> list[Finding]:
    """What only `call` needs."""
    if installed("miniaudio"):
        return [ok("miniaudio", "is installed: `call` can read sound files and use the microphone")]
    return [
        warning(
            "miniaudio",
            "is not installed: only `call` needs it",
            f"{sys.executable} -m pip install miniaudio (it needs a C compiler on Linux other than x86-64)",
        )
    ]


def check_capacity(machine: Machine, settings: Settings) -> list[Finding]:
    """Whether MAX_AGENTS agents have room."""
    return [_descriptors(machine.descriptors, settings), *_room(machine.memory, settings)]


def _descriptors(limit: int, settings: Settings) -> Finding:
    needed = settings.max_agents * _AGENT_DESCRIPTORS + _OWN_DESCRIPTORS
    if limit >= needed:
        return ok("open files", f"{limit:,}; MAX_AGENTS={settings.max_agents} may need {needed:,}")
    room = max(1, (limit - _OWN_DESCRIPTORS) // _AGENT_DESCRIPTORS)
    return warning(
        "open files",
        f"a process may have {limit:,} open, but MAX_AGENTS={settings.max_agents} may need {needed:,}",
        f"raise the hard limit (ulimit -Hn, LimitNOFILE= in systemd) or set MAX_AGENTS={room}",
    )


def _room(memory: int | None, settings: Settings) -> list[Finding]:
    if memory is None:
        return []
    model = _MODEL_MIB if settings.uses_local_model else 0
    agent = _AGORA_AGENT_MIB if settings.uses_agora else _AGENT_MIB
    needed = settings.max_agents * agent + model
    for_model = " with the embedded model" if model else ""
    if memory >= needed * _MIB:
        text = f"{memory // _MIB:,} MiB free; MAX_AGENTS={settings.max_agents}{for_model} may need {needed:,}"
        return [ok("memory", text)]
    room = (memory // _MIB - model) // agent
    return [
        warning(
            "memory",
            f"{memory // _MIB:,} MiB free, but MAX_AGENTS={settings.max_agents}{for_model} may need {needed:,}",
            f"free some, or set MAX_AGENTS={room}" if room >= 1 else "free some",
        )
    ]


def is_there(path: Path) -> bool:
    """Whether a file or folder is seen; one that may not be looked for, or can't be, is not."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def check_authorities(context: Callable[[], ssl.SSLContext] = ssl.create_default_context) -> list[Finding]:
    """Whether there are authorities to check other servers' certificates by."""
    paths = ssl.get_default_verify_paths()
    # A folder is looked into only when a certificate comes.
    in_folder = paths.capath is not None and any(Path(paths.capath).glob("*.0"))
    count = context().cert_store_stats()["x509_ca"]
    if not count and not in_folder:
        return [
            problem(
                "authorities",
                f"no certificate authorities in {paths.cafile or paths.openssl_cafile}: no server can be trusted",
                "install the system's ca-certificates, or name a bundle in SSL_CERT_FILE",
            )
        ]
    where = paths.cafile if count else paths.capath
    return [ok("authorities", f"{count or 'certificates'} of {where or 'the system'}")]
