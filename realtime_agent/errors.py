"""Every error that this package raises on purpose, on one page.

RealtimeAgentError
├── ConfigError            a setting is missing or wrong
├── AudioFileError         a sound file cannot be read or written
├── InvalidRequest         a request or an argument is wrong
├── Forbidden              a page of another site, or another name for this service
├── FleetError
│   ├── AgentExists        the channel has an agent already
│   ├── AgentNotFound      the channel has none
│   ├── FleetFull          no room for another agent
│   ├── FleetClosed        the server is ending
│   ├── NotReady           no agent can be started now
│   ├── StartFailed        the agent ended before it was ready
│   │   └── StartStopped   somebody stopped it
│   ├── StartTimeout       the agent was not ready in time
│   ├── ControlTimeout     the agent did not answer a command in time
│   └── QueueFull          the agent's command queue is full
├── ChannelError           the RTC channel refused, failed or was lost
│   └── TokenInvalid       a token is forged, expired or for another channel
├── SessionError           the model refused, failed or was lost
│   ├── SessionLost        the connection to the model broke; another one may do
│   │   └── SessionTimeout the model did not answer in time
│   ├── ModelBusy          the model has not answered too many commands
│   └── ModelRefused       the model answered with an error
│       └── ModelConflict  the model can't do it as things stand
└── InvalidEvent           a message is no event of the Realtime protocol
"""

from __future__ import annotations

from typing import NamedTuple, Self

__all__ = [
    "AgentExists",
    "AgentNotFound",
    "AudioFileError",
    "ChannelError",
    "ConfigError",
    "ControlTimeout",
    "FieldError",
    "FleetClosed",
    "FleetError",
    "FleetFull",
    "Forbidden",
    "InvalidEvent",
    "InvalidRequest",
    "ModelBusy",
    "ModelConflict",
    "ModelRefused",
    "NotReady",
    "QueueFull",
    "RealtimeAgentError",
    "SessionError",
    "SessionLost",
    "SessionTimeout",
    "StartFailed",
    "StartStopped",
    "StartTimeout",
    "TokenInvalid",
]


class RealtimeAgentError(Exception):
    """The root: `str()` of any of them is one line that may be shown to a user."""


class ConfigError(RealtimeAgentError):
    """A setting is missing or wrong; the message names it.

    Args:
        what: What is wrong.
        remedy: How to mend it, where that is known; a part of the message.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}: {remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy


class AudioFileError(RealtimeAgentError):
    """A sound file is absent, not a WAV that can be read, empty, or cannot be written; the message names it."""


class FieldError(NamedTuple):
    """What is wrong with one field."""

    field: str
    message: str


class InvalidRequest(RealtimeAgentError):
    """A request or an argument is wrong; `fields` say what."""

    def __init__(self, *fields: FieldError) -> None:
        super().__init__("; ".join(f"{each.field}: {each.message}" for each in fields))
        self.fields = fields


class Forbidden(RealtimeAgentError):
    """A page of another site asks, or somebody under a name that is not the service's."""


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


class NotReady(FleetError):
    """No agent can be started now."""


class StartFailed(FleetError):
    """The agent ended before it was ready; the message is the cause."""


class StartStopped(StartFailed):
    """Somebody stopped the agent before it was ready."""


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


class SessionLost(SessionError):
    """The connection to the model broke, or could not be made now; another one may do."""


class SessionTimeout(SessionLost):
    """The model did not answer in time."""


class ModelRefused(SessionError):
    """The model answered with an error event; `code` is its code, if it has one."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class ModelBusy(SessionError):
    """The model has not answered too many commands before."""


class ModelConflict(ModelRefused):
    """The model can't do it as things stand: there is no audio to commit, or it has spoken with this voice already."""


class InvalidEvent(RealtimeAgentError):
    """A message is not an event: not JSON, without a type, or with a wrong field.

    Attributes:
        code: The Realtime API's error code for it.
        param: The path of the field at fault, such as `session.audio.output.voice`.
        event_id: The id that its sender gave it, if that could be read.
    """

    def __init__(self, message: str, code: str, param: str | None = None, event_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
        self.event_id = event_id

    @classmethod
    def missing(cls, param: str) -> Self:
        """Something that must be there is not."""
        return cls(f"Missing required parameter: '{param}'.", "missing_required_parameter", param)
