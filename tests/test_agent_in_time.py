"""What an agent does as time passes, by a clock that jumps."""

from __future__ import annotations

import asyncio

import pytest

from realtime_agent.audio.playout import Playout
from realtime_agent.control.events import Ended
from realtime_agent.control.life import EndReason, State
from realtime_agent.errors import SessionError
from realtime_agent.realtime.conversation import Conversation
from realtime_agent.realtime.realtime_session import RealtimeSession
from realtime_agent.realtime.renewal import Renewal
from realtime_agent.realtime.session import EndPart, Interrupt, Play, UserSpeech
from realtime_agent.rtc.channel import ChannelLost, Reconnected, Reconnecting
from tests.realtime.conversation.talk import CALL, created, done
from tests.realtime.memory import MemoryConnector
from tests.realtime.sessions import CONFIG
from tests.scene import FRAME, LONG, OTHER, USER, Scene, audio_of, in_virtual_time, listening, scene

HOUR_S = 3600.0


# How long it lives.


@pytest.mark.parametrize(
    ("limit", "reason"),
    [("user_wait_timeout_s", EndReason.USER_NEVER_CAME), ("max_duration_s", EndReason.MAX_DURATION)],
)
def test_a_timer_ends_it(limit: str, reason: EndReason) -> None:
    @in_virtual_time
    async def check() -> None:
        async with scene(**{limit: HOUR_S}) as here:
            await asyncio.sleep(HOUR_S - 1)
            assert here.ended is None
            await asyncio.sleep(1)
            assert here.ended == Ended(reason=reason)

    check()


@in_virtual_time
async def test_a_user_who_stays_away_ends_it() -> None:
    async with scene(user_left_grace_s=60) as here:
        user = await here.user_joins()
        await asyncio.sleep(HOUR_S / 10)
        await user.leave()
        await asyncio.sleep(59)
        assert here.ended is None
        await asyncio.sleep(2)
        assert here.ended == Ended(reason=EndReason.USER_LEFT)


@in_virtual_time
async def test_silence_ends_it() -> None:
    async with scene(idle_timeout_s=60) as here:
        await here.user_joins()
        await asyncio.sleep(59)
        assert here.ended is None
        await asyncio.sleep(2)
        assert here.ended == Ended(reason=EndReason.IDLE)


@in_virtual_time
async def test_a_reply_that_is_on_its_way_is_not_silence() -> None:
    async with scene(idle_timeout_s=60) as here:
        here.session.is_responding = True
        await here.user_joins()
        await asyncio.sleep(HOUR_S)
        assert here.ended is None
        here.session.is_responding = False
        await asyncio.sleep(121)
        assert here.ended == Ended(reason=EndReason.IDLE)


@in_virtual_time
async def test_a_long_sentence_is_not_silence() -> None:
    async with scene(idle_timeout_s=60) as here:
        await here.user_joins()
        here.session.does(UserSpeech(True))
        await asyncio.sleep(HOUR_S)
        assert here.ended is None
        here.session.does(UserSpeech(False))
        await asyncio.sleep(59)
        assert here.ended is None
        await asyncio.sleep(2)
        assert here.ended == Ended(reason=EndReason.IDLE)


@in_virtual_time
async def test_of_several_reasons_to_end_the_first_stands() -> None:
    async with scene() as here:
        here.agent.stop(EndReason.DRAINED)
        here.agent.stop(EndReason.STOPPED, "too late")
        await here.until(lambda: here.ended)
        assert here.ended == Ended(reason=EndReason.DRAINED)


@in_virtual_time
async def test_an_end_that_hangs_does_not_hold_it_up() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    here = Scene()
    here.session.refusal = SessionError("no such model")
    here.channel.leave = hang  # type: ignore[method-assign]  # a channel that can't be left
    began = asyncio.get_running_loop().time()
    assert (await here.agent.run()).reason is EndReason.MODEL_FAILED
    assert here.session.closed
    assert asyncio.get_running_loop().time() - began == 3


@pytest.mark.parametrize("moment", range(6))
def test_a_call_of_the_model_in_the_moment_of_a_stop_is_no_crash(moment: int) -> None:
    @in_virtual_time
    async def check() -> None:
        connector = MemoryConnector()
        renewal = Renewal(rotate_s=0, reconnect_timeout_s=30)
        session = RealtimeSession(connector, Conversation(CONFIG), renewal, command_timeout_s=5)
        here = Scene(session=session)
        running = asyncio.create_task(here.agent.run())
        await here.until(lambda: State.WAITING in here.states)
        connector.newest.says(created("r1"))
        await asyncio.sleep(1)
        here.agent.stop()
        for _ in range(moment):
            await asyncio.sleep(0)
        connector.newest.says(done("r1", CALL))
        assert await running == Ended(reason=EndReason.STOPPED)

    check()


# A voice that stops coming.


@in_virtual_time
async def test_a_voice_that_stops_coming_in_the_middle_of_a_turn_is_heard_as_silence() -> None:
    async with scene() as here:
        user = await here.user_joins()
        await here.until(lambda: here.states[-1] is State.ACTIVE)
        user.push(b"\2" * FRAME)
        here.session.does(UserSpeech(True))
        await asyncio.sleep(10)
        silence = here.session.heard[FRAME:]
        assert not any(silence)
        assert 9_000 <= len(silence) // 48 <= 10_000


