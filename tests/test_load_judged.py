"""A run that its budget ends, and what it leaves behind for reports."""

from __future__ import annotations

import json
from pathlib import Path

from holdfast.errors import ExitCode
from holdfast.runs import read_run, read_series, read_verdicts
from holdfast.targets.embedded import EmbeddedTarget
from holdfast_fixtures.catalogue import reference_stacks
from load_run import run_load

(WEBHOOKS,) = (stack for stack in reference_stacks() if stack.name == "webhooks")
DOLLARS = 0.0004
"""Some fifty of these orders, at the prices of the table."""


def test_a_run_ends_before_its_budget_is_passed_and_is_judged(embedded: EmbeddedTarget, tmp_path: Path) -> None:
    """It costs less than its budget, says why it ended, and leaves verdicts and figures in its folder."""
    ran = run_load(WEBHOOKS.descriptor, tmp_path, rate=20.0, seconds=120.0, target=embedded, budget_dollars=DOLLARS)
    assert ran.code is ExitCode.STOPPED
    assert ran.ended.startswith(f"the budget of ${DOLLARS:g} would be passed")
    measures = ran.judgement.report.measures
    assert 0 < measures["cost_dollars"] < DOLLARS * 1.2  # what is queued when it stops is worked off afterwards
    assert measures["sent"] == measures["acknowledged"] > 0
    assert measures["time_to_effect_probes"] > 0
    assert any(f"of ${DOLLARS:g}" in line for line in ran.told)
    assert "nothing was provoked" in ran.clause("SF-1").reason
    (folder,) = (tmp_path / WEBHOOKS.directory.name).parent.glob("*/runs/*")
    assert read_verdicts(folder) is not None
    series = read_series(folder)
    depths = [one for one in series if one.name == "queue depth"]
    assert {one.component for one in depths} == {"queue", "dlq"}
    assert [one.name for one in series[len(depths) :]] == ["rate", "in flight", "not acknowledged", "lag"]
    assert all(len(one.seconds) == len(one.values) > 0 for one in series)
    run = read_run(folder)
    assert run.figures["sent"] == measures["sent"]
    assert any(note.startswith("Cost: calls and invocations were counted by the interceptor") for note in run.notes)
    newest = json.loads((folder.parent.parent / "verdict.json").read_text())
    assert newest["measures"]["latency_p99_ms"] == measures["latency_p99_ms"]
