"""What holds for every CQRS reference stack and every mutant: they fit, and the contract is covered."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.stack.loading import load_descriptor
from holdfast.targets.cfn_template import check_parameters, read_template
from holdfast.targets.packaging import package
from holdfast_fixtures.catalogue import ReferenceStack, mutants, reference_stacks
from holdfast_fixtures.overlay import Mutant, materialise

STACKS = {stack.name: stack for stack in reference_stacks() if stack.pattern == "cqrs"}
MUTANTS = [
    pytest.param(stack, mutant, id=f"{stack.name}-{mutant.name}")
    for stack in STACKS.values()
    for mutant in mutants(stack)
]


@pytest.mark.parametrize("name", STACKS)
def test_a_descriptor_and_its_template_agree(name: str) -> None:
    """Every component named by a logical id is a resource of the template, or one that SAM derives from it."""
    stack = STACKS[name]
    descriptor = load_descriptor(stack.descriptor, {})
    assert descriptor.deploy is not None
    template = read_template(stack.directory / descriptor.deploy.template)

    check_parameters(stack.descriptor, template, descriptor.deploy.parameters)
    for component in descriptor.components.values():
        assert component.logical_id is not None
        assert component.logical_id in template["Resources"] or component.type == "role"


@pytest.mark.parametrize(("stack", "mutant"), MUTANTS)
def test_a_mutant_fits_its_stack(stack: ReferenceStack, mutant: Mutant, tmp_path: Path) -> None:
    """The overlay applies, its descriptor loads, its template packages, and it is not waived by its own stack."""
    descriptor_path = materialise(stack.directory, mutant, tmp_path / "copy")
    descriptor = load_descriptor(descriptor_path, {})

    assert mutant.clause not in descriptor.waive
    assert descriptor.deploy is not None
    assert package(descriptor_path.parent / descriptor.deploy.template, "bucket").artifacts


def test_every_clause_has_a_mutant() -> None:
    """Each clause of the CQRS contract is what some mutant must be caught by."""
    clauses = {mutant.clause for stack in STACKS.values() for mutant in mutants(stack)}

    assert clauses >= {f"CQ-{number}" for number in range(1, 12)}
