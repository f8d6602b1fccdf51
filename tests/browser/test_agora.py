"""The page over Agora, with a stand-in for Agora's SDK."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from realtime_agent.rtc.agora.data_stream import DataStream
from realtime_agent.rtc.agora.transcript_events import to_event
from realtime_agent.server.schemas import AgentInfo
from tests.browser.stub import AGORA_APP_ID, StubServer, until
from tests.browser.visit import facts, holds, join, press, shown_notice

pytestmark = pytest.mark.asyncio(loop_scope="module")

_STAND_IN = Path(__file__).with_name("agora_stand_in.js")
_AGENT = 1000
_USER = 4711
_DISCONNECTED = "'connection-state-change', 'DISCONNECTED', 'CONNECTED'"


@pytest_asyncio.fixture(loop_scope="module")
async def stub(stub: StubServer) -> StubServer:
    """A server whose channels are Agora's."""
    stub.agora_sdk = _STAND_IN
    return stub


async def wish(page: Page, **wishes: Any) -> None:
    """Let the stand-in `refuses`, `hangs` or `waits` with something from the beginning."""
    await page.add_init_script(f"window.standInWishes = {json.dumps(wishes)};")


async def called(page: Page, name: str) -> list[list[Any]]:
    """What the page called of the SDK under this name: the arguments of each."""
    found: list[list[Any]] = await page.evaluate("name => window.standIn?.called(name) ?? []", name)
    return found


async def wait_for_call(page: Page, name: str, times: int = 1) -> None:
    await page.wait_for_function(f"window.standIn?.called('{name}').length >= {times}")


async def emit(page: Page, arguments: str) -> None:
    """Let an event of the SDK happen."""
    await page.evaluate(f"() => {{ standIn.client.emit({arguments}); }}")


def parts(*bodies: Mapping[str, Any]) -> list[bytes]:
    """Messages of ours as the agent sends them."""
    return list(itertools.chain.from_iterable(_parts(DataStream(), body) for body in bodies))


def _parts(stream: DataStream, body: Mapping[str, Any]) -> Iterator[bytes]:
    stream.add(to_event(body))
    now = 0.0
    while stream.next_due() is not None:
        now += 10
        part = stream.take(now)
        assert part is not None
        yield part.encode()


async def arrive(page: Page, messages: list[bytes], uid: int = _AGENT) -> None:
    """Let parts of messages come, in this order."""
    script = """([uid, messages]) => {
      for (const bytes of messages) standIn.client.emit("stream-message", uid, Uint8Array.from(bytes));
    }"""
    await page.evaluate(script, [uid, [list(message) for message in messages]])


async def tell(page: Page, **body: Any) -> None:
    """Let a message of the agent's come."""
    await arrive(page, parts(body))


def transcript(role: str, item_id: str, **rest: Any) -> dict[str, Any]:
    return {"type": "transcript", "role": role, "item_id": item_id, **rest}


async def lines(page: Page) -> list[str]:
    return await page.get_by_role("log").locator(".text").all_inner_texts()


async def begin_to_join(page: Page, stub: StubServer) -> None:
    """Join, but be let in by `let_go` only."""
    await wish(page, waits=["join"])
    await page.goto(stub.origin)
    await press(page, "Join")
    await wait_for_call(page, "join")


async def let_go(page: Page) -> None:
    """Let what waits go on."""
    await page.evaluate("() => standIn.letGo()")


async def microphone_is_free(page: Page) -> bool:
    free: bool = await page.evaluate("standIn.microphone.readyState === 'ended'")
    return free


async def appear(page: Page) -> None:
    """Let the agent be in the channel, with its voice."""
    await emit(page, f"'user-joined', {{ uid: {_AGENT} }}")
    await emit(page, f"'user-published', {{ uid: {_AGENT} }}, 'audio'")
    await wait_for_call(page, "play")


async def test_the_page_joins_with_what_the_server_gave_and_publishes_the_microphone(
    page: Page, stub: StubServer
) -> None:
    await join(page, stub, "?channel=room&processing=off")
    await wait_for_call(page, "publish")
    assert stub.agent.keys() <= AgentInfo.model_fields.keys()  # what the page knows of it, the real server tells
    assert await called(page, "createClient") == [[{"mode": "rtc", "codec": "vp8"}]]
    assert await called(page, "join") == [[AGORA_APP_ID, "room", "007token", _USER]]
    assert await called(page, "publish") == [["audio"]]
    assert await page.evaluate("standIn.microphone.readyState") == "live"
    await holds(page, "agent.framesSent > 10 && agent.micLevel > 0.01")
    found = await facts(page)
    assert (found["uid"], found["heard"], found["errors"]) == (_USER, True, [])
    assert [path for path, _ in stub.requests] == ["/start_agent", "/token"]


