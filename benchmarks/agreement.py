"""Whether the definition analysis (SG-14) and the sweep agree, on all state machine sagas and their mutants.

    python benchmarks/agreement.py [--stack NAME]... [--mutant NAME]... [--repeats N]

A mutant whose deployed definition has the control flow and whose descriptor has the steps of the reference stack has
its bug elsewhere: there the analysis has to say what it says of the reference, and nothing is run. All others, and the
reference stacks, are deployed. Each finding that is violated is provoked by the faults that show it, up to
``--repeats`` times, and has to break a promise. Besides, a failure that passes and failures that do not are put at
every task of the machine; where one breaks a promise about the effects of steps, and the way from that task is not the
reference's, some finding has to tell of that way: as violated or, where the definition alone cannot tell, as
inconclusive. What a saga reports is no matter of its control flow, and is left to SG-15.

Prints a line for each and exits 1 when they disagree.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from holdfast.definition import Analysis, Definition, Finding, SagaSteps, analyse, read_definitions
from holdfast.definition.model import Flow, State
from holdfast.opening import Options
from holdfast.provocations.quiescence import longest_wait_seconds
from holdfast.provocations.saga_definitions import analysis_of, steps_of
from holdfast.provocations.saga_requirements import ends_before_its_answer
from holdfast.stack.loading import load_descriptor
from holdfast.stack.patterns import SagaPattern
from holdfast.sweep.judging import Mark
from holdfast.sweep.kinds import Kind, inapplicable, untried
from holdfast.sweep.levers import points_told
from holdfast.sweep.plan import Schedule
from holdfast.sweep.provoking import Provoker, shown_by
from holdfast.sweep.running import Ran, Runner
from holdfast.sweep.sweeping import opened
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.verdict.model import Verdict
from holdfast_fixtures.catalogue import ReferenceStack, mutants, reference_stacks
from holdfast_fixtures.overlay import Mutant, materialise

PAST_SECONDS = 5.0
"""A call that nothing gives up is held so much longer than silence is waited for."""

REPORTING = frozenset({"outcome disagrees", "answer disagrees", "acknowledged and lost"})
"""Broken promises about what a saga reports."""


_SHOWS_TOO = {
    Kind.FOR_GOOD: frozenset({Kind.REFUSED}),
    Kind.LOST_FOR_GOOD: frozenset({Kind.ANSWER_LOST, Kind.FOR_GOOD, Kind.REFUSED}),
}
"""What does not pass shows what its first occurrence shows, too; and what fails for good does so with its effect or
without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What the two say of one definition.

    Attributes:
        name: stack and mutant.
        clause: the clause that a mutant breaks.
        flagged: what the analysis finds.
        provoked: how many of the violated findings broke a promise when they were provoked, and of how many.
        unprovokable: how many violated findings no fault shows here, so that nothing confirms them.
        unsure: how many schedules broke a promise of which only an inconclusive finding tells.
        swept: how many schedules broke a promise about effects, and of how many.
        disagreements: one sentence each.
        note: what else is to be known.
    """

    name: str
    clause: str
    flagged: str
    provoked: tuple[int, int] = (0, 0)
    unprovokable: int = 0
    unsure: int = 0
    swept: tuple[int, int] = (0, 0)
    disagreements: tuple[str, ...] = ()
    note: str = ""

    def line(self) -> str:
        """One line of text, and one for each disagreement."""
        runs = f"provoked {self.provoked[0]} of {self.provoked[1]}, swept {self.swept[0]} of {self.swept[1]}"
        alone = f", not provokable: {self.unprovokable}" if self.unprovokable else ""
        alone += f", told as not sure: {self.unsure}" if self.unsure else ""
        said = self.note or runs + alone
        verdict = "DISAGREE" if self.disagreements else "agree"
        head = f"{self.name} ({self.clause or 'correct'}): {verdict}: {self.flagged or 'no finding'}; {said}"
        return "\n  ".join([head, *self.disagreements])


def shape(definition: Definition) -> object:
    """The control flow of a definition: all but its lines and the data that its tasks are given."""
    return _shape(definition.flow), definition.express, definition.timeout_seconds


def _shape(flow: Flow) -> object:
    return flow.start, flow.express, tuple(_state(state) for state in flow.states)


def _state(state: State) -> object:
    work = state.work
    waits = work and (work.has_timeout, work.timeout_seconds, work.has_heartbeat)
    done = work and (work.action, waits, work.resource.endswith(".waitForTaskToken"))
    bare = replace(
        state,
        file="",
        line=0,
        work=None,
        flows=(),
        retriers=tuple(replace(one, line=0) for one in state.retriers),
        catchers=tuple(replace(one, line=0) for one in state.catchers),
    )
    return bare, done, tuple(_shape(flow) for flow in state.flows)


def changes(definition: Definition, reference: Definition) -> frozenset[str]:
    """The states whose control flow is not that of the reference."""
    known = {state.id: _state(state) for state in reference.flow.walk()}
    return frozenset(state.id for state in definition.flow.walk() if known.get(state.id) != _state(state))


def read(descriptor: Path) -> tuple[Definition, SagaSteps | None]:
    """The definition of a stack's machine as it is written, and the steps that its descriptor declares."""
    loaded = load_descriptor(descriptor, {})
    assert loaded.deploy is not None
    saga = loaded.patterns["saga"]
    assert isinstance(saga, SagaPattern)
    (definition,) = read_definitions(descriptor.parent / loaded.deploy.template)
    return definition, steps_of(saga)


