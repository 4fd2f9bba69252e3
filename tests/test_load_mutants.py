"""A stack under load with faults on a timeline: the correct one is held, bugs that only load reveals are caught."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.targets.embedded import EmbeddedTarget
from holdfast.verdict import Verdict
from holdfast.verdict.explain import explain
from holdfast_fixtures.catalogue import load_mutants, reference_stacks
from holdfast_fixtures.overlay import Mutant, materialise
from load_run import run_load

(WEBHOOKS,) = (stack for stack in reference_stacks() if stack.name == "webhooks")
PLAN = (WEBHOOKS.directory / "load.plan.toml").read_text()
RATE, SECONDS = 70.0, 14.0


def test_the_correct_stack_is_held_under_load_with_faults(embedded: EmbeddedTarget, tmp_path: Path) -> None:
    """No clause is violated; those about loss, honest answers and repeats hold over every operation of the run."""
    ran = run_load(WEBHOOKS.descriptor, tmp_path, rate=RATE, seconds=SECONDS, faults=PLAN, target=embedded)
    clauses = ran.judgement.report.clauses
    wrong = [one for one in clauses if one.verdict is Verdict.VIOLATED]
    assert not wrong, "\n\n".join(explain(one, one.reason) for one in wrong)
    for name in ("SF-1", "SF-2", "SF-5"):
        assert ran.clause(name).verdict is Verdict.HOLDS, ran.clause(name).reason
    assert not ran.ended
    assert {window.provocation for window in ran.judgement.windows} == {"COMPUTE_DEAD", "fault 2", "STORAGE_DENIED"}
    assert all(window.bit and window.healed_proof for window in ran.judgement.windows)


@pytest.mark.parametrize("mutant", load_mutants(WEBHOOKS), ids=lambda mutant: mutant.name)
def test_a_bug_that_only_load_reveals_is_caught(mutant: Mutant, embedded: EmbeddedTarget, tmp_path: Path) -> None:
    """The clause that the mutant names is violated, with a counterexample, by the load that the correct stack bears."""
    descriptor = materialise(WEBHOOKS.directory, mutant, tmp_path / "stack")
    ran = run_load(descriptor, tmp_path, rate=RATE, seconds=SECONDS, faults=PLAN, target=embedded)
    verdict = ran.clause(mutant.clause)
    assert verdict.verdict is Verdict.VIOLATED, f"{mutant.title}: {verdict.verdict}: {verdict.reason}"
    assert verdict.findings
