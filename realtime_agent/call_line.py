"""One call's line, as the user has it: what is spoken goes out, what the agent says is heard and logged.

A source speaks: a clip in real time, or the machine's microphone. It also keeps the clock of what is heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from realtime_agent.audio.microphone import Headset
from realtime_agent.audio.speaker import Speaker
from realtime_agent.audio.wav import speech_end
from realtime_agent.call_log import CallLog, Transcript
from realtime_agent.errors import ConfigError
from realtime_agent.pcm import BYTES_PER_MS, BYTES_PER_SAMPLE
from realtime_agent.rtc.channel import AudioFrame, ChannelLost, Flushed, Message, UserChannel
from realtime_agent.rtc.wire import FRAME_MS

__all__ = ["CallLine", "ClipSource", "MicrophoneSource"]

_FRAME_S = FRAME_MS / 1000
_FRAME_BYTES = FRAME_MS * BYTES_PER_MS
_FRAME_SAMPLES = _FRAME_BYTES // BYTES_PER_SAMPLE
_SILENCE = bytes(_FRAME_BYTES)


@dataclass(slots=True)
class CallLine:
    """What the user's end needs in order to speak and listen."""

    user: UserChannel
    speaker: Speaker
    log: CallLog
    clock: Callable[[], float]
    transcribed: Callable[[Transcript], None]
    """Called with each whole transcript as it comes."""

    def is_open(self) -> bool:
        """Whether the call is not over yet."""
        return self.log.exit_reason(self.clock()) is None

    def report_played(self) -> None:
        """Tell the agent what was heard of it, when that is due."""
        position = self.speaker.report_due(self.clock())
        if position is not None:
            self.user.report_played(position)

    async def listen(self) -> None:
        """Hear the agent until the channel ends."""
        async for event in self.user.events():
            now = self.clock()
            match event:
                case AudioFrame(pcm=pcm):
                    self.speaker.add(pcm, now)
                case Flushed(position=position):
                    self.log.flushed(now)
                    self.user.report_played(self.speaker.flush(position, now))
                case Message(body=body) if body.get("type") == "transcript":
                    transcript = self.log.add_transcript(body, now)
                    if transcript is not None:
                        self.transcribed(transcript)
                case ChannelLost(cause=cause):
                    self.log.end("lost", cause)
                case _:
                    pass


class ClipSource:
    """Speaks a clip in real time, then silence."""

    scripted = True
    """Whether the end of the user's words is known."""

    def __init__(self, pcm: bytes, clock: Callable[[], float]) -> None:
        self._frames = [
            pcm[start : start + _FRAME_BYTES].ljust(_FRAME_BYTES, b"\0") for start in range(0, len(pcm), _FRAME_BYTES)
        ]
        self._last_spoken = (speech_end(pcm) - 1) // _FRAME_SAMPLES
        self.clock = clock
        self.invitation = f"playing {len(pcm) / BYTES_PER_MS / 1000:.1f} s"

    async def speak(self, line: CallLine) -> None:
        """Push a frame every 20 ms until the call is over.

        Each frame is due by the clock's count from the first, so that no drift gathers. Speech ends when the frame
        with the last of it is pushed, as with a microphone, which hands over a frame once it is full.
        """
        begun = self.clock()
        sent = 0
        while line.is_open():
            line.user.push(self._frames[sent] if sent < len(self._frames) else _SILENCE)
            if sent == self._last_spoken:
                line.log.speech_ended(self.clock())
            if sent == len(self._frames) - 1:
                line.log.clip_ended(self.clock())
            sent += 1
            line.report_played()
            await asyncio.sleep(max(0.0, begun + sent * _FRAME_S - self.clock()))


class MicrophoneSource:
    """Speaks and hears through the machine's own devices; the loudspeaker keeps the time."""

    scripted = False
    invitation = "speak; Ctrl-C ends the call"

    def __init__(self, headset: Headset) -> None:
        self._headset = headset

    def clock(self) -> float:
        """Seconds of sound since the loudspeaker began."""
        return self._headset.time

    async def speak(self, line: CallLine) -> None:
        """Carry sound both ways until the call is over."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._capture(line))
                tasks.create_task(self._play(line))
        except* ConfigError as failures:
            line.log.end("lost", str(failures.exceptions[0]))

    async def _capture(self, line: CallLine) -> None:
        while line.is_open():
            line.user.push(await self._headset.read())

    async def _play(self, line: CallLine) -> None:
        while line.is_open():
            now = self.clock()
            await self._headset.write(line.speaker.render(now, now + _FRAME_S))
            line.report_played()
