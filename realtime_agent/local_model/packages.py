"""Where the models are that come as Python packages."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

__all__ = ["package_folder"]


def package_folder(name: str) -> Path:
    """The folder of an installed package. It is not imported, which would load what only its own helpers need.

    Raises:
        ImportError: it is not installed.
    """
    package = find_spec(name)
    if package is None or package.origin is None:
        raise ImportError(f"{name} is not installed")
    return Path(package.origin).parent
