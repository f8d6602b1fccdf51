"""How a session gets another connection, and what becomes of the ones before, by a clock that jumps."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from realtime_agent.errors import ModelBusy, SessionError, SessionLost, SessionTimeout
from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime import events as ev
from realtime_agent.realtime.connection import Connection
from realtime_agent.realtime.session import Lost, Report, Restored, Rotated, UserSpeech
from realtime_agent.realtime.types import (
    AudioInput,
    ErrorDetail,
    FunctionTool,
    ResponseConfig,
    SessionAudio,
    SessionConfig,
)
from tests.realtime.conversation.talk import (
    committed,
    created,
    done,
    error,
    spoke,
    spoken_reply,
    started,
    stopped,
    words,
)
from tests.realtime.memory import MemoryConnection, Talk, take, talk

SING = SessionConfig(instructions="Sing.")
GONE = SessionLost("gone")
PUSH_TO_TALK = SessionConfig(audio=SessionAudio(input=AudioInput(turn_detection=None)))


def mute(_connection: MemoryConnection, _event: ev.ClientEvent) -> None:
    """A model that answers nothing."""


async def wait_with_a_spare_one(it: Talk) -> tuple[MemoryConnection, MemoryConnection]:
    """Let a reply be under way while the time for another connection comes: the one in use, and the spare one."""
    first = it.connector.newest
    first.says(created("r1"))
    for _ in range(5):
        first.says(words("i1", "and so on "))
        await it.settle(20)
    assert len(it.connector.connections) == 2
    return first, it.connector.newest


# In good time.


def test_a_connection_is_replaced_when_it_is_old_and_each_after_it_too() -> None:
    async def happens(it: Talk) -> None:
        await it.settle(350)

    it = talk(happens, rotate_s=100)
    assert it.connector.tries == [0, 100, 200, 300]
    assert len(it.ear.of_type(Rotated)) == 3
    assert [connection.is_closed for connection in it.connector.connections] == [True] * 4


def test_the_connection_that_was_replaced_is_hung_up_at_once() -> None:
    async def happens(it: Talk) -> None:
        await it.settle(100)
        assert [connection.is_closed for connection in it.connector.connections] == [True, False]

    talk(happens, rotate_s=100)


def test_while_the_model_responds_the_spare_connection_waits() -> None:
    async def happens(it: Talk) -> None:
        first, second = await wait_with_a_spare_one(it)
        await it.settle(50)
        assert not it.ear.of_type(Rotated)
        first.says(done("r1"))
        await it.settle()
        assert first.is_closed
        assert not second.is_closed
        it.session.remark(ResponseConfig(instructions="greet"))
        assert second.of_type(ev.ResponseCreate)

    talk(happens, rotate_s=100)


def test_what_was_not_told_on_another_connection_is_not_corrected_there() -> None:
    async def happens(it: Talk) -> None:
        it.connector.newest.says(*spoken_reply("r1", "i1", "Good day to you."), done("r1"))
        await it.settle(100)
        it.session.interrupted([("i1", 0, 700)])
        assert [event.type for event in it.connector.newest.sent] == ["session.update"]

    talk(happens, rotate_s=100, replay_tokens=0)


def test_one_spare_connection_is_enough() -> None:
    async def happens(it: Talk) -> None:
        await it.settle(100)
        it.connector.newest.says(created("r1"))
        for _ in range(50):
            it.connector.connections[1].says(words("i1", "and so on "))
            await it.settle(20)
        assert len(it.connector.connections) == 3

    talk(happens, rotate_s=100)


def test_settings_that_change_while_a_spare_connection_waits_are_in_force_on_the_next() -> None:
    async def happens(it: Talk) -> None:
        first, spare = await wait_with_a_spare_one(it)
        await it.session.update(SING)
        first.says(done("r1"))
        await it.settle()
        assert spare.settings.instructions == "Be brief."
        assert spare.is_closed
        assert it.connector.newest.settings.instructions == "Sing."
        assert not it.connector.newest.is_closed
        assert len(it.ear.of_type(Rotated)) == 1

    talk(happens, rotate_s=100)


def test_what_a_replaced_connection_still_says_is_not_heard() -> None:
    async def happens(it: Talk) -> None:
        first = it.connector.newest
        first.is_slow = True
        await it.settle(100)
        first.says(started())
        await it.settle()
        assert not it.ear.of_type(UserSpeech)

    talk(happens, rotate_s=100)


def test_where_no_other_can_be_had_the_present_one_goes_on_and_it_is_tried_again_in_a_minute() -> None:
    async def happens(it: Talk) -> None:
        it.connector.failures.extend([SessionError("no"), SessionLost("no")])
        await it.settle(225)

    it = talk(happens, rotate_s=100)
    assert it.connector.tries == [0, 100, 160, 220]
    assert [event.error.type for event in it.ear.of_type(Report)] == ["rotation_failed"] * 2
    assert not it.ear.of_type(Lost)


def test_a_connection_that_does_not_take_the_settings_is_hung_up() -> None:
    async def happens(it: Talk) -> None:
        it.connector.model = mute
        await it.settle(110)
        assert [connection.is_closed for connection in it.connector.connections] == [False, True]

    talk(happens, rotate_s=100)


def test_the_age_of_a_connection_is_counted_from_its_opening() -> None:
    async def happens(it: Talk) -> None:
        first, _ = await wait_with_a_spare_one(it)
        await it.settle(50)
        first.says(done("r1"))
        await it.settle(100)

    assert talk(happens, rotate_s=100).connector.tries == [0, 100, 200]


@pytest.mark.parametrize("end", [0, 10], ids=["in silence", "while something else happens"])
def test_words_of_the_user_that_never_come_hold_it_up_for_half_a_minute(end: int) -> None:
    async def happens(it: Talk) -> None:
        it.connector.newest.says(started(), stopped(), committed(), created("r1"), done("r1"))
        await it.settle(129)
        assert not it.ear.of_type(Rotated)
        it.connector.connections[0].says(*[ev.RateLimitsUpdated(rate_limits=[])] * end)
        await it.settle(1)
        assert it.ear.of_type(Rotated)

    talk(happens, rotate_s=100)


# After a loss.


def test_the_next_try_is_made_at_once_and_the_session_says_how_long_it_took() -> None:
    async def happens(it: Talk) -> None:
        it.connector.failures.extend([GONE, GONE])
        it.connector.newest.says(GONE)
        await it.settle(10)

    it = talk(happens)
    assert it.connector.connections[0].is_closed
    # At once, then after a quarter and half a second less what chance may take.
    assert it.connector.tries == [0, 0, 0.125, 0.375]
    assert it.ear.of_type(Lost) == [Lost("gone")]
    assert it.ear.of_type(Restored) == [Restored(0.375)]


def test_the_spare_connection_takes_the_place_of_one_that_is_lost() -> None:
    async def happens(it: Talk) -> None:
        first, spare = await wait_with_a_spare_one(it)
        first.says(GONE)
        await it.settle()
        assert it.ear.of_type(Restored) == [Restored(0)]
        assert it.connector.newest is spare
        # The reply that was cut is asked for on it.
        assert spare.of_type(ev.ResponseCreate)
        # And in its time it is replaced too.
        spare.says(created("r2"), done("r2"))
        await it.settle(100)
        assert len(it.connector.connections) == 3
        assert spare.is_closed

    talk(happens, rotate_s=100)


def test_a_spare_connection_that_is_ready_during_an_outage_ends_it() -> None:
    async def happens(it: Talk) -> None:
        first = it.connector.newest
        ready = asyncio.Event()

        async def slowly() -> Connection:
            it.connector.failures.extend([SessionLost("full")] * 9)
            await ready.wait()
            return MemoryConnection(take)

        connect, it.connector.connect = it.connector.connect, slowly  # type: ignore[method-assign]  # once
        await it.settle(100)
        it.connector.connect = connect  # type: ignore[method-assign]
        first.says(GONE)
        await it.settle(3)
        tries = len(it.connector.tries)
        ready.set()
        await it.settle(3)
        assert it.ear.of_type(Restored)
        assert it.ear.failure is None
        assert len(it.connector.tries) == tries

    talk(happens, rotate_s=100)


def test_of_two_connections_that_are_ready_after_an_outage_one_is_hung_up() -> None:
    async def happens(it: Talk) -> None:
        first, connect = it.connector.newest, it.connector.connect

        async def slowly() -> Connection:
            await asyncio.sleep(5)
            return await connect()

        it.connector.connect = slowly  # type: ignore[method-assign]  # a network that takes its time
        await it.settle(99)
        first.says(GONE)
        await it.settle(1)
        await it.settle(20)
        assert it.ear.of_type(Restored)
        assert [connection.is_closed for connection in it.connector.connections].count(False) == 1

    talk(happens, rotate_s=97)


def test_what_the_user_says_into_a_dead_network_is_said_again_on_the_next_connection() -> None:
    async def happens(it: Talk) -> None:
        await it.settle(10)
        first = it.connector.newest
        first.is_dead = True
        said = b"".join(bytes([number]) * 960 for number in range(250))
        for at in range(0, len(said), 960):
            it.session.append(said[at : at + 960])
            await asyncio.sleep(0.02)
        assert len(first.of_type(ev.InputAudioBufferAppend)) == 250
        await it.settle(9)
        first.says(GONE)
        await it.settle()
        assert it.connector.newest.audio == said

    talk(happens)


def test_what_the_model_has_had_of_a_silent_user_is_not_said_again() -> None:
    async def happens(it: Talk) -> None:
        for _ in range(1000):
            it.session.append(bytes(960))
            await asyncio.sleep(0.02)
        it.connector.newest.says(GONE)
        await it.settle()
        assert 2000 <= len(it.connector.newest.audio) // BYTES_PER_MS <= 4100

    talk(happens)


def test_what_waits_while_a_connection_is_behind_is_sent_when_it_is_not() -> None:
    async def happens(it: Talk) -> None:
        first = it.connector.newest
        first.behind = True
        it.session.append(bytes(960))
        it.session.append(bytes(960))
        await it.settle(1)
        assert not first.of_type(ev.InputAudioBufferAppend)
        first.behind = False
        await it.settle(0.1)
        assert len(first.audio) == 1920
        it.session.append(bytes(960))
        assert len(first.of_type(ev.InputAudioBufferAppend)) == 2

    talk(happens)


def test_two_turns_that_were_committed_during_an_outage_are_two_messages() -> None:
    async def happens(it: Talk) -> None:
        await it.session.update(PUSH_TO_TALK)
        it.connector.newest.says(GONE)
        it.connector.failures.extend([GONE] * 2)
        await it.settle()
        commits = []
        for number in range(2):
            it.session.append(bytes([number]) * 960)
            commits.append(asyncio.create_task(it.session.commit()))
            await asyncio.sleep(0)
        await it.settle(1)
        second = it.connector.newest
        kinds = [event.type.removeprefix("input_audio_buffer.") for event in second.sent[1:]]
        assert kinds == ["append", "commit"] * 2
        second.says(committed("u1"), committed("u2"))
        await asyncio.gather(*commits)

    talk(happens)


def test_a_turn_by_push_to_talk_is_not_cut_by_rotation() -> None:
    async def happens(it: Talk) -> None:
        await it.session.update(PUSH_TO_TALK)
        await it.settle(50)
        for _ in range(40):
            it.session.append(bytes(1000 * BYTES_PER_MS))
            await asyncio.sleep(1)
        await it.settle(50)
        assert not it.ear.of_type(Rotated)
        committing = asyncio.create_task(it.session.commit())
        await it.settle()
        it.connector.connections[0].says(committed("u1"))
        await committing
        it.connector.connections[0].says(spoke("u1", "That was long."))
        await it.settle()
        assert it.ear.of_type(Rotated)

    talk(happens, rotate_s=100)


def test_a_spare_connection_with_other_settings_does_not_take_the_place_of_one_that_is_lost() -> None:
    async def happens(it: Talk) -> None:
        first, spare = await wait_with_a_spare_one(it)
        await it.session.update(SING)
        first.says(GONE)
        await it.settle()
        assert spare.is_closed
        assert it.connector.newest.settings.instructions == "Sing."
        assert it.ear.of_type(Restored) == [Restored(0)]

    talk(happens, rotate_s=100)


@pytest.mark.parametrize("cut", [False, True], ids=["at a quiet moment", "at a loss"])
def test_a_spare_connection_that_is_lost_itself_takes_the_place_of_none(cut: bool) -> None:
    async def happens(it: Talk) -> None:
        first, spare = await wait_with_a_spare_one(it)
        spare.says(GONE)
        first.says(GONE if cut else done("r1"))
        await it.settle(60)
        assert len(it.connector.connections) == 3
        assert len(it.ear.of_type(Lost)) == cut
        assert len(it.ear.of_type(Rotated)) == (not cut)

    talk(happens, rotate_s=100)


def test_where_each_spare_connection_is_lost_none_is_made_in_haste() -> None:
    async def happens(it: Talk) -> None:
        def hang_up(connection: MemoryConnection, event: ev.ClientEvent) -> None:
            take(connection, event)
            connection.says(GONE)

        it.connector.model = hang_up
        await it.settle(400)

    it = talk(happens, rotate_s=100)
    assert len(it.connector.tries) < 10


@pytest.mark.parametrize("named", [{"code": "rate_limit_exceeded"}, {"type": "server_error"}], ids=["code", "type"])
def test_an_error_that_may_pass_in_the_answer_to_the_settings_is_tried_again(named: dict[str, str]) -> None:
    fields = {"type": "invalid_request_error", "message": "not now", **named}

    async def happens(it: Talk) -> None:
        def refuse_once(connection: MemoryConnection, _event: ev.ClientEvent) -> None:
            connection.says(ev.ErrorEvent(error=ErrorDetail.model_validate(fields)))
            it.connector.model = take

        it.connector.model = refuse_once
        it.connector.newest.says(GONE)
        await it.settle(1)
        assert it.ear.of_type(Restored)
        assert it.connector.connections[1].is_closed

    talk(happens)


def test_the_end_names_what_went_wrong_last() -> None:
    async def happens(it: Talk) -> None:
        it.connector.failures.extend([SessionLost("out of order")] * 20)
        it.connector.newest.says(GONE)
        await it.settle(40)

    it = talk(happens)
    assert str(it.ear.failure) == "the model was lost and did not come back: out of order"
    assert it.connector.tries[-1] == 30


def test_settings_that_were_agreed_to_are_told_once_more_when_they_are_refused() -> None:
    async def happens(it: Talk) -> None:
        await it.session.update(SING)
        refusals = iter([error("engine_overloaded")])

        def refuse_once(connection: MemoryConnection, event: ev.ClientEvent) -> None:
            if refusal := next(refusals, None):
                connection.says(refusal)
            else:
                take(connection, event)

        it.connector.model = refuse_once
        it.connector.newest.says(GONE)
        await it.settle(5)
        assert it.connector.newest.settings.instructions == "Sing."
        assert not it.ear.of_type(Report)

    talk(happens)


def test_what_was_replaced_may_end_as_it_likes() -> None:
    async def happens(it: Talk) -> None:
        first = it.connector.newest

        def end_the_first(connection: MemoryConnection, event: ev.ClientEvent) -> None:
            take(connection, event)
            if connection is not first and isinstance(event, ev.SessionUpdate):
                first.says(SessionError("the model closed the connection with 4000"))

        it.connector.model = end_the_first
        await it.settle(101)
        assert it.ear.failure is None
        assert it.ear.of_type(Rotated)

    talk(happens, rotate_s=100)


def test_a_command_that_its_caller_gives_up_does_not_stop_rotation() -> None:
    async def happens(it: Talk) -> None:
        it.connector.model = mute
        asking = asyncio.create_task(it.session.tell("It rains."))
        await it.settle(1)
        asking.cancel()
        it.connector.model = take
        await it.settle(100)
        assert it.ear.of_type(Rotated)

    talk(happens, rotate_s=100)


def test_a_microphone_that_is_open_by_push_to_talk_holds_rotation_up_for_two_minutes() -> None:
    async def happens(it: Talk) -> None:
        await it.session.update(PUSH_TO_TALK)
        for _ in range(215):
            it.session.append(bytes(1000 * BYTES_PER_MS))
            await asyncio.sleep(1)
        assert not it.ear.of_type(Rotated)
        for _ in range(30):
            it.session.append(bytes(1000 * BYTES_PER_MS))
            await asyncio.sleep(1)
        assert it.ear.of_type(Rotated)

    talk(happens, rotate_s=100)


def test_settings_that_were_agreed_to_and_are_refused_on_another_connection_are_taken_back() -> None:
    async def happens(it: Talk) -> None:
        await it.session.update(SING)

        def refuse(connection: MemoryConnection, event: ev.ClientEvent) -> None:
            if isinstance(event, ev.SessionUpdate) and event.session.to_dict().get("instructions") == "Sing.":
                connection.says(error("invalid_value"))
            else:
                take(connection, event)

        it.connector.model = refuse
        it.connector.newest.says(GONE)
        await it.settle(1)
        assert it.ear.of_type(Restored)
        assert it.connector.newest.settings.instructions == "Be brief."
        assert [event.error.type for event in it.ear.of_type(Report)] == ["settings_reverted"]

    talk(happens)


def test_the_functions_that_the_model_may_call_are_those_that_it_has_agreed_to() -> None:
    tools = SessionConfig(tools=[FunctionTool(name="look_up", parameters={"type": "object"})])

    async def happens(it: Talk) -> None:
        assert it.session.functions == frozenset()
        it.connector.newest.model = mute
        with pytest.raises(SessionTimeout):
            await it.session.update(tools)
        assert it.session.functions == frozenset()
        it.connector.newest.says(ev.SessionUpdated())
        await it.settle()
        assert it.session.functions == {"look_up"}

        def refuse(connection: MemoryConnection, event: ev.ClientEvent) -> None:
            if isinstance(event, ev.SessionUpdate) and event.session.to_dict().get("tools"):
                connection.says(error("invalid_value"))
            else:
                take(connection, event)

        it.connector.model = refuse
        it.connector.newest.says(GONE)
        await it.settle(1)
        assert it.ear.of_type(Restored)
        assert it.session.functions == frozenset()

    talk(happens)


def test_settings_that_are_refused_though_they_were_taken_before_are_told_again() -> None:
    async def happens(it: Talk) -> None:
        it.connector.model = lambda connection, _: connection.says(error("engine_overloaded"))
        it.connector.newest.says(GONE)
        await it.settle(10)
        it.connector.model = take
        await it.settle(10)
        assert it.ear.of_type(Restored)

    talk(happens)


@pytest.mark.parametrize(("code", "after_s"), [("invalid_api_key", 0), ("engine_overloaded", 30)])
def test_what_no_other_try_is_spared_ends_it_at_once_and_all_else_in_its_time(code: str, after_s: int) -> None:
    async def happens(it: Talk) -> None:
        it.connector.model = lambda connection, _: connection.says(error(code))
        it.connector.newest.says(GONE)
        await it.settle(60)

    it = talk(happens)
    assert "refused its settings" in str(it.ear.failure)
    assert it.connector.tries[-1] == after_s


def test_what_waited_in_an_outage_is_not_forgotten_where_the_next_connection_breaks_too() -> None:
    async def happens(it: Talk) -> None:
        it.connector.failures.extend([GONE] * 7)
        it.connector.newest.says(GONE)
        said = b"".join(bytes([number]) * 960 for number in range(200))
        for at in range(0, len(said), 960):
            it.session.append(said[at : at + 960])
            await asyncio.sleep(0.02)
        await it.settle(5)
        second = it.connector.newest
        assert second.audio == said
        for _ in range(50):
            it.session.append(bytes(960))
            await asyncio.sleep(0.02)
        second.says(GONE)
        await it.settle()
        assert it.connector.newest.audio == said + bytes(50 * 960)

    talk(happens)


def test_audio_is_sent_in_messages_that_every_server_takes() -> None:
    async def happens(it: Talk) -> None:
        it.connector.newest.behind = True
        it.session.append(bytes(25_000 * BYTES_PER_MS))
        it.connector.newest.behind = False
        await it.settle(1)
        assert len(it.connector.newest.audio) == 25_000 * BYTES_PER_MS
        longest = max(len(event.audio) for event in it.connector.newest.of_type(ev.InputAudioBufferAppend))
        assert longest < 2**17

    talk(happens)


@pytest.mark.parametrize("command", ["tell", "update", "commit"])
def test_a_command_that_is_never_answered_does_not_stop_rotation(command: str) -> None:
    async def happens(it: Talk) -> None:
        it.connector.model = mute
        session = it.session
        asking = {"tell": session.tell("It rains."), "update": session.update(SING), "commit": session.commit()}
        with pytest.raises(SessionTimeout):
            await asking.pop(command)
        for other in asking.values():
            other.close()
        it.connector.model = take
        await it.settle(100)
        assert it.ear.of_type(Rotated)

    talk(happens, rotate_s=100)


def test_a_response_over_which_each_connection_is_lost_is_given_up() -> None:
    async def happens(it: Talk) -> None:
        def poisoned(connection: MemoryConnection, event: ev.ClientEvent) -> None:
            take(connection, event)
            if isinstance(event, ev.ResponseCreate):
                asyncio.get_running_loop().call_later(20, connection.says, GONE)

        it.connector.model = poisoned
        it.session.remark(ResponseConfig(instructions="greet"))
        it.connector.newest.says(created("r1"))
        for number in range(2, 9):
            await it.settle(20)
            it.connector.newest.says(created(f"r{number}"))
        assert len(it.connector.connections) == 6

    talk(happens)


# A response that does not begin.


def test_a_response_that_never_begins_is_given_up_and_the_next_has_its_turn() -> None:
    async def happens(it: Talk) -> None:
        model = it.connector.newest
        it.session.remark(ResponseConfig(instructions="greet"))
        await it.session.create_response(ResponseConfig(instructions="next"))
        await it.settle(20)
        assert [event.error.type for event in it.ear.of_type(Report)] == ["no_response"]
        assert [create.response.instructions for create in model.of_type(ev.ResponseCreate) if create.response] == [
            "greet", "next",
        ]  # fmt: skip
        await it.settle(20)
        assert not it.session.is_responding

    talk(happens)


def test_each_response_has_its_own_time_to_begin() -> None:
    async def happens(it: Talk) -> None:
        model = it.connector.newest
        it.session.remark(ResponseConfig(instructions="greet"))
        await it.settle(9)
        model.says(created("r1"), done("r1"))
        await it.settle()
        it.session.remark(ResponseConfig(instructions="next"))
        await it.settle(5)
        assert not it.ear.of_type(Report)
        assert it.session.is_responding

    talk(happens)


def test_a_response_that_is_asked_for_again_has_its_time_again() -> None:
    async def happens(it: Talk) -> None:
        await it.settle(9.9)
        it.session.remark(ResponseConfig(instructions="greet"))
        await it.settle(0.2)
        it.connector.failures.extend([GONE] * 5)
        it.connector.newest.says(GONE)
        await it.settle(11)
        assert it.connector.newest.of_type(ev.ResponseCreate)
        assert not it.ear.of_type(Report)

    talk(happens)


def test_a_response_that_goes_on_is_not_given_up_and_one_that_does_not_is() -> None:
    async def happens(it: Talk) -> None:
        model = it.connector.newest
        it.session.remark(ResponseConfig(instructions="greet"))
        model.says(created("r1"))
        for _ in range(20):
            model.says(words("i1", "and so on "))
            await it.settle(30)
        assert it.session.is_responding
        assert not it.ear.of_type(Report)
        await it.settle(120)
        assert not it.session.is_responding
        assert [event.error.type for event in it.ear.of_type(Report)] == ["response_incomplete"]

    talk(happens)


def test_a_turn_that_is_never_answered_holds_what_waits_for_some_seconds() -> None:
    async def happens(it: Talk) -> None:
        model = it.connector.newest
        model.says(started(), stopped(), committed())
        await it.settle(1)
        it.session.remark(ResponseConfig(instructions="greet"))
        assert not model.of_type(ev.ResponseCreate)
        await it.settle(20)
        assert model.of_type(ev.ResponseCreate)

    talk(happens)


def test_a_connection_that_the_model_ends_for_good_ends_it() -> None:
    async def happens(it: Talk) -> None:
        it.connector.newest.says(SessionError("the model closed the connection with 4000"))
        await it.settle(10)

    it = talk(happens)
    assert str(it.ear.failure) == "the model closed the connection with 4000"
    assert len(it.connector.tries) == 1


# Hanging up.


def test_all_connections_are_hung_up_when_it_closes() -> None:
    async def happens(it: Talk) -> None:
        await wait_with_a_spare_one(it)

    it = talk(happens, rotate_s=100)
    assert [connection.is_closed for connection in it.connector.connections] == [True, True]


def test_one_that_takes_long_to_hang_up_delays_nobody() -> None:
    async def happens(it: Talk) -> None:
        first = it.connector.newest
        first.is_slow = True
        await it.settle(350)
        assert len(it.ear.of_type(Rotated)) == 3
        assert not first.is_closed

    it = talk(happens, rotate_s=100)
    assert all(connection.is_closed for connection in it.connector.connections)


def test_a_lost_connection_is_hung_up_while_another_is_sought() -> None:
    async def happens(it: Talk) -> None:
        it.connector.failures.extend([GONE] * 5)
        it.connector.newest.says(error("session_expired"))
        await it.settle()
        assert it.connector.newest.is_closed
        assert not it.ear.of_type(Restored)

    talk(happens)


def test_a_connection_that_is_over_is_kept_nowhere() -> None:
    async def happens(it: Talk) -> None:
        first = weakref.ref(it.connector.newest)
        await it.settle(105)
        it.connector.connections.clear()
        gc.collect()
        assert first() is None

    talk(happens, rotate_s=100)


def test_after_it_has_closed_nothing_is_sent() -> None:
    async def happens(it: Talk) -> None:
        await it.session.close()
        it.session.append(bytes(960))
        it.session.remark(ResponseConfig())

    it = talk(happens)
    assert [event.type for event in it.connector.newest.sent] == ["session.update"]


# Commands meanwhile.


def test_a_command_that_nobody_waits_for_any_more_is_not_told_after_the_outage() -> None:
    async def happens(it: Talk) -> None:
        it.connector.failures.extend([GONE] * 6)
        it.connector.newest.says(GONE)
        await it.settle()
        commands = [it.session.commit(), it.session.tell("It rains."), it.session.update(SING)]
        for refused in await asyncio.gather(*commands, return_exceptions=True):
            assert isinstance(refused, SessionTimeout)
            assert str(refused) == "the model is lost and did not come back within 5 s; it was not told"
        await it.settle(10)
        assert it.ear.of_type(Restored)
        assert [event.type for event in it.connector.newest.sent] == ["session.update"]
        assert it.connector.newest.settings.instructions == "Be brief."

    talk(happens)


def test_a_command_that_waits_for_the_end_of_the_outage_is_carried_out() -> None:
    async def happens(it: Talk) -> None:
        it.connector.failures.extend([GONE] * 2)
        it.connector.newest.says(GONE)
        await it.settle()
        await asyncio.gather(it.session.tell("It rains."), it.session.update(SING))
        kinds = [event.type for event in it.connector.newest.sent]
        assert kinds == ["session.update", "conversation.item.create", "session.update"]

    talk(happens)


def test_what_was_told_and_nobody_waits_for_is_not_told_again() -> None:
    async def happens(it: Talk) -> None:
        it.connector.model = mute
        first = it.connector.newest
        for command in (it.session.commit(), it.session.update(SING)):
            with pytest.raises(SessionTimeout, match="the model did not answer the command within 5 s"):
                await command
        assert [event.type for event in first.sent[1:]] == ["input_audio_buffer.commit", "session.update"]
        it.connector.model = take
        first.says(GONE)
        await it.settle()
        assert [event.type for event in it.connector.newest.sent] == ["session.update"]
        assert it.connector.newest.settings.instructions == "Be brief."

    talk(happens)


def test_an_answer_that_comes_as_its_command_is_given_up_is_nobody_s() -> None:
    async def happens(it: Talk) -> None:
        it.connector.model = mute
        asking = asyncio.create_task(it.session.update(SING))
        await it.settle()
        it.connector.newest.says(ev.SessionUpdated())
        asking.cancel()
        await it.settle()
        assert asking.cancelled()
        assert it.ear.failure is None
        assert not it.session._answers

    talk(happens)


def test_a_model_that_answers_no_command_is_asked_no_more() -> None:
    async def happens(it: Talk) -> None:
        it.connector.model = mute
        for _ in range(8):
            commands = [it.session.update(SING) for _ in range(8)]
            for refused in await asyncio.gather(*commands, return_exceptions=True):
                assert isinstance(refused, SessionTimeout)
        with pytest.raises(ModelBusy, match="has not answered the last 64 commands"):
            await it.session.tell("It rains.")
        # Once it answers, commands are taken again.
        it.connector.model = take
        it.connector.newest.says(*[ev.SessionUpdated()] * 64)
        await it.settle()
        await it.session.tell("It rains.")

    talk(happens)


def test_an_error_about_the_old_connection_s_command_is_nobody_s() -> None:
    async def happens(it: Talk) -> None:
        it.connector.model = mute
        first = it.connector.newest
        asking = asyncio.create_task(it.session.update(SING))
        await it.settle()
        event_id = first.sent[-1].event_id
        it.connector.model = take
        first.says(GONE)
        await asking
        it.connector.newest.says(error("invalid_value", event_id))
        await it.settle()
        assert [event.error.code for event in it.ear.of_type(Report)] == ["invalid_value"]

    talk(happens)
