"""How well voice phrases are heard: through the whole embedded stack, by a user whose microphone is open.

    python -m bench.phrases [--path transcript|local|both] [--quick]

For each voice, an agent is told to pause and to resume in several ways, and hears in between what is no phrase:
recorded people, and synthetic sentences that only sound alike. A phrase counts as heard if the agent's state has
changed within five seconds of its end; any other change of state is a false alarm. So that each can raise one, what
sounds like "stop" is said while the agent converses, what sounds like "start" while it is paused, and people are heard
in both. The voices are one synthetic speaker at other speeds and pitches, since no other is in a package; two of them
are heard in noise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soxr
from hibari import Hibari

from tests.e2e.program import post, running
from tests.e2e.watch import Talker, Watcher, talking, watching
from tests.speech import CLIPS, clip, silence

__all__ = ["main"]

_RATE = 24_000
_ANSWER_S = 5.0
_BETWEEN_S = 1.0

STOPS = ("Hey agent, stop.", "Hey, stop.", "Hey, could you please stop?", "Hey Robert, stop.")
STARTS = ("Hey agent, start.", "Hey, start.", "Hey, you can start.", "Hey Robert, start.")
LIKE_STOP = (
    "Hey, don't stop me now.",
    "Stop.",
    "Hey agent, stop the music please.",
    "Hey, he didn't stop.",
    "Hey agent, what time is it?",
)
LIKE_START = (
    "Start.",
    "He starts.",
    "When does it start?",
    "Hey, my car doesn't start.",
    "The bus will stop at the start.",
)


class Voice(NamedTuple):
    """How phrases are spoken: the speaker's speed, their pitch as a factor, and noise by its level of 32768."""

    speed: float
    pitch: float
    noise: int = 0

    def __str__(self) -> str:
        noise = f", noise {self.noise}" if self.noise else ""
        return f"speed {self.speed:g}, pitch {self.pitch:g}{noise}"


VOICES = (
    Voice(1.0, 1.0), Voice(0.8, 1.0), Voice(1.25, 1.0), Voice(1.0, 0.85), Voice(1.0, 1.15), Voice(0.9, 0.8),
    Voice(1.1, 1.25), Voice(1.0, 1.0, 600), Voice(1.0, 0.9, 1200),
)  # fmt: skip


@dataclass
class Tally:
    """What was heard."""

    asked: int = 0
    heard: int = 0
    others: int = 0
    false: int = 0
    waits_ms: list[float] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)


class Speaker:
    """Says sentences in many voices."""

    def __init__(self) -> None:
        self._hibari = Hibari(voice="heart")
        self._noise = np.random.default_rng(0)

    def say(self, text: str, voice: Voice) -> bytes:
        """A sentence as PCM."""
        # Played faster, it is higher too: so it is spoken slower first.
        samples = np.asarray(self._hibari(text, speed=voice.speed / voice.pitch), np.float32)
        samples = soxr.resample(samples, _RATE * voice.pitch, _RATE) * 32767
        samples = samples + self._noise.normal(0, voice.noise, len(samples)) if voice.noise else samples
        return bytes(np.clip(samples, -32768, 32767).astype("<i2").tobytes())


class Trial:
    """One user with one agent."""

    def __init__(self, user: Talker, watcher: Watcher, steer: Any, tally: Tally) -> None:
        self._user = user
        self._watcher = watcher
        self._steer = steer
        self._tally = tally

    async def phrase(self, text: str, pcm: bytes, wanted: str) -> None:
        """Say a phrase that should bring the agent into this state; if it does not, a command does."""
        before = len(self._watcher.events)
        self._tally.asked += 1
        await self._user.say(pcm)
        end = time.monotonic()
        with suppress(AssertionError):
            await self._watcher.until(lambda event: event["type"] == "state", before, timeout_s=_ANSWER_S)
        if self._changes(before) == [wanted]:
            self._tally.heard += 1
            self._tally.waits_ms.append((time.monotonic() - end) * 1000)
        else:
            self._tally.missed.append(f"{text} ({self._last_words(before)!r})")
            await self._steer("pause" if wanted == "paused" else "resume")
        await self._user.say(silence(_BETWEEN_S))

    async def other(self, text: str, pcm: bytes) -> None:
        """Say what is no phrase."""
        before = len(self._watcher.events)
        self._tally.others += 1
        await self._user.say(pcm + silence(_BETWEEN_S + 1))
        if changes := self._changes(before):
            self._tally.false += 1
            print(f"  false alarm: {text!r} is heard as {self._last_words(before)!r} and leads to {changes}")
            await self._steer("resume" if changes[-1] == "paused" else "pause")

    def _changes(self, after: int) -> list[str]:
        return [event["state"] for event in self._watcher.events[after:] if event["type"] == "state"]

    def _last_words(self, after: int) -> str:
        words = [event for event in self._watcher.events[after:] if event.get("final") and event.get("role") == "user"]
        return words[-1]["text"] if words else "?"


