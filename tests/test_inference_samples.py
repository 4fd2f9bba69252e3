"""`holdfast init` with a sample, as a person runs it, on every reference stack: nothing is left to fill in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from holdfast.errors import ExitCode
from holdfast.inference.toml import marked
from holdfast.stack.descriptor import Descriptor
from holdfast.stack.effects import DynamoQuerySource
from holdfast.stack.loading import load_descriptor
from holdfast.stack.patterns import SagaPattern, SidecarPattern
from holdfast_fixtures.catalogue import ReferenceStack, reference_stacks
from init_samples import SAMPLES, arguments
from verify_runs import holdfast


@pytest.mark.parametrize("stack", reference_stacks(), ids=lambda stack: stack.name)
def test_a_sample_leaves_nothing_to_fill_in(stack: ReferenceStack, tmp_path: Path) -> None:
    """Template and sample give a descriptor that can be used, with the parts that the stack's own one names."""
    assert stack.name in SAMPLES, "a new reference stack needs a sample in init_samples.py"
    folder = tmp_path / "stack"
    shutil.copytree(stack.directory, folder)
    sample, *more = SAMPLES[stack.name]
    ended = holdfast(
        "init", "--no-doctor", "--name=made", *arguments(stack, tmp_path), f"--sample={sample}", *more, cwd=folder
    )
    assert ended.code == ExitCode.HELD, ended.text
    made = folder / "made.stack.toml"
    assert marked(made.read_text(encoding="utf-8")) == (), "at most three are promised, none is expected"
    descriptor = load_descriptor(made, {})
    claimed = load_descriptor(stack.descriptor, {"ACCOUNTS_READ_MODEL_URL": "sqlite://"})
    (name,) = descriptor.patterns
    found, wanted = descriptor.patterns[name], claimed.patterns[name]
    if isinstance(wanted, SagaPattern):
        assert isinstance(found, SagaPattern)
        steps, of_the_stack = entries(descriptor), entries(claimed)
        assert list(steps) == list(of_the_stack)
        # a step whose own undoing no sample can bring about is left without
        assert all(undone in (of_the_stack[done], "") for done, undone in steps.items())
        assert sum(map(bool, steps.values())) >= sum(map(bool, of_the_stack.values())) - 1
        assert entry_of(descriptor, found.pivot) == entry_of(claimed, wanted.pivot)
    if isinstance(wanted, SidecarPattern):
        assert isinstance(found, SidecarPattern)
        assert found.liveness.rpartition("}")[2] == wanted.liveness.rpartition("}")[2]
        assert (found.readiness is None, found.channel) == (wanted.readiness is None, wanted.channel)
        assert found.read == "shown"


def entries(descriptor: Descriptor) -> dict[str, str]:
    """By what a step's entry in the ledger is called, in order: what that of its undoing is called; empty for none."""
    saga = descriptor.patterns["saga"]
    assert isinstance(saga, SagaPattern)
    return {prefix(descriptor, step.effect): prefix(descriptor, step.undone or "") for step in saga.steps}


def entry_of(descriptor: Descriptor, step: str | None) -> str:
    """What a step's entry in the ledger is called."""
    saga = descriptor.patterns["saga"]
    assert isinstance(saga, SagaPattern)
    return next((prefix(descriptor, one.effect) for one in saga.steps if one.name == step), "")


def prefix(descriptor: Descriptor, effect: str) -> str:
    """What the entries of an effect are called; empty for no effect."""
    if not effect:
        return ""
    (source,) = descriptor.effects[effect].sources
    assert isinstance(source, DynamoQuerySource)
    (found,) = source.sort_prefix.values()
    return str(found).rstrip("#")
