"""The page in headless Chromium, against a stub that speaks the channel's protocol."""

from __future__ import annotations

import re
from statistics import median
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Page, expect

from tests.browser.chromium import chromium
from tests.browser.sounds import Samples, correlation, dominant_frequency, murmur, pcm16, rms, samples, tone, write_wav
from tests.browser.stub import FRAME_BYTES, RATE, StubServer, until
from tests.browser.visit import facts, holds, join, press, shown_notice

pytestmark = pytest.mark.asyncio(loop_scope="module")

_TAP = """
// Hear what the page hands to the loudspeaker, behind its back: the last 2**15 samples.
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target === this.context.destination && this instanceof AudioWorkletNode && this.numberOfInputs === 0) {
    window.tap = new AnalyserNode(this.context, { fftSize: 32768 });
    connect.call(this, window.tap);
  }
  return connect.call(this, target, ...rest);
};
window.tapped = () => {
  const samples = new Float32Array(window.tap.fftSize);
  window.tap.getFloatTimeDomainData(samples);
  return { rate: window.tap.context.sampleRate, samples: Array.from(samples) };
};
"""

_NO_SOUND_BEFORE_A_CLICK = """
// As Firefox and Safari do; Chromium lets every page sound that has the microphone.
let clicked = false;
addEventListener("pointerdown", () => (clicked = true), true);
window.AudioContext = class extends AudioContext {
  constructor(options) {
    super(options);
    super.suspend();
  }
  resume() {
    return clicked ? super.resume() : new Promise(() => {});
  }
};
"""


