"""Tries a sample command in a stack that is deployed for it, and says what that has shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.definition.files import parse_text
from holdfast.errors import DescriptorError
from holdfast.inference import evidence
from holdfast.inference.inventory import Inventory
from holdfast.inference.learning import LONGEST_SECONDS, Laboratory, Trial
from holdfast.inference.patterns import Parts
from holdfast.inference.sample import Sample
from holdfast.inference.steps import Actor, actors_of_choreography, actors_of_machine, found_steps
from holdfast.inference.writing import Knowledge, Origin
from holdfast.progress import Say
from holdfast.targets.deployment import deploy
from holdfast.targets.open import open_target

_ACCEPTED = range(200, 300)


def learn(template: Path, origin: Origin, there: Inventory, parts: Parts, sample: Sample, *, say: Say) -> Knowledge:
    """Deploy the template on the embedded target, send the sample twice, and once more to a saga that has to turn back.

    Args:
        template: what is deployed, and removed again.
        origin: parameters and rows that the stack needs.
        there: what it consists of.
        parts: who plays which part.
        sample: the command.
        say: told what goes on.

    Raises:
        DescriptorError: the stack refuses the sample, or it leaves nothing behind.
        HoldfastError: the template cannot be deployed.
    """
    with _laboratory(template, origin, there, parts, say) as laboratory:
        say("the sample to settle", LONGEST_SECONDS)
        good = _accepted(laboratory.attempt(sample, 1, like=None))
        say("the sample to settle a second time", LONGEST_SECONDS)
        again = _accepted(laboratory.attempt(sample, 2, like=good))
        actors = _actors(laboratory, parts)
        failed = _turned_back(laboratory, sample, parts, actors, say)
    trials = [good, again, *([failed] if failed else [])]
    found = evidence.effects(there, trials)
    if not found:
        raise DescriptorError(
            "The sample left nothing behind that shows its key.",
            cause=f"the stack answered {good.status}, and no row of its tables holds {good.values['key']}",
            remedy="put what the stack needs with --seed, correct the sample, or leave it out and fill the lines in",
        )
    return Knowledge(
        good=good,
        effects=found,
        status=evidence.status(there, good, failed),
        steps=found_steps(there, actors, found, good, failed),
        folding=_folding(there, parts, (good, again)),
    )


@contextmanager
def _laboratory(template: Path, origin: Origin, there: Inventory, parts: Parts, say: Say) -> Iterator[Laboratory]:
    say("opening the embedded target")
    target = open_target("embedded")
    try:
        say("deploying")
        with deploy(target, template, stack_name="holdfast-init", parameters=origin.parameters, progress=say):
            listed = target.client("cloudformation").describe_stack_resources(StackName="holdfast-init")
            physical = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed["StackResources"]}
            laboratory = Laboratory(target, there, parts, physical)
            laboratory.seed(origin.seeds)
            yield laboratory
    finally:
        target.close()


def _accepted(trial: Trial) -> Trial:
    if trial.status not in _ACCEPTED:
        raise DescriptorError(
            f"The stack refuses the sample: it answered {trial.status}.",
            cause=str(trial.answer) if trial.answer is not None else "the answer is no JSON",
            remedy="correct the sample, or put what it needs with --seed",
        )
    return trial


def _actors(laboratory: Laboratory, parts: Parts) -> tuple[Actor, ...]:
    text = laboratory.machine_definition()
    if text:
        return actors_of_machine(parse_text(text, file=parts.machine, name=parts.machine), parts.workers)
    return actors_of_choreography(parts.steps)


def _turned_back(
    laboratory: Laboratory, sample: Sample, parts: Parts, actors: tuple[Actor, ...], say: Say
) -> Trial | None:
    """A saga whose last step that can be undone fails after its effect, so that everything is undone."""
    undone = [actor for actor in actors if actor.undone_by] or list(actors[:1])
    if parts.pattern != "saga" or not undone:
        return None
    last = undone[-1]
    say(f"the sample to settle once more, with {last.name} failing after its effect", LONGEST_SECONDS)
    if last.state:
        return laboratory.attempt(sample, 3, failing_state=last.state, like=None)
    return laboratory.attempt(sample, 3, failing_function=last.function, like=None)


def _folding(there: Inventory, parts: Parts, trials: tuple[Trial, Trial]) -> evidence.Folding | None:
    """What the view of an aggregate with two events shows of them."""
    if parts.pattern != "cqrs" or not parts.view:
        return None
    log = there.tables[parts.store]
    events = [row for trial in trials for row in trial.rows[parts.store]]
    view = trials[-1].rows.get(parts.view, ())
    if len(events) < len(trials) or not view:
        return None
    return evidence.folding(
        sorted(events, key=lambda row: row[log.sort]),
        view[0],
        sequence=log.sort,
        aside=[there.tables[parts.view].partition],
    )
