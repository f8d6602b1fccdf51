"""The conversation's logic, sans-I/O: what was said, whose turn it is, and what the model is to be told."""

from realtime_agent.realtime.conversation.conversation import Conversation

__all__ = ["Conversation"]
