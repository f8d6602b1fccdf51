"""Logging for the programs of this package; the library itself configures nothing."""

from __future__ import annotations

import logging
import sys

__all__ = ["configure_logging"]


def configure_logging(level: str) -> None:
    """Log to standard error, one line an event, with the process that wrote it."""
    logging.basicConfig(
        level=level,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)-7s %(process)d %(name)s: %(message)s",
        force=True,
    )
    # Handshake details of every connection are for debugging only.
    if level != "DEBUG":
        logging.getLogger("websockets").setLevel(logging.WARNING)
