from __future__ import annotations

from typing import Any

import pytest

from realtime_agent.audio.speaker import Speaker
from realtime_agent.call_log import CallLog
from tests.stub_agent import FRAME, tone


class Call:
    """A call on an injected clock: the user's speech ends at 10 s, the clip at 11 s."""

    def __init__(self) -> None:
        self.speaker = Speaker()
        self.log = CallLog(self.speaker, linger_s=1, timeout_s=30)

    def say(self, at: float, ms: int) -> None:
        pcm = tone(ms)
        for index, start in enumerate(range(0, len(pcm), FRAME)):
            self.speaker.add(pcm[start : start + FRAME], at + index * 0.02)

    def final(self, at: float, role: str, item_id: str, text: str = "words", **more: Any) -> None:
        self.log.add_transcript({"role": role, "item_id": item_id, "text": text, "final": True, **more}, at)

    def clip(self) -> None:
        self.log.speech_ended(10)
        self.log.clip_ended(11)

    def flush(self, at: float) -> None:
        self.log.flushed(at)
        self.speaker.flush(0, at)


def test_an_answer_heard_to_its_end_and_a_second_of_quiet_end_the_call() -> None:
    call = Call()
    call.clip()
    call.final(10.3, "user", "u1")
    call.final(10.5, "assistant", "a1")
    call.say(10.5, 2000)
    # Begins at 10.52, when 40 ms have come, and so ends at 12.52.
    assert call.log.exit_reason(13.5) is None
    assert call.log.exit_reason(13.53) == "answered"
    report = call.log.report(13.53)
    assert (report["answered"], report["exit_reason"], report["interrupted"]) == (True, "answered", False)
    assert report["latencies"] == {"first_audio_ms": 520}
    assert report["heard_s"] == 2


def test_the_quiet_counts_from_a_transcript_that_comes_after_the_audio() -> None:
    call = Call()
    call.clip()
    call.say(10.5, 400)
    assert call.log.exit_reason(14) is None
    call.final(15, "assistant", "a1")
    assert call.log.exit_reason(15.9) is None
    assert call.log.exit_reason(16) == "answered"


def test_an_answer_that_is_not_whole_yet_keeps_the_call_open() -> None:
    call = Call()
    call.clip()
    call.say(10.5, 400)
    call.final(10.6, "assistant", "a1")
    call.log.add_transcript({"role": "assistant", "item_id": "a2", "delta": "and"}, 11)
    assert call.log.exit_reason(20) is None
    call.final(20, "assistant", "a2")
    assert call.log.exit_reason(21) == "answered"


def test_a_greeting_before_the_end_of_speech_is_no_answer() -> None:
    call = Call()
    call.final(1, "assistant", "greeting")
    call.say(1, 2000)
    call.clip()
    assert call.log.exit_reason(40) is None
    assert call.log.exit_reason(41) == "timeout"
    assert call.log.report(41)["answered"] is False
    assert call.log.report(41)["latencies"] == {"first_audio_ms": None}


def test_a_greeting_that_lasts_beyond_the_end_of_speech_is_no_answer() -> None:
    call = Call()
    call.final(8, "assistant", "greeting")
    call.say(9, 3000)
    call.clip()
    call.final(12, "assistant", "greeting")
    assert call.log.report(20)["answered"] is False
    assert call.log.exit_reason(20) is None


def test_nothing_is_an_answer_while_the_user_has_not_finished() -> None:
    call = Call()
    call.final(1, "assistant", "a1")
    call.say(1, 100)
    assert call.log.exit_reason(9) is None
    assert call.log.first_audio(9) is None


def test_what_a_flush_cut_off_after_the_end_of_speech_is_no_answer() -> None:
    call = Call()
    call.clip()
    call.log.add_transcript({"role": "assistant", "item_id": "greeting", "delta": "Hello"}, 10.1)
    call.say(10.1, 400)
    call.flush(10.3)
    assert call.log.report(20)["answered"] is False
    assert call.log.report(20)["interrupted"] is True
    call.final(20, "assistant", "a1")
    call.say(20, 400)
    # The cut greeting never becomes final, and is not waited for.
    assert call.log.exit_reason(22) == "answered"
    assert call.log.report(22)["latencies"] == {"first_audio_ms": 10_020}


def test_a_transcript_that_was_cut_is_no_answer() -> None:
    call = Call()
    call.clip()
    call.flush(10.3)
    call.final(10.4, "assistant", "greeting", interrupted=True)
    call.say(10.5, 400)
    assert call.log.exit_reason(20) is None


def test_a_flush_of_what_was_heard_already_is_no_interruption() -> None:
    call = Call()
    call.say(1, 400)
    call.flush(3)
    assert call.log.report(3)["interrupted"] is False


