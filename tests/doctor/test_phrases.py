"""Whether phrases can be heard."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from realtime_agent.config import Settings
from realtime_agent.doctor.finding import Finding, Level, ok
from realtime_agent.doctor.phrases import check_phrases
from realtime_agent.doctor.probe import Answer
from realtime_agent.testing import Refuse, ScriptedServer, scripted_server
from tests.ports import dead_port

TIMEOUT_S = 30.0
LOCAL = Settings(voice_phrases="local")


def elsewhere(uri: str) -> Settings:
    return Settings(voice_phrases="local", voice_phrases_uri=uri)


async def check(settings: Settings) -> Finding:
    (found,) = await check_phrases(settings, TIMEOUT_S)
    return found


@pytest.mark.parametrize("phrases", ["transcript", "off"])
async def test_where_the_model_hears_them_there_is_nothing_to_check(phrases: str) -> None:
    settings = Settings.model_validate({"voice_phrases": phrases})
    assert await check_phrases(settings, TIMEOUT_S, lambda _name: False) == []


async def test_ears_need_their_packages_and_no_voice() -> None:
    (found,) = await check_phrases(LOCAL, TIMEOUT_S, lambda name: name != "hibari")
    assert found == ok("VOICE_PHRASES", "local; the packages that listen are installed")
    (found,) = await check_phrases(LOCAL, TIMEOUT_S, lambda name: name != "soxr")
    assert (found.level, found.text) == (Level.PROBLEM, "local; but these packages are not installed: soxr")
    assert "VOICE_PHRASES=transcript" in found.remedy


async def test_phrases_of_another_language_need_another_model() -> None:
    german = {"stop_phrases": "hallo … halt", "start_phrases": "hallo … weiter"}
    _, found = await check_phrases(LOCAL.model_copy(update=german), TIMEOUT_S, lambda _name: True)
    assert (found.level, found.subject) == (Level.WARNING, "LOCAL_STT_MODEL")
    assert "understands English only" in found.text
    multilingual = LOCAL.model_copy(update=german | {"local_stt_model": "/models/whisper-small"})
    assert len(await check_phrases(multilingual, TIMEOUT_S, lambda _name: True)) == 1


async def test_that_what_users_say_goes_to_another_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def opens(_url: str, *, timeout: float) -> Answer:
        return Answer(101)

    monkeypatch.setattr("realtime_agent.doctor.phrases.open_websocket", opens)
    found = await check(elsewhere("wss://somebody:s3cret@ears.example/v1"))
    assert (found.level, found.subject) == (Level.WARNING, "VOICE_PHRASES_URI")
    assert (
        found.text
        == "wss://ears.example/v1 listens, and is another machine: what users say goes there, also in a pause"
    )


async def test_another_server_is_asked() -> None:
    async with scripted_server() as script:
        assert await check(elsewhere(script.url)) == ok("VOICE_PHRASES_URI", f"{script.url} listens")
        assert script.path.endswith("/realtime?intent=transcription")


async def test_a_server_that_opens_no_session_is_told(script: ScriptedServer) -> None:
    script.fail(Refuse(HTTPStatus.NOT_FOUND))
    found = await check(elsewhere(script.url))
    assert (found.level, found.text) == (Level.PROBLEM, f"{script.url} answers HTTP 404: it opens no session")


async def test_a_server_that_is_not_there_is_told() -> None:
    with dead_port() as port:
        found = await check(elsewhere(f"ws://127.0.0.1:{port}/v1"))
    assert (found.level, found.subject) == (Level.PROBLEM, "VOICE_PHRASES_URI")
