"""Where both ends of an agent are chosen by configuration, each on its own; the agent never knows which it has."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from realtime_agent.agent import Agent
from realtime_agent.audio.playout import Playout
from realtime_agent.config import Settings
from realtime_agent.control.events import AgentEvent
from realtime_agent.control.spec import AgentSpec
from realtime_agent.errors import ConfigError
from realtime_agent.realtime.session import RealtimeSession, Session
from realtime_agent.realtime.types import (
    AudioFormat,
    AudioInput,
    AudioOutput,
    SessionAudio,
    SessionConfig,
    Transcription,
)
from realtime_agent.rtc.web import WebChannel

__all__ = ["assemble", "check_channel", "model_address", "session_config"]

_OPENAI = "wss://api.openai.com/v1"


def check_channel(settings: Settings) -> None:
    """Fail early where the configured channel can't work.

    Raises:
        ConfigError: Agora is configured; its adapter is not part of this version.
    """
    if settings.uses_agora:
        raise ConfigError("AGORA_APP_ID is set, but this version has no Agora channel yet: leave it empty")


def assemble(spec: AgentSpec, settings: Settings, notify: Callable[[AgentEvent], None]) -> tuple[Agent, WebChannel]:
    """Build an agent and its channel. Call it in the loop that the agent will run in."""
    channel = _channel(spec, settings)
    playout = Playout(
        frame_ms=channel.frame_ms,
        lead_ms=settings.playout_lead_ms,
        far_end_delay_ms=settings.far_end_delay_ms,
    )
    return Agent(spec, channel, _session(spec, settings), playout, notify=notify), channel


def model_address(settings: Settings) -> str:
    """Where agents find their model."""
    return settings.realtime_api_base_uri or _OPENAI


def session_config(spec: AgentSpec, settings: Settings) -> SessionConfig:
    """What the model is told when its session begins."""
    transcription = Transcription(model=settings.transcription_model)
    if spec.language is not None:
        transcription.language = spec.language
    pcm = AudioFormat(type="audio/pcm", rate=24000)
    return SessionConfig(
        model=spec.model,
        instructions=spec.system_instruction,
        output_modalities=["audio"],
        audio=SessionAudio(
            input=AudioInput(format=pcm, transcription=transcription, turn_detection=spec.turn_detection),
            output=AudioOutput(format=pcm, voice=spec.voice),
        ),
    )


def _channel(spec: AgentSpec, settings: Settings) -> WebChannel:
    check_channel(settings)
    return WebChannel(spec.channel_name, spec.uid)


def _session(spec: AgentSpec, settings: Settings) -> Session:
    base = model_address(settings)
    key = settings.openai_api_key.get_secret_value()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = f"{base}/realtime?model={quote(spec.model, safe='')}"
    return RealtimeSession(url, headers, session_config(spec, settings), timeout=settings.model_timeout_s)
