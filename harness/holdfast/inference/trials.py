"""Tries a sample command in a stack that is deployed for it, and says what that has shown."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from holdfast.definition.files import parse_text
from holdfast.errors import DescriptorError
from holdfast.inference import evidence
from holdfast.inference.inventory import Inventory, Route
from holdfast.inference.learning import LONGEST_SECONDS, Fault, Laboratory, Trial
from holdfast.inference.patterns import Parts, view_routes
from holdfast.inference.sample import Sample, filled
from holdfast.inference.serving import Served, ask_read, life, live_route, read_path, ready_paths
from holdfast.inference.steps import (
    Actor,
    actors_of_choreography,
    actors_of_machine,
    found_steps,
    last_task,
    pivot,
)
from holdfast.inference.writing import Knowledge, Origin
from holdfast.levers.journal import Journal, Pin
from holdfast.opening import Options, resolved, started
from holdfast.progress import NOTE, Say
from holdfast.stack.environment import Environment
from holdfast.stack.loading import load_descriptor
from holdfast.targets.deployment import deploy
from holdfast.targets.open import open_target

_ACCEPTED = range(200, 300)
_STACK = "holdfast-init"
_MOMENTS: tuple[Literal["after", "before"], ...] = ("after", "before")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is known of a descriptor before anything was tried: by it the processes of a stack are started.

    Attributes:
        path: where the descriptor will be; its processes start in this folder.
        text: the descriptor.
    """

    path: Path
    text: str


def learn(
    template: Path,
    sample: Sample,
    *,
    origin: Origin,
    there: Inventory,
    parts: Parts,
    draft: Draft,
    say: Say,
) -> Knowledge:
    """Deploy the template on the embedded target, send the sample twice, and once more to a saga that has to turn back.

    Args:
        template: what is deployed, and removed again.
        sample: the command.
        origin: parameters and rows that the stack needs.
        there: what it consists of.
        parts: who plays which part.
        draft: the descriptor so far.
        say: told what goes on.

    Raises:
        DescriptorError: the stack refuses the sample, or it leaves nothing behind.
        HoldfastError: the template cannot be deployed, or a process does not start.
    """
    with _laboratory(template, origin, there, parts, say) as laboratory, _started(laboratory, parts, draft, say):
        ready = ready_paths(laboratory.running) if laboratory.running is not None else {}
        say("the sample to settle", LONGEST_SECONDS)
        good = _accepted(laboratory.attempt(sample, 1))
        say("the sample to settle a second time", LONGEST_SECONDS)
        again = _accepted(laboratory.attempt(sample, 2, like=good))
        actors, last = _actors(laboratory, parts)
        failed = _turned_back(laboratory, sample, _faults(actors, last), good, say)
        view, folding = _folding(laboratory, sample, (good, again))
        served = _served(laboratory, sample, good, ready) if parts.beside is not None else None
    trials = [good, again, *([failed] if failed else [])]
    found = evidence.effects(there, trials)
    if not found:
        raise DescriptorError(
            "The sample left nothing behind that shows its key.",
            cause=f"the stack answered {good.status}, and no row of its tables holds {good.values['key']}",
            remedy="put what the stack needs with --seed, correct the sample, or leave it out and fill the lines in",
        )
    steps = found_steps(there, actors, found, good, failed)
    if parts.pattern == "saga" and not steps:
        say(
            "no entry of the sample belongs to a step: does it need rows (--seed), so that its saga is completed?", NOTE
        )
    return Knowledge(
        good=good,
        effects=found,
        status=evidence.status(there, good, failed),
        steps=steps,
        pivot=pivot(steps, failed.failing if failed else ""),
        view=view,
        folding=folding,
        served=served,
    )


@contextmanager
def _laboratory(template: Path, origin: Origin, there: Inventory, parts: Parts, say: Say) -> Iterator[Laboratory]:
    parameters = _filled_parameters(origin.parameters)
    say("opening the embedded target")
    target = open_target("embedded")
    try:
        say("deploying")
        with deploy(target, template, stack_name=_STACK, parameters=parameters, progress=say):
            listed = target.client("cloudformation").describe_stack_resources(StackName=_STACK)
            physical = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed["StackResources"]}
            laboratory = Laboratory(target, there, parts, physical)
            laboratory.seed(origin.seeds)
            yield laboratory
    finally:
        target.close()


def _filled_parameters(parameters: Mapping[str, str]) -> dict[str, str]:
    """Parameters with ``${NAME}`` replaced, as they are when the descriptor is read, which keeps the name alone."""
    environment = Environment(os.environ)
    filled_in = {name: str(environment.substitute(value, (name,))) for name, value in parameters.items()}
    for problem in environment.problems:
        raise DescriptorError(
            f"--parameter {problem.path[0]} cannot be used.", cause=problem.cause, remedy=problem.remedy
        )
    return filled_in