def stretches(heard: Samples) -> list[Samples]:
    """Quarters of a second. What a busy machine loses of the fake microphone spoils only the stretch it is in."""
    return [heard[start : start + RATE // 4] for start in range(0, len(heard) - RATE // 4 + 1, RATE // 4)]


def usual_rms(heard: Samples) -> float:
    return median(rms(each) for each in stretches(heard))


async def test_joining_starts_the_agent_then_asks_for_a_token(page: Page, stub: StubServer) -> None:
    await join(page, stub, "?channel=my room")
    assert [path for path, _ in stub.requests] == ["/start_agent", "/token"]
    assert stub.bodies("/start_agent")[0]["channel_name"] == "my room"
    assert stub.bodies("/token") == [{"channel_name": "my room", "uid": 0}]
    found = await facts(page)
    assert (found["uid"], found["channelName"], found["errors"]) == (4711, "my room", [])
    await expect(page.get_by_role("status")).to_contain_text("Active")


async def test_the_channel_that_one_is_in_is_shown(page: Page, stub: StubServer) -> None:
    shown = page.get_by_text("Channel my room")
    await join(page, stub, "?channel= my room ")
    await expect(shown).to_be_visible()
    await press(page, "Leave")
    await expect(shown).to_be_hidden()


@pytest.mark.parametrize("width", [320, 1100])
async def test_a_long_channel_name_leaves_the_controls_in_sight(page: Page, stub: StubServer, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 700})
    await join(page, stub, f"?channel={'m' * 64}")
    await expect(page.get_by_role("link", name="API")).to_be_in_viewport(ratio=1)
    await expect(page.get_by_role("button", name="Leave")).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("state", ["connecting", "of a later version"])
async def test_an_agent_that_is_not_ready_yet_can_be_joined_and_ended(page: Page, stub: StubServer, state: str) -> None:
    stub.state = state
    await join(page, stub)
    await expect(page.get_by_role("button", name="End agent")).to_be_visible()
    await stub.send(type="state", state="active", reason=None)
    await expect(page.get_by_role("status")).to_contain_text("Active")


async def test_an_agent_that_runs_already_is_joined(page: Page, stub: StubServer) -> None:
    stub.refusals["/start_agent"] = (409, {"error": "Agent exists", "details": ""})
    await join(page, stub)
    assert (await facts(page))["errors"] == []


async def test_the_microphone_arrives_as_20_ms_frames_of_what_was_spoken(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await until(lambda: len(stub.frames) >= 150, "three seconds of microphone")
    assert {len(frame) for frame in stub.frames} == {FRAME_BYTES}
    spoken = murmur(RATE)
    heard = samples(b"".join(stub.frames[50:]))
    assert median(correlation(each, spoken) for each in stretches(heard)) > 0.99
    assert usual_rms(heard) == pytest.approx(rms(spoken), rel=0.12)


async def test_a_tone_keeps_its_pitch_and_level(stub: StubServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    wav = write_wav(tmp_path_factory.mktemp("tone") / "tone.wav", tone(1000, 2, 44_100), 44_100)
    async with chromium(wav) as browser:
        page = await browser.new_page()
        await join(page, stub)
        await until(lambda: len(stub.frames) >= 100, "two seconds of microphone")
    heard = samples(b"".join(stub.frames[50:]))
    assert dominant_frequency(heard, RATE) == pytest.approx(1000, abs=3)
    assert usual_rms(heard) == pytest.approx(rms(tone(1000, 1, RATE)), rel=0.03)


async def test_the_agents_audio_is_really_played(page: Page, stub: StubServer) -> None:
    await page.add_init_script(_TAP)
    await join(page, stub)
    sent = tone(440, 3, RATE)
    await stub.say(pcm16(sent))
    await holds(page, "agent.samplesPlayed > 48000 && agent.agentSpeaking")
    tapped = await page.evaluate("window.tapped()")
    heard = np.array(tapped["samples"])
    assert dominant_frequency(heard, tapped["rate"]) == pytest.approx(440, abs=3)
    assert rms(heard) == pytest.approx(rms(sent), rel=0.1)
    await holds(page, f"agent.samplesPlayed === {len(sent)} && !agent.agentSpeaking")
    found = await facts(page)
    assert found["playedEnergy"] == pytest.approx(len(sent) * rms(sent) ** 2, rel=0.05)
    assert found["position"] == len(sent)
    await until(lambda: stub.sent("played")[-1]["position"] == len(sent), "the report that all was played")
    positions = [message["position"] for message in stub.sent("played")]
    assert positions == sorted(positions)
    assert len(positions) >= 20  # about every 100 ms


async def test_counting_begins_where_the_agent_says(page: Page, stub: StubServer) -> None:
    stub.position = 1_000_000
    await join(page, stub)
    await stub.say(pcm16(tone(440, 0.5, RATE)))
    await until(lambda: bool(stub.sent("played")) and stub.sent("played")[-1]["position"] == 1_012_000, "the position")
    assert (await facts(page))["samplesPlayed"] == 12_000


async def test_a_flush_drops_at_once_what_was_not_played(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await stub.say(pcm16(tone(440, 8, RATE)))
    await holds(page, "agent.samplesPlayed > 12000")
    await stub.send(type="flush", position=500_000)
    await holds(page, "agent.position === 500000 && agent.buffered === 0")
    at_flush = await facts(page)
    reached = [message["position"] for message in stub.sent("played")]
    assert 12_000 < reached[-1] < stub.position
    assert reached[-1] == at_flush["samplesPlayed"]
    assert reached == sorted(reached)
    await stub.say(pcm16(tone(880, 0.5, RATE)))
    await until(lambda: stub.sent("played")[-1]["position"] == 512_000, "the next audio counted from the flush on")
    # Nothing of what was dropped was played besides.
    assert (await facts(page))["samplesPlayed"] == at_flush["samplesPlayed"] + 12_000


async def test_reports_go_on_after_a_flush_to_an_earlier_position(page: Page, stub: StubServer) -> None:
    stub.position = 1_000_000
    await join(page, stub)
    await stub.say(pcm16(tone(440, 0.2, RATE)))
    await holds(page, "agent.samplesPlayed === 4800")
    await stub.send(type="flush", position=0)
    await stub.say(pcm16(tone(440, 2, RATE)))
    await until(lambda: stub.sent("played")[-1]["position"] == 48_000, "the audio after the flush")
    assert len([message for message in stub.sent("played") if message["position"] < 48_000]) >= 10


async def test_a_flush_when_all_was_played_says_so(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await stub.say(pcm16(tone(440, 0.2, RATE)))
    await holds(page, "agent.samplesPlayed === 4800")
    before = len(stub.sent("played"))
    await stub.send(type="flush", position=4800)
    await until(lambda: len(stub.sent("played")) > before, "an answer to the flush")
    assert stub.sent("played")[-1]["position"] == 4800


async def test_muting_sends_silence_until_unmuted(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await until(lambda: len(stub.frames) > 20, "the microphone")
    await press(page, "Mute")
    await expect(page.get_by_role("status")).to_contain_text("You are muted")
    pressed_at = len(stub.frames)
    await until(lambda: len(stub.frames) > pressed_at + 25 and not any(b"".join(stub.frames[-25:])), "silence")
    silent_at = len(stub.frames)
    await until(lambda: len(stub.frames) > silent_at + 25, "frames while muted")
    assert not any(b"".join(stub.frames[silent_at:]))
    await press(page, "Unmute")
    await until(lambda: any(stub.frames[-1]), "the microphone again")


async def test_leaving_says_so_and_closes_normally(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await press(page, "Leave")
    await until(lambda: stub.close_codes == [1000], "a normal close")
    assert stub.messages[-1] == {"type": "leave"}
    await expect(page.get_by_role("button", name="Join")).to_be_visible()
    assert stub.bodies("/stop_agent") == []
    assert await page.evaluate("sessionStorage.getItem('realtime-agent.joined')") is None


async def test_ending_the_agent_stops_it(page: Page, stub: StubServer) -> None:
    await join(page, stub, "?channel=room")
    await press(page, "End agent")
    await until(lambda: stub.bodies("/stop_agent") == [{"channel_name": "room"}], "the stop")
    await stub.send(type="state", state="ended", reason="stopped")
    await stub.close(4002, "stopped")
    await holds(page, "agent.closeCode === 4002")
    await expect(page.get_by_role("status")).to_contain_text("Ended it was stopped.")
    assert (await facts(page))["errors"] == []


async def test_a_reload_goes_on_as_the_same_user(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await page.reload()
    await holds(page, "agent.state === 'active'")
    assert [body["uid"] for body in stub.bodies("/token")] == [0, 4711]


async def test_transcripts_are_shown_in_the_order_of_the_conversation(page: Page, stub: StubServer) -> None:
    await join(page, stub)

    async def say(role: str, item_id: str, **rest: Any) -> None:
        await stub.send(type="transcript", role=role, item_id=item_id, **rest)

    await say("user", "u1", delta="")
    await say("assistant", "a1", delta="Hello, ")
    await say("assistant", "a1", delta="you there")
    await say("user", "u1", text="Hello", final=True)
    await say("assistant", "a1", text="Hello, you.", final=True)
    await say("user", "u2", delta="")
    await say("assistant", "a2", delta="It is four")
    await say("user", "u2", text="What time is it? <b>", final=True)
    await say("assistant", "a2", text="It is", final=True, interrupted=True)
    await holds(page, "agent.transcripts.length === 4 && agent.transcripts[3].final")
    lines = await page.get_by_role("log").locator(".text").all_inner_texts()
    assert lines == ["Hello", "Hello, you.", "What time is it? <b>", "It is"]
    interrupted = page.locator(".item.interrupted")
    assert await interrupted.count() == 1
    await expect(interrupted.locator(".mark")).to_be_visible()


async def test_only_a_new_conversation_begins_with_an_empty_transcript(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await stub.send(type="transcript", role="user", item_id="u1", text="Hello", final=True)
    await holds(page, "agent.transcripts.length === 1")
    await press(page, "Leave")
    await holds(page, "agent.state === 'idle'")
    await press(page, "Join")
    await holds(page, "agent.state === 'active'")
    await expect(page.locator(".item .text")).to_have_text("Hello")
    await stub.close(4002, "idle")
    await holds(page, "agent.state === 'ended'")
    await expect(page.locator(".item")).to_be_visible()
    await press(page, "Join")
    await holds(page, "agent.state === 'active'")
    await expect(page.locator(".item")).to_have_count(0)
    assert (await facts(page))["transcripts"] == []


async def test_the_state_is_shown_as_the_agent_tells_it(page: Page, stub: StubServer) -> None:
    stub.state = "waiting"
    await join(page, stub)
    for state in ("active", "paused", "active"):
        await stub.send(type="state", state=state, reason=None)
        await holds(page, f"agent.state === '{state}'")
        await expect(page.get_by_role("status")).to_contain_text(state.title())


async def test_an_unknown_message_is_ignored(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await stub.send(type="weather", rain=True)
    await stub.send(type="state", state="paused", reason=None)
    await holds(page, "agent.state === 'paused'")


async def test_who_is_not_heard_is_told(page: Page, stub: StubServer) -> None:
    stub.heard = False
    await join(page, stub)
    await expect(page.get_by_role("status")).to_contain_text("listens to someone else")
    # Until that one has gone.
    await stub.send(type="listening", uid=4711)
    await expect(page.get_by_role("status")).not_to_contain_text("listens to someone else")


@pytest.mark.parametrize(
    ("path", "status", "body", "words"),
    [
        ("/start_agent", 502, {"error": "Start failed", "details": "no model."}, "Start failed: no model."),
        ("/start_agent", 400, {"error": "Wrong", "details": [{"field": "uid", "message": "too big"}]}, "uid: too big"),
        ("/start_agent", 503, {}, "The server is full or not ready."),
        ("/token", 401, {}, "did not accept this page's token or key"),
        (
            "/rtc",
            404,
            {"error": "Agent not found", "details": "no agent in demo"},
            "Agent not found: no agent in demo.",
        ),
        ("/rtc", 401, {"error": "Token invalid", "details": "expired"}, "Token invalid: expired."),
        ("/rtc", 500, {}, "could not be opened"),
    ],
)
async def test_a_refusal_is_told_in_words(
    page: Page, stub: StubServer, path: str, status: int, body: dict[str, Any], words: str
) -> None:
    stub.refusals[path] = (status, body)
    await page.goto(stub.origin)
    await press(page, "Join")
    assert words in await shown_notice(page)
    assert (await facts(page))["state"] == "idle"
    stub.refusals.clear()
    await press(page, "Join")
    await holds(page, "agent.state === 'active'")
    await expect(page.get_by_role("alert")).to_be_hidden()


@pytest.mark.parametrize(
    ("code", "reason", "words", "joined"),
    [
        (4001, "", "another tab or window", None),
        (4003, "", "as many participants as it can take", "demo"),
        (1011, "", "an error of its own", "demo"),
    ],
)
async def test_a_closed_channel_is_told_in_words(
    page: Page, stub: StubServer, code: int, reason: str, words: str, joined: str | None
) -> None:
    await join(page, stub)
    await stub.close(code, reason)
    assert words in await shown_notice(page)
    assert (await facts(page))["state"] == "idle"
    # What a reload would join again.
    assert await page.evaluate("sessionStorage.getItem('realtime-agent.joined')") == joined


async def test_an_ended_agent_is_told_with_its_reason(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await stub.close(4002, "max_duration")
    await expect(page.get_by_role("status")).to_contain_text("the conversation reached its time limit")
    assert (await facts(page))["reason"] == "max_duration"


async def test_a_server_that_is_gone_is_told(page: Page, stub: StubServer) -> None:
    await page.goto(stub.origin)
    await stub.stop()
    await press(page, "Join")
    assert "can't be reached" in await shown_notice(page)


async def test_a_missing_microphone_is_told(page: Page, stub: StubServer) -> None:
    await page.goto(stub.origin)
    await page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError'); }; }"
    )
    await press(page, "Join")
    assert "No microphone was found" in await shown_notice(page)
    assert stub.requests == []


async def test_joining_can_be_cancelled_while_the_browser_asks_for_the_microphone(page: Page, stub: StubServer) -> None:
    await page.goto(stub.origin)
    await page.evaluate(
        """() => {
          const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
          navigator.mediaDevices.getUserMedia = async (wish) => {
            await new Promise((resolve) => (window.allow = resolve));
            return (window.late = await open(wish));
          };
        }"""
    )
    await press(page, "Join")
    await page.wait_for_function("!!window.allow")
    await press(page, "Cancel")
    await holds(page, "agent.state === 'idle'")
    await page.evaluate("allow()")
    await page.wait_for_function("window.late?.getAudioTracks()[0].readyState === 'ended'")
    assert ((await facts(page))["errors"], stub.requests) == ([], [])


async def test_a_refused_microphone_is_told(stub: StubServer) -> None:
    flags = ("--use-fake-device-for-media-stream", "--deny-permission-prompts")
    async with chromium(microphone_allowed=False, flags=flags) as browser:
        page = await browser.new_page()
        await page.goto(stub.origin)
        await press(page, "Join")
        assert "The microphone was refused" in await shown_notice(page)
    assert stub.requests == []


async def test_an_insecure_address_is_told(stub: StubServer) -> None:
    async with chromium(flags=("--host-resolver-rules=MAP agent.test 127.0.0.1",)) as browser:
        page = await browser.new_page()
        await page.goto(f"http://agent.test:{stub.port}/")
        await press(page, "Join")
        assert re.search(r"https:// pages and on localhost.*http://agent\.test", await shown_notice(page))


async def test_sound_held_back_by_the_browser_starts_with_a_click(page: Page, stub: StubServer) -> None:
    await page.add_init_script(_NO_SOUND_BEFORE_A_CLICK)
    # As after a reload: the page joins by itself.
    await page.add_init_script("sessionStorage.setItem('realtime-agent.joined', 'demo')")
    await page.goto(f"{stub.origin}/?processing=off")
    await holds(page, "agent.state === 'active' && agent.soundBlocked")
    assert "until you click" in await shown_notice(page)
    await stub.say(pcm16(tone(440, 0.5, RATE)))
    await until(lambda: bool(stub.sent("played")), "a sign of life without microphone frames")
    assert stub.sent("played")[-1]["position"] == 0
    await page.mouse.click(5, 300)
    await holds(page, "!agent.soundBlocked")
    await expect(page.get_by_role("alert")).to_be_hidden()
    await until(lambda: len(stub.frames) > 10, "the microphone")
    await stub.say(pcm16(tone(440, 0.5, RATE)))
    await until(lambda: stub.sent("played")[-1]["position"] == 24_000, "the audio after the click")
    # What came while nothing could be heard is stale by now: it was let go.
    assert (await facts(page))["samplesPlayed"] == 12_000
