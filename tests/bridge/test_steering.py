"""What commands do to an agent: what its model is asked, and what the caller is told."""

from __future__ import annotations

from typing import Any

import pytest

from realtime_agent.bridge.steering import Steering, word_for_word
from realtime_agent.control.commands import CommandResult, command_adapter
from realtime_agent.control.life import State
from realtime_agent.errors import ModelConflict
from realtime_agent.tools import Toolbox, tool
from tests.scene import FakeSession

SAY = 'Say exactly this, word for word, and nothing else: "Hi."'


@tool
def look_up(word: str) -> str:
    """Look up."""
    return word


@tool
def forget(word: str) -> str:
    """Forget."""
    return word


class Agent:
    """One that remembers what was asked of it."""

    def __init__(self) -> None:
        self.state = State.ACTIVE
        self.commits: list[float] = []

    def pause(self) -> None:
        self.state = State.PAUSED

    def resume(self) -> None:
        self.state = State.ACTIVE

    def interrupt(self) -> bool:
        return True

    def user_committed(self, asked: float) -> None:
        self.commits.append(asked)


class Scene:
    def __init__(self) -> None:
        self.agent, self.session = Agent(), FakeSession()
        self.now = 100.0
        self.steering = Steering(self.agent, self.session, Toolbox([look_up, forget]), lambda: self.now)

    async def do(self, command: str, **fields: Any) -> CommandResult:
        read = command_adapter.validate_python({"channel_name": "room", "command": command, **fields})
        return await self.steering.carry_out(read)


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize(
    ("command", "fields", "asked", "result"),
    [
        ("update_instruction", {"new_instruction": "Sing."}, ("update", {"type": "realtime", "instructions": "Sing."}),
         CommandResult(session={"type": "realtime", "instructions": "Sing."})),
        ("send_system_text", {"input_text": "It rains."}, ("tell", "It rains."), CommandResult(item_id="told")),
        ("send_user_text", {"input_text": "Hi?"}, ("say", "Hi?"), CommandResult(response="begun")),
        ("create_response", {"new_instruction": "Greet."}, ("create_response", {"instructions": "Greet."}),
         CommandResult(response="begun")),
        ("create_response", {}, ("create_response", {}), CommandResult(response="begun")),
        ("say", {"input_text": "Hi."}, ("create_response", {"instructions": SAY, "input": [], "tool_choice": "none"}),
         CommandResult(response="begun")),
        ("commit_audio_buffer", {}, ("commit", None), CommandResult(item_id="committed")),
        ("clear_audio_buffer", {}, ("clear", None), CommandResult()),
    ],
)  # fmt: skip
async def test_the_model_is_asked_and_what_came_of_it_is_told(
    scene: Scene, command: str, fields: dict[str, Any], asked: tuple[str, Any], result: CommandResult
) -> None:
    assert await scene.do(command, **fields) == result
    assert scene.session.asked == [asked]


@pytest.mark.parametrize("command", ["send_user_text", "say", "create_response"])
async def test_what_must_wait_for_its_turn_says_so(scene: Scene, command: str) -> None:
    scene.session.is_responding = True
    fields = {} if command == "create_response" else {"input_text": "Hi."}
    assert await scene.do(command, **fields) == CommandResult(response="waiting")


async def test_some_concern_the_agent_alone(scene: Scene) -> None:
    assert await scene.do("pause") == CommandResult(state=State.PAUSED)
    assert await scene.do("resume") == CommandResult(state=State.ACTIVE)
    assert await scene.do("interrupt") == CommandResult(state=None, interrupted=True)
    assert scene.session.asked == []


async def test_a_commit_ends_the_user_s_turn_when_it_was_asked_for_if_the_model_takes_it(scene: Scene) -> None:
    async def answer_late() -> str:
        scene.now += 0.4
        return "committed"

    scene.session.commit = answer_late  # type: ignore[method-assign]
    await scene.do("commit_audio_buffer")
    assert scene.agent.commits == [100.0]


async def test_a_commit_that_is_refused_ends_no_turn(scene: Scene) -> None:
    scene.session.refusal = ModelConflict("too little audio")
    with pytest.raises(ModelConflict):
        await scene.do("commit_audio_buffer")
    assert scene.agent.commits == []


async def test_the_model_is_told_of_functions_only_where_they_are_named(scene: Scene) -> None:
    await scene.do("update_session", speed=1.1)
    await scene.do("update_session", tools=["forget"])
    await scene.do("update_session", tools=[])
    named = [told.get("tools") for told in scene.session.of("update")]
    assert [tools and [each["name"] for each in tools] for tools in named] == [None, ["forget"], []]


async def test_servers_of_tools_are_told_beside_functions(scene: Scene) -> None:
    server = {"type": "mcp", "server_label": "docs", "server_url": "https://docs.example/mcp"}
    await scene.do("update_session", tools=["forget", server])
    (told,) = scene.session.of("update")
    assert [each.get("name", each.get("server_label")) for each in told["tools"]] == ["forget", "docs"]


def test_each_word_for_word_response_is_one_of_its_own() -> None:
    first, second = word_for_word("Hi."), word_for_word("Hi.")
    assert first == second
    assert first is not second
    assert first.input is not second.input