def told(analysis: Analysis) -> str:
    """The findings in a few words."""
    return ", ".join(f"{one.kind} at {one.state or 'the machine'} ({one.verdict})" for one in analysis.findings)


def compared(
    stack: ReferenceStack, mutant: Mutant | None, folder: Path, target: EmbeddedTarget, repeats: int
) -> Compared:
    """Compare the two on a stack, or on one of its mutants."""
    descriptor = materialise(stack.directory, mutant, folder / "stack")
    clause = mutant.clause if mutant is not None else ""
    name = f"{stack.name}/{mutant.name}" if mutant is not None else stack.name
    definition, steps = read(descriptor)
    own, own_steps = read(stack.descriptor)
    if mutant is not None and (shape(definition), steps) == (shape(own), own_steps):
        flagged = told(analyse(definition, steps))
        different = flagged != told(analyse(own, own_steps))
        return Compared(
            name=name,
            clause=clause,
            flagged=flagged,
            disagreements=("of the same control flow the analysis says something else",) if different else (),
            note="the control flow is that of the reference",
        )
    changed = None if mutant is None else changes(definition, own)
    with opened(descriptor, options=Options(folder=folder / "holdfast", environ={}), target=target) as ready:
        return replace(run(ready.runners["saga"], changed, repeats), name=name, clause=clause)


def run(runner: Runner, changed: frozenset[str] | None, repeats: int) -> Compared:
    """Provoke what the analysis finds in a deployed definition, and sweep its tasks.

    Args:
        runner: of the deployed stack.
        changed: the states whose control flow is not that of the reference; None for the reference itself.
        repeats: how often a finding is provoked at most.
    """
    situation = runner.situation
    analysis = analysis_of(situation)
    points = points_told(situation, runner.callers)
    provoker = Provoker.of(analysis, points, synchronous=ends_before_its_answer(situation))
    longest = longest_wait_seconds(runner.stack, runner.pattern, runner.configuration)
    runner.known = replace(runner.known, unbounded_seconds=longest + PAST_SECONDS)
    violated = [one for one in analysis.findings if one.verdict is Verdict.VIOLATED]
    showing = {one: applicable(provoker.showing(one), runner) for one in violated}
    elsewhere = applicable(tuple(provoker.elsewhere()), runner)
    schedules = list(dict.fromkeys([*(one for of in showing.values() for one in of), *elsewhere]))
    ran = [one for wave in waves(schedules) for one in runner.run(wave)]
    broken = {one.schedule for one in ran if one.judgement.mark is Mark.VIOLATED}
    for _ in range(repeats - 1):
        again = [one for of in showing.values() if of and not broken & set(of) for one in of]
        broken |= {
            one.schedule for wave in waves(again) for one in runner.run(wave) if one.judgement.mark is Mark.VIOLATED
        }
    provokable = {finding: of for finding, of in showing.items() if of}
    effects = [one for one in ran if about_effects(one)]
    untold = [
        one
        for one in effects
        if (changed is None or changed & provoker.way(one.schedule))
        and not any(explains(finding, one.schedule, provoker) for finding in violated)
    ]
    unsure = [one for one in untold if any(explains(each, one.schedule, provoker) for each in analysis.findings)]
    return Compared(
        name="",
        clause="",
        flagged=told(analysis),
        provoked=(sum(bool(broken & set(of)) for of in provokable.values()), len(provokable)),
        unprovokable=len(showing) - len(provokable),
        unsure=len(unsure),
        swept=(len(effects), len(ran)),
        disagreements=(
            *(
                f"flagged, and held when provoked: {finding.sentence}"
                for finding, of in provokable.items()
                if not broken & set(of)
            ),
            *(f"violated, and not flagged: {one.schedule}: {one.judgement.why}" for one in untold if one not in unsure),
        ),
    )