def test_a_silent_answer_is_none() -> None:
    call = Call()
    call.clip()
    call.final(11, "assistant", "a1")
    call.speaker.add(bytes(20 * FRAME), 11)
    assert call.log.exit_reason(40) is None
    assert call.log.report(40)["answered"] is False


def test_an_answer_in_text_is_an_answer() -> None:
    call = Call()
    call.final(1, "assistant", "greeting")
    call.clip()
    call.log.add_transcript({"role": "assistant", "item_id": "a1", "delta": "wo"}, 12)
    assert call.log.report(12)["answered"] is False
    call.final(13, "assistant", "a1")
    assert call.log.exit_reason(13.9) is None
    assert call.log.exit_reason(14) == "answered"
    report = call.log.report(14)
    assert (report["answered"], report["latencies"], report["heard_s"]) == (True, {"first_audio_ms": None}, 0)


def test_an_answer_in_text_may_follow_a_greeting_that_was_heard() -> None:
    call = Call()
    call.final(1, "assistant", "greeting")
    call.say(1, 2000)
    call.clip()
    call.final(12, "assistant", "a1")
    assert call.log.exit_reason(13) == "answered"


@pytest.mark.parametrize("more", [{"text": " "}, {"interrupted": True}])
def test_words_of_which_nothing_reached_the_user_are_no_answer(more: dict[str, Any]) -> None:
    call = Call()
    call.clip()
    call.final(12, "assistant", "a1", **more)
    assert call.log.report(20)["answered"] is False
    assert call.log.exit_reason(20) is None


def test_audio_that_follows_its_words_is_heard_to_its_end() -> None:
    call = Call()
    call.clip()
    call.final(12, "assistant", "a1")
    call.say(12.5, 2000)
    assert call.log.exit_reason(15.5) is None
    assert call.log.exit_reason(15.53) == "answered"
    assert call.log.report(15.53)["latencies"] == {"first_audio_ms": 2520}


def test_the_first_reason_to_end_stays() -> None:
    call = Call()
    call.log.end("lost", "the agent ended")
    call.log.end("stopped")
    assert call.log.exit_reason(0) == "lost"
    assert call.log.report(0)["cause"] == "the agent ended"


def test_without_a_clip_anything_heard_is_an_answer_and_only_the_user_ends_the_call() -> None:
    speaker = Speaker(record=False)
    log = CallLog(speaker, scripted=False)
    assert log.report(1)["answered"] is False
    speaker.add(tone(200), 1)
    assert log.exit_reason(1000) is None
    assert log.report(1000)["answered"] is True
    assert log.report(1000)["latencies"] == {"first_audio_ms": None}


def test_without_a_clip_anything_written_is_an_answer_too() -> None:
    log = CallLog(Speaker(record=False), scripted=False)
    log.add_transcript({"role": "user", "item_id": "u1", "text": "hello", "final": True}, 1)
    assert log.report(2)["answered"] is False
    log.add_transcript({"role": "assistant", "item_id": "a1", "text": "words", "final": True}, 2)
    assert log.report(2)["answered"] is True


def test_deltas_are_gathered_and_the_whole_replaces_them() -> None:
    call = Call()
    parts: list[dict[str, Any]] = [
        {"role": "assistant", "item_id": "a1", "delta": "Good "},
        {"role": "assistant", "item_id": "a1", "delta": "mornin"},
    ]
    assert [call.log.add_transcript(part, 1) for part in parts] == [None, None]
    assert call.log.transcripts[0].text == "Good mornin"
    whole = call.log.add_transcript(
        {"role": "assistant", "item_id": "a1", "text": "Good morning to you", "final": True}, 2
    )
    assert whole is call.log.transcripts[0]
    assert whole.text == "Good morning to you"
    call.log.add_transcript({"role": "assistant", "item_id": "a1", "delta": "late"}, 2)
    assert whole.text == "Good morning to you"
    assert not whole.corrected
    call.final(3, "assistant", "a1", "Good", interrupted=True)
    assert whole.corrected
    report = call.log.report(3)
    assert report["transcripts"] == [{"role": "assistant", "item_id": "a1", "text": "Good", "interrupted": True}]
    assert report["interrupted"] is True


def test_words_that_come_late_stand_where_their_item_began() -> None:
    call = Call()
    call.log.add_transcript({"role": "user", "item_id": "u1", "delta": ""}, 1)
    call.final(2, "assistant", "a1")
    call.final(3, "user", "u1")
    assert [transcript.item_id for transcript in call.log.transcripts] == ["u1", "a1"]


def test_a_transcript_that_is_not_well_formed_is_ignored() -> None:
    call = Call()
    for body in ({}, {"role": "system", "item_id": "x"}, {"role": "user", "item_id": 5}):
        assert call.log.add_transcript(body, 1) is None
    assert call.log.transcripts == []
