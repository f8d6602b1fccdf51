"""Whether agents can write into a folder, which they would make."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

from realtime_agent.config import Settings
from realtime_agent.doctor.finding import Finding, ok, problem
from realtime_agent.doctor.machine import is_there
from realtime_agent.errors import ChannelError

__all__ = ["check_folder", "check_recordings"]


def check_folder(name: str, folder: Path, make: Callable[[Path], None]) -> Finding:
    """Whether an agent can make it, and write there; what permissions say of that is not all."""
    made = [each for each in (folder, *folder.parents) if not is_there(each)]
    try:
        make(folder)
        with TemporaryFile(dir=folder):
            return ok(name, f"{folder} can be written")
    except (ChannelError, OSError) as error:
        why = f"{folder} can't be written ({error.strerror})" if isinstance(error, OSError) else str(error)
        return problem(name, why.partition(":")[0], "name a folder of this user's own")
    finally:
        for each in made:
            with suppress(OSError):
                each.rmdir()


def check_recordings(settings: Settings) -> list[Finding]:
    """Where conversations are recorded, if they are."""
    if not settings.record_dir:
        return []
    folder = Path(settings.record_dir).absolute()
    return [check_folder("RECORD_DIR", folder, lambda folder: folder.mkdir(parents=True, exist_ok=True))]
