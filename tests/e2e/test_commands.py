"""Each command through HTTP: what goes to the model on the wire, and what the caller is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from realtime_agent.testing import ScriptedConnection, ScriptedServer, Speech, scripted_server
from realtime_agent.testing.sound import tone
from tests.e2e.program import post, running
from tests.e2e.watch import Talker, Watcher, talking, watching

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("scripted program"),
]

VAD = {
    "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500,
    "create_response": True, "interrupt_response": True,
}  # fmt: skip
MUTED = VAD | {"create_response": False, "interrupt_response": False, "idle_timeout_ms": None}
WORDS = "It was a dark and stormy night."


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def script() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(script: ScriptedServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a server whose agents talk to the script."""
    folder = tmp_path_factory.mktemp("commands")
    (folder / "functions.py").write_text(
        "from realtime_agent.tools import tool\n\n\n@tool\ndef look_up(word: str) -> str:\n    '''Look up.'''\n"
        "    return 'rain'\n\n\n@tool\ndef forget(word: str) -> str:\n    '''Forget.'''\n    return 'gone'\n"
    )
    settings = {"REALTIME_API_BASE_URI": script.url, "AGENT_TOOLS": "functions", "CONTROL_TIMEOUT_S": "3"}
    async with running(folder, "server", **settings) as (_, address):
        yield address


class Scene:
    """A running agent, its model, its user, and whoever steers and watches it."""

    def __init__(self, server: str, script: ScriptedServer, channel: str, user: Talker, watcher: Watcher) -> None:
        self.script = script
        self.user = user
        self.watcher = watcher
        self._server = server
        self._channel = channel

    async def ask(self, command: str, **fields: Any) -> tuple[int, dict[str, Any]]:
        return await post(self._server, "/control_agent", channel_name=self._channel, command=command, **fields)

    async def done(self, command: str, **fields: Any) -> dict[str, Any]:
        """Give a command that is carried out; gives what came of it."""
        status, answer = await self.ask(command, **fields)
        assert (status, answer.get("status")) == (200, f"Command {command} sent to agent."), answer
        result: dict[str, Any] = answer["result"]
        return result

    async def told(self, kind: str, **fields: Any) -> dict[str, Any]:
        """What the model is told next of a kind, whole, without its own id."""
        event = await self.script.expect(kind, **fields)
        return {name: value for name, value in event.items() if name != "event_id"}


@asynccontextmanager
async def steering(server: str, script: ScriptedServer, channel: str, **wishes: Any) -> AsyncIterator[Scene]:
    status, started = await post(server, "/start_agent", channel_name=channel, uid=5, **wishes)
    assert status == 200, started
    async with watching(server, channel) as watcher, talking(server, channel) as user:
        await watcher.until(lambda event: event.get("state") == "active")
        await script.expect("session.update")
        yield Scene(server, script, channel, user, watcher)
    await post(server, "/stop_agent", channel_name=channel)


@pytest_asyncio.fixture(loop_scope="session")
async def scene(server: str, script: ScriptedServer, request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    async with steering(server, script, f"room {request.node.name}"[:64].replace("[", "").replace("/", "")) as scene:
        yield scene


async def test_update_instruction(scene: Scene) -> None:
    result = await scene.done("update_instruction", new_instruction="Sing.")
    assert result == {"session": {"type": "realtime", "instructions": "Sing."}}
    told = await scene.told("session.update", session={"instructions": "Sing."})
    assert told == {"type": "session.update", "session": {"type": "realtime", "instructions": "Sing."}}


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (True, VAD | {"idle_timeout_ms": None}),
        (False, None),
        ({"type": "semantic_vad", "eagerness": "low"},
         {"type": "semantic_vad", "eagerness": "low", "create_response": True, "interrupt_response": True}),
    ],
)  # fmt: skip
async def test_update_turn_detection(scene: Scene, wanted: object, told: object) -> None:
    result = await scene.done("update_turn_detection", new_turn_detection=wanted)
    session = {"type": "realtime", "audio": {"input": {"turn_detection": told}}}
    assert result == {"session": session}
    assert await scene.told("session.update") == {"type": "session.update", "session": session}


