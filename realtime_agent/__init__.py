"""Real-time voice agents: an RTC channel on one side, a Realtime voice model on the other."""

__version__ = "0.1.0"
