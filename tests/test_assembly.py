"""Both ends of an agent follow from the settings and the spec."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from realtime_agent.assembly import assemble, check_settings, model_address
from realtime_agent.config import Settings
from realtime_agent.errors import ConfigError
from realtime_agent.testing import ScriptedServer
from tests.specs import agent_spec

REMOTE = Settings(openai_api_key=SecretStr("sk-1"))


AGORA = Settings(agora_app_id="a" * 32, agora_app_cert=SecretStr("b" * 32))


@pytest.mark.usefixtures("without_agora")
def test_agora_is_refused_where_its_packages_are_not_installed() -> None:
    check_settings(Settings())
    with pytest.raises(ConfigError, match="channels of Agora need agora-realtime-ai-api, which is not installed"):
        check_settings(AGORA)


def test_agora_without_a_certificate_is_warned_of(agora_site: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert told(AGORA, caplog) == []
    assert told(Settings(agora_app_id="a" * 32), caplog) == [
        "WARNING: AGORA_APP_CERT is empty: agents and users join without tokens, if the project allows that"
    ]


def told(settings: Settings, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What a program says at its start."""
    caplog.set_level(logging.INFO)
    check_settings(settings)
    return [f"{record.levelname}: {record.getMessage()}" for record in caplog.records]


def test_settings_that_have_nothing_odd_are_checked_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    assert told(Settings(), caplog) == []


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("", "wss://api.openai.com/v1"),
        ("wss://somebody:s3cret@voice.example:8443/v1?key=s3cret", "wss://voice.example:8443/v1"),
        ("ws://[::1]:9000/v1", "ws://[::1]:9000/v1"),
    ],
)
def test_the_model_s_address_is_told_without_secrets(address: str, shown: str) -> None:
    assert model_address(Settings(realtime_api_base_uri=address)) == shown


@pytest.mark.usefixtures("without_agora")
@pytest.mark.parametrize("wrong", [{"agora_app_id": "a" * 32}, {"agent_tools": "no_such_module"}])
def test_what_cannot_work_is_refused_at_the_start(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        check_settings(Settings.model_validate(wrong))


def test_a_key_that_would_go_unencrypted_is_warned_of_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    (line,) = told(REMOTE.model_copy(update={"realtime_api_base_uri": "ws://model.example/v1"}), caplog)
    assert line.startswith("WARNING: the key goes to model.example unencrypted")


def test_an_ear_on_another_machine_is_warned_of_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(voice_phrases="local", voice_phrases_uri="wss://ears.example/v1")
    (line,) = told(settings, caplog)
    assert line.startswith("WARNING: what users say goes to ears.example")


def test_the_functions_are_named_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    assert told(REMOTE.model_copy(update={"agent_tools": "examples.tools"}), caplog) == [
        "INFO: examples.tools has the functions current_time, order_status"
    ]


def test_functions_that_the_embedded_model_will_not_call_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    _, line = told(Settings(agent_tools="examples.tools"), caplog)
    assert line.startswith("WARNING: the embedded model calls no functions")


def test_a_function_that_is_not_described_is_warned_of(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mute_shop.py").write_text("from realtime_agent.tools import tool\n@tool\ndef ping() -> None: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    _, line = told(REMOTE.model_copy(update={"agent_tools": "mute_shop"}), caplog)
    assert line == "WARNING: function ping has no docstring: the model must guess from its name what it does"
    monkeypatch.delitem(sys.modules, "mute_shop")


@pytest.mark.parametrize(("key", "header"), [("sk-1", "Bearer sk-1"), ("", None)])
async def test_the_session_goes_where_the_settings_say_with_the_key_if_there_is_one(
    script: ScriptedServer, key: str, header: str | None
) -> None:
    settings = Settings(realtime_api_base_uri=script.url, openai_api_key=SecretStr(key))
    spec = agent_spec(model="some/model v2")
    agent, _ = assemble(spec, settings, notify=lambda event: None)
    await agent._session.open()
    await agent._session.close()
    assert script.path == "/v1/realtime?model=some%2Fmodel%20v2"
    assert script.headers.get("Authorization") == header
    update = await script.expect("session.update")
    assert update["session"] == spec.session.to_dict()


async def test_with_a_key_and_no_address_the_session_goes_to_openai() -> None:
    spec = agent_spec(model="some/model v2")
    agent, _ = assemble(spec, Settings(openai_api_key=SecretStr("sk-1")), notify=lambda event: None)
    assert vars(agent._session)["_connector"].url == "wss://api.openai.com/v1/realtime?model=some%2Fmodel%20v2"


async def test_the_ear_is_told_the_language_and_what_users_call_the_agent(script: ScriptedServer) -> None:
    settings = Settings(voice_phrases="local", voice_phrases_uri=script.url, voice_phrases_name="Ada")
    spec = agent_spec(audio={"input": {"transcription": {"model": "m", "language": "de"}}})
    agent, _ = assemble(spec, settings, notify=lambda event: None)
    ear = asyncio.create_task(agent._spotter.run())
    update = await script.expect("session.update")
    ear.cancel()
    assert script.path == "/v1/realtime?intent=transcription"
    assert update["session"]["audio"]["input"]["transcription"] == {"language": "de", "keywords": ["Ada"]}


async def test_playout_has_the_channel_s_frames_and_the_settings_lead() -> None:
    agent, channel = assemble(
        agent_spec(model="some/model v2"), Settings(playout_lead_ms=100), notify=lambda event: None
    )
    playout, now = agent._voice._playout, asyncio.get_running_loop().time()
    playout.add("i", 0, bytes(48_000))
    frames = []
    while (frame := playout.take(now)) is not None:
        frames.append(frame)
    assert {len(frame) for frame in frames} == {channel.frame_ms * 48}
    assert len(frames) == 100 // channel.frame_ms + 1


@pytest.mark.parametrize(
    ("folder", "is_recorded", "kept"),
    [
        ("calls", False, None), ("calls", True, (True, True, False)), ("calls", None, (True, True, False)),
        ("", False, None), ("", True, (True, True, False)), ("", None, (False, True, False)),
    ],
)  # fmt: skip
async def test_who_is_spared_a_recording_is_spared_the_raw_audio_too(
    folder: str, is_recorded: bool | None, kept: tuple[bool, ...] | None
) -> None:
    settings = Settings(record_dir=folder, write_rtc_pcm=True)
    agent, _ = assemble(agent_spec(record=is_recorded), settings, notify=lambda event: None)
    assert (agent._recorder and agent._recorder._kept) == kept
