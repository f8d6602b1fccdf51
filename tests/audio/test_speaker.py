from __future__ import annotations

import pytest

from realtime_agent.audio.speaker import Speaker
from tests.stub_agent import tone

RATE = 24_000


def test_a_stretch_begins_once_40_ms_have_come() -> None:
    speaker = Speaker()
    speaker.add(tone(20), 1.0)
    assert speaker.position(1.01) == 0
    speaker.add(tone(20), 1.02)
    assert speaker.position(1.02) == 0
    assert speaker.position(1.03) == 240
    assert speaker.position(5) == 960


def test_what_is_shorter_than_40_ms_begins_40_ms_after_it_came() -> None:
    speaker = Speaker()
    speaker.add(tone(20), 1.0)
    assert speaker.position(1.04) == 0
    assert speaker.position(1.05) == 240
    assert speaker.position(1.06) == 480


def test_audio_in_time_goes_on_without_a_gap() -> None:
    speaker = Speaker()
    for index in range(10):
        speaker.add(tone(20), 1 + index * 0.02)
    assert speaker.position(1.12) == round(0.1 * RATE)
    assert speaker.heard_s(3) == pytest.approx(0.2)
    assert speaker.quiet_since() == pytest.approx(1.22)


def test_an_underrun_is_silence_and_the_position_waits() -> None:
    speaker = Speaker()
    speaker.add(tone(100), 1)
    assert speaker.is_playing(1.05)
    assert not speaker.is_playing(1.2)
    assert speaker.position(1.5) == 2400
    speaker.add(tone(100), 2)
    assert speaker.position(2.05) == 2400 + 1200
    heard = speaker.render(1, 2.1)
    assert heard == tone(100) + bytes(round(0.9 * RATE) * 2) + tone(100)


def test_positions_count_from_where_the_agent_was_at_the_join() -> None:
    speaker = Speaker(5000)
    assert speaker.position(0) == 5000
    speaker.add(tone(100), 1)
    assert speaker.position(1.05) == 6200


def test_a_flush_tells_what_was_reached_and_moves_on() -> None:
    speaker = Speaker()
    speaker.add(tone(500), 1)
    assert speaker.flush(24_000, 1.1) == 2400
    assert speaker.position(1.2) == 24_000
    assert not speaker.is_playing(1.2)
    assert speaker.heard_s(9) == pytest.approx(0.1)
    assert speaker.quiet_since() == pytest.approx(1.1)
    speaker.add(tone(100), 1.2)
    assert speaker.position(1.25) == 25_200
    assert speaker.render(1, 1.3) == tone(100) + bytes(4800) + tone(100)


def test_a_flush_of_nothing_is_where_the_speaker_is() -> None:
    speaker = Speaker(100)
    assert speaker.flush(200, 1) == 100
    assert speaker.flush(300, 1) == 200
    assert speaker.quiet_since() is None


def test_nothing_is_not_the_beginning_of_a_stretch() -> None:
    speaker = Speaker()
    speaker.add(b"", 1)
    assert speaker.quiet_since() is None


def test_the_position_is_reported_at_intervals_and_once_at_the_end() -> None:
    speaker = Speaker()
    assert speaker.report_due(1) is None
    speaker.add(tone(250), 1)
    assert speaker.report_due(1) is None
    reports = {tick: speaker.report_due(1 + tick / 64) for tick in range(1, 64)}
    told = {tick: report for tick, report in reports.items() if report is not None}
    assert told == {1: 375, 8: 3000, 15: 5625, 16: 6000}


def test_after_a_flush_nothing_is_reported_until_more_was_heard() -> None:
    speaker = Speaker()
    speaker.add(tone(500), 1)
    assert speaker.report_due(1.1) == 2400
    speaker.flush(48_000, 1.2)
    assert speaker.report_due(2) is None
    speaker.add(tone(100), 3)
    assert speaker.report_due(3) is None
    assert speaker.report_due(3.02) == 48_480


def test_the_first_audible_moment_lies_after_leading_silence() -> None:
    speaker = Speaker()
    speaker.add(bytes(4800) + tone(100), 1)
    assert speaker.first_audible(0.5, 1.05) is None
    assert speaker.first_audible(0.5, 2) == pytest.approx(1.1)


def test_noise_under_minus_50_db_is_not_audible() -> None:
    speaker = Speaker()
    speaker.add(tone(100, level=90), 1)
    assert speaker.first_audible(0, 5) is None
    speaker.add(tone(100, level=110), 6)
    assert speaker.first_audible(0, 7) == pytest.approx(6)


def test_a_stretch_under_way_is_not_a_first_moment() -> None:
    speaker = Speaker()
    speaker.add(tone(1000), 1)
    speaker.add(tone(100), 3)
    assert speaker.first_audible(1.5, 5) == pytest.approx(3)
    assert speaker.first_audible(3.5, 5) is None


def test_what_a_flush_took_back_is_not_audible() -> None:
    speaker = Speaker()
    speaker.add(bytes(4800) + tone(100), 1)
    speaker.flush(0, 1.05)
    assert speaker.first_audible(0, 9) is None


def test_without_a_record_the_past_is_forgotten_but_counted() -> None:
    speaker = Speaker(record=False)
    speaker.add(tone(100), 1)
    speaker.add(tone(100), 2)
    assert speaker.heard_s(3) == pytest.approx(0.2)
    assert not any(speaker.render(1, 1.5))
    assert any(speaker.render(2, 2.1))


def test_rendering_block_by_block_gives_the_whole() -> None:
    speaker = Speaker()
    speaker.add(tone(130), 0.5)
    blocks = [speaker.render(index * 480 / RATE, (index + 1) * 480 / RATE) for index in range(50)]
    assert b"".join(blocks) == speaker.render(0, 1)
    assert speaker.render(2, 1) == b""
