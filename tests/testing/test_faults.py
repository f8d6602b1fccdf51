"""What goes wrong with a scripted server."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from realtime_agent.testing import (
    Call,
    Cut,
    Event,
    HangUp,
    Mute,
    Refuse,
    RefuseSettings,
    ScriptedConnection,
    ScriptedServer,
    Speech,
    StopReading,
    Text,
    scripted_server,
    tone,
)
from tests.testing.client import TIMEOUT_S, client_of, everything, kinds


async def test_the_next_connections_are_refused(script: ScriptedServer) -> None:
    script.fail(Refuse(HTTPStatus.TOO_MANY_REQUESTS), times=2)
    for _ in range(2):
        with pytest.raises(InvalidStatus) as caught:
            await connect(script.url)
        assert caught.value.response.status_code == 429
    async with client_of(script):
        assert (script.refused, len(script.connections)) == (2, 1)
    script.fail(Refuse())
    with pytest.raises(InvalidStatus):
        await connect(script.url)
    script.heal()
    async with client_of(script):
        pass


async def test_settings_are_refused(script: ScriptedServer) -> None:
    script.fail(RefuseSettings("model_not_found", "no such model"))
    async with client_of(script) as client:
        (answer,) = await client.ask("session.update", session={"type": "realtime"}, event_id="s")
        assert answer["error"]["code"] == "model_not_found"
        assert answer["error"]["event_id"] == "s"


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(("fault", "code"), [(HangUp, 1001), (Cut, 1006)])
async def test_a_connection_ends_when_it_is_told_to(
    script: ScriptedServer, fault: type[HangUp | Cut], code: int, at_once: bool
) -> None:
    script.fail(fault(at_once=at_once), times=1)
    async with connect(script.url, compression=None) as websocket:
        if not at_once:
            await websocket.send('{"type": "session.update", "session": {"type": "realtime"}}')
        messages = await everything(websocket)
        assert websocket.close_code == code
        assert len(messages) == (0 if at_once else 2)
    async with client_of(script) as client:
        assert kinds(await client.ask("session.update", session={"type": "realtime"})) == ["session.updated"]


async def test_a_goodbye_has_its_reason(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        await script.close(1001, "Your session hit the maximum duration of 60 minutes.")
        with pytest.raises(ConnectionClosed, match="maximum duration"):
            await client.next()


async def test_a_mute_server_hears_all_and_says_only_what_it_is_told(script: ScriptedServer) -> None:
    script.fail(Mute())
    async with connect(script.url, compression=None) as websocket:
        await websocket.send('{"type": "input_audio_buffer.clear"}')
        await script.expect("input_audio_buffer.clear")
        await script.error("server_busy", kind="server_error")
        assert "server_busy" in str(await websocket.recv())


async def test_a_server_that_hangs_reads_nothing_and_can_be_left(script: ScriptedServer) -> None:
    script.fail(StopReading(), times=1)
    async with connect(script.url, compression=None, close_timeout=0.1) as websocket:
        assert "session.created" in str(await websocket.recv())
        pong = await websocket.ping()
        await websocket.send('{"type": "input_audio_buffer.clear"}')
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(pong), 0.1)
        assert script.received == []
        script.cut()
        with pytest.raises(ConnectionClosedError):
            await pong


async def test_a_slow_network_delays_every_event(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        script.delay(0.03)
        before = time.monotonic()
        await script.send_all(script.reply(Speech("One", tone(100)))[:3])
        assert time.monotonic() - before >= 0.09
        await client.until("conversation.item.added")


@pytest.mark.parametrize("output", [Speech("Hello"), Text("Hello"), Call("f", {})])
async def test_a_reply_can_be_cut_at_every_event(script: ScriptedServer, output: Speech | Text | Call) -> None:
    async with client_of(script):
        count = len(script.reply(output))
    for index in range(count):
        async with client_of(script) as client:
            await script.send_all(script.reply(output)[:index])
            script.cut()
            assert len(await everything(client.websocket)) <= index


@pytest.mark.parametrize("fault", [HangUp, Cut])
async def test_a_connection_ends_as_late_as_it_is_told_to(script: ScriptedServer, fault: type[HangUp | Cut]) -> None:
    script.fail(fault(after_s=0.1))
    async with client_of(script) as client:
        before = time.monotonic()
        await client.ask("session.update", session={"type": "realtime"})
        await everything(client.websocket)
        assert time.monotonic() - before >= 0.1


async def test_a_connection_that_hangs_up_says_why(script: ScriptedServer) -> None:
    script.fail(HangUp(4000, "Enough."))
    async with client_of(script) as client:
        await client.send("session.update", session={"type": "realtime"})
        await everything(client.websocket)
        assert (client.websocket.close_code, client.websocket.close_reason) == (4000, "Enough.")
        assert await script.newest.ended() == 4000


async def test_faults_come_in_their_order_before_the_one_that_lasts(script: ScriptedServer) -> None:
    script.fail(Refuse(HTTPStatus.BAD_GATEWAY, "later\n"))
    script.fail(Refuse(HTTPStatus.UNAUTHORIZED, "who?\n"), times=1)
    script.fail(Refuse(HTTPStatus.FORBIDDEN, "no\n"), times=2)
    refused = []
    for _ in range(5):
        with pytest.raises(InvalidStatus) as caught:
            await connect(script.url)
        refused.append((caught.value.response.status_code, caught.value.response.body))
    assert refused == [(401, b"who?\n"), (403, b"no\n"), (403, b"no\n"), (502, b"later\n"), (502, b"later\n")]
    assert script.refused == 5
    script.fail(Refuse(), times=1)
    script.heal()
    async with client_of(script):
        pass


async def test_a_refusal_is_for_service_unavailable(script: ScriptedServer) -> None:
    script.fail(Refuse())
    with pytest.raises(InvalidStatus) as caught:
        await connect(script.url)
    assert caught.value.response.status_code == 503


async def test_a_server_may_hang_in_the_middle_and_says_no_goodbye() -> None:
    async with asyncio.timeout(TIMEOUT_S):
        async with scripted_server() as model:
            websocket = await connect(model.url, compression=None)
            model.delay(0.1)
            for _ in range(5):
                await websocket.send('{"type": "input_audio_buffer.clear"}')
            await (await websocket.ping())
            model.stop_reading()
            before = len(model.received)
            await asyncio.sleep(0.6)
            # What was read before is not taken any more, but for the one that was being answered.
            assert len(model.received) <= before + 1
        await websocket.wait_closed()
        assert websocket.close_code == 1006


async def test_a_fault_comes_though_a_handler_answers(script: ScriptedServer) -> None:
    async def answer(connection: ScriptedConnection, _: Event) -> None:
        await connection.send("session.updated", session=connection.conversation.session)

    script.on("session.update", answer)
    script.fail(HangUp(1001))
    async with client_of(script) as client:
        await client.send("session.update", session={"type": "realtime"})
        assert [event for event in await everything(client.websocket) if "session.updated" in str(event)]
        assert client.websocket.close_code == 1001


async def test_several_types_are_not_answered_any_more(script: ScriptedServer) -> None:
    async with client_of(script) as client:
        script.silent_on("input_audio_buffer.clear")
        script.silent_on("session.update", "input_audio_buffer.commit")
        for kind, fields in (
            ("input_audio_buffer.clear", {}),
            ("session.update", {"session": {"type": "realtime", "instructions": "Sing."}}),
            ("input_audio_buffer.commit", {}),
        ):
            assert await client.ask(kind, **fields) == []
        assert script.conversation.session["instructions"] == ""