@in_virtual_time
async def test_a_voice_that_comes_is_heard_as_it_is() -> None:
    async with scene() as here:
        user = await here.user_joins()
        await here.until(lambda: here.states[-1] is State.ACTIVE)
        here.session.does(UserSpeech(True))
        for _ in range(250):
            user.push(b"\2" * FRAME)
            await asyncio.sleep(0.02)
        assert here.session.heard == b"\2" * FRAME * 250


@in_virtual_time
async def test_where_nobody_speaks_no_silence_is_made_up() -> None:
    async with scene() as here:
        user = await here.user_joins()
        await here.until(lambda: here.states[-1] is State.ACTIVE)
        user.push(b"\2" * FRAME)
        await asyncio.sleep(10)
        assert here.session.heard == b"\2" * FRAME


# What is heard of the agent.


@in_virtual_time
async def test_what_somebody_else_has_played_is_not_what_the_user_heard() -> None:
    async with scene() as here:
        await here.user_joins(USER)
        other = await here.user_joins(OTHER)
        here.session.does(LONG)
        await asyncio.sleep(2)
        other.report_played(0)
        here.session.does(Interrupt())
        await here.until(lambda: here.session.of("interrupted"))
        (((_, _, heard_ms),),) = here.session.of("interrupted")
        assert 1900 <= heard_ms <= 2100


@in_virtual_time
async def test_what_the_user_has_played_is_what_they_heard() -> None:
    async with scene() as here:
        user = await here.user_joins(USER)
        here.session.does(LONG)
        await asyncio.sleep(2)
        user.report_played(0)
        here.session.does(Interrupt())
        await here.until(lambda: here.session.of("interrupted"))
        (((_, _, heard_ms),),) = here.session.of("interrupted")
        assert heard_ms < 100


@in_virtual_time
async def test_the_last_bit_of_a_reply_is_spoken_when_its_end_is_known() -> None:
    async with scene() as here:
        user = await here.user_joins()
        async with listening(user) as events:
            here.session.does(Play("i1", 0, b"\1\0" * 100))
            await asyncio.sleep(1)
            assert not audio_of(events)
            here.session.does(EndPart("i1", 0))
            await asyncio.sleep(1)
        assert audio_of(events) == b"\1\0" * 100 + bytes(FRAME - 200)


@in_virtual_time
async def test_when_its_user_has_left_it_hears_whoever_comes() -> None:
    async with scene(user_left_grace_s=60) as here:
        heard: list[int | None] = []
        here.channel.hear = heard.append  # type: ignore[method-assign, assignment]  # to see whom it wants to hear
        user = await here.user_joins(USER)
        await user.leave()
        await here.until(lambda: here.session.of("clear"))
        assert heard == [USER, None]


def test_speech_that_was_dropped_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    @in_virtual_time
    async def check() -> None:
        async with scene(playout=Playout(max_buffer_s=0.1)) as here:
            await here.user_joins()
            here.session.does(Play("i1", 0, bytes(FRAME * 10)))
            await asyncio.sleep(1)

    check()
    assert "4800 bytes of speech" in caplog.text


# Its channel is interrupted.


@in_virtual_time
async def test_what_is_to_be_said_waits_while_nobody_hears_it() -> None:
    async with scene() as here:
        user = await here.user_joins()
        async with listening(user) as events:
            here.session.does(Play("i1", 0, bytes(range(1, 251)) * 192), EndPart("i1", 0))
            await asyncio.sleep(0.3)
            here.channel.inbox.put(Reconnecting("the network is gone"))
            await asyncio.sleep(0.1)
            before = audio_of(events)
            assert 0.3 <= len(before) / 48_000 <= 0.5
            await asyncio.sleep(20)
            assert audio_of(events) == before
            here.channel.inbox.put(Reconnected())
            await asyncio.sleep(0.2)
            assert len(before) < len(audio_of(events)) < 48_000
            await asyncio.sleep(1)
            assert audio_of(events) == bytes(range(1, 251)) * 192
        assert here.ended is None


@in_virtual_time
async def test_what_the_model_says_during_an_interruption_is_heard_after_it() -> None:
    async with scene() as here:
        user = await here.user_joins()
        async with listening(user) as events:
            here.channel.inbox.put(Reconnecting("the network is gone"))
            await asyncio.sleep(0.1)
            here.session.does(Play("i1", 0, b"\1\0" * 480), EndPart("i1", 0))
            await asyncio.sleep(5)
            assert audio_of(events) == b""
            here.channel.inbox.put(Reconnected())
            await asyncio.sleep(0.1)
            assert audio_of(events) == b"\1\0" * 480


@in_virtual_time
async def test_an_interruption_that_lasts_ends_it() -> None:
    async with scene() as here:
        await here.user_joins()
        here.channel.inbox.put(Reconnecting("the network is gone"))
        here.channel.inbox.put(ChannelLost("it did not come back"))
        await asyncio.sleep(1)
        assert here.ended == Ended(reason=EndReason.RTC_FAILED, cause="it did not come back")
