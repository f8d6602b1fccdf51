"""Steering and watching an agent from the page."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.stub import StubServer, until
from tests.browser.visit import facts, holds, join, press, shown_notice

pytestmark = pytest.mark.asyncio(loop_scope="module")


def commands(stub: StubServer) -> list[dict[str, Any]]:
    """What was asked of the agent, without the channel."""
    asked = stub.bodies("/control_agent")
    assert {body["channel_name"] for body in asked} <= {"demo"}
    return [{name: value for name, value in body.items() if name != "channel_name"} for body in asked]


def names(stub: StubServer) -> list[str]:
    return [body["command"] for body in commands(stub)]


async def test_a_button_pauses_the_agent_and_resumes_it(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await press(page, "Pause")
    await until(lambda: names(stub) == ["pause"], "a pause")
    await stub.send(type="state", state="paused", reason=None)
    await holds(page, "agent.state === 'paused'")
    await expect(page.locator("#state-name")).to_have_text("Paused")
    await expect(page.locator("#state-detail")).to_contain_text("Hey agent, start")
    await press(page, "Resume")
    await until(lambda: names(stub) == ["pause", "resume"], "a resume")
    await stub.send(type="state", state="active", reason=None)
    await expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()


async def test_what_the_server_refuses_is_shown(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    stub.refusals["/control_agent"] = 504, {"error": "Control timeout", "details": "the agent did not answer"}
    await press(page, "Pause")
    assert await shown_notice(page) == "Control timeout: the agent did not answer."


async def test_push_to_talk_from_the_button_to_the_answer(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await press(page, "Push to talk")
    await holds(page, "agent.pushToTalk")
    assert commands(stub) == [{"command": "update_turn_detection", "new_turn_detection": False}]
    assert (await facts(page))["muted"]
    talk = page.get_by_role("button", name="Hold to talk", exact=True)
    await talk.hover()
    await page.mouse.down()
    await holds(page, "agent.talking && !agent.muted")
    assert names(stub)[1:] == ["interrupt", "clear_audio_buffer"]
    stub.frames.clear()
    await until(lambda: any(any(frame) for frame in stub.frames), "the user's voice")
    await page.mouse.up()
    await until(lambda: names(stub)[3:] == ["commit_audio_buffer", "create_response"], "a commit and a response")
    await holds(page, "!agent.talking && agent.muted")
    assert commands(stub)[-1] == {"command": "create_response"}
    await press(page, "Push to talk")
    await holds(page, "!agent.pushToTalk && !agent.muted")
    assert commands(stub)[-1] == {"command": "update_turn_detection", "new_turn_detection": True}


async def test_the_space_bar_talks_too_and_presses_no_button(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await press(page, "Push to talk")
    await holds(page, "agent.pushToTalk")
    await page.keyboard.down("Space")
    await page.keyboard.down("Space")
    await holds(page, "agent.talking && !agent.muted")
    await page.keyboard.up("Space")
    await until(lambda: names(stub)[-1] == "create_response", "a response")
    assert names(stub) == [
        "update_turn_detection", "interrupt", "clear_audio_buffer", "commit_audio_buffer", "create_response",
    ]  # fmt: skip


async def test_whoever_turns_to_another_window_has_finished(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await press(page, "Push to talk")
    await holds(page, "agent.pushToTalk")
    await page.keyboard.down("Space")
    await holds(page, "agent.talking")
    await page.evaluate("window.dispatchEvent(new Event('blur'))")
    await holds(page, "!agent.talking")
    await until(lambda: names(stub)[-1] == "create_response", "a response")


async def test_push_to_talk_by_keyboard_alone(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await page.get_by_role("button", name="Push to talk", exact=True).focus()
    await page.keyboard.press("Enter")
    await holds(page, "agent.pushToTalk")
    await expect(page.get_by_role("button", name="Hold to talk", exact=True)).to_be_focused()
    await page.keyboard.press("Enter")
    await holds(page, "agent.talking && !agent.muted")
    await page.keyboard.press("Enter")
    await holds(page, "!agent.talking")
    await until(lambda: names(stub)[-1] == "create_response", "a response")
    for _ in range(3):
        await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Leave", exact=True)).to_be_focused()
    await page.keyboard.press("Space")
    await holds(page, "agent.state === 'idle'")
    assert names(stub).count("interrupt") == 1


async def test_only_the_first_button_of_a_mouse_talks(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await press(page, "Push to talk")
    await holds(page, "agent.pushToTalk")
    await page.get_by_role("button", name="Hold to talk", exact=True).click(button="right")
    assert names(stub) == ["update_turn_detection"]


async def test_whoever_has_used_another_button_talks_by_the_space_bar_again(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await press(page, "Push to talk")
    await holds(page, "agent.pushToTalk")
    await press(page, "Pause")
    await page.keyboard.down("Space")
    await holds(page, "agent.talking")
    await page.keyboard.up("Space")
    await holds(page, "!agent.talking")
    await until(lambda: names(stub)[-1] == "create_response", "a response")
    assert names(stub).count("pause") == 1


async def test_a_paused_agent_says_how_to_resume_whatever_else_hinders(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await press(page, "Mute")
    await stub.send(type="state", state="paused", reason=None)
    await expect(page.locator("#state-detail")).to_contain_text("Hey agent, start")
    await stub.send(type="state", state="active", reason=None)
    await expect(page.locator("#state-detail")).to_have_text("You are muted.")


async def test_nobody_talks_whose_call_is_over(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await press(page, "Push to talk")
    await holds(page, "agent.pushToTalk")
    await page.keyboard.down("Space")
    await holds(page, "agent.talking")
    await stub.close(4002, "stopped")
    await holds(page, "agent.state === 'ended' && !agent.talking")
    await press(page, "Join")
    await holds(page, "agent.state === 'active'")
    # The next agent is another one, whom they have not asked for it.
    assert not (await facts(page))["pushToTalk"]
    await expect(page.get_by_role("button", name="Mute", exact=True)).to_be_visible()


async def test_push_to_talk_outlasts_a_reload_and_ends_with_leaving(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await press(page, "Push to talk")
    await holds(page, "agent.pushToTalk")
    await page.reload()
    await holds(page, "agent.pushToTalk && agent.state === 'active'")
    await press(page, "Leave")
    await holds(page, "agent.state === 'idle'")
    await until(lambda: commands(stub)[-1].get("new_turn_detection") is True, "turn detection")
    await expect(page.get_by_role("button", name="Hold to talk", exact=True)).to_be_hidden()


async def test_a_commit_that_is_refused_is_told_and_talking_goes_on(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    await press(page, "Push to talk")
    await holds(page, "agent.pushToTalk")
    stub.refusals["/control_agent"] = 409, {"error": "Model conflict", "details": "buffer too small"}
    await page.keyboard.press("Space")
    assert await shown_notice(page) == "Model conflict: buffer too small."
    stub.refusals.clear()
    await page.keyboard.down("Space")
    await holds(page, "agent.talking && !agent.muted")
    await page.keyboard.up("Space")
    await until(lambda: names(stub)[-1] == "create_response", "a response")


async def test_what_happens_is_listed_in_words(page: Page, stub: StubServer) -> None:
    stub.tell("state", state="waiting")
    await join(page, stub)
    told: list[tuple[str, dict[str, Any], str]] = [
        ("state", {"state": "paused", "by": "voice"}, "Agent is paused, by voice"),
        ("speech", {"role": "user", "speaking": True}, "You began to speak"),
        ("transcript", {"role": "assistant", "item_id": "i", "place": 2, "final": True, "text": "Hi."}, "Agent: Hi."),
        ("interrupted", {"by": "user", "after_ms": 120.4}, "Cut by user after 120 ms"),
        ("turn", {"first_audio_ms": 640, "first_frame_ms": 651.2, "silence_ms": 500},
         "Answered 651 ms after the last word (500 ms of it silence)"),
        ("tool_call", {"call_id": "c", "name": "look_up", "arguments": "{}"}, "Calls look_up {}"),
        ("tool_output", {"call_id": "c", "name": "look_up", "output": "rain", "took_ms": 2},
         "look_up gave rain after 2 ms"),
        ("command", {"command": "say", "error": "no"}, "say failed: no"),
        ("command", {"command": "say"}, "say done"),
        ("agent_error", {"of": "model", "code": "x", "message": "no"}, "Error x: no"),
        ("connection", {"to": "model", "status": "lost", "cause": "gone"}, "Connection to the model lost: gone"),
        ("usage", {"usage": {"total_tokens": 42}}, "42 tokens so far"),
        ("recording", {"file": "demo-1"}, "Recorded as demo-1"),
    ]  # fmt: skip
    for kind, fields, _ in told:
        stub.tell(kind, **fields)
    stub.tell("transcript", role="user", item_id="u", place=1, delta="Not shown here")
    await holds(page, "agent.events.length === 15")
    await page.get_by_text("Events").click()
    rows = page.locator("#events li span")
    assert await rows.all_inner_texts() == ["Agent is waiting", *[words for _, _, words in told]]
    assert len(await page.locator("#events li time").all_inner_texts()) == 14


async def test_the_last_event_stands_where_the_list_is_closed(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    stub.tell("command", command="say")
    await expect(page.locator("#last-event")).to_have_text("say done")


async def test_the_list_stays_short(page: Page, stub: StubServer) -> None:
    await join(page, stub)
    for number in range(250):
        stub.tell("command", command=f"say {number}")
    await holds(page, "agent.events.length === 250")
    rows = page.locator("#events li")
    assert await rows.count() == 200
    await expect(rows.last).to_contain_text("say 249")
