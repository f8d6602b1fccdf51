"""The command `call`: joins a channel as its user, speaks a file or the microphone, records and measures the answer.

It is how people try a deployment, and how the project's own tests speak.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from realtime_agent.addresses import base_url
from realtime_agent.audio.microphone import Headset
from realtime_agent.audio.speaker import Speaker
from realtime_agent.audio.wav import read_wav, speech_end, write_wav
from realtime_agent.call_line import CallLine, ClipSource, MicrophoneSource
from realtime_agent.call_log import LINGER_S, TIMEOUT_S, CallLog, Transcript
from realtime_agent.config import Settings
from realtime_agent.errors import AudioFileError, ChannelError, ConfigError
from realtime_agent.rtc.channel import UserChannel
from realtime_agent.rtc.server_client import ServerClient
from realtime_agent.rtc.web_client import WebUser

__all__ = ["CallOptions", "call", "server_url"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CallOptions:
    """One call. Exactly one of `wav` and `mic` says what the user speaks with."""

    channel_name: str
    uid: int = 0
    """The user's number; 0 lets the server choose."""
    wav: Path | None = None
    mic: bool = False
    save: Path | None = None
    json: bool = False
    server_url: str | None = None
    """Where the server is; `None` is where the settings put it."""
    timeout_s: float = TIMEOUT_S
    linger_s: float = LINGER_S


async def call(
    options: CallOptions, settings: Settings, *, out: TextIO, headset: Callable[[], Headset] = Headset
) -> int:
    """Hold one call and write its course to `out`.

    Cancelling it, as Ctrl-C does, ends the call early: it still leaves the channel, saves and reports.

    Args:
        options: What to say to whom.
        settings: Where the server is.
        out: What people read, or one JSON object.
        headset: Makes the microphone and the loudspeaker, if those are asked for.

    Returns:
        0 if the agent answered, else 1.

    Raises:
        AudioFileError: the file to speak cannot be read or is silent, or the one to save cannot be written.
        ChannelError: the channel could not be joined, or its agent listens to somebody else.
        ConfigError: the options contradict each other, or there is no microphone.
    """
    try:
        return await _call(options, settings, out, headset)
    except (AudioFileError, ChannelError, ConfigError) as error:
        if options.json:
            log = CallLog(Speaker())
            log.end("refused", str(error))
            _print_report(options, options.uid, log.report(0), out)
        raise


async def _call(options: CallOptions, settings: Settings, out: TextIO, headset: Callable[[], Headset]) -> int:
    if (options.wav is not None) == options.mic:
        raise ConfigError("exactly one of --wav and --mic is needed")
    if options.save is not None and not options.save.absolute().parent.is_dir():
        raise AudioFileError(f"{options.save} cannot be written: there is no such directory")
    server = ServerClient(options.server_url or server_url(settings))
    if options.wav is None:
        async with headset() as worn:
            return await _hold(options, await _user(server, options, settings), MicrophoneSource(worn), out)
    clip = await asyncio.to_thread(read_wav, options.wav)
    if not speech_end(clip):
        raise AudioFileError(f"{options.wav} is silent: there is nothing to say")
    return await _hold(
        options, await _user(server, options, settings), ClipSource(clip, asyncio.get_running_loop().time), out
    )


async def _user(server: ServerClient, options: CallOptions, settings: Settings) -> UserChannel:
    """Whoever we are in the kind of channel that the server has."""
    token = await server.ask_token(options.channel_name, options.uid)
    if token.rtc == "agora":
        from realtime_agent.rtc.agora import AgoraEngine, log_folder
        from realtime_agent.rtc.agora.user import AgoraUser

        return AgoraUser(server, AgoraEngine(token.app_id, log_folder(settings.agora_log_dir)), token)
    return WebUser(token)


async def _hold(options: CallOptions, user: UserChannel, source: ClipSource | MicrophoneSource, out: TextIO) -> int:
    """Join, speak and listen until the call is over, leave, save and report."""

    def say(text: str) -> None:
        if not options.json:
            print(text, file=out, flush=True)

    def transcribed(transcript: Transcript) -> None:
        say(_in_words(transcript))

    try:
        await _join(options, user)
        speaker = Speaker(user.position, record=source.scripted or options.save is not None)
        log = CallLog(speaker, scripted=source.scripted, linger_s=options.linger_s, timeout_s=options.timeout_s)
        line = CallLine(user, speaker, log, source.clock, transcribed)
        say(f"joined channel {options.channel_name!r} as uid {user.uid}: {source.invitation}")
        begun = source.clock()
        await _run(line, source)
    finally:
        await user.leave()
    now = source.clock()
    if user.dropped_frames:
        logger.warning("%d frames of the user's speech were dropped: the network was too slow", user.dropped_frames)
    if options.save is not None:
        heard = speaker.render(begun, max(begun, min(now, speaker.quiet_since() or begun)))
        await asyncio.to_thread(write_wav, options.save, heard)
    report = log.report(now)
    if options.json:
        _print_report(options, user.uid, report, out)
    else:
        say(_summary(report, options))
    return 0 if report["answered"] else 1


async def _join(options: CallOptions, user: UserChannel) -> None:
    await user.join()
    if not user.is_heard:
        raise ChannelError(f"the agent in channel {options.channel_name!r} listens to another user")


def _print_report(options: CallOptions, uid: int, report: dict[str, Any], out: TextIO) -> None:
    print(json.dumps({"channel_name": options.channel_name, "uid": uid, **report}), file=out, flush=True)


async def _run(line: CallLine, source: ClipSource | MicrophoneSource) -> None:
    """Speak and listen until the call is over or cancelled."""

    async def speak() -> None:
        await source.speak(line)
        # What comes while leaving does not change why the call ended.
        line.log.end(line.log.exit_reason(line.clock()) or "stopped")
        await line.user.leave()

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(line.listen())
            tasks.create_task(speak())
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        line.log.end("stopped")


def _in_words(transcript: Transcript) -> str:
    speaker = "user" if transcript.role == "user" else "agent"
    corrected = " (corrected)" if transcript.corrected else ""
    cut = " (interrupted)" if transcript.interrupted else ""
    return f"{speaker}{corrected}: {' '.join(transcript.text.split()) or '…'}{cut}"


def _summary(report: dict[str, Any], options: CallOptions) -> str:
    """The end of the call, for people."""
    lines = []
    latency_ms = report["latencies"]["first_audio_ms"]
    if latency_ms is not None:
        lines.append(f"latency: {latency_ms} ms from the end of the user's speech to the first audio heard")
    elif not report["answered"]:
        lines.append("no answer was heard")
    elif not options.mic:
        lines.append("the answer came as text only")
    why = report["exit_reason"] + (f", {report['cause']}" if report["cause"] else "")
    lines.append(f"call ended: {why}; {report['heard_s']:.1f} s of the agent heard")
    if options.save is not None:
        lines.append(f"saved: {options.save}")
    return "\n".join(lines)


def server_url(settings: Settings) -> str:
    """The server's address, as seen from its own machine.

    Raises:
        ConfigError: the server chose its port itself.
    """
    if settings.server_port == 0:
        raise ConfigError("SERVER_PORT is 0, so the server chose its port: say where it is with --server")
    return base_url("http", settings.server_host, settings.server_port)