async def test_update_session(scene: Scene) -> None:
    result = await scene.done(
        "update_session", voice="ash", speed=1.2, tools=["forget"], tool_choice="required", language="de"
    )
    told = await scene.told("session.update")
    assert result == {"session": told["session"]}
    (tool,) = told["session"].pop("tools")
    assert tool["name"] == "forget"
    assert told["session"] == {
        "type": "realtime",
        "tool_choice": "required",
        "audio": {
            "input": {"transcription": {"model": "gpt-realtime-whisper", "language": "de"}},
            "output": {"voice": "ash", "speed": 1.2},
        },
    }
    outputs = []
    for name in ("forget", "look_up"):
        call_id = await scene.script.call_function(name, {"word": "rain"})
        outputs.append(await scene.script.output_of(call_id))
        await scene.script.expect("response.create")
    assert outputs[0] == "gone"
    assert "look_up" in outputs[1]
    assert "error" in outputs[1]


async def test_update_session_is_bound_by_the_model_s_rules(scene: Scene) -> None:
    async def refuse(connection: ScriptedConnection, event: dict[str, Any]) -> None:
        message = "Cannot update a conversation's voice."
        await connection.error("cannot_update_voice", message, event_id=event["event_id"])

    scene.script.on("session.update", refuse)
    try:
        answer = await scene.ask("update_session", voice="ash")
    finally:
        del scene.script._handlers["session.update"]
    assert answer == (409, {"error": "Model conflict", "details": "Cannot update a conversation's voice."})


async def test_what_the_model_does_not_accept_is_told_in_its_words(scene: Scene) -> None:
    async def refuse(connection: ScriptedConnection, event: dict[str, Any]) -> None:
        await connection.error("invalid_value", "No such effort.", event_id=event["event_id"])

    scene.script.on("session.update", refuse)
    try:
        answer = await scene.ask("update_session", reasoning={"effort": "high"})
    finally:
        del scene.script._handlers["session.update"]
    assert answer == (422, {"error": "Model refused", "details": "No such effort."})
    failed = await scene.watcher.until(lambda event: event["type"] == "command")
    assert (failed["command"], failed["error"]) == ("update_session", "No such effort.")


async def test_send_system_text(scene: Scene) -> None:
    result = await scene.done("send_system_text", input_text="It rains.")
    assert await scene.told("conversation.item.create") == {
        "type": "conversation.item.create",
        "item": {
            "id": result["item_id"], "type": "message", "role": "system",
            "content": [{"type": "input_text", "text": "It rains."}],
        },
    }  # fmt: skip


async def test_send_user_text(scene: Scene) -> None:
    asking = asyncio.create_task(scene.done("send_user_text", input_text="Hello?"))
    told = await scene.told("conversation.item.create")
    assert told["item"]["role"] == "user"
    assert told["item"]["content"] == [{"type": "input_text", "text": "Hello?"}]
    assert (await scene.told("response.create"))["response"].keys() == {"metadata"}
    await scene.script.speak(WORDS)
    assert await asking == {"response": "begun"}
    words = await scene.watcher.until(lambda event: event.get("role") == "assistant" and event.get("final"))
    assert words["text"] == WORDS


async def test_create_response_speaks_by_the_instruction(scene: Scene) -> None:
    asking = asyncio.create_task(scene.done("create_response", new_instruction="Greet."))
    told = (await scene.told("response.create"))["response"]
    assert (told.keys(), told["instructions"]) == ({"instructions", "metadata"}, "Greet.")
    await scene.script.speak(WORDS)
    assert await asking == {"response": "begun"}


async def test_create_response_waits_while_a_reply_is_running(scene: Scene) -> None:
    asking = asyncio.create_task(scene.done("create_response", new_instruction="Greet."))
    await scene.told("response.create")
    *most, last = scene.script.reply(Speech(WORDS))
    await scene.script.send_all(most)
    await asking
    assert await scene.done("create_response", new_instruction="Sing.") == {"response": "waiting"}
    assert len(_of(scene, "response.create")) == 1
    await scene.script.send(last)
    assert (await scene.told("response.create"))["response"]["instructions"] == "Sing."


