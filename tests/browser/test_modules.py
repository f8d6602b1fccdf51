"""The page's modules that do no I/O, run in the browser that they are for."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray
from playwright.async_api import Page

from tests.browser.sounds import dominant_frequency, rms, tone
from tests.browser.stub import RATE, StubServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

_RESAMPLE = """
async ([inputRate, outputRate, sound]) => {
  const { Resampler } = await import("/static/resampler.js");
  const resampler = new Resampler(inputRate, outputRate);
  const output = new Float32Array(4096);
  const all = [];
  for (let at = 0; at < sound.length; at += 128) {
    const block = sound.slice(at, at + 128);
    const written = resampler.process(block, block.length, output);
    for (let i = 0; i < written; i++) all.push(output[i]);
  }
  return all;
}
"""

_RESAMPLE_BY_NEED = """
async ([inputRate, outputRate, sound]) => {
  const { Resampler } = await import("/static/resampler.js");
  const resampler = new Resampler(inputRate, outputRate);
  const output = new Float32Array(128);
  const all = [];
  for (let at = 0; at < sound.length; ) {
    const needed = resampler.needed(128);
    const block = Array.from({ length: needed }, (_, i) => sound[at + i] ?? 0);
    at += needed;
    if (resampler.process(block, needed, output) !== 128) throw new Error("the need was not met exactly");
    all.push(...output);
  }
  return all;
}
"""


@pytest_asyncio.fixture(loop_scope="module")
async def modules(page: Page, stub: StubServer) -> Page:
    """A page that can import the modules."""
    await page.goto(f"{stub.origin}/docs")
    return page


async def resample(page: Page, script: str, input_rate: int, output_rate: int, sound: NDArray[np.float64]) -> Any:
    made = await page.evaluate(script, [input_rate, output_rate, sound.tolist()])
    steady = slice(output_rate // 50, -output_rate // 50)  # past the filter's own beginning and end
    return np.array(made)[steady]


def noise_below(heard: NDArray[np.float64], frequency: float, rate: int) -> float:
    """How far, in decibels, everything else lies below a sine of this frequency."""
    time = 2 * np.pi * frequency * np.arange(len(heard)) / rate
    basis = np.stack([np.sin(time), np.cos(time)], axis=1)
    sine = basis @ np.linalg.lstsq(basis, heard, rcond=None)[0]
    return float(20 * np.log10(rms(sine) / rms(heard - sine)))


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("script", [_RESAMPLE, _RESAMPLE_BY_NEED])
async def test_resampling_keeps_a_sine_a_sine(modules: Page, rate: int, script: str) -> None:
    for input_rate, output_rate in ((rate, RATE), (RATE, rate)):
        sound = tone(3000, 0.3, input_rate)
        heard = await resample(modules, script, input_rate, output_rate, sound)
        assert dominant_frequency(heard, output_rate) == pytest.approx(3000, abs=5)
        assert rms(heard) == pytest.approx(rms(sound), rel=0.01)
        assert noise_below(heard, 3000, output_rate) > 60


@pytest.mark.parametrize("frequency", [12_500, 14_000, 17_000, 20_000])
async def test_what_24_khz_cannot_carry_is_not_folded_back(modules: Page, frequency: int) -> None:
    sound = tone(frequency, 0.3, 48_000)
    heard = await resample(modules, _RESAMPLE, 48_000, RATE, sound)
    assert 20 * np.log10(rms(heard) / rms(sound)) < -50


_PREPARE = """
  const { JitterBuffer, CAPACITY } = await import("/static/jitter-buffer.js");
  const fresh = () => new JitterBuffer();
  const frame = (samples, value = 3000) => new Int16Array(samples).fill(value);
  const output = new Float32Array(CAPACITY);
