"""The parts of SG-14 that time decides: Express workflows, and machines that end before their saga does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from holdfast.definition.durations import longest_seconds
from holdfast.definition.findings import Finding, FindingKind, listed
from holdfast.definition.model import Flow, State
from holdfast.definition.paths import Machine
from holdfast.verdict.model import Verdict

EXPRESS_SECONDS = 300
"""An Express workflow runs for at most five minutes, and may run more than once
(docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html)."""


def duration_findings(machine: Machine) -> Iterable[Finding]:
    """Findings about the machine's own timeout, and about what runs as Express, the machine or flows inside it."""
    definition = machine.graph.definition
    yield from _too_long(machine)
    if definition.express:
        yield from _express(machine, definition.flow, None)
        return
    for state, flow in _express_inside(definition.flow):
        if machine.effects.reached(state.id):
            yield from _express(machine, flow, state)


def _express_inside(flow: Flow) -> Iterator[tuple[State, Flow]]:
    for state in flow.states:
        for inner in state.flows:
            if inner.express:
                yield state, inner
            else:
                yield from _express_inside(inner)


def _too_long(machine: Machine) -> Iterable[Finding]:
    """A machine that may be ended, which nothing catches, while a step is in effect."""
    definition, steps = machine.graph.definition, machine.steps
    limit = definition.timeout_seconds
    if limit is None or not steps.steps:
        return
    seconds = longest_seconds(definition.flow, until=steps.by_state.keys() | steps.compensations)
    if seconds is not None and seconds < limit:
        return
    sure = seconds is not None and all(step.certain for step in steps.steps)
    yield _finding(
        FindingKind.MACHINE_TOO_LONG,
        ("", definition.file, definition.line),
        f"{definition.name} ends after {limit:g} s by its own TimeoutSeconds, which nothing catches, "
        + (
            "and the timeouts of its states do not bound when its last step or compensation is done."
            if seconds is None
            else f"but by their timeouts, waits and retries its steps and compensations may take {seconds:.0f} s."
        ),
        "make it longer than the way that takes longest, or remove it",
        steps=tuple(step.name for step in steps.steps),
        sure=sure,
    )


def _express(machine: Machine, flow: Flow, state: State | None) -> Iterable[Finding]:
    definition = machine.graph.definition
    inside = {each.id for each in flow.walk()}
    steps = [step for step in machine.steps.steps if state is None or not inside.isdisjoint(step.states)]
    name = definition.name if state is None else f"What {state.id} runs"
    place = (state.id, state.file, state.line) if state is not None else ("", definition.file, definition.line)
    unsafe = [step.name for step in steps if step.idempotent is False]
    unknown = [step.name for step in steps if step.idempotent is None]
    if unsafe or unknown:
        yield _finding(
            FindingKind.EXPRESS_NOT_IDEMPOTENT,
            place,
            f"{name} is an Express workflow, which may run more than once, "
            + (
                f"but {listed(unsafe)} must not be repeated."
                if unsafe
                else f"and whether {listed(unknown)} may be repeated is not known."
            ),
            "make the steps idempotent, or use a Standard workflow"
            if unsafe
            else "list the steps in a descriptor, where `idempotent` says so, and verify SG-14, or use a Standard"
            " workflow",
            steps=tuple(unsafe or unknown),
            sure=bool(unsafe),
        )
    seconds = longest_seconds(flow)
    if seconds is None or seconds >= EXPRESS_SECONDS:
        yield _finding(
            FindingKind.EXPRESS_TOO_LONG,
            place,
            f"{name} is an Express workflow, which ends after {EXPRESS_SECONDS} s, "
            + (
                "and its timeouts do not bound it."
                if seconds is None
                else f"but by its timeouts, waits and retries it may take {seconds:.0f} s."
            ),
            "shorten timeouts and retries, or use a Standard workflow",
            sure=seconds is not None,
        )


def _finding(
    kind: FindingKind,
    place: tuple[str, str, int],
    sentence: str,
    remedy: str,
    *,
    steps: tuple[str, ...] = (),
    sure: bool,
) -> Finding:
    state, file, line = place
    return Finding(
        kind=kind,
        verdict=Verdict.VIOLATED if sure else Verdict.INCONCLUSIVE,
        state=state,
        file=file,
        line=line,
        steps=steps,
        sentence=sentence,
        remedy=remedy,
    )