async def test_say_speaks_word_for_word(scene: Scene) -> None:
    asking = asyncio.create_task(scene.done("say", input_text='He said "hi".'))
    told = (await scene.told("response.create"))["response"]
    assert told.pop("metadata")
    assert told == {
        "instructions": 'Say exactly this, word for word, and nothing else: "He said "hi"."',
        "input": [],
        "tool_choice": "none",
    }
    await scene.script.speak('He said "hi".')
    assert await asking == {"response": "begun"}


async def test_interrupt_cuts_what_is_being_said(scene: Scene) -> None:
    asking = asyncio.create_task(scene.done("say", input_text=WORDS))
    await scene.told("response.create")
    *most, _ = scene.script.reply(Speech(WORDS, item_id="night"))
    await scene.script.send_all(most)
    await asking
    await scene.watcher.until(lambda event: event["type"] == "speech" and event["speaking"])
    assert await scene.done("interrupt") == {"interrupted": True}
    cancel = await scene.told("response.cancel")
    assert cancel == {"type": "response.cancel", "response_id": cancel["response_id"]}
    truncate = await scene.told("conversation.item.truncate")
    assert truncate.pop("audio_end_ms") < 2000
    assert truncate == {"type": "conversation.item.truncate", "item_id": "night", "content_index": 0}
    cut = await scene.watcher.until(lambda event: event["type"] == "interrupted")
    assert cut["by"] == "command"
    await scene.script.send_all(scene.script.conversation.cancelled("client_cancelled"))
    assert await scene.done("interrupt") == {"interrupted": False}


async def test_commit_audio_buffer_makes_a_message(scene: Scene) -> None:
    await scene.done("update_turn_detection", new_turn_detection=False)
    await scene.user.say(tone(300))
    result = await scene.done("commit_audio_buffer")
    assert await scene.told("input_audio_buffer.commit") == {"type": "input_audio_buffer.commit"}
    assert result["item_id"] in scene.script.conversation.items
    assert len(_of(scene, "response.create")) == 0


async def test_commit_audio_buffer_with_too_little_audio_says_so(scene: Scene) -> None:
    await scene.done("update_turn_detection", new_turn_detection=False)
    scene.script.conversation.waiting_ms = -10_000
    status, answer = await scene.ask("commit_audio_buffer")
    assert (status, answer["error"]) == (409, "Model conflict")
    assert answer["details"].startswith("There is too little audio")


async def test_clear_audio_buffer(scene: Scene) -> None:
    assert await scene.done("clear_audio_buffer") == {}
    assert await scene.told("input_audio_buffer.clear") == {"type": "input_audio_buffer.clear"}


async def test_push_to_talk_is_four_commands(scene: Scene) -> None:
    await scene.done("update_turn_detection", new_turn_detection=False)
    await scene.done("clear_audio_buffer")
    await scene.user.say(tone(300))
    item_id = (await scene.done("commit_audio_buffer"))["item_id"]
    asking = asyncio.create_task(scene.done("create_response"))
    assert (await scene.told("response.create"))["response"].keys() == {"metadata"}
    await scene.script.transcribe("What time is it?", item_id=item_id)
    await scene.script.speak("Noon.")
    assert await asking == {"response": "begun"}
    turn = await scene.watcher.until(lambda event: event["type"] == "turn")
    assert turn["first_frame_ms"] >= turn["first_audio_ms"]
    await scene.watcher.until(lambda event: event.get("text") == "Noon.")
    said = [(event["role"], event["text"]) for event in scene.watcher.of("transcript") if event.get("final")]
    assert said == [("user", "What time is it?"), ("assistant", "Noon.")]


