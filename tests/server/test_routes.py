"""Every address and every status, over a fleet without processes."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from realtime_agent import __version__
from realtime_agent.config import Settings
from realtime_agent.control.commands import CommandResult
from realtime_agent.control.events import ConnectionChanged, UsageChanged
from realtime_agent.control.life import EndReason, State
from realtime_agent.control.usage import TotalUsage
from realtime_agent.errors import (
    AgentNotFound,
    ControlTimeout,
    ModelConflict,
    ModelRefused,
    QueueFull,
    SessionError,
    SessionTimeout,
)
from realtime_agent.fleet.fleet import Fleet
from realtime_agent.fleet.model_process import Model
from tests.fake_launcher import FakeLauncher
from tests.server.conftest import Client, Post

POSTS = ["/start_agent", "/start", "/stop_agent", "/stop", "/control_agent", "/token"]


def fields(body: dict[str, Any]) -> list[str]:
    return [detail["field"] for detail in body["details"]]


@pytest.mark.parametrize(("start", "stop"), [("/start_agent", "/stop_agent"), ("/start", "/stop")])
async def test_an_agent_is_started_once_and_stopped_once(post: Post, start: str, stop: str) -> None:
    status, body = await post(start, channel_name="room", uid=7)
    assert (status, body) == (
        200,
        {"status": "Agent started!", "channel_name": "room", "uid": 7, "pid": 1000, "state": "waiting"},
    )
    status, body = await post(start, channel_name="room", uid=8)
    assert (status, body["error"]) == (409, "Agent exists")
    status, body = await post(stop, channel_name="room")
    assert (status, body) == (200, {"status": "Agent stopped!", "channel_name": "room", "reason": "stopped"})
    status, body = await post(stop, channel_name="room")
    assert (status, body["error"]) == (404, "Agent not found")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"voice": "darth"}, "voice"),
        ({"channel_name": "a/b"}, "channel_name"),
        ({"channel_name": ".."}, "channel_name"),
        ({"channel_name": "a" * 65}, "channel_name"),
        ({"uid": -1}, "uid"),
        ({"uid": 2**32}, "uid"),
        ({"uid": "5"}, "uid"),
        ({"uid": 1.5}, "uid"),
        ({"uid": True}, "uid"),
        ({"colour": "red"}, "colour"),
        ({"user_uid": 7}, "user_uid"),
        ({"turn_detection": {"type": "server_vad", "threshold": 7}}, "turn_detection.threshold"),
        ({"tracing": {"workflow": "x"}}, "tracing.workflow"),
        ({"language": "en", "transcription": None}, "language"),
        ({"tools": ["no_such_function"]}, "tools"),
        ({"tools": [{"type": "mcp", "server_label": "l"}]}, "tools.0"),
        ({"tool_choice": {"type": "function", "name": "no_such_function"}}, "tool_choice"),
        ({"tool_choice": {"type": "mcp", "server_label": "l"}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
    ],
)
async def test_a_bad_start_names_the_field(post: Post, change: dict[str, Any], field: str) -> None:
    status, body = await post("/start_agent", **{"channel_name": "room", "uid": 7, **change})
    assert (status, body["error"], fields(body)) == (400, "Invalid request", [field])


async def test_missing_fields_are_named(post: Post) -> None:
    for path, missing in [
        ("/start_agent", ["channel_name", "uid"]),
        ("/stop_agent", ["channel_name"]),
        ("/token", ["channel_name"]),
        ("/control_agent", ["command"]),
    ]:
        status, body = await post(path)
        assert (status, fields(body)) == (400, missing)


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"NaN", b"[" * 5000, b'{"a": "\\ud800"}'])
async def test_a_body_that_is_no_json_object_is_a_bad_request(client: Client, path: str, data: bytes) -> None:
    async with client.post(path, data=data, headers={"Content-Type": "application/json"}) as response:
        body = await response.json()
        assert (response.status, body["error"]) == (400, "Invalid request")
        assert body["details"]


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream"])
async def test_a_wrong_content_type_is_a_bad_request(client: Client, path: str, kind: str) -> None:
    async with client.post(
        path, data=b'{"channel_name": "room", "uid": 7}', headers={"Content-Type": kind}
    ) as response:
        assert (response.status, fields(await response.json())) == (400, ["Content-Type"])


@pytest.mark.parametrize(
    ("given_fields", "field"),
    [
        ({}, "command"),
        ({"command": "dance"}, "command"),
        ({"command": 5}, "command"),
        ({"command": "update_instruction"}, "new_instruction"),
        ({"command": "update_turn_detection"}, "new_turn_detection"),
        ({"command": "send_system_text"}, "input_text"),
        ({"command": "send_user_text"}, "input_text"),
        ({"command": "say"}, "input_text"),
        ({"command": "update_session"}, "body"),
        ({"command": "update_session", "voice": "joe"}, "voice"),
        ({"command": "update_session", "speed": 9}, "speed"),
        ({"command": "update_session", "model": "other"}, "model"),
        ({"command": "update_session", "tools": ["nothing"]}, "tools"),
        ({"command": "update_session", "transcription": None, "language": "en"}, "language"),
        ({"command": "send_user_text", "input_text": ""}, "input_text"),
        ({"command": "send_user_text", "input_text": "hi", "new_instruction": "x"}, "new_instruction"),
        ({"command": "commit_audio_buffer", "input_text": "hi"}, "input_text"),
    ],
)
async def test_a_bad_command_names_the_field(post: Post, given_fields: dict[str, Any], field: str) -> None:
    await post("/start_agent", channel_name="room", uid=7)
    status, body = await post("/control_agent", channel_name="room", **given_fields)
    assert (status, fields(body)) == (400, [field])


async def test_a_command_without_a_channel_names_it(post: Post) -> None:
    status, body = await post("/control_agent", command="commit_audio_buffer")
    assert (status, fields(body)) == (400, ["channel_name"])


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ("yes", "new_turn_detection"),
        (1, "new_turn_detection"),
        (None, "new_turn_detection"),
        ({}, "new_turn_detection.type"),
        ({"type": "psychic"}, "new_turn_detection.type"),
        ({"type": "server_vad", "threshold": 2}, "new_turn_detection.threshold"),
    ],
)
async def test_of_a_wrong_turn_detection_only_what_is_wrong_is_named(post: Post, wrong: object, field: str) -> None:
    body = {"channel_name": "room", "command": "update_turn_detection", "new_turn_detection": wrong}
    status, answer = await post("/control_agent", **body)
    assert (status, fields(answer)) == (400, [field])


@pytest.mark.parametrize(
    "command",
    [
        {"command": "update_instruction", "new_instruction": "Be brief."},
        {"command": "update_turn_detection", "new_turn_detection": False},
        {"command": "update_turn_detection", "new_turn_detection": {"type": "semantic_vad"}},
        {"command": "send_system_text", "input_text": "hi"},
        {"command": "send_user_text", "input_text": "hi"},
        {"command": "create_response", "new_instruction": "Say hi."},
        {"command": "create_response"},
        {"command": "say", "input_text": "hi"},
        {"command": "interrupt"},
        {"command": "commit_audio_buffer"},
        {"command": "clear_audio_buffer"},
        {"command": "pause"},
        {"command": "resume"},
        {"command": "update_session", "speed": 1.2, "voice": "ash"},
    ],
)
async def test_a_command_reaches_the_agent(post: Post, launcher: FakeLauncher, command: dict[str, Any]) -> None:
    body = {"channel_name": "room", **command}
    assert (await post("/control_agent", **body))[0] == 404
    await post("/start_agent", channel_name="room", uid=7)
    launcher.worker.result = CommandResult(item_id="text_1")
    status = f"Command {command['command']} sent to agent."
    assert await post("/control_agent", **body) == (200, {"status": status, "result": {"item_id": "text_1"}})
    assert [sent.model_dump(exclude_unset=True) for sent in launcher.worker.commands] == [
        {**body, **({} if "new_turn_detection" not in body else {"new_turn_detection": body["new_turn_detection"]})}
    ]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (QueueFull("the agent has too many commands waiting"), 429),
        (ControlTimeout("the agent did not answer within 5 s"), 504),
        (SessionError("the connection to the model was lost"), 502),
        (ModelRefused("there is no such voice"), 422),
        (ModelConflict("the buffer is too small"), 409),
        (SessionTimeout("the model did not answer the command within 10 s"), 504),
        (AgentNotFound("the agent has just ended"), 404),
    ],
)
async def test_a_command_that_fails_says_why(post: Post, launcher: FakeLauncher, error: Exception, status: int) -> None:
    await post("/start_agent", channel_name="room", uid=7)
    launcher.worker.control_error = error
    found, body = await post("/control_agent", channel_name="room", command="commit_audio_buffer")
    assert (found, body["details"]) == (status, str(error))


async def test_a_start_that_somebody_stops_is_409(post: Post, launcher: FakeLauncher) -> None:
    launcher.slow = True
    starting = asyncio.create_task(post("/start_agent", channel_name="room", uid=7))
    async with asyncio.timeout(30):
        while not launcher.workers:
            await asyncio.sleep(0)
    assert (await post("/stop_agent", channel_name="room"))[0] == 200
    status, body = await starting
    assert (status, body["error"]) == (409, "Start stopped")


async def test_a_start_that_the_server_s_end_cuts_is_503(client: Client, fleet: Fleet, launcher: FakeLauncher) -> None:
    launcher.slow = True
    starting = asyncio.create_task(client.post("/start_agent", json={"channel_name": "room", "uid": 7}))
    async with asyncio.timeout(30):
        while not launcher.workers:
            await asyncio.sleep(0.001)
    await fleet.drain()
    async with await starting as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "5")


async def test_an_agent_that_fails_to_start_is_502_with_the_cause(post: Post, launcher: FakeLauncher) -> None:
    launcher.slow = True
    starting = asyncio.create_task(post("/start_agent", channel_name="room", uid=7))
    async with asyncio.timeout(30):
        while not launcher.workers:
            await asyncio.sleep(0.001)
    launcher.worker.end(EndReason.MODEL_FAILED, "the model can't be reached: connection refused")
    status, body = await starting
    assert (status, body["details"]) == (502, "the model can't be reached: connection refused")


async def test_an_agent_that_is_not_ready_in_time_is_504(
    post: Post, launcher: FakeLauncher, fleet: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "_settings", settings.model_copy(update={"start_timeout_s": 0.02}))
    launcher.slow = True
    status, body = await post("/start_agent", channel_name="room", uid=7)
    assert (status, body["error"]) == (504, "Start timeout")


async def test_agents_are_listed_and_shown(client: Client, post: Post, fleet: Fleet, launcher: FakeLauncher) -> None:
    name = "a room? #1 & {x} [x]~|;="
    await post("/start_agent", channel_name=name, uid=7, user_uid=5)
    launcher.worker.become(State.ACTIVE)
    for end in ("channel", "model"):
        launcher.worker.report(ConnectionChanged(to=end, status="lost"))
    launcher.worker.report(ConnectionChanged(to="channel", status="restored"))
    spent = TotalUsage(responses=1, input_tokens=2, output_tokens=3, total_tokens=5, output_text_tokens=3)
    launcher.worker.report(UsageChanged(usage=spent))
    async with asyncio.timeout(30):
        while not fleet.find(name).usage.responses:
            await asyncio.sleep(0)
    async with client.get("/agents") as response:
        assert response.status == 200
        body = await response.json()
        (listed,) = body["agents"]
        assert body["total"] == listed["usage"]
    async with client.get(f"/agents/{quote(name, safe='')}") as response:
        assert response.status == 200
        shown = await response.json()
    assert shown == listed
    assert isinstance(shown.pop("since"), float)
    usage = shown.pop("usage")
    assert {name: count for name, count in usage.items() if count} == spent.model_dump(exclude_defaults=True)
    assert usage.keys() == TotalUsage.model_fields.keys()
    assert shown == {
        "channel_name": name, "uid": 7, "user_uid": 5, "pid": 1000, "generation": 1, "state": "active",
        "lost": ["model"], "reason": None, "cause": None,
    }  # fmt: skip
    await post("/stop_agent", channel_name=name)
    async with client.get("/agents") as response:
        assert await response.json() == {"agents": [], "total": usage}
    async with client.get(f"/agents/{quote(name, safe='')}") as response:
        ended = await response.json()
        assert (ended["state"], ended["reason"]) == ("ended", "stopped")
    async with client.get("/agents/nowhere") as response:
        assert response.status == 404


async def test_health_and_readiness(client: Client) -> None:
    for path in ("/health", "/ready"):
        async with client.get(path) as response:
            assert (response.status, await response.json()) == (200, {"status": "ok", "version": __version__})


async def test_it_is_not_ready_without_its_model(client: Client, model: Model) -> None:
    model.is_running = False
    async with client.get("/ready") as response:
        assert (response.status, (await response.json())["error"]) == (503, "Not ready")
    async with client.get("/health") as response:
        assert response.status == 200


async def test_nobody_gets_a_token_for_the_agent_s_place(post: Post) -> None:
    await post("/start_agent", channel_name="room", uid=7)
    status, body = await post("/token", channel_name="room", uid=7)
    assert (status, body["details"]) == (400, [{"field": "uid", "message": "it is the number of the channel's agent"}])
    assert (await post("/token", channel_name="room", uid=8))[0] == 200
    assert (await post("/token", channel_name="other", uid=7))[0] == 200


async def test_a_token_says_where_to_go(client: Client, post: Post) -> None:
    status, body = await post("/token", channel_name="a room?", uid=5)
    assert status == 200
    assert (body["rtc"], body["channel_name"], body["uid"]) == ("web", "a room?", 5)
    url = f"ws://{client.host}:{client.port}/rtc/a%20room%3F?token={body['token']}"
    assert body["url"] == url
    assert isinstance(body["expires_at"], int)
    assert 0 < (await post("/token", channel_name="room", uid=0))[1]["uid"] < 2**32
    assert (await post("/token", channel_name="room"))[0] == 200
    async with client.post(
        "/token", json={"channel_name": "r", "uid": 1}, headers={"X-Forwarded-Proto": "https", "Host": "voice.example"}
    ) as response:
        assert (await response.json())["url"].startswith("wss://voice.example/rtc/r?token=")


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
COMMANDS = st.sampled_from(
    ["update_instruction", "update_turn_detection", "send_system_text", "send_user_text", "create_response",
     "commit_audio_buffer"]
)  # fmt: skip
TURN_DETECTION = ANY_JSON | st.fixed_dictionaries(
    {"type": st.sampled_from(["server_vad", "semantic_vad", "none"])},
    optional={"threshold": ANY_JSON | st.floats(0, 1), "eagerness": ANY_JSON, "silence_duration_ms": ANY_JSON},
)
LIKELY = st.fixed_dictionaries(
    {},
    optional={
        "channel_name": st.sampled_from(["room", "a room"]) | ANY_JSON,
        "uid": st.integers(-1, 2**32) | ANY_JSON,
        "user_uid": st.integers(0, 2**32) | ANY_JSON,
        "voice": st.sampled_from(["marin", "darth"]) | ANY_JSON,
        "language": st.just("en") | ANY_JSON,
        "model": ANY_JSON,
        "greeting": ANY_JSON,
        "system_instruction": ANY_JSON,
        "turn_detection": TURN_DETECTION,
        "max_duration_s": st.floats() | ANY_JSON,
        "speed": st.floats() | ANY_JSON,
        "noise_reduction": st.just({"type": "near_field"}) | ANY_JSON,
        "transcription": st.just({"language": "en"}) | ANY_JSON,
        "tools": st.lists(st.sampled_from(["f", "g h", {"type": "mcp", "server_label": "l"}]) | ANY_JSON),
        "tool_choice": st.sampled_from(["auto", {"type": "function", "name": "f"}]) | ANY_JSON,
        "max_output_tokens": st.integers(0, 5000) | ANY_JSON,
        "truncation": ANY_JSON,
        "tracing": ANY_JSON,
        "prompt": st.just({"id": "p"}) | ANY_JSON,
        "command": COMMANDS | ANY_JSON,
        "new_instruction": st.text() | ANY_JSON,
        "input_text": st.text() | ANY_JSON,
        "new_turn_detection": TURN_DETECTION,
    },
)
KNOWN = {200, 400, 404, 409, 503}
fast = limits(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


async def known_answer(client: Client, path: str, data: bytes) -> None:
    async with client.post(path, data=data, headers={"Content-Type": "application/json"}) as response:
        assert response.status in KNOWN
        body = await response.json()
        if response.status != 200:
            assert set(body) == {"error", "details"}


@pytest.mark.parametrize("path", POSTS)
@fast
@given(body=LIKELY | ANY_JSON)
async def test_any_json_has_a_known_answer(client: Client, path: str, body: Any) -> None:
    await known_answer(client, path, json.dumps(body).encode())


@pytest.mark.parametrize("path", POSTS)
@fast
@given(data=st.binary())
async def test_any_bytes_have_a_known_answer(client: Client, path: str, data: bytes) -> None:
    await known_answer(client, path, data)


@fast
@given(name=st.text(min_size=1), token=st.text())
async def test_any_name_and_token_have_a_known_answer(client: Client, name: str, token: str) -> None:
    try:
        quoted = quote(name, safe="")
    except UnicodeEncodeError:
        return
    for path in (f"/agents/{quoted}", f"/rtc/{quoted}?token={quote(token, safe='', errors='replace')}"):
        async with client.get(path) as response:
            assert response.status in {200, 400, 401, 404}
