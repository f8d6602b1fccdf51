"""Channels of Agora SD-RTN, through agora-realtime-ai-api and agora-python-server-sdk.

docs/agora.md lists what of those packages is guarded against; tests/agora has a test for each.
"""

from __future__ import annotations

from realtime_agent.rtc.agora.channel import AgoraChannel
from realtime_agent.rtc.agora.engine import AgoraEngine, log_folder, make_log_folder
from realtime_agent.rtc.agora.sdk import build_token, check_installed, load

__all__ = ["AgoraChannel", "AgoraEngine", "build_token", "check_installed", "load", "log_folder", "make_log_folder"]
