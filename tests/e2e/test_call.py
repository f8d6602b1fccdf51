"""A conversation by voice through a running server, with recorded human speech: the product's main job."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from realtime_agent.audio.speaker import Speaker
from realtime_agent.call_line import CallLine, ClipSource
from realtime_agent.call_log import CallLog
from realtime_agent.rtc.channel import UserChannel
from realtime_agent.rtc.server_client import ServerClient
from realtime_agent.rtc.web_client import WebUser
from tests.e2e.program import call, get, post, run, running, write_wav
from tests.speech import clip, word_error_rate

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    # All of them talk to one server, so that the model is loaded once.
    pytest.mark.xdist_group("embedded"),
]

_MAX_WORD_ERROR = 0.3

NO_SPEECH = b"\0\x10\0\xf0" * 240
"""A click of 20 ms: a user who says nothing. Whatever the agent says is heard after it, and ends the call."""

_TIMEOUT_S = 90


class UntilAnswerHeard(CallLine):
    """A line on which the user speaks only until the first of the answer is heard."""

    def is_open(self) -> bool:
        return super().is_open() and self.log.first_audio(self.clock()) is None


async def interrupt(user: UserChannel, first: bytes, second: bytes) -> dict[str, Any]:
    """Call an agent, speak, speak again over the answer; gives the call's report."""
    clock = asyncio.get_running_loop().time
    await user.join()
    speaker = Speaker(user.position)
    log = CallLog(speaker)
    parts = user, speaker, log, clock, lambda _: None

    async def speak() -> None:
        await ClipSource(first, clock).speak(UntilAnswerHeard(*parts))
        await ClipSource(second, clock).speak(CallLine(*parts))
        await user.leave()

    try:
        async with asyncio.timeout(_TIMEOUT_S), asyncio.TaskGroup() as tasks:
            tasks.create_task(CallLine(*parts).listen())
            tasks.create_task(speak())
    finally:
        await user.leave()
    return log.report(clock())


def words(report: dict[str, object], role: str) -> str:
    """All that one side said."""
    transcripts = report["transcripts"]
    assert isinstance(transcripts, list)
    return " ".join(transcript["text"] for transcript in transcripts if transcript["role"] == role)


async def test_a_spoken_sentence_is_understood_and_answered_by_voice(server: str, tmp_path: Path) -> None:
    spoken = clip("amiable")
    status, started = await post(server, "/start_agent", channel_name="talk", uid=123)
    assert (status, started["status"]) == (200, "Agent started!")
    reply = tmp_path / "reply.wav"
    code, report = await call(server, "talk", write_wav(tmp_path / "user.wav", spoken.pcm), f"--save={reply}")
    assert code == 0, report
    assert word_error_rate(spoken.transcript, words(report, "user")) <= _MAX_WORD_ERROR
    # The embedded rules repeat what they heard.
    assert word_error_rate(words(report, "user"), words(report, "assistant")[: len(words(report, "user")) + 9]) <= 0.5
    assert report["heard_s"] > 1
    assert reply.stat().st_size > 48_000
    assert (await get(server, "/agents/talk"))["usage"]["responses"] == 1
    status, stopped = await post(server, "/stop_agent", channel_name="talk")
    assert (status, stopped["reason"]) == (200, "stopped")


async def test_speaking_over_a_reply_stops_it_and_is_answered_in_turn(server: str) -> None:
    second = clip("amiable")
    await post(server, "/start_agent", channel_name="barge", uid=123)
    user = WebUser(await ServerClient(server).ask_token("barge", 0))
    report = await interrupt(user, clip("respectable").pcm, second.pcm)
    assert report["exit_reason"] == "answered", report
    assert report["interrupted"]
    replies = [transcript for transcript in report["transcripts"] if transcript["role"] == "assistant"]
    assert [reply["interrupted"] for reply in replies] == [True, False]
    said = [transcript["text"] for transcript in report["transcripts"] if transcript["role"] == "user"]
    assert word_error_rate(second.transcript, said[-1]) <= _MAX_WORD_ERROR
    await post(server, "/stop_agent", channel_name="barge")


async def test_a_user_who_comes_back_continues_the_same_conversation(server: str, tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "user.wav", clip("amiable").pcm)
    await post(server, "/start_agent", channel_name="again", uid=123, user_left_grace_s=60)
    before = await get(server, "/agents/again")
    code, _ = await call(server, "again", wav)
    assert code == 0
    code, report = await call(server, "again", wav)
    assert code == 0
    # Only the first answer of a conversation explains that rules gave it.
    assert "rules" not in words(report, "assistant")
    after = await get(server, "/agents/again")
    assert (after["pid"], after["generation"]) == (before["pid"], before["generation"])
    await post(server, "/stop_agent", channel_name="again")


async def test_the_greeting_is_spoken_word_for_word_and_is_no_answer(server: str, tmp_path: Path) -> None:
    await post(server, "/start_agent", channel_name="greet", uid=123, greeting="Welcome to the test.")
    wav = write_wav(tmp_path / "user.wav", NO_SPEECH)
    _, report = await call(server, "greet", wav)
    assert words(report, "assistant") == "Welcome to the test."
    assert report["heard_s"] > 0.5
    await post(server, "/stop_agent", channel_name="greet")


async def test_a_text_sent_over_http_is_answered_by_voice(server: str, tmp_path: Path) -> None:
    await post(server, "/start_agent", channel_name="text", uid=123)
    wav = write_wav(tmp_path / "user.wav", NO_SPEECH)
    calling = asyncio.create_task(call(server, "text", wav))
    async with asyncio.timeout(_TIMEOUT_S):
        while (await get(server, "/agents/text"))["state"] != "active":
            await asyncio.sleep(0.05)
    command = {"command": "send_user_text", "input_text": "What is twelve plus thirty five?"}
    status, answer = await post(server, "/control_agent", channel_name="text", **command)
    assert (status, answer["status"]) == (200, "Command send_user_text sent to agent.")
    _, report = await calling
    assert "47" in words(report, "assistant")
    await post(server, "/stop_agent", channel_name="text")


async def test_calling_a_channel_without_an_agent_fails_in_one_line(server: str, tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "user.wav", NO_SPEECH)
    code, output, errors = await run(tmp_path, "call", "--channel_name=nobody", f"--wav={wav}", f"--server={server}")
    assert (code, output) == (1, "")
    assert errors.startswith("realtime-agent: no agent runs in channel 'nobody'")
    assert errors.count("\n") == 1


async def test_the_example_in_the_readme_answers(server: str) -> None:
    await post(server, "/start_agent", channel_name="example", uid=123)
    wav = Path(__file__).parents[2] / "examples" / "question.wav"
    code, report = await call(server, "example", wav)
    assert code == 0
    assert "47" in words(report, "assistant")
    await post(server, "/stop_agent", channel_name="example")


async def test_an_agent_in_the_foreground_needs_no_server(tmp_path: Path) -> None:
    spoken = clip("amiable")
    wav = write_wav(tmp_path / "user.wav", spoken.pcm)
    arguments = ("agent", "--channel_name=front", "--uid=9")
    async with running(tmp_path, *arguments, USER_LEFT_GRACE_S="0.1") as (process, address):
        code, report = await call(address, "front", wav)
        assert code == 0, report
        assert word_error_rate(spoken.transcript, words(report, "user")) <= _MAX_WORD_ERROR
        # It ends by itself once its user has left.
        async with asyncio.timeout(30):
            assert await process.wait() == 0
