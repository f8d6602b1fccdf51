"""The service where channels are Agora's."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from realtime_agent.config import Settings
from tests.server.conftest import Client, Post

APP_ID, CERTIFICATE = "a" * 32, "b" * 32


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    certificate = getattr(request, "param", CERTIFICATE)
    return settings.model_copy(update={"agora_app_id": APP_ID, "agora_app_cert": SecretStr(certificate)})


async def test_a_token_names_the_project_the_channel_and_the_uid(agora_site: Path, post: Post) -> None:
    from agora_realtime_ai_api.token_builder.AccessToken2 import AccessToken

    before = int(time.time())
    status, body = await post("/token", channel_name="a room?", uid=5)
    assert (status, body["rtc"], body["app_id"], body["channel_name"], body["uid"]) == (
        200, "agora", APP_ID, "a room?", 5,
    )  # fmt: skip
    assert before + 3600 <= body["expires_at"] <= time.time() + 3600
    read = AccessToken()
    assert read.from_string(body["token"])
    service = read._AccessToken__service[1]
    assert (service._ServiceRtc__channel_name, service._ServiceRtc__uid) == (b"a room?", b"5")
    assert CERTIFICATE not in str(body)


async def test_each_token_is_another_and_a_uid_of_0_is_chosen(agora_site: Path, post: Post) -> None:
    first, second = [(await post("/token", channel_name="room", uid=0))[1] for _ in range(2)]
    assert 0 < first["uid"] < 2**32
    assert first["uid"] != second["uid"]
    assert first["token"] != second["token"]


@pytest.mark.parametrize("settings", [""], indirect=True)
async def test_without_a_certificate_the_token_is_empty_and_never_expires(post: Post) -> None:
    status, body = await post("/token", channel_name="room", uid=5)
    assert (status, body["token"], body["expires_at"]) == (200, "", None)


async def test_nobody_gets_a_token_for_the_agent_s_place(agora_site: Path, post: Post) -> None:
    assert (await post("/start_agent", channel_name="room", uid=7))[0] == 200
    status, body = await post("/token", channel_name="room", uid=7)
    assert (status, body["details"]) == (400, [{"field": "uid", "message": "it is the number of the channel's agent"}])
    assert (await post("/token", channel_name="room", uid=8))[0] == 200
    assert (await post("/token", channel_name="other", uid=7))[0] == 200


async def test_there_is_no_websocket_to_join(client: Client) -> None:
    async with client.get("/rtc/room?token=t") as response:
        assert response.status == 400
        (detail,) = (await response.json())["details"]
    assert detail["message"] == "it is one of Agora's: join it there, with what POST /token gives"
