"""Push-to-talk and the microphone by themselves, with commands that are answered when a test lets them be."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.browser.stub import StubServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

_PREPARE = """
  const { PushToTalk } = await import("/static/push-to-talk.js");
  const { Microphone } = await import("/static/microphone.js");
  const done = [];
  let isPaused = false;
  let isMuted = false;
  const answers = [];
  const slept = [];
  const waiting = (list) => new Promise((resolve, reject) => list.push({ resolve, reject }));
  const settle = async () => { for (let i = 0; i < 20; i++) await null; };
  const answer = async (how = "resolve") => { answers.shift()[how](new Error("no")); await settle(); };
  const wake = async () => { slept.shift().resolve(); await settle(); };
  const talk = new PushToTalk({
    control: (command) => { done.push(command); return waiting(answers); },
    mute: (muted) => { isMuted = muted; done.push(muted ? "mute" : "unmute"); },
    isMuted: () => isMuted,
    holdBack: (isHeldBack) => done.push(isHeldBack ? "hold back" : "let go"),
    isPaused: () => isPaused,
  }, () => waiting(slept));
  const turnOn = async (isOn) => {
    const on = talk.turnOn(isOn);
    await settle();
    await answer();
    await on;
    done.length = 0;
  };
  const press = async () => { talk.press().catch((error) => done.push(error.message)); await settle(); };
  // Begin to talk, with what was heard before forgotten.
  const begin = async () => {
    await press();
    await answer();
    await answer();
    done.length = 0;
  };
  const release = async () => { talk.release().catch((error) => done.push(error.message)); await settle(); };
"""


@pytest_asyncio.fixture(loop_scope="module")
async def modules(page: Page, stub: StubServer) -> Page:
    """A page that can import the modules."""
    await page.goto(f"{stub.origin}/docs")
    return page


async def run(page: Page, script: str) -> Any:
    return await page.evaluate(f"async () => {{ {_PREPARE} {script} }}")


async def test_the_first_words_wait_until_what_was_heard_before_is_forgotten(modules: Page) -> None:
    script = """
      await turnOn(true);
      await press();
      const before = [...done];
      await answer();
      await answer();
      return [before, done];
    """
    before, done = await run(modules, script)
    assert before == ["unmute", "hold back", "interrupt"]
    assert done[3:] == ["clear_audio_buffer", "let go"]


async def test_a_command_that_fails_keeps_nothing_back(modules: Page) -> None:
    script = "await turnOn(true); await press(); await answer('reject'); return done;"
    assert await run(modules, script) == ["unmute", "hold back", "interrupt", "let go", "no"]


async def test_letting_go_ends_the_turn_when_the_last_words_have_come(modules: Page) -> None:
    script = """
      await turnOn(true);
      await begin();
      await release();
      const before = [...done];
      await wake();
      await answer();
      await answer();
      return [before, done];
    """
    assert await run(modules, script) == [[], ["mute", "commit_audio_buffer", "create_response"]]


async def test_what_is_said_to_a_paused_agent_is_not_to_be_answered(modules: Page) -> None:
    script = """
      isPaused = true;
      await turnOn(true);
      await begin();
      await release();
      await wake();
      await answer();
      return done;
    """
    assert await run(modules, script) == ["mute", "commit_audio_buffer"]


async def test_a_finger_that_slips_ends_no_turn(modules: Page) -> None:
    script = """
      await turnOn(true);
      await begin();
      await release();
      await press();
      await release();
      await wake();
      const before = [...done];
      await wake();
      return [before, done];
    """
    assert await run(modules, script) == [[], ["mute", "commit_audio_buffer"]]


async def test_whoever_talks_on_at_once_loses_nothing_to_the_turn_before(modules: Page) -> None:
    script = """
      await turnOn(true);
      await begin();
      await release();
      await wake();
      done.length = 0;
      await press();
      const during = [...done];
      for (let i = 0; i < 4; i++) await answer();
      return [during, done];
    """
    during, done = await run(modules, script)
    assert during == ["unmute", "hold back"]
    assert done[2:] == ["create_response", "interrupt", "clear_audio_buffer", "let go"]


async def test_nobody_waits_for_the_model_s_answer_to_say_more(modules: Page) -> None:
    script = """
      await turnOn(true);
      await begin();
      await release();
      await wake();
      await answer();
      done.length = 0;
      await press();
      return done;
    """
    assert await run(modules, script) == ["unmute", "hold back", "interrupt"]


async def test_whoever_was_muted_is_muted_again_when_it_is_turned_off(modules: Page) -> None:
    script = """
      isMuted = true;
      await turnOn(true);
      await begin();
      await release();
      await wake();
      for (let i = 0; i < 2; i++) await answer();
      done.length = 0;
      const off = talk.turnOn(false);
      await settle();
      await answer();
      await off;
      return done;
    """
    assert await run(modules, script) == ["update_turn_detection", "mute", "let go"]


async def test_turning_it_off_waits_for_the_turn_that_is_ending(modules: Page) -> None:
    script = """
      await turnOn(true);
      await begin();
      await release();
      const off = talk.turnOn(false);
      await wake();
      for (let i = 0; i < 3; i++) await answer();
      await off;
      return [done, talk.isOn];
    """
    commands = ["mute", "commit_audio_buffer", "create_response", "update_turn_detection", "unmute", "let go"]
    assert await run(modules, script) == [commands, False]


_MICROPHONE = """
  const heard = [];
  const stream = { getAudioTracks: () => [{ stop() {} }] };
  const microphone = new Microphone(stream, { onFrame: (pcm, level) => heard.push([new Int16Array(pcm)[0], level]) });
  const take = (value) => microphone.take({ pcm: new Int16Array(480).fill(value).buffer, level: value / 100 });
"""


async def test_what_is_held_back_comes_first_and_in_order(modules: Page) -> None:
    script = f"""
      {_MICROPHONE}
      take(1);
      microphone.holdBack(true);
      take(2);
      take(3);
      const before = [...heard];
      microphone.holdBack(false);
      take(4);
      return [before, heard];
    """
    before, heard = await run(modules, script)
    assert before == [[1, 0.01]]
    assert heard == [[1, 0.01], [2, 0.02], [3, 0.03], [4, 0.04]]


async def test_no_more_is_held_back_than_can_be_taken_at_once(modules: Page) -> None:
    script = f"""
      {_MICROPHONE}
      microphone.holdBack(true);
      for (let i = 1; i <= 100; i++) take(i);
      microphone.holdBack(false);
      return heard.map(([value]) => value);
    """
    assert await run(modules, script) == list(range(11, 101))
