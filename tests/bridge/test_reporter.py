"""What others learn of an agent."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest

from realtime_agent.bridge.reporter import Reporter
from realtime_agent.control.events import (
    AgentEvent,
    AgentTranscript,
    CommandDone,
    ConnectionChanged,
    ErrorReported,
    StateChanged,
    UsageChanged,
)
from realtime_agent.control.life import State
from realtime_agent.control.usage import TotalUsage
from realtime_agent.realtime.session import Report, Transcript
from realtime_agent.realtime.types import ErrorDetail


class Scene:
    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.told: list[AgentEvent] = []
        self.now = 1000.0
        self.reporter = Reporter("room", self._send, self.told.append, lambda: self.now)

    def _send(self, body: Mapping[str, Any]) -> None:
        self.sent.append(dict(body))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_state_is_told_when_it_changes_only(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for state in (State.WAITING, State.WAITING, State.PAUSED, State.PAUSED):
        scene.reporter.state(state, "voice" if state is State.PAUSED else None)
    assert scene.told == [StateChanged(state=State.WAITING), StateChanged(state=State.PAUSED, by="voice")]
    assert [body["state"] for body in scene.sent] == ["waiting", "paused"]
    assert [record.getMessage() for record in caplog.records] == [
        "agent in 'room' is waiting",
        "agent in 'room' is paused, by voice",
    ]


def test_words_go_to_the_channel_and_to_the_server(scene: Scene) -> None:
    scene.reporter.transcript(Transcript("assistant", "a1", "Hel"))
    scene.reporter.transcript(Transcript("user", "u1", ""))
    scene.reporter.transcript(Transcript("assistant", "a1", "Hello.", final=True, interrupted=True))
    assert scene.sent == [
        {"type": "transcript", "role": "assistant", "item_id": "a1", "delta": "Hel"},
        {"type": "transcript", "role": "user", "item_id": "u1", "delta": ""},
        {"type": "transcript", "role": "assistant", "item_id": "a1", "text": "Hello.", "final": True,
         "interrupted": True},
    ]  # fmt: skip
    assert scene.told == [
        AgentTranscript(role="assistant", item_id="a1", place=1, delta="Hel"),
        AgentTranscript(role="user", item_id="u1", place=2, delta=""),
        AgentTranscript(role="assistant", item_id="a1", place=1, text="Hello.", final=True, interrupted=True),
    ]


def test_of_words_that_nobody_speaks_is_told_that_they_are_typed(scene: Scene) -> None:
    scene.reporter.transcript(Transcript("user", "u1", "Hello?", final=True, typed=True))
    told = {"role": "user", "item_id": "u1", "text": "Hello?", "final": True, "typed": True}
    assert scene.sent == [{"type": "transcript", **told}]
    assert scene.told == [AgentTranscript.model_validate(told | {"place": 1})]


def test_no_words_are_logged(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    scene.reporter.transcript(Transcript("user", "u1", "my number is 5", final=True))
    assert "number" not in caplog.text


def test_commands_are_told_and_logged_by_name(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scene.reporter.command("say")
    scene.reporter.command("commit_audio_buffer", "too little audio", "input_audio_buffer_commit_empty")
    assert scene.told == [
        CommandDone(command="say"),
        CommandDone(command="commit_audio_buffer", error="too little audio"),
    ]
    assert [record.getMessage() for record in caplog.records] == [
        "agent in 'room': say is done",
        "agent in 'room': commit_audio_buffer was not carried out: input_audio_buffer_commit_empty",
    ]


def test_what_was_spent_is_told_all_together(scene: Scene) -> None:
    for _ in range(2):
        scene.reporter.count(TotalUsage(responses=1, total_tokens=5))
    assert scene.told[-1] == UsageChanged(usage=TotalUsage(responses=2, total_tokens=10))


def test_the_channel_s_connection_is_told_and_logged(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scene.reporter.channel_connection("lost", "no network")
    scene.reporter.channel_connection("restored")
    assert scene.told == [
        ConnectionChanged(to="channel", status="lost", cause="no network"),
        ConnectionChanged(to="channel", status="restored"),
    ]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_model_s_words_which_may_quote_the_user_are_no_news(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    report(scene, "invalid_value", "my name is Ann is no language")
    scene.reporter.command("say", "my name is Ann is too long")
    assert "invalid_value" in caplog.text
    assert "Ann" not in caplog.text


def errors_of(scene: Scene) -> list[str]:
    return [event.message for event in scene.told if isinstance(event, ErrorReported)]


def report(scene: Scene, code: str, message: str = "no") -> None:
    scene.reporter.between_session_and_model(Report(ErrorDetail(type="x", code=code, message=message)))


def test_of_errors_alike_a_few_a_minute_are_told_and_how_many_were_not(scene: Scene) -> None:
    for _ in range(100):
        report(scene, "rate_limit", "slow down")
    report(scene, "other")
    assert errors_of(scene) == [*(["slow down"] * 5), "no"]
    scene.now += 59
    report(scene, "rate_limit", "slow down")
    scene.now += 1
    report(scene, "rate_limit", "slow down")
    report(scene, "rate_limit", "slow down")
    assert errors_of(scene)[6:] == ["slow down (96 more like it were not told)", "slow down"]
