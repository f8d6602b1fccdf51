"""What Prometheus reads."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from realtime_agent.control.events import (
    AgentEvent,
    CommandDone,
    ConnectionChanged,
    ErrorReported,
    Interrupted,
    Load,
    StateChanged,
    ToolReturned,
    TurnMeasured,
    UsageChanged,
)
from realtime_agent.control.life import EndReason, State
from realtime_agent.control.usage import TotalUsage
from realtime_agent.errors import AgentNotFound, ControlTimeout, QueueFull, StartFailed
from realtime_agent.fleet.fleet import Fleet
from realtime_agent.loop_lag import LoopLag
from realtime_agent.server.metrics import Metrics
from realtime_agent.server.webhook import Webhook
from tests.fake_launcher import FakeLauncher
from tests.server.conftest import Client, Post
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
    return values(Metrics(fleet).as_text()[0].decode())


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
    assert {name for name, _ in found if not name.endswith(("_bucket", "_sum", "_count"))} == {
        "tokens_total", "cached_tokens_total", "transcription_tokens_total", "responses_total", "transcriptions_total",
        "transcription_seconds_total", "agents", "ends_total", "starts_total", "waiting_audio_seconds",
        "webhook_lost_events_total", "webhook_waiting_events", "waiting_commands", "server_loop_lag_seconds",
        "commands_total", "connections_total", "dropped_audio_seconds_total", "errors_total", "interruptions_total",
        "pauses_total", "stream_readers", "stream_readers_dropped_total",
    }  # fmt: skip
    assert {name for name, _ in found if name.endswith("_count")} == {
        "turn_first_audio_seconds_count", "turn_first_frame_seconds_count", "barge_in_seconds_count",
        "worker_loop_lag_seconds_count",
    }  # fmt: skip


def test_what_is_counted_apart_is_there_before_it_happens(fleet: Fleet) -> None:
    """Of a counter that comes with a 1 nobody sees the rise."""
    found = values(Metrics(fleet, functions=["lookUp"]).as_text()[0].decode())
    assert {label for name, label in found if name == "interruptions_total"} == {"user", "command", "pause"}
    assert {label for name, label in found if name == "pauses_total"} == {
        "voicepaused", "voiceresumed", "commandpaused", "commandresumed",
    }  # fmt: skip
    assert {label for name, label in found if name == "dropped_audio_seconds_total"} == {"uplink", "downlink"}
    assert {label for name, label in found if name == "errors_total"} >= {"othermodel", "otherrecording", "otherstream"}
    assert len([label for name, label in found if name == "connections_total"]) == 9
    commands = {label for name, label in found if name == "commands_total"}
    assert {"saydone", "sayrefused", "saynot_taken", "sayunanswered", "update_sessiondone"} < commands
    assert len(commands) == 12 * 4
    assert found["tool_call_seconds_count", "lookUp"] == 0


async def test_functions_that_there_are_are_always_counted_apart(fleet: Fleet, launcher: FakeLauncher) -> None:
    counted = Metrics(fleet, functions=["lookUp"])
    made_up = [ToolReturned(call_id="c", name=f"made_up_{number}", output="{}", took_ms=1) for number in range(60)]
    await fleet.start(agent_spec())
    for event in [*made_up, ToolReturned(call_id="c", name="lookUp", output="{}", took_ms=1)]:
        launcher.worker.report(event)
    await launcher.worker.heard()
    assert values(counted.as_text()[0].decode())["tool_call_seconds_count", "lookUp"] == 1


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (QueueFull("64 wait"), "not_taken"),
        (AgentNotFound("it has just ended"), "not_taken"),
        (ControlTimeout("no answer"), "unanswered"),
    ],
)
async def test_a_command_that_no_agent_took_or_answered_is_counted(
    post: Post, client: Client, launcher: FakeLauncher, error: Exception, outcome: str
) -> None:
    await post("/start_agent", channel_name="room", uid=7)
    await post("/control_agent", channel_name="room", command="interrupt")
    launcher.worker.control_error = error
    await post("/control_agent", channel_name="room", command="interrupt")
    async with client.get("/metrics") as response:
        found = values(await response.text())
    counted = {label: count for (name, label), count in found.items() if name == "commands_total" and count}
    assert counted == {f"interrupt{outcome}": 1}


async def test_a_command_for_an_agent_that_is_not_there_is_counted(post: Post, client: Client) -> None:
    assert (await post("/control_agent", channel_name="room", command="pause"))[0] == 404
    async with client.get("/metrics") as response:
        assert values(await response.text())["commands_total", "pausenot_taken"] == 1


async def observed(fleet: Fleet, launcher: FakeLauncher, *reported: AgentEvent) -> Values:
    """What is counted of these events of one agent."""
    counted = Metrics(fleet)
    agent = await fleet.start(agent_spec(channel_name=f"room {len(launcher.workers)}"))
    for event in reported:
        launcher.worker.report(event)
    launcher.worker.report(ErrorReported(code="the_last", message=""))
    async with asyncio.timeout(30):
        while "the_last" not in "".join(event.text for event in agent.log.after(agent.log.last - 1)):
            await agent.log.wait(agent.log.last)
    return {key: value for key, value in values(counted.as_text()[0].decode()).items() if value}


async def test_turns_and_cuts_are_measured(fleet: Fleet, launcher: FakeLauncher) -> None:
    turns = [TurnMeasured(first_audio_ms=650, first_frame_ms=ms, silence_ms=500) for ms in (660, 2500)]
    cuts = [Interrupted(by="user", after_ms=120), Interrupted(by="command")]
    found = await observed(fleet, launcher, *turns, *cuts)
    assert (found["turn_first_audio_seconds_count", ""], found["turn_first_audio_seconds_sum", ""]) == (2, 1.3)
    assert (found["turn_first_frame_seconds_bucket", "0.7"], found["turn_first_frame_seconds_bucket", "3.0"]) == (1, 2)
    assert (found["barge_in_seconds_count", ""], found["barge_in_seconds_sum", ""]) == (1, 0.12)
    assert (found["interruptions_total", "user"], found["interruptions_total", "command"]) == (1, 1)


async def test_what_is_asked_of_agents_and_what_fails_is_counted(fleet: Fleet, launcher: FakeLauncher) -> None:
    found = await observed(
        fleet,
        launcher,
        CommandDone(command="say"),
        CommandDone(command="say", error="no"),
        ToolReturned(call_id="c", name="look_up", output="{}", took_ms=200),
        ConnectionChanged(to="model", status="lost"),
        ConnectionChanged(to="model", status="restored", after_s=1),
        ErrorReported(code="rate_limit", message="slow down"),
        StateChanged(state=State.PAUSED, by="voice"),
        StateChanged(state=State.ACTIVE, by="command"),
    )
    assert (found["commands_total", "saydone"], found["commands_total", "sayrefused"]) == (1, 1)
    assert (found["tool_call_seconds_count", "look_up"], found["tool_call_seconds_sum", "look_up"]) == (1, 0.2)
    assert (found["connections_total", "lostmodel"], found["connections_total", "restoredmodel"]) == (1, 1)
    assert found["errors_total", "rate_limitmodel"] == 1
    assert (found["pauses_total", "voicepaused"], found["pauses_total", "commandresumed"]) == (1, 1)


async def test_kinds_of_errors_that_a_model_makes_up_do_not_fill_the_memory(
    fleet: Fleet, launcher: FakeLauncher
) -> None:
    codes = [ErrorReported(code=f"code_{number}", message="") for number in range(200)]
    strange = [ErrorReported(code=code, message="") for code in ("Ü", "x" * 99, "a\nb")]
    found = await observed(fleet, launcher, *strange, *codes)
    kinds = {label for name, label in found if name == "errors_total"}
    assert len(kinds) == 51
    assert found["errors_total", "othermodel"] >= 153


async def test_functions_that_a_model_makes_up_do_not_fill_the_memory(fleet: Fleet, launcher: FakeLauncher) -> None:
    names = ["lookUp", *(f"made_up_{number}" for number in range(200)), "Ü"]
    outputs = [ToolReturned(call_id="c", name=name, output="{}", took_ms=1) for name in names]
    found = await observed(fleet, launcher, *outputs)
    counted = {label: count for (name, label), count in found.items() if name == "tool_call_seconds_count"}
    assert (len(counted), counted["lookUp"], counted["other"]) == (51, 1, 152)


async def test_how_workers_keep_up_is_told_together(fleet: Fleet, launcher: FakeLauncher) -> None:
    def load(uplink: float, dropped: float) -> Load:
        return Load(loop_lag_ms=20, uplink_ms=uplink, downlink_ms=1000, dropped_uplink_ms=dropped)

    await observed(fleet, launcher, load(9, 0), load(100, 0))
    found = await observed(fleet, launcher, load(300, 500), load(200, 800))
    assert found["waiting_audio_seconds", "uplink"] == pytest.approx(0.3)
    assert found["waiting_audio_seconds", "downlink"] == 2
    assert found["dropped_audio_seconds_total", "uplink"] == 0.8
    assert found["worker_loop_lag_seconds_count", ""] == 2


async def test_a_start_that_fails_is_counted_apart(fleet: Fleet, launcher: FakeLauncher) -> None:
    launcher.error = OSError("no room")
    with pytest.raises(StartFailed):
        await fleet.start(agent_spec())
    assert read(fleet)["starts_total", "failed"] == 1


def test_what_a_webhook_loses_and_how_late_the_loop_is_can_be_seen(fleet: Fleet) -> None:
    metrics = Metrics(fleet, lambda: 0.25)
    webhook = Webhook("http://127.0.0.1:1/", "secret")
    for _ in range(2007):
        webhook.offer("{}")
    metrics.watch_webhook(webhook)
    found = values(metrics.as_text()[0].decode())
    assert found["server_loop_lag_seconds", ""] == 0.25
    assert (found["webhook_lost_events_total", ""], found["webhook_waiting_events", ""]) == (7, 2000)


async def test_who_asks_takes_nothing_from_who_asks_next(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    lag = LoopLag()
    lag.note(0.4)
    monkeypatch.setattr("realtime_agent.server.app.running_lag", lambda: lag)
    async with client.head("/metrics"):
        pass
    for _ in range(2):
        async with client.get("/metrics") as response:
            assert values(await response.text())["server_loop_lag_seconds", ""] == 0.4


async def test_commands_that_wait_are_told(fleet: Fleet, launcher: FakeLauncher) -> None:
    for waiting in (2, 3):
        await fleet.start(agent_spec(channel_name=f"room {waiting}"))
        launcher.worker.commands_waiting = waiting
    assert read(fleet)["waiting_commands", ""] == 5


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
        ("agents", "waiting"): 2, ("starts_total", "ready"): 2,
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


async def test_what_one_model_tells_too_much_of_hides_nothing_of_another_s(
    fleet: Fleet, launcher: FakeLauncher
) -> None:
    """A counter that goes down would be taken for a server that was started again."""
    await spend(fleet, launcher, TotalUsage(input_tokens=30))
    await spend(fleet, launcher, TotalUsage(input_tokens=100, input_text_tokens=80, input_audio_tokens=40))
    await spend(fleet, launcher, TotalUsage(input_tokens=5))
    assert read(fleet)["tokens_total", "input_other"] == 35


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


def test_the_dashboard_asks_for_what_there_is(fleet: Fleet) -> None:
    dashboard = json.loads(Path("docs/grafana-dashboard.json").read_text(encoding="utf-8"))
    text = Metrics(fleet, functions=["lookUp"]).as_text()[0].decode()
    families = list(text_string_to_metric_families(text))
    told: dict[str, list[dict[str, str]]] = {}
    for sample in (sample for family in families for sample in family.samples):
        told.setdefault(sample.name, []).append(sample.labels)
    asked = set()
    for target in (target for panel in dashboard["panels"] for target in panel["targets"]):
        expression = target["expr"]
        (name,) = re.findall(r"realtime_agent_\w+", expression)
        asked.add(name)
        labels = set(told[name][0])
        kept = {label for words in re.findall(r"by \(([^)]*)\)", expression) for label in words.split(", ")}
        assert kept <= labels, expression
        assert ("le" in kept) == ("histogram_quantile(" in expression) == name.endswith("_bucket"), expression
        shown = (kept if "sum" in expression else labels) - {"le"}
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) == shown, expression
        for label, value in re.findall(r"(\w+) *=~? *[\"']([^\"']*)", expression):
            assert value in [each[label] for each in told[name]], expression
    assert {re.sub("_(bucket|total)$", "", name) for name in asked} == {family.name for family in families} - {
        "realtime_agent_transcription_seconds", "realtime_agent_transcription_tokens",
    }  # fmt: skip
