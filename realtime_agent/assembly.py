"""Where both ends of an agent are chosen by configuration, each on its own; the agent never knows which it has."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, overload

from realtime_agent.addresses import public_address
from realtime_agent.agent import Agent
from realtime_agent.audio.playout import Playout
from realtime_agent.bridge.recorder import Kept, Recorder, file_name
from realtime_agent.config import Settings
from realtime_agent.control.events import AgentEvent
from realtime_agent.control.phrases import Phrases
from realtime_agent.control.spec import AgentSpec
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.endpoint import (
    OPENAI,
    ear_endpoint,
    realtime_endpoint,
    warn_of_distant_ear,
    warn_of_plain_key,
)
from realtime_agent.realtime.realtime_ear import RealtimeEar
from realtime_agent.realtime.realtime_session import RealtimeSession
from realtime_agent.realtime.renewal import Renewal
from realtime_agent.realtime.session import Ear, Session
from realtime_agent.realtime.types import (
    AudioFormat,
    AudioInput,
    ServerVad,
    Transcription,
    TranscriptionSessionAudio,
    TranscriptionSessionConfig,
)
from realtime_agent.rtc.channel import Channel
from realtime_agent.rtc.web import WebChannel
from realtime_agent.tools import Toolbox

__all__ = ["assemble", "check_settings", "get_ready", "load_tools", "model_address"]

logger = logging.getLogger(__name__)

C = TypeVar("C", bound=Channel)

_RECORDINGS = "recordings"
"""Where recordings go if RECORD_DIR does not say."""


def check_settings(settings: Settings) -> None:
    """Tell once, when a program starts, what would otherwise be noticed with the first agent.

    Raises:
        ConfigError: the channel can't work, or the functions can't be had.
    """
    _check_agora(settings)
    warn_of_plain_key(settings)
    warn_of_distant_ear(settings)
    _tell_what_is_kept(settings)
    functions = load_tools(settings).definitions
    if not functions:
        return
    logger.info("%s has the functions %s", settings.agent_tools, ", ".join(each.name for each in functions))
    if settings.uses_local_model:
        logger.warning("the embedded model calls no functions: AGENT_TOOLS needs another one, such as OpenAI's")
    for each in functions:
        if not each.description:
            logger.warning("function %s has no docstring: the model must guess from its name what it does", each.name)


def _tell_what_is_kept(settings: Settings) -> None:
    if settings.record_dir:
        logger.info("conversations are recorded into %s", Path(settings.record_dir).absolute())
    if settings.webhook_url:
        logger.info("events are posted to %s", public_address(settings.webhook_url).partition("?")[0])


def _check_agora(settings: Settings) -> None:
    """Fail early where Agora is configured, but its packages are not there."""
    if not settings.uses_agora:
        return
    from realtime_agent.rtc.agora import check_installed

    check_installed()
    if not settings.agora_app_cert.get_secret_value():
        logger.warning("AGORA_APP_CERT is empty: agents and users join without tokens, if the project allows that")


@overload
def assemble(spec: AgentSpec, settings: Settings, notify: Callable[[AgentEvent], None]) -> tuple[Agent, Channel]: ...


@overload
def assemble(
    spec: AgentSpec, settings: Settings, notify: Callable[[AgentEvent], None], channel: C
) -> tuple[Agent, C]: ...


def assemble(
    spec: AgentSpec, settings: Settings, notify: Callable[[AgentEvent], None], channel: Channel | None = None
) -> tuple[Agent, Channel]:
    """Build an agent and its channel, unless there is one. Call it in the loop that the agent will run in."""
    channel = channel or _channel(spec, settings)
    playout = Playout(
        frame_ms=channel.frame_ms,
        lead_ms=settings.playout_lead_ms,
        far_end_delay_ms=settings.far_end_delay_ms,
    )
    tools = load_tools(settings)
    session = _session(spec, settings, tools if spec.tools is None else tools.select(spec.tools))
    phrases = None
    if settings.voice_phrases != "off":
        phrases = Phrases(settings.stop_phrases, settings.start_phrases)
    if settings.voice_phrases == "transcript" and spec.session.transcription is None:
        logger.warning("the agent in %r hears no phrases: its user's words are not written down", spec.channel_name)
    ear = _ear(spec, settings) if settings.voice_phrases == "local" else None
    recorder = _recorder(spec, settings, notify)
    agent = Agent(spec, channel, session, playout, tools, phrases=phrases, ear=ear, recorder=recorder, notify=notify)
    return agent, channel


def model_address(settings: Settings) -> str:
    """Where agents find their model, without what may be secret: a name and password in it, and what follows a `?`."""
    return public_address(settings.realtime_api_base_uri or OPENAI).partition("?")[0]


def load_tools(settings: Settings) -> Toolbox:
    """The functions that models may call; none, unless a module is named.

    Raises:
        ConfigError: the module can't be had, or holds none.
    """
    if not settings.agent_tools:
        return Toolbox([])
    return Toolbox.load(settings.agent_tools, timeout_s=settings.tool_timeout_s)


def get_ready(settings: Settings) -> None:
    """Load what is loaded only when an agent is built, for one that will be built later in this process.

    Raises:
        ConfigError: the functions can't be had.
    """
    load_tools(settings)
    if settings.uses_agora:
        from realtime_agent.rtc.agora import load

        load()


def _channel(spec: AgentSpec, settings: Settings) -> Channel:
    if not settings.uses_agora:
        return WebChannel(spec.channel_name, spec.uid)
    from realtime_agent.rtc.agora import AgoraChannel, AgoraEngine, build_token, log_folder

    async def token() -> str:
        certificate = settings.agora_app_cert.get_secret_value()
        return build_token(settings.agora_app_id, certificate, spec.channel_name, spec.uid, settings.token_ttl_s)

    engine = AgoraEngine(settings.agora_app_id, log_folder(settings.agora_log_dir), timeout_s=settings.agora_timeout_s)
    return AgoraChannel(
        engine,
        spec.channel_name,
        spec.uid,
        token,
        timeout_s=settings.agora_timeout_s,
        reconnect_timeout_s=settings.reconnect_timeout_s,
    )


def _recorder(spec: AgentSpec, settings: Settings, notify: Callable[[AgentEvent], None]) -> Recorder | None:
    is_kept = bool(settings.record_dir) if spec.record is None else spec.record
    kept = Kept(is_kept, settings.write_rtc_pcm, settings.write_agent_pcm)
    if spec.record is False or not any(kept):
        return None
    return Recorder(
        Path(settings.record_dir or _RECORDINGS),
        lambda: file_name(spec.channel_name, datetime.now(UTC)),
        kept,
        far_end_delay_s=settings.far_end_delay_ms / 1000,
        notify=notify,
        clock=time.monotonic,
    )


def _ear(spec: AgentSpec, settings: Settings) -> Ear:
    spoken = spec.session.transcription
    transcription = Transcription(
        language=spoken.language if spoken else None,
        keywords=[settings.voice_phrases_name] if settings.voice_phrases_name else [],
    )
    listening = AudioInput(
        format=AudioFormat(rate=24000), transcription=transcription, turn_detection=ServerVad().in_full()
    )
    config = TranscriptionSessionConfig(audio=TranscriptionSessionAudio(input=listening))
    return RealtimeEar(ear_endpoint(settings), config)


def _session(spec: AgentSpec, settings: Settings, tools: Toolbox) -> Session:
    config = spec.session
    if tools.definitions:
        config = config.model_copy(update={"tools": [*tools.definitions, *(config.tools or [])]})
    conversation = Conversation(config, user_present=False, replay_tokens=settings.replay_tokens)
    renewal = Renewal(rotate_s=settings.session_rotate_s, reconnect_timeout_s=settings.reconnect_timeout_s)
    return RealtimeSession(
        realtime_endpoint(settings, config.model or ""),
        conversation,
        renewal,
        frame_ms=settings.uplink_frame_ms,
        # A little less than the server waits, so that it hears why there is no answer.
        command_timeout_s=settings.control_timeout_s * 0.9,
    )
