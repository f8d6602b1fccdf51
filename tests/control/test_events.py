"""What an agent reports of itself survives the way to whoever watches it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from realtime_agent.control.events import AgentEvent, Ended, StateChanged, UsageChanged, agent_event_adapter
from realtime_agent.control.life import EndReason, State
from realtime_agent.control.usage import TotalUsage

EVENTS: list[AgentEvent] = [
    *(StateChanged(state=state) for state in State),
    *(Ended(reason=reason) for reason in EndReason),
    Ended(reason=EndReason.MODEL_FAILED, cause="the model refused its settings: no such model"),
    UsageChanged(usage=TotalUsage()),
    UsageChanged(usage=TotalUsage(responses=1, total_tokens=5, transcription_seconds=0.5)),
]


@pytest.mark.parametrize("event", EVENTS, ids=repr)
def test_an_event_survives_json(event: AgentEvent) -> None:
    text = json.dumps(event.model_dump(mode="json", exclude_none=True))
    assert agent_event_adapter.validate_json(text) == event


def test_the_words_on_the_wire_are_these() -> None:
    waiting = StateChanged(state=State.WAITING)
    assert waiting.model_dump(mode="json", exclude_none=True) == {"type": "state", "state": "waiting"}
    ended = Ended(reason=EndReason.USER_NEVER_CAME)
    assert ended.model_dump(mode="json", exclude_none=True) == {"type": "ended", "reason": "user_never_came"}


@pytest.mark.parametrize(
    "raw", [{}, {"type": "mood"}, {"type": "state"}, {"type": "state", "state": "bored"}, {"type": "ended"}]
)
def test_what_is_no_event_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        agent_event_adapter.validate_python(raw)
