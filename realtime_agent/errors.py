"""Every error that this package raises on purpose, on one page.

RealtimeAgentError
├── ConfigError            a setting is missing or wrong
├── AudioFileError         a sound file cannot be read or written
├── FleetError
│   ├── AgentExists        the channel has an agent already
│   ├── AgentNotFound      the channel has none
│   ├── FleetFull          no room for another agent
│   ├── FleetClosed        the server is ending
│   ├── StartFailed        the agent ended before it was ready
│   ├── StartTimeout       the agent was not ready in time
│   ├── ControlTimeout     the agent did not answer a command in time
│   └── QueueFull          the agent's command queue is full
├── ChannelError           the RTC channel refused, failed or was lost
│   └── TokenInvalid       a token is forged, expired or for another channel
└── SessionError           the model refused, failed or was lost
    ├── SessionTimeout     the model did not answer in time
    └── ModelRefused       the model answered with an error
"""

from __future__ import annotations

__all__ = [
    "AgentExists",
    "AgentNotFound",
    "AudioFileError",
    "ChannelError",
    "ConfigError",
    "ControlTimeout",
    "FleetClosed",
    "FleetError",
    "FleetFull",
    "ModelRefused",
    "QueueFull",
    "RealtimeAgentError",
    "SessionError",
    "SessionTimeout",
    "StartFailed",
    "StartTimeout",
    "TokenInvalid",
]


class RealtimeAgentError(Exception):
    """The root: `str()` of any of them is one line that may be shown to a user."""


class ConfigError(RealtimeAgentError):
    """A setting is missing or wrong; the message names it."""


class AudioFileError(RealtimeAgentError):
    """A sound file is absent, not a WAV that can be read, empty, or cannot be written; the message names it."""


class FleetError(RealtimeAgentError):
    """The fleet could not do what was asked."""


class AgentExists(FleetError):
    """The channel has a running agent already."""


class AgentNotFound(FleetError):
    """No agent runs in the channel."""


class FleetFull(FleetError):
    """MAX_AGENTS agents are running."""


class FleetClosed(FleetError):
    """The server is ending and starts no more agents."""


class StartFailed(FleetError):
    """The agent ended before it was ready; the message is the cause."""


class StartTimeout(FleetError):
    """The agent was not ready within START_TIMEOUT_S."""


class ControlTimeout(FleetError):
    """The agent did not answer a command within CONTROL_TIMEOUT_S."""


class QueueFull(FleetError):
    """More commands wait for the agent than its queue holds."""


class ChannelError(RealtimeAgentError):
    """The RTC channel refused, failed or was lost."""


class TokenInvalid(ChannelError):
    """A token is forged, expired or was made for another channel."""


class SessionError(RealtimeAgentError):
    """The model refused, failed or was lost."""


class SessionTimeout(SessionError):
    """The model did not answer in time."""


class ModelRefused(SessionError):
    """The model answered with an error event; `code` is its code, if it has one."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code
