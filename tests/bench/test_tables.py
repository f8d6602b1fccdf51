"""Tables of a run."""

from __future__ import annotations

from bench import tables
from bench.results import Results
from tests.bench import made_up


def test_all_rows_of_a_table_have_as_many_cells() -> None:
    for section in tables.report(made_up.run()).split("\n\n"):
        widths = {line.count("|") for line in section.splitlines() if line.startswith("|")}
        assert len(widths) <= 1, section


def test_figures_stand_beside_both_floors() -> None:
    report = tables.report(made_up.run())
    assert "| 1 | agent | 0.30 | 0.30 / 0.60 | 0.30 / 0.60 | 0.30 / 0.60 | 150 / 150 / 150 |" in report
    assert "| 1 | agent | fast floor | 1.50x | 1.50x / 1.50x |" in report
    assert "| 1 | agent | floor | 0.30x | 0.75x / 0.75x |" in report
    assert "| 25 | agent | | 150" not in report
    assert (
        "100 agents were served in time. 150 agents were too many (the model took 0.90 of its one core): it burns."
        in report
    )


def test_parts_that_were_not_measured_have_no_heading() -> None:
    report = tables.report(made_up.run())
    assert "frames of 20 ms" in report
    assert "frames of 10 ms" not in report
    assert "Starts" not in report


def test_without_floors_nothing_is_told_beside_them() -> None:
    alone = Results(made_up.run().content | {"series": [made_up.talk("agent, web", 1, 1.2, 0.9, "web")]})
    report = tables.report(alone)
    assert "| 1 | agent, web | 1.20 |" in report
    assert "Beside the floors" not in report