def explains(finding: Finding, schedule: Schedule, provoker: Provoker) -> bool:
    """Whether a finding tells what a schedule showed.

    It does where it is about a state on the way of the faults, and some fault of the schedule is of a kind that shows
    it; where no fault shows its kind, where it is about that state or about the machine.
    """
    on_the_way = finding.state in {*provoker.way(schedule), ""}
    kinds, struck = shown_by(finding.kind), {fault.kind for fault in schedule.faults}
    struck = struck.union(*(_SHOWS_TOO[kind] for kind in struck & _SHOWS_TOO.keys()))
    return on_the_way and (not kinds or not struck.isdisjoint(kinds))


def applicable(schedules: Sequence[Schedule], runner: Runner) -> tuple[Schedule, ...]:
    """Those schedules of which every kind applies to its point."""
    return tuple(
        one
        for one in schedules
        if not any(
            inapplicable(fault.point, fault.kind, runner.known) or untried(fault.point, fault.kind, runner.known)
            for fault in one.faults
        )
    )


def waves(schedules: Sequence[Schedule]) -> Iterator[list[Schedule]]:
    """What may run together: what holds the machine for longer than a saga's bound runs after all others."""
    lasting = [one for one in schedules if any(fault.kind is Kind.DELAYED for fault in one.faults)]
    yield from (wave for wave in ([one for one in schedules if one not in lasting], lasting) if wave)


def about_effects(ran: Ran) -> bool:
    """Whether a run broke a promise about the effects of steps."""
    return ran.judgement.mark is Mark.VIOLATED and any(one.title not in REPORTING for one in ran.judgement.findings)


def main() -> int:
    """Compare all, one after another."""
    stacks = [one for one in reference_stacks() if one.pattern == "saga" and led(one)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", action="append", choices=[one.name for one in stacks], help="all when left out")
    parser.add_argument("--mutant", action="append", help="these alone; all, and the reference stack, when left out")
    parser.add_argument("--repeats", type=int, default=3, help="how often a finding is provoked at most")
    given = parser.parse_args()
    found = []
    with EmbeddedTarget.start() as target:
        for stack in stacks:
            if given.stack and stack.name not in given.stack:
                continue
            for mutant in (None, *mutants(stack)):
                if given.mutant and (mutant is None or mutant.name not in given.mutant):
                    continue
                with tempfile.TemporaryDirectory(prefix="holdfast-benchmark-") as folder:
                    found.append(compared(stack, mutant, Path(folder), target, given.repeats))
                print(found[-1].line(), flush=True)
    disagreeing = sum(bool(one.disagreements) for one in found)
    ran = sum(not one.note for one in found)
    print(f"{len(found)} definitions, {ran} of them run: {len(found) - disagreeing} agree, {disagreeing} disagree")
    return 1 if disagreeing else 0


def led(stack: ReferenceStack) -> bool:
    """Whether a state machine leads the saga."""
    saga = load_descriptor(stack.descriptor, {}).patterns["saga"]
    return isinstance(saga, SagaPattern) and saga.state_machine is not None


if __name__ == "__main__":
    sys.exit(main())
