"""What of Agora's packages is guarded against: each of these fails without its guard in rtc/agora/."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from realtime_agent.errors import ChannelError
from realtime_agent.rtc.agora import AgoraChannel, AgoraEngine, build_token
from realtime_agent.rtc.channel import (
    AudioFrame,
    ChannelLost,
    Message,
    Reconnected,
    Reconnecting,
    UserJoined,
    UserLeft,
)
from tests.agora.network import LoopbackNetwork
from tests.agora.stays import APP_ID, CERTIFICATE, TIMEOUT_S, channel_of, next_of, staying

pytestmark = pytest.mark.usefixtures("network")

_OWN_HANDLERS = ("agora_realtime_ai_api.rtc", "agora_realtime_ai_api.token_builder.realtimekit_token_builder")
FRAME = b"\1\0" * 480


@pytest.fixture
async def engine(tmp_path: Path) -> AgoraEngine:
    return AgoraEngine(APP_ID, tmp_path / "logs", timeout_s=TIMEOUT_S)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def threads() -> int:
    """All of this process, the library's too."""
    return len(list(Path("/proc/self/task").iterdir()))


# --- joining


async def refusal(channel: AgoraChannel) -> str:
    with pytest.raises(ChannelError) as caught:
        await channel.join()
    await channel.leave()
    return str(caught.value)


async def test_a_library_that_never_answers_is_given_up(engine: AgoraEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGORA_LOOPBACK_CONNECT", "silent")
    assert await refusal(channel_of(engine, timeout_s=0.2)) == "Agora did not let us join within 0.2 s"


async def test_a_library_that_takes_no_channel_is_no_wait(engine: AgoraEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGORA_LOOPBACK_CONNECT", "error:-7")
    assert await refusal(channel_of(engine)) == "Agora's library does not take channel 'room': it answers -7"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (6, "AGORA_APP_ID is no app id that Agora knows"),
        (8, "Agora did not accept the token: does AGORA_APP_CERT belong to AGORA_APP_ID?"),
        (9, "the token has expired"),
        (99, "reason 99 of Agora's"),
    ],
)
async def test_a_refusal_says_why(
    engine: AgoraEngine, monkeypatch: pytest.MonkeyPatch, reason: int, words: str
) -> None:
    monkeypatch.setenv("AGORA_LOOPBACK_CONNECT", f"refuse:{reason}")
    assert await refusal(channel_of(engine)) == f"Agora refused channel 'room': {words}"


