"""The agent's speech on its way into the channel: paced out, and cut when it must be."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from realtime_agent.audio.playout import Heard, Playout
from realtime_agent.bridge.recorder import Recorder
from realtime_agent.driven import Driven
from realtime_agent.pcm import BYTES_PER_SAMPLE
from realtime_agent.rtc.channel import Channel

__all__ = ["Listener", "Voice"]

logger = logging.getLogger(__name__)

_EARLY_S = 0.021
"""A frame, and a little: so much early one is given out together with another, which is half as often."""

_SLACK_S = 0.02
"""How much of playout's lead may be lost: so much later than due a frame is given out without an occasion."""


class Listener(Protocol):
    """Who is told what the voice does; nothing of it may block."""

    def frame_given(self, now: float) -> None:
        """A frame was given to the channel."""
        ...

    def agent_speaks(self, speaking: bool) -> None:
        """The agent began to speak, or has nothing more to say for now."""
        ...


class Voice:
    """Gives a channel the frames of a playout when they are due.

    To wake for each frame would cost more than all else that is done with it. So frames are given out on occasion, such
    as when the user's come, and a timer sees to those for which there is none.

    Args:
        channel: Where it speaks; joined by the time that it runs.
        playout: What it has to say; its frames are the channel's.
        listener: Who is told.
        clock: Seconds of a monotonic clock.
        recorder: Records it.
    """

    def __init__(
        self,
        channel: Channel,
        playout: Playout,
        listener: Listener,
        clock: Callable[[], float],
        recorder: Recorder | None = None,
    ) -> None:
        self._recorder = recorder
        self._channel = channel
        self._playout = playout
        self._listener = listener
        self._clock = clock
        self._is_held = False
        self._is_speaking = False
        self._speaking = Driven()
        self._timer: asyncio.TimerHandle | None = None
        # When the next frame is, as far as is known; before that there is nothing to do.
        self._due = float("-inf")

    @property
    def is_silent(self) -> bool:
        """Whether all that it had to say was heard."""
        return not self.unheard()

    @property
    def has_more(self) -> bool:
        """Whether there is something that it will give out."""
        return self._timer is not None

    @property
    def end(self) -> int:
        """Samples until that ends which it has to say, since the start."""
        return self._playout.end

    @property
    def position(self) -> int:
        """Samples given out since the start."""
        return self._playout.position

    def unheard(self) -> set[str]:
        """The items of which more is to be heard, or more may come."""
        return self._playout.unheard(self._clock())

    def add(self, item_id: str, content_index: int, pcm: bytes) -> None:
        """Take more of what is to be said."""
        if self._recorder is not None:
            self._recorder.speaks(item_id)
        self._playout.add(item_id, content_index, pcm)
        if self._timer is None:
            self.speak()

    def finish(self, item_id: str, content_index: int) -> None:
        """No more of this part will come."""
        self._playout.finish(item_id, content_index)
        self.speak()

    def hold(self, is_held: bool) -> None:
        """While nobody hears it, what is to be said waits."""
        self._is_held = is_held
        self.speak()

    def report_played(self, position: int) -> None:
        """The far end says that it has played up to `position` samples."""
        self._playout.report_played(position, self._clock())
        if self._recorder is not None:
            self._recorder.played(position)

    def cut(self) -> list[Heard]:
        """Be silent at once; returns what was not heard to its end, and how much of it was."""
        if self._recorder is not None:
            self._recorder.cut(self._playout.heard_position(self._clock()))
        heard = self._playout.flush(self._clock())
        self._channel.flush(self._playout.position)
        self._set_timer(None)
        self._tell(False)
        return heard

    async def run(self) -> None:
        """Speak, until cancelled."""
        # At once, for what came before.
        self._set_timer(self._clock() - _SLACK_S)
        try:
            await self._speaking.run()
        finally:
            self._set_timer(None)

    def speak(self) -> None:
        """Give out what is due. Call it whenever there is occasion; before `run`, nothing is."""
        playout, now = self._playout, self._clock()
        if now < self._due or self._is_held or not self._speaking.is_running:
            return
        while (frame := playout.take(now, _EARLY_S)) is not None:
            self._channel.push(frame)
            if self._recorder is not None:
                start = playout.position - len(frame) // BYTES_PER_SAMPLE
                self._recorder.agent_spoke(frame, start, playout.due(start))
            if not self._is_speaking:
                self._tell(True)
            self._listener.frame_given(now)
        due = playout.next_due()
        self._set_timer(due)
        if due is None and playout.is_finished:
            self._tell(False)

    def close(self) -> None:
        """Say in the log what was lost."""
        if self._playout.dropped_bytes:
            logger.warning(
                "%d bytes of speech were more than could wait, and were dropped", self._playout.dropped_bytes
            )

    def _tell(self, speaking: bool) -> None:
        if speaking is not self._is_speaking:
            self._is_speaking = speaking
            self._listener.agent_speaks(speaking)

    def _set_timer(self, due: float | None) -> None:
        """Be woken for a frame that is due then; `None` is for none."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._due = float("-inf") if due is None else due
        if due is not None:
            delay = due + _SLACK_S - self._clock()
            self._timer = asyncio.get_running_loop().call_later(delay, self._speaking.do, self.speak)
