"""The embedded model: a Realtime-protocol server on this machine that needs no account."""

from __future__ import annotations

from realtime_agent.local_model.server import LocalModel, run, serve

__all__ = ["LocalModel", "run", "serve"]