"""


async def run(page: Page, script: str) -> Any:
    """Run a script that makes jitter buffers by `fresh()` and frames by `frame(samples, value)`."""
    return await page.evaluate(f"async () => {{ {_PREPARE} {script} }}")


async def test_playing_waits_for_40_ms(modules: Page) -> None:
    script = """
      const buffer = fresh();
      buffer.append(0, frame(480));
      const before = buffer.pull(output, 64);
      buffer.append(480, frame(480));
      return [before, buffer.pull(output, 64), buffer.position];
    """
    assert await run(modules, script) == [0, 64, 64]


async def test_a_sound_shorter_than_the_threshold_is_played_all_the_same(modules: Page) -> None:
    script = """
      const buffer = fresh();
      buffer.append(0, frame(480));
      let played = 0;
      for (let i = 0; i < 40; i++) played += buffer.pull(output, 64);
      return [played, buffer.position, buffer.playing];
    """
    assert await run(modules, script) == [480, 480, False]


async def test_running_dry_is_silence_and_counts_nothing(modules: Page) -> None:
    script = """
      const buffer = fresh();
      buffer.append(0, frame(960));
      const played = buffer.pull(output, 1000);
      return [played, output[959] !== 0, output[960], buffer.position];
    """
    assert await run(modules, script) == [960, True, 0, 960]


async def test_a_delay_stays_under_continuous_sound_and_shrinks_in_silence(modules: Page) -> None:
    script = """
      const buffer = fresh();
      buffer.append(0, frame(24000));
      for (let i = 0; i < 100; i++) buffer.pull(output, 64);
      const loud = buffer.position;
      buffer.append(24000, frame(24000, 0));
      let pulled = 6400;
      while (buffer.fill > 2000) {
        buffer.pull(output, 64);
        pulled += 64;
      }
      return [loud, buffer.position - pulled, buffer.position + buffer.fill];
    """
    loud, skipped, end = await run(modules, script)
    assert loud == 6400
    assert 12_000 < skipped < 22_000
    assert end == 48_000


async def test_a_flush_gives_the_position_reached_and_counts_on_from_the_new_one(modules: Page) -> None:
    script = """
      const buffer = fresh();
      buffer.append(0, frame(4800));
      buffer.pull(output, 1000);
      const reached = buffer.flush(4800);
      const silent = buffer.pull(output, 64);
      buffer.append(4800, frame(960));
      buffer.pull(output, 100);
      return [reached, silent, buffer.position];
    """
    assert await run(modules, script) == [1000, 0, 4900]


async def test_the_buffer_is_bounded_and_keeps_the_newest(modules: Page) -> None:
    script = """
      const buffer = fresh();
      for (let i = 0; i < 600; i++) buffer.append(i * 480, frame(480, i + 1000));
      buffer.append(600 * 480, frame(CAPACITY + 480, 7));
      const kept = [buffer.fill, buffer.position];
      buffer.pull(output, 1);
      return [...kept, Math.round(output[0] * 32768), CAPACITY];
    """
    fill, position, value, capacity = await run(modules, script)
    assert fill == capacity
    assert position == 600 * 480 + 480
    assert value == 7


async def test_audio_that_does_not_follow_on_replaces_what_was_held(modules: Page) -> None:
    script = """
      const buffer = fresh();
      buffer.append(0, frame(960));
      buffer.append(50000, frame(960));
      return [buffer.position, buffer.fill];
    """
    assert await run(modules, script) == [50_000, 960]


async def latencies(page: Page, events: str) -> Any:
    """What a turn clock tells: `loud`, `quiet` or `answered` at a time in ms, or `speech` from one to another."""
    script = f"""async () => {{
      const {{ TurnClock }} = await import("/static/turn-clock.js");
      const clock = new TurnClock();
      const loud = (now) => clock.heard(0.2, now);
      const quiet = (now) => clock.heard(0.001, now);
      const speech = (from, to) => {{ for (let now = from; now <= to; now += 20) loud(now); }};
      const told = [];
      const answered = (now) => told.push(clock.answered(now));
      {events}
      return told;
    }}"""
    return await page.evaluate(script)


async def test_a_turn_is_measured_from_the_last_speech_to_the_first_answer(modules: Page) -> None:
    assert await latencies(modules, "loud(1000); quiet(1500); answered(1700); answered(1900);") == [700, None]


async def test_a_turn_ends_before_the_words_that_come_as_it_is_answered(modules: Page) -> None:
    events = "speech(0, 1000); speech(1600, 1700); answered(1710); speech(1720, 2000); answered(2600);"
    assert await latencies(modules, events) == [710, 600]


async def test_a_break_within_the_words_ends_no_turn(modules: Page) -> None:
    assert await latencies(modules, "speech(0, 1000); speech(1140, 2000); answered(2500);") == [500]


async def test_what_sounds_while_the_user_goes_on_speaking_answers_nothing(modules: Page) -> None:
    assert await latencies(modules, "speech(0, 1000); answered(1010);") == [None]


async def test_a_turn_that_a_button_ends_is_measured_from_there(modules: Page) -> None:
    assert await latencies(modules, "speech(0, 1000); clock.finished(9000); answered(9700);") == [700]


async def assembled(page: Page, *parts: str) -> Any:
    """The messages that an assembler makes of parts; `{}` in base64 is `e30=`."""
    script = """async (parts) => {
      const { Assembler } = await import("/static/data-stream.js");
      const assembler = new Assembler();
      const encoder = new TextEncoder();
      return parts.map((part) => assembler.add(encoder.encode(part))).filter((message) => message !== null);
    }"""
    return await page.evaluate(script, parts)


def encoded(body: object) -> str:
    return base64.b64encode(json.dumps(body, ensure_ascii=False).encode()).decode()


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3))))
async def test_a_message_is_whole_whatever_the_order_of_its_parts(modules: Page, order: tuple[int, ...]) -> None:
    content = encoded({"delta": "Grüße \N{WAVING HAND SIGN}"})
    pieces = [content[:7], content[7:11], content[11:]]
    parts = [f"m|{number}|3|{pieces[number - 1]}" for number in order]
    assert await assembled(modules, *parts) == [{"delta": "Grüße \N{WAVING HAND SIGN}"}]


async def test_parts_of_several_messages_may_be_mixed_and_come_twice(modules: Page) -> None:
    one, other = encoded({"n": 1}), encoded({"n": 2})
    parts = [f"a|1|2|{one[:4]}", f"b|2|2|{other[4:]}", f"b|2|2|{other[4:]}", f"a|2|2|{one[4:]}", f"b|1|2|{other[:4]}"]
    assert await assembled(modules, *parts, *parts) == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    "part",
    [
        "",
        "|1|1|e30=",
        "m",
        "m|1|1",
        "m|0|1|e30=",
        "m|2|1|e30=",
        "m|1|100|e30=",
        "m|-1|1|e30=",
        "m|1|one|e30=",
        "m|1|1|e30=|",
        "m|1|1|not base64",
        "m|1|1|" + base64.b64encode(b"\xff{}").decode(),
        "m|1|1|" + encoded([]),
        "m|1|1|" + encoded(None),
        "m|1|1|" + encoded("text"),
        "m|1|1|" + encoded({"long": "x" * 1000}),
    ],
)
async def test_a_part_that_is_broken_is_dropped(modules: Page, part: str) -> None:
    assert await assembled(modules, part, "other|1|1|e30=") == [{}]


async def test_parts_that_disagree_on_their_number_make_no_message(modules: Page) -> None:
    assert await assembled(modules, "m|1|3|e3", "m|2|2|0=", "m|2|3|0", "m|3|3|=") == [{}]


async def test_of_too_many_messages_that_are_not_whole_the_oldest_is_dropped(modules: Page) -> None:
    begun = [f"m{number}|1|2|e3" for number in range(33)]
    ended = [f"m{number}|2|2|0=" for number in (0, 1, 32)]
    assert await assembled(modules, *begun, *ended[1:]) == [{}, {}]
    assert await assembled(modules, *begun, ended[0]) == []