async def test_the_sdk_is_told_to_tell_nobody(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    calls = [name for name, *_ in await page.evaluate("standIn.calls")]
    assert calls.index("createClient") > max(calls.index("disableLogUpload"), calls.index("setParameter"))
    assert await called(page, "setParameter") == [["ENABLE_EVENT_REPORT", False]]


async def test_without_a_token_it_joins_without_one(page: Page, stub: StubServer) -> None:
    stub.agora_token = ""
    await join(page, stub)
    assert await called(page, "join") == [[AGORA_APP_ID, "demo", None, _USER]]


async def test_the_agents_voice_is_heard_and_measured(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await appear(page)
    assert await called(page, "subscribe") == [[_AGENT, "audio"]]
    await wait_for_call(page, "publish")
    await holds(page, "agent.micLevel > 0.01")
    await press(page, "Mute")  # the end of what the user says
    await page.wait_for_timeout(400)
    await page.evaluate("standIn.voice.loud(0.5)")
    await holds(page, "agent.agentSpeaking && agent.playedRms > 0.2 && agent.samplesPlayed > 4800")
    await holds(page, "agent.turnLatenciesMs.length === 1")
    await expect(page.get_by_text("Answered in")).to_be_visible()
    await page.evaluate("standIn.voice.loud(0)")
    await holds(page, "!agent.agentSpeaking")


async def test_a_voice_whose_track_changes_is_measured_on(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await appear(page)
    await page.evaluate(
        "() => { const old = standIn.voice; standIn.voice = standIn.makeVoice(); old['track-updated'](); }"
    )
    await page.evaluate("standIn.voice.loud(0.5)")
    await holds(page, "agent.agentSpeaking")


async def test_when_the_agent_takes_its_voice_away_nothing_sounds(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await appear(page)
    await page.evaluate("standIn.voice.loud(0.5)")
    await holds(page, "agent.agentSpeaking")
    await emit(page, f"'user-unpublished', {{ uid: {_AGENT} }}, 'audio'")
    await holds(page, "!agent.agentSpeaking && agent.playedRms === 0")
    assert (await facts(page))["state"] == "active"


async def test_others_in_the_channel_are_neither_heard_nor_believed(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await emit(page, "'user-published', { uid: 77 }, 'audio'")
    await arrive(page, parts({"type": "state", "state": "ended", "reason": "stopped"}), uid=77)
    await emit(page, "'user-left', { uid: 77 }")
    await tell(page, type="state", state="paused", reason=None)
    await holds(page, "agent.state === 'paused'")
    assert await called(page, "subscribe") == []


async def test_transcripts_are_shown_in_the_order_of_the_conversation(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    story = " ".join(["Es war einmal —"] * 200)  # a message of several parts
    messages = [
        [transcript("user", "u1", delta="")],
        [transcript("assistant", "a1", delta="Hello, "), transcript("assistant", "a1", delta="you")],
        [
            transcript("user", "u1", text="Hello", final=True),
            transcript("assistant", "a1", text="Hello, you.", final=True),
        ],
        [transcript("user", "u2", delta="")],
        [transcript("assistant", "a2", text=story, final=True, interrupted=True)],
        [transcript("user", "u2", text="A story! <b>", final=True)],
    ]
    shuffle = random.Random(7).shuffle
    for step in messages:
        pieces = parts(*step) * 2  # each comes twice
        if len(step) == 1:
            shuffle(pieces)
        await arrive(page, [b"broken", b"x|1|1|!", *pieces, b"x|2|1|e30="])
    await holds(page, "agent.transcripts.length === 4 && agent.transcripts.every(item => item.final)")
    assert await lines(page) == ["Hello", "Hello, you.", "A story! <b>", story]
    interrupted = page.locator(".item.interrupted")
    await expect(interrupted).to_have_count(1)
    await expect(interrupted.locator(".mark")).to_be_visible()


async def test_words_are_shown_as_they_come(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await arrive(
        page, parts(transcript("assistant", "a1", delta="It is "), transcript("assistant", "a1", delta="four."))
    )
    await expect(page.locator(".item .text")).to_have_text("It is four.")
    await expect(page.locator(".item")).to_have_class("item assistant partial")


async def test_the_state_is_shown_as_the_agent_tells_it(page: Page, stub: StubServer) -> None:
    stub.state = stub.agent["state"] = "waiting"
    await join(page, stub)
    for state in ("active", "paused", "active"):
        await tell(page, type="state", state=state, reason=None)
        await holds(page, f"agent.state === '{state}'")
        await expect(page.get_by_role("status")).to_contain_text(state.title())


async def test_a_state_whose_message_was_lost_is_asked_for(page: Page, stub: StubServer) -> None:
    stub.state = stub.agent["state"] = "waiting"
    await join(page, stub)
    stub.agent["state"] = "active"
    await holds(page, "agent.state === 'active'")


async def test_what_the_agent_told_meanwhile_is_newer_than_what_the_server_answers(
    page: Page, stub: StubServer
) -> None:
    await join(page, stub)
    await appear(page)
    stub.agent_is_told.clear()
    stub.agent["state"] = "paused"
    asked = stub.asked_for_agent
    await emit(page, "'connection-state-change', 'CONNECTED', 'RECONNECTING'")
    await until(lambda: stub.asked_for_agent == asked + 1, "the page to ask for the state")
    await tell(page, type="state", state="waiting", reason=None)
    await holds(page, "agent.state === 'waiting'")
    stub.agent |= {"state": "active"}
    stub.agent_is_told.set()
    await holds(page, "((agent.states ??= []).push(agent.state), agent.state === 'active')")
    assert "paused" not in (await facts(page))["states"]


async def test_an_agent_in_the_place_of_ours_is_another(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    stub.agent["uid"] = 2000
    await emit(page, f"'user-left', {{ uid: {_AGENT} }}, 'Quit'")
    await holds(page, "agent.state === 'ended' && agent.closeCode === 4002")


async def test_an_unknown_message_is_ignored(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await tell(page, type="weather", rain=True)
    await tell(page, type="constructor")
    await tell(page, type="response.audio_transcript.delta", item_id=7)
    await tell(page, type="state", state="paused", reason=None)
    await holds(page, "agent.state === 'paused'")
    assert (await facts(page))["transcripts"] == []


async def test_who_is_not_heard_is_told(page: Page, stub: StubServer) -> None:
    stub.agent["user_uid"] = 5
    await join(page, stub)
    await expect(page.get_by_role("status")).to_contain_text("listens to someone else")
    await tell(page, type="listening", uid=_USER)
    await expect(page.get_by_role("status")).not_to_contain_text("listens to someone else")


async def test_muting_silences_the_track_that_is_published(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await wait_for_call(page, "publish")
    await press(page, "Mute")
    assert await page.evaluate("[standIn.microphone.enabled, standIn.microphone.readyState]") == [False, "live"]
    await expect(page.get_by_role("status")).to_contain_text("You are muted")
    await press(page, "Unmute")
    assert await page.evaluate("standIn.microphone.enabled")


async def test_a_token_is_renewed_before_it_expires(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    stub.refusals["/token"] = (503, {})
    await emit(page, "'token-privilege-will-expire'")
    await until(lambda: len(stub.bodies("/token")) == 2, "the page to ask for a token")
    stub.refusals.clear()
    stub.agora_token = "007other"
    await wait_for_call(page, "renewToken")  # it asked again
    assert await called(page, "renewToken") == [["007other"]]
    assert stub.bodies("/token")[1:] == [{"channel_name": "demo", "uid": _USER}] * 2
    assert (await facts(page))["state"] == "active"


async def test_a_token_is_asked_for_by_one_at_a_time_and_nothing_is_after_leaving(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    stub.refusals["/token"] = (503, {})
    for _ in range(3):
        await emit(page, "'token-privilege-will-expire'")
    await until(lambda: len(stub.bodies("/token")) == 2, "the page to ask for a token")
    await press(page, "Leave")
    await holds(page, "agent.state === 'idle'")
    asked_for_agent = stub.asked_for_agent
    await page.wait_for_timeout(6_000)  # it would have asked again
    assert len(stub.bodies("/token")) == 2
    assert stub.asked_for_agent == asked_for_agent


async def test_a_token_that_expired_is_told(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await wait_for_call(page, "publish")
    await emit(page, "'token-privilege-did-expire'")
    assert "token for Agora expired" in await shown_notice(page)
    assert len(await called(page, "leave")) == 1
    assert await microphone_is_free(page)


async def test_an_agent_that_says_that_it_ends_has_ended(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await wait_for_call(page, "publish")
    await tell(page, type="state", state="ended", reason="max_duration")
    await expect(page.get_by_role("status")).to_contain_text("the conversation reached its time limit")
    found = await facts(page)
    assert (found["state"], found["reason"], found["closeCode"], found["errors"]) == ("ended", "max_duration", 4002, [])
    assert len(await called(page, "leave")) == 1
    assert await microphone_is_free(page)
    assert await page.evaluate("sessionStorage.getItem('realtime-agent.joined')") is None


@pytest.mark.parametrize(("known", "reason"), [(True, "idle"), (False, None)])
async def test_an_agent_that_ended_unheard_has_ended_too(
    page: Page, stub: StubServer, known: bool, reason: str | None
) -> None:
    await join(page, stub)
    if known:
        stub.agent |= {"state": "ended", "reason": reason}
    else:
        stub.refusals["/agents"] = (404, {})
    await emit(page, f"'user-left', {{ uid: {_AGENT} }}, 'Quit'")
    await holds(page, "agent.state === 'ended' && agent.closeCode === 4002")
    assert (await facts(page))["reason"] == reason


async def test_an_agent_that_drops_out_is_waited_for(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await appear(page)
    await emit(page, f"'user-left', {{ uid: {_AGENT} }}, 'ServerTimeOut'")
    status = page.get_by_role("status")
    await expect(status).to_contain_text("The agent is not in the channel.")
    await emit(page, "'connection-state-change', 'RECONNECTING', 'CONNECTED'")
    await expect(status).to_contain_text("The connection to Agora was lost.")
    await emit(page, "'connection-state-change', 'CONNECTED', 'RECONNECTING'")
    await expect(status).to_contain_text("The agent is not in the channel.")
    await appear(page)
    await expect(status).to_contain_text("the agent is listening")
    assert (await facts(page))["closeCode"] is None


async def test_an_agent_that_is_never_seen_is_told(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await expect(page.get_by_role("status")).to_contain_text("The agent is not in the channel.", timeout=15_000)
    assert (await facts(page))["state"] == "active"


async def test_an_agent_that_says_while_the_page_joins_that_it_ends_has_ended(page: Page, stub: StubServer) -> None:
    await begin_to_join(page, stub)
    await tell(page, type="state", state="ended", reason="max_duration")
    await let_go(page)
    await expect(page.get_by_role("status")).to_contain_text("the conversation reached its time limit")
    found = await facts(page)
    assert (found["state"], found["reason"], found["closeCode"], found["errors"]) == ("ended", "max_duration", 4002, [])
    assert (await called(page, "publish"), len(await called(page, "leave"))) == ([], 1)
    await page.evaluate("() => { standIn.waits = []; }")
    await press(page, "Join")
    await holds(page, "agent.state === 'active'")


async def test_an_agent_that_ended_before_the_page_was_in_has_ended(page: Page, stub: StubServer) -> None:
    await page.add_init_script("window.setInterval = () => 0;")  # it does not take until it asks every few seconds
    await begin_to_join(page, stub)
    stub.agent |= {"state": "ended", "reason": "user_left"}
    await let_go(page)
    await holds(page, "agent.state === 'ended' && agent.reason === 'user_left' && agent.closeCode === 4002")


async def test_reconnecting_is_shown_until_it_has_worked(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await emit(page, "'connection-state-change', 'RECONNECTING', 'CONNECTED'")
    await expect(page.get_by_role("status")).to_contain_text("The connection to Agora was lost. Trying again…")
    await expect(page.locator("html")).to_have_attribute("data-troubled", "true")
    stub.agent["state"] = "paused"  # meanwhile
    await emit(page, "'connection-state-change', 'CONNECTED', 'RECONNECTING'")
    await holds(page, "agent.state === 'paused'")
    await expect(page.get_by_role("status")).not_to_contain_text("Trying again")
    await expect(page.locator("html")).to_have_attribute("data-troubled", "false")


@pytest.mark.parametrize(
    ("reason", "code", "words", "joined"),
    [
        ("UID_CONFLICT", 4001, "another tab or window", None),
        ("NETWORK_ERROR", "NETWORK_ERROR", "The connection to Agora was lost. Join again", "demo"),
        ("UID_BANNED", "UID_BANNED", "has banned this user", "demo"),
        ("OF_A_LATER_VERSION", "OF_A_LATER_VERSION", "OF_A_LATER_VERSION", "demo"),
    ],
)
async def test_the_end_of_the_connection_is_told_in_words(
    page: Page, stub: StubServer, reason: str, code: int | str, words: str, joined: str | None
) -> None:
    await join(page, stub)
    await wait_for_call(page, "publish")
    await emit(page, f"{_DISCONNECTED}, '{reason}'")
    assert words in await shown_notice(page)
    found = await facts(page)
    assert (found["state"], found["closeCode"]) == ("idle", code)
    assert await microphone_is_free(page)
    # What a reload would join again.
    assert await page.evaluate("sessionStorage.getItem('realtime-agent.joined')") == joined


async def test_leaving_leaves_the_channel_and_frees_the_microphone(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await wait_for_call(page, "publish")
    await press(page, "Leave")
    await expect(page.get_by_role("button", name="Join")).to_be_visible()
    assert len(await called(page, "leave")) == 1
    assert len(await called(page, "close")) == 1
    assert await microphone_is_free(page)
    found = await facts(page)
    assert (found["closeCode"], found["errors"]) == (1000, [])
    await press(page, "Join")
    await holds(page, "agent.state === 'active'")


async def test_leaving_while_joining_gives_it_up(page: Page, stub: StubServer) -> None:
    await wish(page, hangs=["join"])
    await page.goto(stub.origin)
    await press(page, "Join")
    await expect(page.get_by_role("status")).to_contain_text("Connecting to Agora")
    await wait_for_call(page, "join")
    await press(page, "Cancel")
    await holds(page, "agent.state === 'idle'")
    assert len(await called(page, "leave")) == 1
    assert (await facts(page))["errors"] == []


@pytest.mark.parametrize(
    ("method", "code", "message", "words"),
    [
        (
            "join",
            "CAN_NOT_GET_GATEWAY_SERVER",
            "invalid vendor key, can not find appid",
            "does not know the AGORA_APP_ID",
        ),
        ("join", "CAN_NOT_GET_GATEWAY_SERVER", "dynamic use static key", "needs its AGORA_APP_CERT"),
        ("join", "CAN_NOT_GET_GATEWAY_SERVER", "dynamic key or token timeout", "Is the server's clock right?"),
        ("join", "CAN_NOT_GET_GATEWAY_SERVER", "invalid token, authorized failed", "did not accept the server's token"),
        ("join", "CAN_NOT_GET_GATEWAY_SERVER", "static use dynamic key", "must have no AGORA_APP_CERT"),
        ("join", "TOKEN_EXPIRE", "", "Is the server's clock right?"),
        ("join", "NETWORK_TIMEOUT", "timeout of 5000ms exceeded", "Agora did not answer."),
        ("join", "UID_CONFLICT", "", "under the same number"),
        ("publish", "UNEXPECTED_ERROR", "no codec", "Your voice does not get through to Agora: no codec."),
        ("join", "UNEXPECTED_ERROR", "no idea", "Agora did not let this page in: no idea."),
    ],
)
async def test_a_refusal_is_told_in_words(
    page: Page, stub: StubServer, method: str, code: str, message: str, words: str
) -> None:
    await wish(page, refuses={method: {"code": code, "message": message}})
    await page.goto(stub.origin)
    await press(page, "Join")
    assert words in await shown_notice(page)
    assert (await facts(page))["state"] == "idle"
    assert len(await called(page, "leave")) == 1
    await page.evaluate("() => { standIn.refuses = {}; }")
    await press(page, "Join")
    await holds(page, "agent.state === 'active'")
    await expect(page.get_by_role("alert")).to_be_hidden()


async def test_a_voice_that_does_not_come_through_is_told(page: Page, stub: StubServer) -> None:
    await wish(page, refuses={"subscribe": {"code": "SUBSCRIBE_FAILED", "message": ""}})
    await join(page, stub)
    await emit(page, f"'user-published', {{ uid: {_AGENT} }}, 'audio'")
    await expect(page.get_by_role("status")).to_contain_text("voice does not come through (SUBSCRIBE_FAILED)")
    await emit(page, f"'user-joined', {{ uid: {_AGENT} }}")
    await expect(page.get_by_role("status")).to_contain_text("voice does not come through (SUBSCRIBE_FAILED)")
    await page.evaluate("() => { standIn.refuses = {}; }")
    await wait_for_call(page, "play")  # it was tried again
    await expect(page.get_by_role("status")).to_contain_text("the agent is listening")


async def test_a_voice_that_fails_while_the_page_joins_is_told(page: Page, stub: StubServer) -> None:
    await begin_to_join(page, stub)
    await page.evaluate("() => { standIn.refuses.subscribe = { code: 'SUBSCRIBE_FAILED', message: '' }; }")
    await emit(page, f"'user-joined', {{ uid: {_AGENT} }}")
    await emit(page, f"'user-published', {{ uid: {_AGENT} }}, 'audio'")
    await wait_for_call(page, "subscribe")
    await let_go(page)
    await expect(page.get_by_role("status")).to_contain_text("voice does not come through (SUBSCRIBE_FAILED)")


async def test_a_voice_that_is_taken_away_while_it_is_asked_for_is_not_played(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await page.evaluate("() => { standIn.waits = ['subscribe']; }")
    await emit(page, f"'user-published', {{ uid: {_AGENT} }}, 'audio'")
    await wait_for_call(page, "subscribe")
    await emit(page, f"'user-unpublished', {{ uid: {_AGENT} }}, 'audio'")
    await let_go(page)
    await page.evaluate("() => { standIn.waits = []; }")
    await emit(page, f"'user-published', {{ uid: {_AGENT} }}, 'audio'")
    await wait_for_call(page, "play")
    assert len(await called(page, "play")) == 1


async def test_an_agent_that_has_ended_meanwhile_is_told(page: Page, stub: StubServer) -> None:
    stub.agent |= {"state": "ended", "reason": "model_failed"}
    await page.goto(stub.origin)
    await press(page, "Join")
    assert await shown_notice(page) == "The agent ended: the voice model failed."
    assert await called(page, "join") == []


async def test_a_server_without_the_sdk_tells_how_to_get_it(page: Page, stub: StubServer, tmp_path: Path) -> None:
    stub.agora_sdk = tmp_path / "missing.js"
    await page.goto(stub.origin)
    await press(page, "Join")
    assert await shown_notice(page) == "Not found: run npm ci."


async def test_an_sdk_that_does_not_come_is_given_up_and_can_be_tried_again(page: Page, stub: StubServer) -> None:
    waiting: list[Route] = []
    await page.route("**/agora/AgoraRTC.js", lambda route: waiting.append(route))
    await page.clock.install()
    await page.goto(stub.origin)
    await press(page, "Join")
    await until(lambda: len(waiting) == 1, "the page to ask for the SDK")
    await page.clock.fast_forward(31_000)
    await until(lambda: len(waiting) == 2, "the page to ask why")
    await waiting[1].abort()
    assert f"Agora's SDK could not be loaded from {stub.origin.removeprefix('http://')}." == await shown_notice(page)
    assert await page.locator("script[src*=Agora]").count() == 0
    await page.unroute("**/agora/AgoraRTC.js")
    await press(page, "Join")
    await holds(page, "agent.state === 'active'")


async def test_a_file_that_is_not_the_sdk_is_told(page: Page, stub: StubServer, tmp_path: Path) -> None:
    stub.agora_sdk = tmp_path / "other.js"
    stub.agora_sdk.write_text("window.somethingElse = 1;")
    await page.goto(stub.origin)
    await press(page, "Join")
    assert "is not Agora's SDK" in await shown_notice(page)


async def test_a_reload_goes_on_as_the_same_user(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await page.reload()
    await holds(page, "agent.state === 'active'")
    assert [body["uid"] for body in stub.bodies("/token")] == [0, _USER]
    assert await called(page, "join") == [[AGORA_APP_ID, "demo", "007token", _USER]]


async def test_sound_held_back_by_the_browser_starts_with_a_click(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await appear(page)
    await page.evaluate("window.AgoraRTC.onAutoplayFailed()")
    await holds(page, "agent.soundBlocked")
    assert "until you click" in await shown_notice(page)
    await page.mouse.click(5, 300)
    await holds(page, "!agent.soundBlocked")
    await expect(page.get_by_role("alert")).to_be_hidden()
    assert len(await called(page, "play")) == 2


async def test_where_agora_is_not_used_nothing_of_it_is_loaded(page: Page, stub: StubServer) -> None:
    stub.agora_sdk = None
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await join(page, stub)
    await until(lambda: len(stub.frames) > 10, "the microphone")
    assert [url for url in asked if "agora" in url] == []
    assert any("web-line.js" in url for url in asked)
