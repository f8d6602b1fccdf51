"""Logging for the programs of this package; the library itself configures nothing."""

from __future__ import annotations

import logging
import sys

__all__ = ["configure_logging"]

_TALKATIVE = ("websockets", "faster_whisper")
"""Libraries that log every connection or clip; websockets would log keys, which are headers, at DEBUG."""


def configure_logging(level: str) -> None:
    """Log to standard error, one line an event, with the process that wrote it."""
    logging.basicConfig(
        level=level,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)-7s %(process)d %(name)s: %(message)s",
        force=True,
    )
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    # It prints requests that can't be read as they came, with the tokens in them, and answers them with 400 by itself.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
