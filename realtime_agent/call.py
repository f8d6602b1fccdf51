"""The command `call`: joins a channel as its user, speaks a file or the microphone, records and measures the answer.

It is how people try a deployment, and how the project's own tests speak.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from realtime_agent.audio.microphone import Headset
from realtime_agent.audio.speaker import Speaker
from realtime_agent.audio.wav import read_wav, speech_end, write_wav
from realtime_agent.call_line import CallLine, ClipSource, MicrophoneSource
from realtime_agent.call_log import CallLog, Transcript
from realtime_agent.config import Settings
from realtime_agent.errors import AudioFileError, ChannelError, ConfigError
from realtime_agent.rtc.web_client import WebUser

__all__ = ["CallOptions", "add_arguments", "call", "options_from"]

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
    timeout_s: float = 30
    linger_s: float = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's flags; `options_from` reads them."""
    parser.add_argument("--channel_name", required=True, metavar="NAME", help="the channel that the agent is in")
    parser.add_argument(
        "--uid", type=_uid, default=0, metavar="N", help="the user's number, 0 to 4294967295 (default: 0, any)"
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--wav", type=Path, metavar="FILE", help="speak this sound file in real time: WAV of any rate, MP3, FLAC or Ogg"
    )
    source.add_argument(
        "--mic",
        action="store_true",
        help="speak with the microphone, hear with the loudspeaker, until Ctrl-C; there is no echo cancellation, "
        "so use headphones",
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="write what was heard as a WAV file")
    parser.add_argument(
        "--json", action="store_true", help="print nothing but one JSON object at the end: transcripts, latencies"
    )
    parser.add_argument(
        "--server", metavar="URL", help="the server's address (default: http://SERVER_HOST:SERVER_PORT of the settings)"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="how long after the file's end to wait for the end of the answer (default: 30)",
    )
    parser.add_argument(
        "--linger",
        type=_seconds,
        default=1.0,
        metavar="SECONDS",
        help="how long it must be quiet after the answer for the call to end (default: 1)",
    )


def options_from(arguments: argparse.Namespace) -> CallOptions:
    """The options that were parsed with the flags of `add_arguments`."""
    return CallOptions(
        channel_name=arguments.channel_name,
        uid=arguments.uid,
        wav=arguments.wav,
        mic=arguments.mic,
        save=arguments.save,
        json=arguments.json,
        server_url=arguments.server,
        timeout_s=arguments.timeout,
        linger_s=arguments.linger,
    )


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
    if (options.wav is not None) == options.mic:
        raise ConfigError("exactly one of --wav and --mic is needed")
    if options.save is not None and not options.save.absolute().parent.is_dir():
        raise AudioFileError(f"{options.save} cannot be written: there is no such directory")
    user = open_channel(options, settings)
    if options.wav is None:
        async with headset() as worn:
            return await _hold(options, user, MicrophoneSource(worn), out)
    clip = await asyncio.to_thread(read_wav, options.wav)
    if not speech_end(clip):
        raise AudioFileError(f"{options.wav} is silent: there is nothing to say")
    return await _hold(options, user, ClipSource(clip, asyncio.get_running_loop().time), out)


def open_channel(options: CallOptions, settings: Settings) -> WebUser:
    """The user's side of the channel, through the RTC that is configured."""
    if settings.uses_agora:
        raise ConfigError("the Agora channel is not available yet: unset AGORA_APP_ID to use the embedded one")
    return WebUser(options.server_url or _server_url(settings), options.channel_name, options.uid)


async def _hold(options: CallOptions, user: WebUser, source: ClipSource | MicrophoneSource, out: TextIO) -> int:
    """Join, speak and listen until the call is over, leave, save and report."""

    def say(text: str) -> None:
        if not options.json:
            print(text, file=out, flush=True)

    def transcribed(transcript: Transcript) -> None:
        say(_in_words(transcript))

    try:
        await user.join()
        if not user.joined.get("heard", True):
            raise ChannelError(f"the agent in channel {options.channel_name!r} listens to another user")
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
    report = {"channel_name": options.channel_name, "uid": user.uid, **log.report(now)}
    if options.json:
        print(json.dumps(report), file=out, flush=True)
    else:
        say(_summary(report, options))
    return 0 if report["answered"] else 1


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
    cut = " (interrupted)" if transcript.interrupted else ""
    return f"{speaker}: {' '.join(transcript.text.split())}{cut}"


def _summary(report: dict[str, Any], options: CallOptions) -> str:
    """The end of the call, for people."""
    lines = []
    latency_ms = report["latencies"]["first_audio_ms"]
    if latency_ms is not None:
        lines.append(f"latency: {latency_ms} ms from the end of the user's speech to the first audio heard")
    elif not report["answered"]:
        lines.append("no answer was heard")
    why = report["exit_reason"] + (f", {report['cause']}" if report["cause"] else "")
    lines.append(f"call ended: {why}; {report['heard_s']:.1f} s of the agent heard")
    if options.save is not None:
        lines.append(f"saved: {options.save}")
    return "\n".join(lines)


def _server_url(settings: Settings) -> str:
    """The server's address, as seen from its own machine."""
    if settings.server_port == 0:
        raise ConfigError("SERVER_PORT is 0, so the server chose its port: say where it is with --server")
    host = settings.server_host or "127.0.0.1"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"http://{host}:{settings.server_port}"
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://{address if address.version == 4 else f'[{address}]'}:{settings.server_port}"


def _uid(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) >= 1 << 32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 4294967295")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds
