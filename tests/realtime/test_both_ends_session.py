"""The session of ours: one set of tests for both servers, the embedded model and the scripted one."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from realtime_agent.config import Settings
from realtime_agent.errors import ModelRefused
from realtime_agent.local_model.brain import Message
from realtime_agent.local_model.server import serve
from realtime_agent.pcm import BYTES_PER_MS
from realtime_agent.realtime import events as ev
from realtime_agent.realtime.realtime_session import RealtimeSession
from realtime_agent.realtime.session import Interrupt, Lost, Play, Report, Restored, Rotated, Transcript, UserSpeech
from realtime_agent.realtime.types import AudioInput, ResponseConfig, ServerVad, SessionAudio, SessionConfig
from realtime_agent.testing import scripted_server
from tests.local_model.fakes import WORD_MS, Voices, speech
from tests.realtime.both_servers import SERVERS, TURN, Ears, Serving, embedded, voices
from tests.realtime.line import Line
from tests.realtime.sessions import CONFIG, TIMEOUT_S, Ear, RotationOnDemand, new_session, running
from tests.speech import clip, silence, word_error_rate

UNTRANSCRIBED = SessionConfig(
    output_modalities=["audio"], audio=SessionAudio(input=AudioInput(turn_detection=ServerVad().in_full()))
)
BY_COMMAND = SessionConfig(
    output_modalities=["audio"],
    audio=SessionAudio(input=AudioInput(turn_detection=None)),
)
HELD = ("One two three.", "Four five six.")
FIRST_HALF = 3 * WORD_MS * BYTES_PER_MS


@pytest.fixture(params=SERVERS)
def serving(request: pytest.FixtureRequest) -> Serving:
    """A server."""
    return SERVERS[request.param]


@dataclass
class Talk:
    """A session of ours that is being held."""

    session: RealtimeSession
    line: Line
    ear: Ear

    def said(self, role: str = "assistant") -> list[str]:
        """What one side has said, whole."""
        return [event.text for event in self.ear.of_type(Transcript) if event.final and event.role == role]

    async def until_said(self, text: str, role: str = "assistant") -> None:
        """Wait until one side has said this."""
        await self.ear.until(lambda: text in self.said(role))

    async def ask(self, text: str, answer: str) -> None:
        """Ask in writing, and wait until this is answered, whatever was said before."""
        seen = len(self.said())
        await self.session.say(text)
        await self.ear.until(lambda: answer in self.said()[seen:])

    async def rotated(self, count: int) -> None:
        """Wait until it has had another connection so many times."""
        await self.ear.until(lambda: len(self.ear.of_type(Rotated)) == count)

    async def hear_half(self) -> str:
        """Wait until half of a reply has come, of which no more comes; gives its item's id."""
        await self.ear.until(lambda: len(self.ear.audio) == FIRST_HALF)
        return self.ear.of_type(Play)[-1].item_id


@asynccontextmanager
async def talking(url: str, config: SessionConfig = CONFIG, **choices: Any) -> AsyncIterator[Talk]:
    """A session that runs, and is told of no error."""
    line = Line(url)
    session = new_session(line, config=config, **choices)
    async with running(session) as ear:
        yield Talk(session, line, ear)
        assert ear.failure is None
        assert ear.of_type(Report) == []


async def test_a_turn_by_voice_is_written_down_and_answered(serving: Serving) -> None:
    async with serving(voices()) as url, talking(url) as talk:
        talk.session.append(TURN)
        await talk.until_said("Hello! How can I help?")
        await talk.until_said("Hello.", "user")
        assert [event.speaking for event in talk.ear.of_type(UserSpeech)] == [True, False]
        assert talk.ear.audio == silence(5 * WORD_MS / 1000)


async def test_what_the_user_says_before_the_session_runs_is_heard_once(serving: Serving) -> None:
    async with serving(voices()) as url:
        session, ear = new_session(line := Line(url)), Ear()
        await session.open()
        session.append(TURN)
        task = asyncio.create_task(session.run(ear.listen(session)))
        await ear.until(lambda: "Hello." in [event.text for event in ear.of_type(Transcript)])
        task.cancel()
        await asyncio.wait([task])
        await session.close()
    appended = [event["audio"] for event in line.newest.sent if event["type"] == "input_audio_buffer.append"]
    assert b"".join(base64.b64decode(audio) for audio in appended) == TURN


async def test_who_speaks_over_the_agent_cuts_it_where_they_heard_it(serving: Serving) -> None:
    those = voices(*HELD)
    async with serving(those) as url, talking(url) as talk:
        await talk.session.say("Count.")
        item = await talk.hear_half()
        those.brain.pieces = None
        talk.session.append(speech(0.5))
        await talk.ear.until(lambda: talk.ear.of_type(Interrupt))
        talk.session.interrupted([(item, 0, WORD_MS)])
        those.synthesizer.sentences = 1_000_000
        those.synthesizer.allowed.set()
        talk.session.append(silence(1))
        await talk.until_said("Hello! How can I help?")
        cuts = [event for event in talk.line.newest.received if isinstance(event, ev.ItemTruncated)]
        assert [(cut.item_id, cut.audio_end_ms) for cut in cuts] == [(item, WORD_MS)]
        assert talk.ear.audio == silence(8 * WORD_MS / 1000)
        assert "One" in talk.said()


async def test_a_reply_that_is_cut_off_goes_on_where_it_was_heard(serving: Serving) -> None:
    those = voices(*HELD)
    async with serving(those) as url, talking(url) as talk:
        await talk.session.say("My name is Ada.")
        await talk.hear_half()
        those.brain.pieces = ["Seven."]
        those.synthesizer.sentences = 1_000_000
        talk.line.cut()
        await talk.until_said("Seven.")
        prompt = those.brain.prompts[-1]
        assert prompt.messages == (Message("user", "My name is Ada."), Message("assistant", "One two three."))
        assert "Go on from exactly there" in (prompt.request or "")
        assert talk.ear.audio == silence(4 * WORD_MS / 1000)
        those.brain.pieces = None
        await talk.ask("What did I say?", "You said: My name is Ada.")


async def test_a_turn_whose_words_are_not_known_yet_is_heard_again_and_answered(serving: Serving) -> None:
    those = Voices(ears := Ears("Good morning."))
    async with serving(those) as url, talking(url) as talk:
        talk.session.append(TURN)
        await talk.ear.until(lambda: talk.ear.of_type(Transcript))
        talk.line.cut()
        ears.allowed.set()
        await talk.until_said("Hello! How can I help?")
        await talk.until_said("Good morning.", "user")
        (told,) = talk.line.told()
        assert [part["type"] for part in told["content"]] == ["input_audio"]


async def test_a_turn_whose_words_are_never_told_is_heard_again_and_understood(serving: Serving) -> None:
    async with serving(voices(heard="My name is Ada.")) as url, talking(url, UNTRANSCRIBED) as talk:
        talk.session.append(TURN)
        await talk.ear.until(lambda: talk.said())
        talk.line.cut()
        await talk.ask("What did I say?", "You said: My name is Ada.")
        assert [part["type"] for part in talk.line.told()[0]["content"]] == ["input_audio"]
        assert "My name is Ada." not in talk.said("user")


async def test_a_session_that_was_ended_for_its_age_goes_on(serving: Serving) -> None:
    async with serving(voices(), max_session_s=2) as url, talking(url) as talk:
        await talk.session.say("My name is Ada.")
        await talk.ear.until(lambda: talk.ear.of_type(Restored))
        await talk.ask("What did I say?", "You said: My name is Ada.")
        (lost, *_) = talk.ear.of_type(Lost)
        assert "1001: Your session hit the maximum duration" in lost.cause


async def test_a_session_is_replaced_before_its_time_and_nobody_notices(serving: Serving) -> None:
    renewal = RotationOnDemand()
    async with serving(voices(), max_session_s=60) as url, talking(url, renewal=renewal) as talk:
        await talk.session.say("My name is Ada.")
        for rotations in (1, 2):
            renewal.is_due = True
            await talk.rotated(rotations)
        assert talk.line.told()
        await talk.ask("What did I say?", "You said: My name is Ada.")
        assert talk.ear.of_type(Lost) == []


async def test_commands_are_carried_out_and_answered(serving: Serving) -> None:
    those = voices()
    async with serving(those) as url, talking(url) as talk:
        await talk.session.update(SessionConfig(instructions="Sing."))
        await talk.session.tell("It rains.")
        await talk.ask("Good evening!", "Hello! How can I help?")
        prompt = those.brain.prompts[-1]
        assert prompt.instructions == "Sing."
        assert prompt.messages == (Message("system", "It rains."), Message("user", "Good evening!"))
        await talk.session.create_response(ResponseConfig(instructions='Say "Well, well."'))
        await talk.until_said("Well, well.")


async def test_what_is_asked_in_the_middle_of_a_reply_is_answered_after_it(serving: Serving) -> None:
    those = voices(*HELD)
    async with serving(those) as url, talking(url) as talk:
        await talk.session.say("Count.")
        await talk.hear_half()
        await talk.session.say("Good evening!")
        those.brain.pieces = None
        those.synthesizer.sentences = 1_000_000
        those.synthesizer.allowed.set()
        await talk.until_said("Hello! How can I help?")
        assert talk.said() == [" ".join(HELD), "Hello! How can I help?"]


async def test_a_reply_is_cancelled_when_the_user_leaves(serving: Serving) -> None:
    those = voices(*HELD)
    async with serving(those) as url, talking(url) as talk:
        await talk.session.say("Count.")
        await talk.hear_half()
        talk.session.user_left()
        await until(lambda: not talk.session.is_responding)
        those.brain.pieces = None
        those.synthesizer.sentences = 1_000_000
        talk.session.user_joined()
        await talk.ask("Good evening!", "Hello! How can I help?")


async def test_what_the_user_said_is_committed_by_command(serving: Serving) -> None:
    async with serving(voices()) as url, talking(url, BY_COMMAND) as talk:
        talk.session.append(speech(0.5))
        await talk.session.commit()
        committed = [e for e in talk.line.newest.received if isinstance(e, ev.InputAudioBufferCommitted)]
        assert len(committed) == 1


async def test_a_command_that_is_refused_gets_the_error(serving: Serving) -> None:
    async with serving(voices()) as url, talking(url, BY_COMMAND) as talk:
        with pytest.raises(ModelRefused) as refused:
            await talk.session.commit()
        assert refused.value.code == "input_audio_buffer_commit_empty"
        await talk.ask("Good evening!", "Hello! How can I help?")


async def test_a_conversation_with_calls_goes_on_at_another_server() -> None:
    async with scripted_server() as script, embedded(voices()) as url, talking(script.url) as talk:
        await script.hear("What is six times seven?")
        call = await script.call_function("multiply", {"a": 6, "b": 7})
        assert await script.output_of(call) == "42"
        await script.expect("response.create")
        await script.speak("It is 42.")
        await talk.until_said("It is 42.")
        await until(lambda: not talk.session.is_responding)
        talk.line.url = url
        script.cut()
        await talk.ask("What did I say?", "You said: What is six times seven?")
        kinds = [item["type"] for item in talk.line.told()]
        assert kinds == ["message", "function_call", "function_call_output", "message", "message"]


async def until(condition: Callable[[], object]) -> None:
    """Wait until this is so, where nothing tells."""
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():
            await asyncio.sleep(0.01)


# The real voices.


async def test_real_ears_understand_what_was_said_before_the_connection_was_lost() -> None:
    forward = clip("forward")
    async with serve(Settings()) as model, talking(model.url, UNTRANSCRIBED) as talk:
        talk.session.append(silence(0.5) + forward.pcm + silence(1.5))
        await talk.ear.until(lambda: talk.said())
        talk.line.cut()
        await talk.session.say("What did I say?")
        await talk.ear.until(lambda: len(talk.said()) == 2)
        understood = talk.said()[-1]
        assert word_error_rate(f"You said: {forward.transcript}", understood) <= 0.3
        assert talk.line.told()[0]["content"][0]["type"] == "input_audio"
