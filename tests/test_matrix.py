"""The whole matrix: every correct reference stack is held, and every planted bug is caught by the clause it names.

What a whole verification calls is also what its policy is measured by.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from holdfast.doctor import needed, needed_under_load
from holdfast.history.recorder import Recorder
from holdfast.permissions import Grant
from holdfast.ports.bulk import Keys
from holdfast.ports.check import unused_submission
from holdfast.ports.ports import Ports
from holdfast.provocations.requirements import Situation
from holdfast.stack.commands import PythonCall
from holdfast.stack.configuration import read_configuration
from holdfast.stack.resolve import Stack
from holdfast.suites import installed_clauses
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.verdict import Verdict
from holdfast.verdict.explain import explain
from holdfast.verification import Options, Verification, choose, opened, verify
from holdfast_fixtures.catalogue import ReferenceStack, mutants, reference_stacks
from holdfast_fixtures.overlay import Mutant, materialise
from iam_needs import Made, watched

STACKS = reference_stacks()
LEAST_NEEDS = 10
"""A verification of any stack needs more permissions than this."""
OF_PYTHON = {"behind:rewrite": "dynamodb:UpdateItem"}
"""What ports in Python call, on a table: no descriptor tells it, so whoever writes one grants it (how-to/aws)."""
PLANTED = [(stack, mutant) for stack in STACKS for mutant in mutants(stack)]


def options(tmp_path: Path) -> Options:
    return Options(folder=tmp_path / "holdfast", environ={})


@pytest.mark.parametrize("stack", STACKS, ids=lambda stack: stack.name)
def test_a_correct_stack_is_held(
    stack: ReferenceStack, embedded: EmbeddedTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every clause of a correct stack holds, or is waived with a reason, and no call goes beyond the printed policy."""
    made = watched(monkeypatch)
    with opened(stack.descriptor, options=options(tmp_path), target=embedded) as verification:
        for pattern, clause in choose(verification.stack.descriptor, ()):
            verification.decide(pattern, clause)
        report = verification.report()
        beyond_the_policy(verification, made)
    bad = [clause for clause in report.clauses if clause.verdict not in (Verdict.HOLDS, Verdict.WAIVED)]
    assert not bad, "\n\n".join(f"{clause.verdict}: {explain(clause, clause.reason)}" for clause in bad)


def of_python(stack: Stack) -> frozenset[Grant]:
    """What the commands in Python take."""
    calls = [call for command in stack.descriptor.commands.values() for call in command.calls]
    actions = [OF_PYTHON[call.callable] for call in calls if isinstance(call, PythonCall)]
    tables = [one.arn for one in stack.resources.values() if one.type == "table"]
    return frozenset(Grant(action, table) for action in actions for table in tables)


def beyond_the_policy(verification: Verification, made: Made) -> None:
    """See that all calls so far are what `doctor --iam` names for a verification, and further ones what load takes."""
    stack = verification.stack
    configuration = read_configuration(stack)
    clauses = [
        (clause, Situation(stack=stack, pattern=stack.descriptor.patterns[name], configuration=configuration))
        for name, clause in choose(stack.descriptor, ())
    ]
    grants = needed(clauses) | of_python(stack)
    assert len(made.needs) > LEAST_NEEDS
    assert made.beyond(grants) == []
    submission = unused_submission(stack)
    with closing(Ports(stack, Recorder())) as ports:
        for pattern in stack.descriptor.patterns.values():
            for port in pattern.counted:
                ports.count(port, Keys((submission.key,)), lambda _: submission, deadline_seconds=30.0)
    of_load = needed_under_load(clauses)
    assert made.beyond(grants | of_load) == []
    assert {need.action for need in made.beyond(grants)} == {grant.action for grant in of_load - grants}


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
