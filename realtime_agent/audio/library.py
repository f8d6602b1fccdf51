"""The sound library, loaded when it is first needed.

Agents read no files and have no microphone; importing it at the top would cost each of them memory, more so where numpy
is installed, which it brings along.
"""

from __future__ import annotations

from types import ModuleType

from realtime_agent.errors import ConfigError

__all__ = ["miniaudio"]


def miniaudio() -> ModuleType:
    """The package miniaudio.

    Raises:
        ConfigError: it is not installed, as on platforms that it has no wheel for.
    """
    try:
        import miniaudio as library
    except ImportError:
        raise ConfigError(
            "sound files and the microphone need the package miniaudio: pip install miniaudio (needs a C compiler here)"
        ) from None
    return library  # type: ignore[no-any-return]  # it has no types