class Round(NamedTuple):
    """What is said before each phrase of a pair, and the pair."""

    while_active: tuple[str, ...]
    stop: str
    while_paused: tuple[str, ...]
    start: str


def rounds(voice: int) -> Iterator[Round]:
    """A voice, by its number, says each pair of phrases, with other sentences in between."""
    recorded = [f"clip:{name}" for name in CLIPS]
    for number, (stop, start) in enumerate(zip(STOPS, STARTS, strict=True)):
        turn = voice + number
        active = LIKE_STOP[turn % len(LIKE_STOP)], recorded[turn % len(recorded)]
        paused = LIKE_START[turn % len(LIKE_START)], recorded[(turn + 1) % len(recorded)]
        yield Round(active, stop, paused, start)


async def measure(server: str, voices: tuple[Voice, ...]) -> Tally:
    """Let every voice talk to an agent of its own."""
    tally, speaker = Tally(), Speaker()

    async def hear(trial: Trial, text: str, voice: Voice) -> None:
        pcm = clip(text.removeprefix("clip:")).pcm if text.startswith("clip:") else speaker.say(text, voice)
        await trial.other(text, pcm)

    for number, voice in enumerate(voices):
        channel = f"phrases {number}"
        await post(server, "/start_agent", channel_name=channel, uid=5)

        async def steer(command: str, channel: str = channel) -> None:
            await post(server, "/control_agent", channel_name=channel, command=command)

        before = tally.heard, tally.asked
        async with watching(server, channel) as watcher, talking(server, channel) as user:
            await watcher.until(lambda event: event.get("state") == "active")
            trial = Trial(user, watcher, steer, tally)
            for each in rounds(number):
                for text in each.while_active:
                    await hear(trial, text, voice)
                await trial.phrase(each.stop, speaker.say(each.stop, voice), "paused")
                for text in each.while_paused:
                    await hear(trial, text, voice)
                await trial.phrase(each.start, speaker.say(each.start, voice), "active")
        await post(server, "/stop_agent", channel_name=channel)
        print(f"  {voice}: {tally.heard - before[0]} of {tally.asked - before[1]}", flush=True)
    return tally


def report(path: str, tally: Tally) -> None:
    """Print what was heard by one path."""
    waits = sorted(tally.waits_ms) or [0.0]
    rate = 100 * tally.heard / max(1, tally.asked)
    print(f"{path}: {tally.heard} of {tally.asked} phrases heard ({rate:.0f} %), ", end="")
    print(f"{tally.false} false alarms in {tally.others} other utterances, ", end="")
    print(
        f"{waits[len(waits) // 2]:.0f} ms (p50) and {waits[int(len(waits) * 0.95)]:.0f} ms (p95) after the phrase's end"
    )
    for missed in tally.missed:
        print(f"  missed: {missed}")


async def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="How well voice phrases are heard.")
    parser.add_argument("--path", choices=("transcript", "local", "both"), default="both")
    parser.add_argument("--quick", action="store_true", help="two voices only")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    paths = ("transcript", "local") if options.path == "both" else (options.path,)
    figures = {}
    for path in paths:
        print(f"{path}:", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            async with running(Path(folder), "server", VOICE_PHRASES=path) as (_, server):
                tally = await measure(server, VOICES[:2] if options.quick else VOICES)
        report(path, tally)
        figures[path] = {"asked": tally.asked, "heard": tally.heard, "others": tally.others, "false": tally.false}
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