async def test_whoever_is_told_twice_that_it_is_connected_has_joined_once(
    engine: AgoraEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGORA_LOOPBACK_CONNECT", "twice")
    agent, user = channel_of(engine), channel_of(engine, 5)
    async with staying(agent, user):
        assert await next_of(agent.inbox.events(), UserJoined) == UserJoined(5)


async def test_a_service_that_does_not_begin_is_an_error_and_may_begin_later(
    engine: AgoraEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGORA_LOOPBACK_INITIALIZE", "-5")
    assert await refusal(channel_of(engine)) == "Agora's service does not begin: its library answers -5"
    monkeypatch.delenv("AGORA_LOOPBACK_INITIALIZE")
    async with staying(channel_of(engine)):
        pass


async def test_channels_of_a_process_share_its_one_service(engine: AgoraEngine) -> None:
    for _ in range(2):
        async with staying(channel_of(engine, 1), channel_of(engine, 2), channel_of(engine, 3)):
            pass


@pytest.mark.parametrize("moment", [0.0, 0.001, 0.01, 0.05])
async def test_a_join_that_is_given_up_leaves_nothing_behind(engine: AgoraEngine, moment: float) -> None:
    before = threads()
    channel = channel_of(engine)
    joining = asyncio.create_task(channel.join())
    await asyncio.sleep(moment)
    joining.cancel()
    await asyncio.wait([joining])
    await channel.leave()
    async with staying(channel_of(engine)):
        pass
    async with asyncio.timeout(TIMEOUT_S):
        while threads() > before:
            await asyncio.sleep(0.01)


async def test_only_our_own_tasks_run_while_we_stay(engine: AgoraEngine) -> None:
    before = asyncio.all_tasks()
    async with staying(channel_of(engine)):
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before


async def test_the_second_with_a_uid_takes_the_first_one_s_place(engine: AgoraEngine) -> None:
    first, second = channel_of(engine), channel_of(engine)
    async with staying(first, second):
        lost = await next_of(first.inbox.events(), ChannelLost)
        assert lost == ChannelLost("another participant joined with the same uid")


# --- leaving


async def test_leaving_before_joining_ends_the_events(engine: AgoraEngine) -> None:
    channel = channel_of(engine)
    await channel.leave()
    assert [event async for event in channel.inbox.events()] == []


@pytest.mark.parametrize("how", ["silent", "noisy"])
async def test_leaving_ends_whatever_the_library_says_of_it(
    engine: AgoraEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    monkeypatch.setenv("AGORA_LOOPBACK_DISCONNECT", how)
    agent, user = channel_of(engine), channel_of(engine, 5)
    await agent.join()
    await user.join()
    async with asyncio.timeout(TIMEOUT_S):
        await user.leave()
        events = agent.inbox.events()
        assert [await anext(events), await anext(events)] == [UserJoined(5), UserLeft(5)]
        await agent.leave()
        assert [event async for event in events] == []
    waited = ["Agora's library did not say within 1 s that it left 'room'"] * 2
    assert warnings(caplog) == (waited if how == "silent" else [])


@pytest.mark.parametrize("how", ["waited for", "given up", "too slow"])
async def test_the_service_does_not_end_before_all_is_freed(
    engine: AgoraEngine, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("AGORA_LOOPBACK_DESTROY", "1000")
    channel = channel_of(engine)
    await channel.join()
    connection, service = channel._connection, engine._engine
    assert connection is not None
    ended: list[str] = []
    release, destroy = connection.release, service.destroy

    def release_and_tell() -> None:
        release()
        ended.append("the connection")

    monkeypatch.setattr(connection, "release", release_and_tell)
    monkeypatch.setattr(service, "destroy", lambda: ended.append("the service"))
    if how == "too slow":
        engine._timeout_s = 0.2
        with pytest.raises(ChannelError, match=r"longer than 0\.2 s to free a connection"):
            await channel.leave()
        # Nor does the process's end come between.
        monkeypatch.setattr(connection._connection, "disconnect", lambda: ended.append("the end of the process"))
        engine._fall_silent()
        async with asyncio.timeout(TIMEOUT_S):
            while not ended:
                await asyncio.sleep(0.01)
    if how == "given up":
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await channel.leave()
        await channel.leave()
    if how == "waited for":
        await channel.leave()
    destroy()  # a process may have one
    assert ended == (["the connection"] if how == "too slow" else ["the connection", "the service"])


@pytest.mark.parametrize("after_s", [0, 0.1])
async def test_a_leave_that_was_given_up_goes_on(engine: AgoraEngine, network: LoopbackNetwork, after_s: float) -> None:
    channel = channel_of(engine)
    await channel.join()
    for number in range(20):
        channel.send({"type": "transcript", "role": "user", "item_id": str(number), "text": "x" * 400, "final": True})
    leaving = asyncio.create_task(channel.leave())
    await asyncio.sleep(after_s)
    leaving.cancel()
    await asyncio.wait([leaving])
    await channel.leave()
    assert (network.participants(), engine._engine) == ({}, None)


async def test_an_interruption_right_after_the_beginning_is_told(engine: AgoraEngine, network: LoopbackNetwork) -> None:
    channel = channel_of(engine, reconnect_timeout_s=0.2)
    joining = asyncio.create_task(channel.join())
    async with asyncio.timeout(TIMEOUT_S):
        while "7" not in network.participants():
            await asyncio.sleep(0)
    network.tell(7, "away")
    time.sleep(0.2)  # noqa: ASYNC251 - the loop is held up, so that all of it is told at once
    await joining
    events = channel.inbox.events()
    assert await next_of(events, Reconnecting) == Reconnecting("the connection was interrupted")
    assert isinstance(await next_of(events, ChannelLost), ChannelLost)
    await channel.leave()


async def test_only_who_is_to_be_heard_is_subscribed_to_and_heard(
    engine: AgoraEngine, network: LoopbackNetwork
) -> None:
    agent, user, other = channel_of(engine), channel_of(engine, 5), channel_of(engine, 9)
    async with staying(agent, user, other):
        await network.until(7, lambda now: sorted(now["heard"].split(",")) == ["", "5", "9"], "the agent to hear both")
        agent.hear(5)
        assert network.ask(7)["heard"] == "5,"
        network.tell(7, "frames 9 24000 1")  # on its way already
        network.tell(7, "frames 5 24000 1")
        events = [await anext(agent.inbox.events()) for _ in range(3)]
        assert [each.uid for each in events if isinstance(each, AudioFrame)] == [5]


async def test_a_voice_that_was_refused_is_asked_for_again(
    engine: AgoraEngine, network: LoopbackNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGORA_LOOPBACK_SUBSCRIBE", "-8")
    agent = channel_of(engine)
    async with staying(agent, channel_of(engine, 5)):
        assert await next_of(agent.inbox.events(), UserJoined) == UserJoined(5)
        monkeypatch.delenv("AGORA_LOOPBACK_SUBSCRIBE")
        await network.until(7, lambda now: "5," in now["heard"], "the agent to hear the user")


async def test_the_last_message_comes_before_those_that_would_take_too_long(
    engine: AgoraEngine, network: LoopbackNetwork
) -> None:
    agent, user = channel_of(engine), channel_of(engine, 5)
    async with staying(user):
        await agent.join()
        await network.met(5, 7)
        agent.send({"type": "transcript", "role": "user", "item_id": "i", "text": "x" * 20_000, "final": True})
        agent.send({"type": "state", "state": "ended", "reason": "idle"})
        await agent.leave()
        events = user.inbox.events()
        assert await next_of(events, UserJoined) == UserJoined(7)
        assert await next_of(events, Message) == Message(7, {"type": "state", "state": "ended", "reason": "idle"})


async def test_a_message_that_is_no_text_is_dropped_without_a_word(
    engine: AgoraEngine, network: LoopbackNetwork, capfd: pytest.CaptureFixture[str]
) -> None:
    channel = channel_of(engine)
    async with staying(channel):
        network.tell(7, "message 5 \udcff\udcfe")
        network.tell(7, "joined", 5)
        assert await next_of(channel.inbox.events(), UserJoined) == UserJoined(5)
    assert capfd.readouterr().err == ""


async def test_a_service_that_gives_nothing_to_set_is_one_clear_error(
    engine: AgoraEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGORA_LOOPBACK_PARAMETER", "none")
    monkeypatch.setenv("AGORA_LOOPBACK_INITIALIZE", "-2")
    assert await refusal(channel_of(engine)) == "Agora's service does not begin: its library gives nothing to set"


async def test_a_beginning_that_is_given_up_and_fails_is_no_error_of_its_own(
    engine: AgoraEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGORA_LOOPBACK_INITIALIZE", "-2")
    opening = asyncio.create_task(engine.open())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening


HALF_MADE = """
import asyncio, gc, os, pathlib, tempfile
from realtime_agent.errors import ChannelError
from realtime_agent.rtc.agora import AgoraEngine
from tests.agora.stays import APP_ID, channel_of
async def main():
    os.environ["AGORA_LOOPBACK_TRACK"] = "none"
    engine = AgoraEngine(APP_ID, pathlib.Path(tempfile.mkdtemp()))
    channel = channel_of(engine)
    try:
        await channel.join()
    except ChannelError as error:
        print(error)
    await channel.leave()
    del os.environ["AGORA_LOOPBACK_TRACK"]
    gc.collect()
    channel = channel_of(engine)
    await channel.join()
    await channel.leave()
asyncio.run(main())
"""

DROPPED = """
import asyncio, gc, pathlib, tempfile, time
from realtime_agent.rtc.agora import AgoraEngine
from tests.agora.stays import APP_ID, channel_of
kept = []
async def main():
    engine = AgoraEngine(APP_ID, pathlib.Path(tempfile.mkdtemp()))
    agent, user = channel_of(engine), channel_of(engine, 5)
    await agent.join()
    await user.join()
    for _ in range(500):
        agent.push(bytes(960))
        user.push(bytes(960))
    await asyncio.sleep(0.3)
    if {keep}:
        kept.append((agent, user, engine))
asyncio.run(main())
gc.collect()
time.sleep(0.3)
print("the end")
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (HALF_MADE, "Agora's library gave no connection"),
        (DROPPED.format(keep=True), "the end"),
        (DROPPED.format(keep=False), "the end"),
    ],
)
def test_nothing_that_is_left_behind_takes_the_process_down(code: str, said: str, agora_site: Path) -> None:
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=environ
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{said}\n", "")


async def test_what_the_library_may_be_about_to_call_lives_until_all_is_freed(
    engine: AgoraEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def observers() -> Counter[str]:
        gc.collect()
        return Counter(name for each in gc.get_objects() if (name := type(each).__name__).endswith("ObserverInner"))

    counted: list[Counter[str]] = []
    before = observers()
    channel = channel_of(engine)
    async with staying(channel):
        assert channel._connection is not None
        native = channel._connection._connection
        release = native.release

        def release_and_count() -> None:
            release()
            counted.append(observers() - before)

        monkeypatch.setattr(native, "release", release_and_count)
    # Those that the SDK made, and ours that took their places.
    kinds = ("RTCConnectionObserverInner", "RTCLocalUserObserverInner", "AudioFrameObserverInner")
    assert counted == [Counter(dict.fromkeys(kinds, 2))]


async def test_the_last_words_are_sent_before_leaving(engine: AgoraEngine) -> None:
    agent, user = channel_of(engine), channel_of(engine, 5)
    async with staying(user):
        await agent.join()
        assert await next_of(agent.inbox.events(), UserJoined) == UserJoined(5)
        for number in range(5):
            agent.send({"type": "word", "number": number})
        await agent.leave()
        events = user.inbox.events()
        assert await next_of(events, UserJoined) == UserJoined(7)
        words = [await next_of(events, Message) for _ in range(5)]
        assert [event.body["number"] for event in words if isinstance(event, Message)] == [0, 1, 2, 3, 4]
        assert await next_of(events, UserLeft) == UserLeft(7)


async def test_what_the_library_tells_afterwards_is_not_heard(engine: AgoraEngine, network: LoopbackNetwork) -> None:
    channel = channel_of(engine)
    async with staying(channel):
        assert channel._connection is not None
        observer = channel._connection._connection.con_observer.conn_observer
    observer.on_user_joined(None, "5")
    observer.on_token_privilege_will_expire(None, "t")
    tasks = asyncio.all_tasks()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks
    assert [event async for event in channel.inbox.events()] == []


def test_what_the_library_tells_when_the_loop_is_closed_does_no_harm(tmp_path: Path) -> None:
    async def stay() -> object:
        channel = channel_of(AgoraEngine(APP_ID, tmp_path))
        async with staying(channel):
            return channel._mailbox

    mailbox = asyncio.run(stay())
    mailbox._closed = False  # type: ignore[attr-defined] # as if the loop had ended before we left
    mailbox.put(UserJoined(5))  # type: ignore[attr-defined]
    assert mailbox._closed  # type: ignore[attr-defined]


# --- who is there and who is heard


async def test_frames_that_come_before_a_subscription_are_heard(engine: AgoraEngine, network: LoopbackNetwork) -> None:
    channel = channel_of(engine)
    async with staying(channel):
        network.tell(7, "frames", 5, 24_000, 2)
        events = channel.inbox.events()
        heard = [await next_of(events, AudioFrame), await next_of(events, AudioFrame)]
        assert heard == [AudioFrame(5, b"\1" * 480), AudioFrame(5, b"\2" * 480)]


async def test_what_is_told_twice_counts_once(engine: AgoraEngine, network: LoopbackNetwork) -> None:
    channel = channel_of(engine)
    async with staying(channel):
        for words in ("joined 5", "joined 5", "left 6", "left 5", "left 5", "joined 5"):
            network.tell(7, words)
        events = channel.inbox.events()
        told = [await anext(events) for _ in range(3)]
        assert told == [UserJoined(5), UserLeft(5), UserJoined(5)]


async def test_participants_without_a_number_are_nobody(engine: AgoraEngine, network: LoopbackNetwork) -> None:
    channel = channel_of(engine)
    async with staying(channel):
        for words in ("joined somebody", "frames somebody 24000 1", "message somebody a|1|1|e30=", "left somebody"):
            network.tell(7, words)
        network.tell(7, "joined", 5)
        assert await next_of(channel.inbox.events(), UserJoined) == UserJoined(5)


async def test_another_s_subscription_says_nothing_of_ours(engine: AgoraEngine, network: LoopbackNetwork) -> None:
    channel = channel_of(engine)
    async with staying(channel):
        for state in (0, 1, 2, 3):
            network.tell(7, "subscribed", 9, state)
        network.tell(7, "joined", 5)
        assert await next_of(channel.inbox.events(), UserJoined) == UserJoined(5)
        assert network.ask(7)["heard"] == "5,"


async def test_a_voice_that_can_t_be_had_is_told_and_asked_for_again(
    engine: AgoraEngine, network: LoopbackNetwork, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AGORA_LOOPBACK_SUBSCRIBE", "-2")
    channel = channel_of(engine)
    async with staying(channel):
        network.tell(7, "joined", 5)
        assert await next_of(channel.inbox.events(), UserJoined) == UserJoined(5)
        assert warnings(caplog) == ["uid 5 can't be heard in 'room': Agora answers -2"]
        monkeypatch.delenv("AGORA_LOOPBACK_SUBSCRIBE")
        channel.hear(5)
        assert network.ask(7)["heard"] == "5,"


async def test_audio_in_another_format_is_not_passed_on(engine: AgoraEngine, network: LoopbackNetwork) -> None:
    channel = channel_of(engine)
    async with staying(channel):
        network.tell(7, "frames", 5, 16_000, 1)
        network.tell(7, "joined", 5)
        assert await next_of(channel.inbox.events(), UserJoined) == UserJoined(5)


async def test_a_process_that_stood_still_skips_what_was_said_first(
    engine: AgoraEngine, network: LoopbackNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    channel = channel_of(engine)
    async with staying(channel):
        network.tell(7, "frames", 5, 24_000, 250)
        network.tell(7, "joined", 5)
        while channel._mailbox.dropped < 150:
            time.sleep(0.01)  # noqa: ASYNC251 - the loop stands still
        events = channel.inbox.events()
        heard = [await anext(events) for _ in range(101)]
        assert heard == [AudioFrame(5, bytes([number + 1]) * 480) for number in range(150, 250)] + [UserJoined(5)]
    assert "'room': 150 frames and messages from Agora were dropped, because this process was behind" in warnings(
        caplog
    )


# --- speaking


async def test_a_frame_that_the_library_refuses_is_told_once_and_counted(
    engine: AgoraEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AGORA_LOOPBACK_SEND", "-3")
    channel = channel_of(engine)
    async with staying(channel):
        for _ in range(3):
            channel.push(FRAME)
    assert warnings(caplog) == [
        "Agora's library takes no audio in 'room': it answers -3",
        "'room': 3 frames were refused by Agora's library",
    ]


async def test_lost_and_late_frames_arrive_as_the_rest_of_the_voice(
    engine: AgoraEngine, network: LoopbackNetwork
) -> None:
    agent, user = channel_of(engine), channel_of(engine, 5)
    async with staying(agent, user):
        await network.met(5, 7)
        network.tell(5, "loss", 4)
        network.tell(7, "delay", 30)
        events = agent.inbox.events()
        assert await next_of(events, UserJoined) == UserJoined(5)
        for level in range(1, 5):
            user.push(bytes([level]) * 960)
        heard = [await next_of(events, AudioFrame) for _ in range(6)]
        assert heard == [AudioFrame(5, bytes([level]) * 480) for level in (1, 1, 2, 3, 3, 4)]
        assert network.ask(5)["lost_frames"] == "2"


async def test_nothing_is_sent_to_a_channel_that_was_not_joined(engine: AgoraEngine) -> None:
    channel = channel_of(engine)
    channel.push(FRAME)
    channel.flush(0)
    channel.hear(5)
    channel.send({"type": "state", "state": "connecting"})
    await channel.leave()


# --- messages


async def test_a_library_without_data_streams_is_told_of_and_the_voice_goes_on(
    engine: AgoraEngine,
    network: LoopbackNetwork,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("AGORA_LOOPBACK_STREAM", "-1")
    agent, user = channel_of(engine), channel_of(engine, 5)
    async with staying(agent, user):
        await network.met(5, 7)
        agent.send({"type": "state", "state": "active"})
        agent.push(FRAME)
        events = user.inbox.events()
        assert await next_of(events, UserJoined) == UserJoined(7)
        assert await next_of(events, AudioFrame) == AudioFrame(7, FRAME[:480])
    assert warnings(caplog) == ["Agora's library gave no data stream: there will be no transcripts"] * 2


async def test_whoever_comes_is_told_the_state(engine: AgoraEngine) -> None:
    agent, user = channel_of(engine), channel_of(engine, 5)
    async with staying(agent):
        agent.send({"type": "state", "state": "waiting", "reason": None})
        async with staying(user):
            events = user.inbox.events()
            assert await next_of(events, UserJoined) == UserJoined(7)
            assert await next_of(events, Message) == Message(7, {"type": "state", "state": "waiting", "reason": None})


async def test_broken_messages_are_ignored(engine: AgoraEngine, network: LoopbackNetwork) -> None:
    channel = channel_of(engine)
    async with staying(channel):
        for part in ("", "x", "a|1|1|", "a|0|1|e30=", "a|2|1|e30=", "a|1|1|W10=", "a|1|1|e30"):
            network.tell(7, "message", 5, part)
        network.tell(7, "message", 5, "a|1|1|e30=")
        assert await next_of(channel.inbox.events(), Message) == Message(5, {})


# --- the connection


async def test_an_interruption_is_told_and_so_is_its_end(engine: AgoraEngine, network: LoopbackNetwork) -> None:
    channel = channel_of(engine)
    async with staying(channel):
        network.tell(7, "joined", 5)
        await network.until(7, lambda now: now["heard"] == "5,", "the first to be heard")
        for words in ("away", "away", "lost", "back", "back"):
            network.tell(7, words)
        network.tell(7, "joined", 6)
        events = channel.inbox.events()
        told = [await anext(events) for _ in range(4)]
        assert told == [UserJoined(5), Reconnecting("the connection was interrupted"), Reconnected(), UserJoined(6)]
        await network.until(7, lambda now: now["heard"] == "5,6,", "both to be heard")


async def test_a_connection_that_does_not_come_back_is_lost(engine: AgoraEngine, network: LoopbackNetwork) -> None:
    channel = channel_of(engine, reconnect_timeout_s=0.1)
    async with staying(channel):
        network.tell(7, "away")
        events = channel.inbox.events()
        assert await next_of(events, Reconnecting) == Reconnecting("the connection was interrupted")
        cause = "Agora was gone for 0.1 s: the connection was interrupted"
        assert await next_of(events, ChannelLost) == ChannelLost(cause)


async def test_a_connection_that_came_back_in_time_is_not_lost(engine: AgoraEngine, network: LoopbackNetwork) -> None:
    channel = channel_of(engine, reconnect_timeout_s=0.2)
    async with staying(channel):
        network.tell(7, "away")
        network.tell(7, "back")
        events = channel.inbox.events()
        assert await next_of(events, Reconnecting) == Reconnecting("the connection was interrupted")
        assert await next_of(events, Reconnected) == Reconnected()
        await asyncio.sleep(0.4)
        network.tell(7, "joined", 5)
        assert await next_of(events, UserJoined) == UserJoined(5)


async def test_messages_wait_while_the_connection_is_interrupted(engine: AgoraEngine, network: LoopbackNetwork) -> None:
    agent, user = channel_of(engine), channel_of(engine, 5)
    async with staying(agent, user):
        events, heard = agent.inbox.events(), user.inbox.events()
        assert await next_of(events, UserJoined) == UserJoined(5)
        assert await next_of(heard, UserJoined) == UserJoined(7)
        network.tell(7, "away")
        assert await next_of(events, Reconnecting) == Reconnecting("the connection was interrupted")
        agent.send({"type": "state", "state": "active"})
        await asyncio.sleep(0.1)
        network.tell(7, "back")
        assert await next_of(heard, Message) == Message(7, {"type": "state", "state": "active"})


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("failed 9", "the token has expired"),
        ("failed 2", "the connection was interrupted"),
        ("disconnected 3", "Agora's server has banned this participant"),
        ("disconnected 10", "Agora's server refused"),
    ],
)
async def test_an_end_from_outside_says_why_and_no_goodbye_is_waited_for(
    engine: AgoraEngine,
    network: LoopbackNetwork,
    words: str,
    cause: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("AGORA_LOOPBACK_DISCONNECT", "silent")
    channel = channel_of(engine)
    async with staying(channel):
        network.tell(7, words)
        assert [event async for event in channel.inbox.events()] == [ChannelLost(cause)]
    assert warnings(caplog) == []


async def test_an_error_of_the_library_is_logged(
    engine: AgoraEngine, network: LoopbackNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    channel = channel_of(engine)
    async with staying(channel):
        network.tell(7, "error", 17)
        network.tell(7, "joined", 5)
        assert await next_of(channel.inbox.events(), UserJoined) == UserJoined(5)
    assert warnings(caplog) == ["Agora's library reports error 17 in 'room': an error"]


# --- tokens


async def test_a_token_is_renewed_before_it_expires(engine: AgoraEngine, network: LoopbackNetwork) -> None:
    given: list[str] = []

    async def token() -> str:
        given.append(build_token(APP_ID, CERTIFICATE, "room", 7, 60))
        return given[-1]

    async with staying(channel_of(engine, token=token)):
        assert network.ask(7)["token"] == given[0]
        network.tell(7, "token_will_expire")
        await network.until(7, lambda now: now["token"] != given[0], "another token")
        assert network.ask(7)["token"] == given[1]
        network.tell(7, "token_did_expire")
        await network.until(7, lambda now: now["token"] != given[1], "a third token")
        assert len(given) == len(set(given)) == 3


async def test_a_token_that_could_not_be_had_or_given_is_tried_again(
    engine: AgoraEngine,
    network: LoopbackNetwork,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("realtime_agent.rtc.agora.channel._RENEW_AGAIN_S", 0.01)
    monkeypatch.setenv("AGORA_LOOPBACK_RENEW", "-4")
    tries = 0

    async def token() -> str:
        nonlocal tries
        tries += 1
        if tries == 2:
            raise ChannelError("no server answers")
        if tries == 4:
            monkeypatch.delenv("AGORA_LOOPBACK_RENEW")
        return f"token{tries}"

    async with staying(channel_of(engine, token=token)):
        network.tell(7, "token_will_expire")
        network.tell(7, "token_will_expire")
        await network.until(7, lambda now: now["token"] == "token4", "the token that was taken")
    assert warnings(caplog) == [
        "there is no new token for 'room': no server answers",
        "Agora did not take a new token for 'room': it answers -4",
    ]


async def test_a_renewal_that_hangs_ends_with_the_stay(engine: AgoraEngine, network: LoopbackNetwork) -> None:
    asked = asyncio.Event()
    tasks = asyncio.all_tasks()

    async def token() -> str:
        if network.participants():
            asked.set()
            await asyncio.Event().wait()
        return ""

    async with staying(channel_of(engine, token=token)):
        network.tell(7, "token_will_expire")
        async with asyncio.timeout(TIMEOUT_S):
            await asked.wait()
        assert len(asyncio.all_tasks() - tasks) == 1
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks


async def test_neither_tokens_nor_the_certificate_are_logged(
    engine: AgoraEngine,
    network: LoopbackNetwork,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    given: list[str] = []

    async def token() -> str:
        given.append(build_token(APP_ID, CERTIFICATE, "room", 7, 60))
        return given[-1]

    async with staying(channel_of(engine, token=token)):
        network.tell(7, "token_will_expire")
        await network.until(7, lambda now: now["token"] != given[0], "another token")
    written = caplog.text + "".join(capfd.readouterr())
    assert "the token for 'room' was renewed" in written
    assert [secret for secret in (*given, CERTIFICATE) if secret in written] == []


async def test_agora_s_packages_write_warnings_into_our_log_and_nothing_else(
    engine: AgoraEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async with staying(channel_of(engine)):
        for name in ("agora.rtc.rtc_connection", *_OWN_HANDLERS):
            logging.getLogger(name).info("a token")
            logging.getLogger(name).warning("from %s", name.partition(".")[0])
    assert warnings(caplog) == ["from agora", "from agora_realtime_ai_api", "from agora_realtime_ai_api"]
    assert "a token" not in caplog.text
    assert [handler for name in _OWN_HANDLERS for handler in logging.getLogger(name).handlers] == []


async def test_no_token_is_made_by_the_part_that_logs_them(engine: AgoraEngine) -> None:
    channel = channel_of(engine)
    async with staying(channel):
        assert channel._connection is not None
        assert channel._connection._native.token == ""


# --- the library's log


async def test_the_library_s_log_is_in_a_folder_of_ours(engine: AgoraEngine, tmp_path: Path, agora_site: Path) -> None:
    async with staying(channel_of(engine)):
        (log,) = (tmp_path / "logs").iterdir()
        assert log.read_text() == "loopback\n"
        assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700
    assert await asyncio.to_thread(lambda: list(agora_site.rglob("*.log"))) == []


async def test_a_folder_that_can_t_be_had_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    engine = AgoraEngine(APP_ID, tmp_path / "file", timeout_s=TIMEOUT_S)
    words = f"{tmp_path / 'file'} can't hold Agora's log (File exists): set AGORA_LOG_DIR"
    assert await refusal(channel_of(engine)) == words


async def test_somebody_else_s_folder_is_not_written_to(
    engine: AgoraEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getuid", lambda: 12345)
    assert await refusal(channel_of(engine)) == f"{tmp_path / 'logs'} belongs to somebody else: set AGORA_LOG_DIR"


async def test_of_many_logs_the_oldest_go(engine: AgoraEngine, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for number in range(120):
        (tmp_path / "logs" / f"agora-{number}x.log").touch()
    async with staying(channel_of(engine)):
        assert len(list((tmp_path / "logs").iterdir())) == 100
