"""A conversation by voice in a channel of Agora's: its real packages, over the loopback library."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from realtime_agent.rtc.agora import AgoraEngine
from realtime_agent.rtc.agora.user import AgoraUser
from realtime_agent.rtc.server_client import ServerClient
from tests.agora.network import LoopbackNetwork
from tests.agora.stays import APP_ID, CERTIFICATE
from tests.e2e.program import call, get, post, running, write_wav
from tests.e2e.test_call import interrupt, words
from tests.speech import clip, word_error_rate

# As the other conversations, so that no two of them share the machine.
pytestmark = pytest.mark.xdist_group("embedded")

_MAX_WORD_ERROR = 0.3
_TIMEOUT_S = 90

PROJECT = {"AGORA_APP_ID": APP_ID, "AGORA_APP_CERT": CERTIFICATE}


@pytest.fixture(autouse=True)
def programs_find_the_packages(monkeypatch: pytest.MonkeyPatch, network: LoopbackNetwork, agora_site: Path) -> None:
    root = Path(__file__).parent.parent.parent
    monkeypatch.setenv("PYTHONPATH", f"{root}:{agora_site}")


async def test_a_spoken_sentence_is_understood_and_answered(tmp_path: Path, network: LoopbackNetwork) -> None:
    spoken = clip("amiable")
    wav = write_wav(tmp_path / "user.wav", spoken.pcm)
    async with running(tmp_path, "server", **PROJECT, AGORA_LOG_DIR=str(tmp_path / "agora")) as (_, server):
        status, started = await post(server, "/start_agent", channel_name="talk", uid=123)
        assert (status, started["status"]) == (200, "Agent started!")
        assert list(network.participants()) == ["123"]
        code, report = await call(server, "talk", wav, f"--save={tmp_path / 'reply.wav'}")
        assert code == 0, report
        assert word_error_rate(spoken.transcript, words(report, "user")) <= _MAX_WORD_ERROR
        # The embedded rules repeat what they heard.
        answer = words(report, "assistant")[: len(words(report, "user")) + 9]
        assert word_error_rate(words(report, "user"), answer) <= 0.5
        assert report["heard_s"] > 1
        assert (tmp_path / "reply.wav").stat().st_size > 48_000
        client = ServerClient(server)
        user = AgoraUser(client, AgoraEngine(APP_ID, tmp_path / "agora"), await client.ask_token("talk", 0))
        report = await interrupt(user, clip("respectable").pcm, spoken.pcm)
        assert report["exit_reason"] == "answered", report
        assert report["interrupted"]
        replies = [transcript for transcript in report["transcripts"] if transcript["role"] == "assistant"]
        assert [reply["interrupted"] for reply in replies] == [True, False]
        said = [transcript["text"] for transcript in report["transcripts"] if transcript["role"] == "user"]
        assert word_error_rate(spoken.transcript, said[-1]) <= _MAX_WORD_ERROR
        status, stopped = await post(server, "/stop_agent", channel_name="talk")
        assert (status, stopped["reason"]) == (200, "stopped")
        assert network.participants() == {}
        assert (await get(server, "/agents/talk"))["reason"] == "stopped"
    log = (tmp_path / "log").read_text()
    assert "WARNING" not in log
    assert CERTIFICATE not in log
    # Tokens are zlib's in base64.
    assert "007eJ" not in log


async def test_the_agent_in_the_foreground_joins_and_leaves_with_its_user(
    tmp_path: Path, network: LoopbackNetwork
) -> None:
    arguments = ("agent", "--channel_name=talk", "--uid=123")
    wav = write_wav(tmp_path / "user.wav", clip("amiable").pcm)
    async with running(tmp_path, *arguments, **PROJECT, USER_LEFT_GRACE_S="0.5") as (process, server):
        assert list(network.participants()) == ["123"]
        code, report = await call(server, "talk", wav)
        assert code == 0, report
        assert report["heard_s"] > 1
        async with asyncio.timeout(_TIMEOUT_S):
            assert await process.wait() == 0
    assert network.participants() == {}
