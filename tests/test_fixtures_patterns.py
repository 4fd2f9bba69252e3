"""What holds for every saga and CQRS reference stack and every mutant: they fit, and the contract is covered."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.stack.loading import load_descriptor
from holdfast.targets.cfn_template import check_parameters, read_template
from holdfast.targets.packaging import package
from holdfast_fixtures.catalogue import ReferenceStack, mutants, reference_stacks
from holdfast_fixtures.overlay import Mutant, materialise

CLAUSES = {
    "cqrs": {f"CQ-{number}" for number in range(1, 12)},
    "saga": {f"SG-{number}" for number in range(1, 17)},
}
DERIVED = {"cqrs": {"role"}, "saga": {"role", "rule"}}
"""Types of components that SAM makes resources for."""
STACKS = [stack for stack in reference_stacks() if stack.pattern in CLAUSES]
MUTANTS = [
    pytest.param(stack, mutant, id=f"{stack.name}-{mutant.name}") for stack in STACKS for mutant in mutants(stack)
]


@pytest.mark.parametrize("stack", STACKS, ids=lambda stack: stack.name)
def test_a_descriptor_and_its_template_agree(stack: ReferenceStack) -> None:
    """Every component named by a logical id is a resource of the template, or one that SAM derives from it."""
    descriptor = load_descriptor(stack.descriptor, {})
    assert descriptor.deploy is not None
    template = read_template(stack.directory / descriptor.deploy.template)

    check_parameters(stack.descriptor, template, descriptor.deploy.parameters)
    for component in descriptor.components.values():
        assert component.logical_id is not None
        assert component.logical_id in template["Resources"] or component.type in DERIVED[stack.pattern]


@pytest.mark.parametrize(("stack", "mutant"), MUTANTS)
def test_a_mutant_fits_its_stack(stack: ReferenceStack, mutant: Mutant, tmp_path: Path) -> None:
    """The overlay applies, its descriptor loads, its template packages its code, and no waiver hides it."""
    descriptor_path = materialise(stack.directory, mutant, tmp_path / "copy")
    descriptor = load_descriptor(descriptor_path, {})

    assert mutant.clause not in descriptor.waive
    assert descriptor.deploy is not None
    packed = package(descriptor_path.parent / descriptor.deploy.template, "bucket")
    assert packed.template["Resources"]
    assert bool(packed.artifacts) == (descriptor_path.parent / "handlers").is_dir()


@pytest.mark.parametrize("pattern", CLAUSES)
def test_every_clause_has_a_mutant(pattern: str) -> None:
    """Each clause of the contract is what some mutant must be caught by."""
    caught = {mutant.clause for stack in STACKS if stack.pattern == pattern for mutant in mutants(stack)}

    assert caught >= CLAUSES[pattern]