async def test_pause_and_resume(scene: Scene) -> None:
    asking = asyncio.create_task(scene.done("say", input_text=WORDS))
    await scene.told("response.create")
    *most, _ = scene.script.reply(Speech(WORDS, item_id="night"))
    await scene.script.send_all(most)
    await asking
    await scene.watcher.until(lambda event: event["type"] == "speech" and event["speaking"])
    assert await scene.done("pause") == {"state": "paused"}
    await scene.told("response.cancel")
    assert (await scene.told("session.update"))["session"]["audio"]["input"] == {"turn_detection": MUTED}
    await scene.script.send_all(scene.script.conversation.cancelled("client_cancelled"))
    assert await scene.done("pause") == {"state": "paused"}
    heard = await scene.script.hear("The walls have ears.")
    assert (await scene.told("conversation.item.delete")) == {"type": "conversation.item.delete", "item_id": heard}
    assert await scene.done("say", input_text="I am back.") == {"response": "waiting"}
    assert await scene.done("resume") == {"state": "active"}
    unmuted = (await scene.told("session.update"))["session"]["audio"]["input"]["turn_detection"]
    assert unmuted == VAD | {"idle_timeout_ms": None}
    assert "I am back." in (await scene.told("response.create"))["response"]["instructions"]
    states = [(event["state"], event.get("by")) for event in scene.watcher.of("state")]
    assert states[-2:] == [("paused", "command"), ("active", "command")]
    assert not any("ears" in str(event) for event in scene.watcher.events)


async def test_a_phrase_pauses_and_another_resumes(scene: Scene) -> None:
    said = await scene.script.hear("Hey agent, stop!")
    await scene.watcher.until(lambda event: event.get("state") == "paused")
    assert (await scene.told("conversation.item.delete"))["item_id"] == said
    # The model answers the phrase before it knows: nobody hears it.
    await scene.script.send_all(scene.script.reply(Speech(WORDS, item_id="answer"))[:6])
    await scene.told("response.cancel")
    await scene.script.send_all(scene.script.conversation.cancelled("client_cancelled"))
    assert (await scene.told("conversation.item.delete"))["item_id"] == "answer"
    for words in ("What a day.", "Hey, could you please start"):
        said = await scene.script.hear(words)
        assert (await scene.told("conversation.item.delete"))["item_id"] == said
    await scene.watcher.until(lambda event: event.get("by") == "voice" and event["state"] == "active")
    assert scene.watcher.of("speech")[-1]["role"] == "user"
    assert scene.script.conversation.items == {}


async def test_commands_are_carried_out_in_order(scene: Scene) -> None:
    texts = [f"This is number {number}." for number in range(20)]
    tasks = []
    for text in texts:
        tasks.append(asyncio.create_task(scene.done("send_system_text", input_text=text)))
        await asyncio.sleep(0.005)
    results = await asyncio.gather(*tasks)
    told = [item["content"][0]["text"] for item in scene.script.conversation.items.values()]
    assert told == texts
    assert len({result["item_id"] for result in results}) == 20
    assert [event["command"] for event in scene.watcher.of("command")] == ["send_system_text"] * 20


async def test_a_model_that_does_not_answer_is_504(scene: Scene) -> None:
    async def ignore(_connection: ScriptedConnection, _event: dict[str, Any]) -> None: ...

    scene.script.on("session.update", ignore)
    try:
        status, answer = await scene.ask("update_instruction", new_instruction="Sing.")
    finally:
        del scene.script._handlers["session.update"]
    assert (status, answer["error"]) == (504, "Session timeout")
    assert "did not answer" in answer["details"]


async def test_a_queue_that_is_full_is_429(scene: Scene) -> None:
    async def ignore(_connection: ScriptedConnection, _event: dict[str, Any]) -> None: ...

    scene.script.on("session.update", ignore)
    try:
        answers = await asyncio.gather(
            *(scene.ask("update_instruction", new_instruction=f"Sing {number}.") for number in range(70))
        )
    finally:
        del scene.script._handlers["session.update"]
    statuses = Counter(status for status, _ in answers)
    assert statuses == {504: 64, 429: 6}


async def test_without_an_agent_there_is_nothing_to_steer(server: str) -> None:
    status, answer = await post(server, "/control_agent", channel_name="nobody", command="pause")
    assert (status, answer["error"]) == (404, "Agent not found")


def _of(scene: Scene, kind: str) -> list[dict[str, Any]]:
    return [event for event in scene.script.received if event["type"] == kind]
