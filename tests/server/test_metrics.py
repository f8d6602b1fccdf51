"""What Prometheus reads."""

from __future__ import annotations

import asyncio

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from realtime_agent.control.events import UsageChanged
from realtime_agent.control.life import EndReason, State
from realtime_agent.control.usage import TotalUsage
from realtime_agent.fleet.fleet import Fleet
from realtime_agent.server.metrics import as_text, fleet_metrics
from tests.fake_launcher import FakeLauncher
from tests.specs import agent_spec

Values = dict[tuple[str, str], float]


def values(text: str) -> Values:
    """Every sample by its name and its label's value, if it has one."""
    found: Values = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            found[sample.name.removeprefix("realtime_agent_"), "".join(sample.labels.values())] = sample.value
    return found


def read(fleet: Fleet) -> Values:
    return values(as_text(fleet_metrics(fleet))[0].decode())


async def spend(fleet: Fleet, launcher: FakeLauncher, usage: TotalUsage) -> None:
    """Let an agent have cost this."""
    agent = await fleet.start(agent_spec(channel_name=f"room {len(launcher.workers)}"))
    launcher.worker.report(UsageChanged(usage=usage))
    async with asyncio.timeout(30):
        while agent.usage != usage:
            await asyncio.sleep(0)


def test_a_new_server_has_every_counter_at_zero(fleet: Fleet) -> None:
    found = read(fleet)
    assert set(found.values()) == {0}
    assert {state for name, state in found if name == "agents"} == set(State) - {State.ENDED}
    assert {reason for name, reason in found if name == "ends_total"} == set(EndReason)
    assert {name for name, _ in found} == {
        "tokens_total", "cached_tokens_total", "transcription_tokens_total", "responses_total", "transcriptions_total",
        "transcription_seconds_total", "agents", "ends_total",
    }  # fmt: skip


async def test_tokens_are_told_by_kind_and_cached_ones_apart(fleet: Fleet, launcher: FakeLauncher) -> None:
    usage = TotalUsage(
        responses=2, transcriptions=3, input_tokens=30, output_tokens=12, total_tokens=42, cached_tokens=9,
        input_text_tokens=20, input_audio_tokens=10, output_audio_tokens=12, cached_text_tokens=9,
        transcription_input_tokens=5, transcription_input_audio_tokens=5, transcription_output_tokens=4,
        transcription_seconds=1.5,
    )  # fmt: skip
    await spend(fleet, launcher, usage)
    await spend(fleet, launcher, usage)
    assert {key: value for key, value in read(fleet).items() if value} == {
        ("tokens_total", "input_text"): 40, ("tokens_total", "input_audio"): 20, ("tokens_total", "output_audio"): 24,
        ("cached_tokens_total", "text"): 18,
        ("transcription_tokens_total", "input_audio"): 10, ("transcription_tokens_total", "output"): 8,
        ("responses_total", ""): 4, ("transcriptions_total", ""): 6, ("transcription_seconds_total", ""): 3,
        ("agents", "waiting"): 2,
    }  # fmt: skip


async def test_the_kinds_add_up_to_the_whole_also_when_the_model_tells_no_kinds(
    fleet: Fleet, launcher: FakeLauncher
) -> None:
    await spend(
        fleet,
        launcher,
        TotalUsage(
            input_tokens=30, output_tokens=12, cached_tokens=9, input_text_tokens=10, transcription_input_tokens=5
        ),
    )
    found = read(fleet)
    assert (found["tokens_total", "input_text"], found["tokens_total", "input_other"]) == (10, 20)
    assert found["tokens_total", "output_other"] == 12
    assert found["cached_tokens_total", "other"] == 9
    assert found["transcription_tokens_total", "input_other"] == 5


async def test_kinds_above_the_whole_leave_nothing_over(fleet: Fleet, launcher: FakeLauncher) -> None:
    await spend(fleet, launcher, TotalUsage(output_text_tokens=5))
    found = read(fleet)
    assert (found["tokens_total", "output_text"], found["tokens_total", "output_other"]) == (5, 0)


@pytest.mark.parametrize("reason", [EndReason.USER_LEFT, EndReason.CRASHED])
async def test_what_has_ended_is_still_counted(fleet: Fleet, launcher: FakeLauncher, reason: EndReason) -> None:
    await spend(fleet, launcher, TotalUsage(responses=1))
    (agent,) = fleet.list()
    launcher.worker.end(reason)
    async with asyncio.timeout(30):
        await agent.gone.wait()
    found = read(fleet)
    assert (found["ends_total", reason], found["responses_total", ""]) == (1, 1)
    assert sum(count for (name, _), count in found.items() if name in ("ends_total", "agents")) == 1


def test_nothing_of_ours_is_in_the_registry_that_all_share(fleet: Fleet) -> None:
    read(fleet)
    assert "realtime_agent" not in prometheus_client.generate_latest().decode()
