from __future__ import annotations

import asyncio
import io
import json
from array import array
from collections.abc import Generator
from pathlib import Path
from typing import Any

import miniaudio
import pytest

from realtime_agent.audio.microphone import Headset, open_device
from realtime_agent.audio.wav import read_wav, rms, write_wav
from realtime_agent.call import CallOptions, call, server_url
from realtime_agent.config import Settings
from realtime_agent.errors import AudioFileError, ChannelError, ConfigError
from realtime_agent.main import main, parser
from realtime_agent.programs import call_options
from tests.stub_agent import StubAgent, StubServer, tone

SETTINGS = Settings()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A fifth of a second of speech, then as much silence."""
    path = tmp_path / "clip.wav"
    write_wav(path, tone(200) + bytes(200 * 48))
    return path


async def answering(agent: StubAgent) -> None:
    """An agent that hears a turn out and answers it."""
    await agent.until_speech_ends()
    await agent.tell(type="transcript", role="user", item_id="u1", delta="")
    await agent.tell(type="transcript", role="assistant", item_id="a1", delta="Good ")
    await agent.say(tone(300), paced=True)
    await agent.final("user", "u1", "hello\nthere")
    await agent.final("assistant", "a1", "Good morning.")


async def greeting_only(agent: StubAgent) -> None:
    await agent.final("assistant", "g1", "Welcome!")
    await agent.say(tone(100))


def options(server: StubServer, clip: Path | None, **more: Any) -> CallOptions:
    return CallOptions("room", wav=clip, server_url=server.url, **{"timeout_s": 30, "linger_s": 0.2, **more})


async def hold(call_options: CallOptions) -> tuple[int, str]:
    out = io.StringIO()
    async with asyncio.timeout(60):
        code = await call(call_options, SETTINGS, out=out)
    return code, out.getvalue()


async def hold_json(call_options: CallOptions) -> tuple[int, dict[str, Any]]:
    code, text = await hold(call_options)
    assert text.count("\n") == 1
    return code, json.loads(text)


async def test_an_answered_call_prints_both_transcripts_and_the_latency(clip: Path) -> None:
    async with StubServer.running(answering) as server:
        code, text = await hold(options(server, clip))
        assert server.agent.of_type("leave")
    assert code == 0
    joined, user, agent, latency, end = text.splitlines()
    assert joined == "joined channel 'room' as uid 4321: playing 0.4 s"
    assert (user, agent) == ("user: hello there", "agent: Good morning.")
    assert latency.startswith("latency: ")
    assert "ms from the end of the user's speech to the first audio heard" in latency
    assert end == "call ended: answered; 0.3 s of the agent heard"


async def test_json_is_one_object_in_the_order_of_the_conversation(clip: Path) -> None:
    async with StubServer.running(answering) as server:
        code, report = await hold_json(options(server, clip, uid=9, json=True))
    assert code == 0
    latency_ms = report["latencies"].pop("first_audio_ms")
    assert isinstance(latency_ms, int)
    assert latency_ms > 0
    assert report == {
        "channel_name": "room",
        "uid": 9,
        "answered": True,
        "exit_reason": "answered",
        "cause": None,
        "transcripts": [
            {"role": "user", "item_id": "u1", "text": "hello\nthere", "interrupted": False},
            {"role": "assistant", "item_id": "a1", "text": "Good morning.", "interrupted": False},
        ],
        "latencies": {},
        "heard_s": 0.3,
        "interrupted": False,
    }


async def test_the_clip_reaches_the_agent_whole_and_silence_follows_it(clip: Path) -> None:
    async with StubServer.running(answering) as server:
        await hold(options(server, clip))
        heard = bytes(server.agent.heard)
    pcm = read_wav(clip)
    assert heard[: len(pcm)] == pcm
    assert len(heard) > len(pcm)
    assert not any(heard[len(pcm) :])


async def test_the_agent_learns_what_was_really_heard(clip: Path) -> None:
    async with StubServer.running(answering) as server:
        server.welcome = {"heard": True, "position": 48_000, "state": "active"}
        await hold(options(server, clip))
        positions = [message["position"] for message in server.agent.of_type("played")]
    assert len(positions) >= 2
    assert positions == sorted(set(positions))
    assert 48_000 < positions[0] < positions[-1] == 48_000 + 7200


async def test_what_was_heard_is_saved_in_its_place(clip: Path, tmp_path: Path) -> None:
    async with StubServer.running(answering) as server:
        code, text = await hold(options(server, clip, save=tmp_path / "reply.wav"))
    assert code == 0
    assert text.splitlines()[-1] == f"saved: {tmp_path / 'reply.wav'}"
    saved = read_wav(tmp_path / "reply.wav")
    # The answer began after the speech, 200 ms, and the silence that the stub waits for, 100 ms.
    assert not any(saved[: 250 * 48])
    assert sum(rms(saved[at : at + 960]) > 1000 for at in range(0, len(saved), 960)) * 20 >= 300


async def test_a_greeting_is_no_answer(clip: Path) -> None:
    async with StubServer.running(greeting_only) as server:
        code, report = await hold_json(options(server, clip, json=True, timeout_s=3))
    assert code == 1
    assert (report["answered"], report["exit_reason"]) == (False, "timeout")
    assert report["latencies"] == {"first_audio_ms": None}
    assert report["transcripts"][0]["text"] == "Welcome!"
    assert report["heard_s"] == 0.1


async def test_no_answer_is_said_in_words(clip: Path) -> None:
    async with StubServer.running(greeting_only) as server:
        code, text = await hold(options(server, clip, timeout_s=3))
    assert code == 1
    assert text.splitlines()[1:] == [
        "agent: Welcome!",
        "no answer was heard",
        "call ended: timeout; 0.1 s of the agent heard",
    ]


async def test_a_barge_in_reports_the_true_position_and_is_no_answer(clip: Path) -> None:
    async def script(agent: StubAgent) -> None:
        await agent.say(tone(5000))
        await agent.until(lambda: bool(agent.of_type("played")))
        await agent.tell(type="flush", position=240_000)
        await agent.final("assistant", "g1", "Welc", interrupted=True)
        await answering(agent)

    async with StubServer.running(script) as server:
        code, text = await hold(options(server, clip))
        played = [message["position"] for message in server.agent.of_type("played")]
    assert code == 0
    assert text.splitlines()[1] == "agent: Welc (interrupted)"
    before = [position for position in played if position <= 120_000]
    assert 0 < before[-1] < 120_000
    assert played[-1] == 240_000 + 7200


async def test_an_answer_in_text_is_exit_code_0(clip: Path) -> None:
    async def script(agent: StubAgent) -> None:
        await agent.until_speech_ends()
        await agent.final("assistant", "a1", "In writing.")

    async with StubServer.running(script) as server:
        code, text = await hold(options(server, clip))
    assert code == 0
    assert text.splitlines()[1:] == [
        "agent: In writing.",
        "the answer came as text only",
        "call ended: answered; 0.0 s of the agent heard",
    ]


async def test_words_that_turn_out_not_to_have_been_heard_are_marked_as_a_correction(clip: Path) -> None:
    async def script(agent: StubAgent) -> None:
        await agent.final("assistant", "g1", "Welcome to our shop!")
        await agent.final("assistant", "g1", "Welcome", interrupted=True)
        await agent.until_speech_ends()
        await agent.final("assistant", "a1", "In writing.")

    async with StubServer.running(script) as server:
        _, text = await hold(options(server, clip))
    assert text.splitlines()[1:4] == [
        "agent: Welcome to our shop!",
        "agent (corrected): Welcome (interrupted)",
        "agent: In writing.",
    ]


async def test_a_barge_in_alone_is_exit_code_1(clip: Path) -> None:
    async def script(agent: StubAgent) -> None:
        await agent.say(tone(5000))
        await agent.until(lambda: bool(agent.of_type("played")))
        await agent.tell(type="flush", position=240_000)

    async with StubServer.running(script) as server:
        code, report = await hold_json(options(server, clip, json=True, timeout_s=3))
    assert code == 1
    assert (report["answered"], report["interrupted"]) == (False, True)
    assert 0 < report["heard_s"] < 5


async def test_a_lost_connection_ends_the_call_with_its_cause(clip: Path) -> None:
    async def script(agent: StubAgent) -> None:
        await agent.close(4002, "model_failed")

    async with StubServer.running(script) as server:
        code, report = await hold_json(options(server, clip, json=True))
    assert code == 1
    assert (report["exit_reason"], report["cause"]) == ("lost", "the agent ended: model_failed")


async def test_ctrl_c_leaves_saves_and_reports(clip: Path, tmp_path: Path) -> None:
    reply = tmp_path / "reply.wav"
    async with StubServer.running(greeting_only) as server:
        out = io.StringIO()
        calling = asyncio.create_task(call(options(server, clip, json=True, save=reply), SETTINGS, out=out))
        await asyncio.wait_for(server.joined.wait(), 30)
        await server.agent.until(lambda: bool(server.agent.of_type("played")))
        calling.cancel()
        assert await calling == 1
        await server.agent.until(lambda: bool(server.agent.of_type("leave")))
    assert json.loads(out.getvalue())["exit_reason"] == "stopped"
    assert reply.is_file()


async def test_no_agent_and_a_refused_token_are_channel_errors(clip: Path) -> None:
    async with StubServer.running(answering) as server:
        server.upgrade_status = 404
        with pytest.raises(ChannelError, match="no agent runs in channel 'room'"):
            await hold(options(server, clip))
        server.upgrade_status = 401
        with pytest.raises(ChannelError, match="refused its token"):
            await hold(options(server, clip))


async def test_an_agent_that_listens_to_another_user_is_an_error(clip: Path) -> None:
    async with StubServer.running(answering) as server:
        server.welcome = {"heard": False, "position": 0, "state": "active"}
        with pytest.raises(ChannelError, match="listens to another user"):
            await hold(options(server, clip))


async def test_a_call_that_is_refused_says_so_in_json_too(clip: Path) -> None:
    out = io.StringIO()
    async with StubServer.running(answering) as server:
        server.upgrade_status = 404
        with pytest.raises(ChannelError) as caught:
            await call(options(server, clip, json=True), SETTINGS, out=out)
    report = json.loads(out.getvalue())
    assert (report["answered"], report["exit_reason"], report["cause"]) == (False, "refused", str(caught.value))


async def test_a_file_that_cannot_be_read_is_told_in_json_too(tmp_path: Path) -> None:
    out = io.StringIO()
    with pytest.raises(AudioFileError):
        await call(CallOptions("room", wav=tmp_path / "none.wav", json=True), SETTINGS, out=out)
    report = json.loads(out.getvalue())
    assert (report["answered"], report["exit_reason"]) == (False, "refused")
    assert "none.wav" in report["cause"]


@pytest.mark.usefixtures("logging_as_before")
@pytest.mark.parametrize("error", [BrokenPipeError(), ExceptionGroup("in a task", [BrokenPipeError()])])
def test_a_reader_that_goes_away_in_the_middle_of_a_call_ends_the_program_quietly(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def call(*_: Any, **__: Any) -> int:
        raise error

    monkeypatch.setattr("realtime_agent.programs.call", call)
    assert main(["call", "--channel_name=room", "--mic"]) == 1
    assert capsys.readouterr().err == ""


async def test_files_that_cannot_serve_are_refused_before_the_call(clip: Path, tmp_path: Path) -> None:
    async with StubServer.running(answering) as server:
        with pytest.raises(AudioFileError, match="does not exist"):
            await hold(options(server, tmp_path / "no.wav"))
        with pytest.raises(AudioFileError, match="no such directory"):
            await hold(options(server, clip, save=tmp_path / "no" / "reply.wav"))
        write_wav(tmp_path / "silent.wav", bytes(4800))
        with pytest.raises(AudioFileError, match="is silent"):
            await hold(options(server, tmp_path / "silent.wav"))
        for wrong in (options(server, clip, mic=True), options(server, None)):
            with pytest.raises(ConfigError, match="exactly one of"):
                await hold(wrong)
        assert server.asked == []


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:81"),
        ("0.0.0.0", "http://127.0.0.1:81"),
        ("::", "http://[::1]:81"),
        ("fd00::5", "http://[fd00::5]:81"),
        ("box.local", "http://box.local:81"),
    ],
)
def test_the_server_is_where_the_settings_put_it(host: str, url: str) -> None:
    assert server_url(Settings(server_host=host, server_port=81)) == url


def test_a_port_that_the_server_chose_must_be_said() -> None:
    with pytest.raises(ConfigError, match="--server"):
        server_url(Settings(server_port=0))


def parse(text: str) -> CallOptions:
    return call_options(parser().parse_args(["call", *text.split()]))


def test_arguments_become_options() -> None:
    assert parse("--channel_name=room --mic") == CallOptions("room", mic=True)
    assert parse(
        "--channel_name room --uid 7 --wav a.wav --save b.wav --json --server http://h:1 --timeout 5 --linger 0.5"
    ) == CallOptions(
        "room",
        uid=7,
        wav=Path("a.wav"),
        save=Path("b.wav"),
        json=True,
        server_url="http://h:1",
        timeout_s=5,
        linger_s=0.5,
    )


@pytest.mark.parametrize("wrong", ["--uid=-1", "--uid=4294967296", "--uid=x", "--timeout=-1", "--linger=nan"])
def test_a_wrong_argument_is_named(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(f"--channel_name=room --mic {wrong}")
    assert "is not a number" in capsys.readouterr().err


def test_the_server_s_address_needs_its_scheme(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--channel_name=room --mic --server localhost:8080")
    assert "does not begin with http:// or https://" in capsys.readouterr().err


def loud_samples(pcm: bytes) -> int:
    return sum(sample != 0 for sample in array("h", pcm))


class Studio:
    """The null device, which keeps real time; its microphone hears a tone, and what it plays is kept."""

    def __init__(self) -> None:
        self._device = open_device([miniaudio.Backend.NULL])
        self.played = bytearray()
        self.closed = False

    def start(self, callback_generator: Generator[bytes, bytes, None]) -> None:
        exchange = self._overheard(callback_generator)
        next(exchange)
        self._device.start(exchange)

    def close(self) -> None:
        self._device.close()
        self.closed = True

    def _overheard(self, exchange: Generator[bytes, bytes, None]) -> Generator[bytes, bytes, None]:
        to_play = b""
        while True:
            heard = yield to_play
            to_play = exchange.send(tone(1000)[: len(heard)])
            self.played += to_play


class UnpluggedDevice:
    """A device that starts and then asks for nothing."""

    def start(self, callback_generator: Generator[bytes, bytes, None]) -> None:
        pass

    def close(self) -> None:
        pass


async def test_the_microphone_is_spoken_with_until_ctrl_c(tmp_path: Path) -> None:
    async def script(agent: StubAgent) -> None:
        await agent.say(tone(300))

    studio = Studio()
    out = io.StringIO()
    async with StubServer.running(script) as server:
        talking = options(server, None, mic=True, save=tmp_path / "reply.wav")
        calling = asyncio.create_task(call(talking, SETTINGS, out=out, headset=lambda: Headset(lambda: studio)))
        await asyncio.wait_for(server.joined.wait(), 30)
        agent = server.agent
        await agent.until(lambda: bool(agent.heard) and {"type": "played", "position": 7200} in agent.messages)
        # What is reported as played may still wait for the device.
        async with asyncio.timeout(30):
            while loud_samples(bytes(studio.played)) < 7200:
                await asyncio.sleep(0.01)
        calling.cancel()
        assert await calling == 0
    assert studio.closed
    assert bytes(agent.heard).startswith(tone(20))
    # The tone has no zeros, and pauses between its frames would be nothing but zeros.
    assert loud_samples(bytes(studio.played)) == 7200
    assert loud_samples(read_wav(tmp_path / "reply.wav")) == 7200
    assert "speak; Ctrl-C ends the call" in out.getvalue()
    assert "call ended: stopped; 0.3 s of the agent heard" in out.getvalue()


async def test_a_device_that_fails_ends_the_call() -> None:
    out = io.StringIO()
    async with StubServer.running(greeting_only) as server, asyncio.timeout(60):
        talking = options(server, None, mic=True, json=True)
        await call(talking, SETTINGS, out=out, headset=lambda: Headset(UnpluggedDevice, patience_s=0.1))
    report = json.loads(out.getvalue())
    assert report["exit_reason"] == "lost"
    assert report["cause"] == "the microphone and the loudspeaker have stopped"
