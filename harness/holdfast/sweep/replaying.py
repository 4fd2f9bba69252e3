"""Runs again what a replay file holds, and judges it as it was judged when it was found."""

from __future__ import annotations

from pathlib import Path

from holdfast.checkers.conservation import NOT_CONSERVED, OVERSOLD
from holdfast.errors import DescriptorError
from holdfast.opening import Options, silent
from holdfast.progress import Listener
from holdfast.provocations.saga_places import saga_of
from holdfast.provocations.saga_plan_runs import PlanRunner
from holdfast.provocations.saga_plans import PlanRun
from holdfast.stack.commands import TimestampField, UuidField
from holdfast.stack.seeding import seed as put_seed
from holdfast.sweep.judging import Judgement, Mark
from holdfast.sweep.replay import PlanReplay, Replay, ScheduleReplay
from holdfast.sweep.running import Runner
from holdfast.sweep.sweeping import opened
from holdfast.targets.base import Target

ROLE = "replayed"


def replayed(
    path: Path,
    *,
    replay: Replay,
    times: int,
    options: Options,
    target: Target | None = None,
    listener: Listener = silent,
) -> list[Judgement]:
    """Run a replay again, so often; what each run showed.

    Raises:
        DescriptorError: the stack does not claim the pattern, or its saga has not the steps of the plan.
        HoldfastError: as `sweeping.opened`, or a fault could not be healed.
    """
    pattern = replay.found.pattern
    with opened(path, options=options, target=target, listener=listener) as ready:
        if pattern not in ready.runners:
            raise DescriptorError(
                f"The stack {ready.stack.descriptor.name} claims no {pattern}, and the replay is about that.",
                remedy="name the descriptor that the replay was written for with --stack",
            )
        runner = ready.runners[pattern]
        if isinstance(replay, ScheduleReplay):
            known = ready.stack.descriptor.commands[runner.pattern.command].fields
            # each copy is a new command: what names it anew each time is drawn anew
            anew = {name for name, one in known.items() if isinstance(one, UuidField | TimestampField)}
            fields = {name: value for name, value in replay.fields.items() if name in known.keys() - anew}
            if replay.found.title in (OVERSOLD, NOT_CONSERVED):
                # one copy at a time, or what one moves would be held against all
                return [one.judgement for _ in range(times) for one in runner.run([replay.schedule], fields)]
            return [one.judgement for one in runner.run([replay.schedule] * times, fields)]
        return _plans(runner, replay, times)


def _plans(runner: Runner, replay: PlanReplay, times: int) -> list[Judgement]:
    """Run a plan so often: side by side, or after each other on a fresh seed where its sagas take what is scarce."""
    unknown = {one.step for saga in replay.plan.sagas for one in saga.faults} - {
        step.name for step in saga_of(runner.situation).steps
    }
    if unknown:
        raise DescriptorError(
            f"The saga of {runner.stack.descriptor.name} has no step {', '.join(sorted(unknown))}, and the plan has.",
            remedy="name the descriptor that the replay was written for with --stack",
        )
    run = PlanRunner(runner.bench(), replay.inputs, ROLE)
    if not any(saga.input for saga in replay.plan.sagas):
        return [judged(one) for one in run([replay.plan] * times)]
    found = []
    for _ in range(times):
        put_seed(runner.stack)
        found += [judged(one) for one in run([replay.plan])]
    return found


def judged(run: PlanRun) -> Judgement:
    """What one run of a plan shows: violated whatever was hit, held only where every fault hit and every saga ended."""
    if run.findings:
        return Judgement(mark=Mark.VIOLATED, why=run.findings[0].sentence, findings=run.findings)
    if run.missed:
        return Judgement(mark=Mark.UNREACHED, why=f"not every fault hit {', '.join(run.missed)}")
    if run.late:
        return Judgement(mark=Mark.INCONCLUSIVE, why=f"not ended within the bound: {', '.join(run.late)}")
    return Judgement(mark=Mark.HELD, why="every saga was done or undone as a whole")
