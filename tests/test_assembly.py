"""Both ends of an agent follow from the settings and the spec."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import SecretStr

from realtime_agent.assembly import assemble, check_channel
from realtime_agent.config import Settings
from realtime_agent.errors import ConfigError
from realtime_agent.testing import ScriptedServer
from tests.specs import agent_spec


def test_agora_is_refused_until_it_is_there() -> None:
    check_channel(Settings())
    with pytest.raises(ConfigError, match="AGORA_APP_ID"):
        check_channel(Settings(agora_app_id="a" * 32))


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


async def test_playout_has_the_channel_s_frames_and_the_settings_lead() -> None:
    agent, channel = assemble(
        agent_spec(model="some/model v2"), Settings(playout_lead_ms=100), notify=lambda event: None
    )
    playout, now = agent._playout, asyncio.get_running_loop().time()
    playout.add("i", 0, bytes(48_000))
    frames = []
    while (frame := playout.take(now)) is not None:
        frames.append(frame)
    assert {len(frame) for frame in frames} == {channel.frame_ms * 48}
    assert len(frames) == 100 // channel.frame_ms + 1
