"""The whole matrix: every correct reference stack is held, and every planted bug is caught by the clause it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.suites import installed_clauses
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.verdict import Verdict
from holdfast.verdict.explain import explain
from holdfast.verification import Options, verify
from holdfast_fixtures.catalogue import ReferenceStack, mutants, reference_stacks
from holdfast_fixtures.overlay import Mutant, materialise

STACKS = reference_stacks()
PLANTED = [(stack, mutant) for stack in STACKS for mutant in mutants(stack)]


def options(tmp_path: Path) -> Options:
    return Options(folder=tmp_path / "holdfast", environ={})


@pytest.mark.parametrize("stack", STACKS, ids=lambda stack: stack.name)
def test_a_correct_stack_is_held(stack: ReferenceStack, embedded: EmbeddedTarget, tmp_path: Path) -> None:
    """Every clause of a correct stack holds, or is waived with a reason; none is left undecided."""
    report = verify(stack.descriptor, options=options(tmp_path), target=embedded)
    bad = [clause for clause in report.clauses if clause.verdict not in (Verdict.HOLDS, Verdict.WAIVED)]
    assert not bad, "\n\n".join(f"{clause.verdict}: {explain(clause, clause.reason)}" for clause in bad)


@pytest.mark.parametrize(("stack", "mutant"), PLANTED, ids=[f"{s.name}-{m.name}" for s, m in PLANTED])
def test_a_planted_bug_is_caught(
    stack: ReferenceStack, mutant: Mutant, embedded: EmbeddedTarget, tmp_path: Path
) -> None:
    """The clause that a mutant names is violated, with a counterexample."""
    descriptor = materialise(stack.directory, mutant, tmp_path / "stack")
    report = verify(descriptor, options=options(tmp_path), ids=[mutant.clause], target=embedded)
    (verdict,) = report.clauses
    assert verdict.verdict is Verdict.VIOLATED, f"{mutant.title}: {verdict.verdict}: {verdict.reason}"
    assert verdict.findings


def test_every_clause_has_a_mutant() -> None:
    """No clause can hold without a planted bug that it is known to catch."""
    owed = {clause.id for clauses in installed_clauses().values() for clause in clauses}
    assert owed - {mutant.clause for _, mutant in PLANTED} == set()