@contextmanager
def _started(laboratory: Laboratory, parts: Parts, draft: Draft, say: Say) -> Iterator[None]:
    """Have the processes of a stack running, where it has any, as a run has them."""
    if parts.beside is None or not parts.beside.started:
        yield
        return
    options = Options(cloudformation=_STACK, deploy=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / draft.path.name
        path.write_text(draft.text, encoding="utf-8")
        descriptor = load_descriptor(path, options.environ)
    with (
        resolved(draft.path, descriptor, options=options, target=laboratory.target, say=say) as stack,
        Journal(options.journal_folder(), Pin.of(stack)) as journal,
        started(stack, journal, options=options, say=say) as running,
    ):
        laboratory.running = running.running
        yield


def _accepted(trial: Trial) -> Trial:
    if trial.status not in _ACCEPTED:
        raise DescriptorError(
            f"The stack refuses the sample: it answered {trial.status}.",
            cause=str(trial.answer) if trial.answer is not None else "the answer is no JSON",
            remedy="correct the sample, or put what it needs with --seed",
        )
    return trial


def _actors(laboratory: Laboratory, parts: Parts) -> tuple[tuple[Actor, ...], str]:
    """Who could have done a step, and the state of the last one that an undisturbed execution comes to."""
    text = laboratory.machine_definition()
    if text:
        definition = parse_text(text, file=parts.machine, name=parts.machine)
        return actors_of_machine(definition, parts.workers), last_task(definition)
    return actors_of_choreography(parts.steps, parts.workers), ""


def _faults(actors: tuple[Actor, ...], last: str) -> Iterator[Fault]:
    """What could make a saga turn back when everything was done that can be undone; the likeliest first."""
    undone = [actor for actor in actors if actor.undone_by]
    if undone:
        actor = undone[-1]
        for when in _MOMENTS:
            yield Fault(step=actor.name, state=actor.state, function=actor.function, when=when)
        return
    for actor in actors:
        if actor.state == last:
            yield Fault(step=actor.name, state=last, when="before")


def _turned_back(
    laboratory: Laboratory, sample: Sample, faults: Iterable[Fault], good: Trial, say: Say
) -> Trial | None:
    """A saga that leaves other entries than one that was completed; else the last one that was tried."""
    if laboratory.parts.pattern != "saga":
        return None
    failed = None
    for number, fault in enumerate(faults, 3):
        say(f"the sample to settle once more, with {fault.step} failing {fault.when} its effect", LONGEST_SECONDS)
        failed = laboratory.attempt(sample, number, fault=fault)
        if any(not evidence.placed(laboratory.there, one, good) for one in _entries(laboratory, good, failed)):
            return failed
    return failed


def _entries(laboratory: Laboratory, *trials: Trial) -> tuple[evidence.Effect, ...]:
    return evidence.effects(laboratory.there, trials)


def _served(laboratory: Laboratory, sample: Sample, good: Trial, ready: Mapping[str, str]) -> Served:
    """What the application says of itself, and of the key of a command that was done."""
    route = laboratory.parts.route
    assert route is not None
    path = read_path(sample.path, laboratory.parts.status)
    read = ask_read(laboratory.base_url(route), path, good.values["key"], good.values["value"])
    if laboratory.running is None:
        return Served(liveness=live_route(laboratory.there, route.api), read=read)
    liveness, readiness = life(laboratory.running)
    return Served(liveness=liveness, readiness=readiness, ready=ready, read=read)


def _folding(
    laboratory: Laboratory, sample: Sample, trials: tuple[Trial, Trial]
) -> tuple[Route | None, evidence.Folding | None]:
    """What the view of an aggregate with two events shows of them, and the route that shows it where no table does."""
    there, parts = laboratory.there, laboratory.parts
    if parts.pattern != "cqrs":
        return None, None
    log = there.tables[parts.store]
    events = [row for trial in trials for row in trial.rows[parts.store]]
    if log.sort:
        events.sort(key=lambda row: row[log.sort])
    if len(events) < len(trials):
        return None, None
    if parts.view:
        view = trials[-1].rows.get(parts.view, ())
        aside = [there.tables[parts.view].partition]
        return None, evidence.folding(events, view[0], sequence=log.sort, aside=aside) if view else None
    best: tuple[Route | None, evidence.Folding | None] = None, None
    for route in view_routes(there, sample.path):
        shown = laboratory.ask(route, filled(route.path, {route.parameter: str(events[-1][log.partition])}))
        if isinstance(shown, Mapping):
            found = evidence.folding(events, shown, sequence=log.sort, aside=[log.partition])
            if len(found.attributes) > (len(best[1].attributes) if best[1] else 0):
                best = route, found
    return best
