"""A crash at every fault point: before and after each AWS call between receipt and completion."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from holdfast.errors import Inconclusive
from holdfast.provocations.bench import Bench, side_by_side
from holdfast.provocations.cqrs_runs import await_projected, one_of_each
from holdfast.provocations.duplicates import submit_until_acknowledged
from holdfast.provocations.model import Aimed, AtCalls, FaultPoint, Provocation
from holdfast.provocations.quiescence import queue_depth
from holdfast.provocations.requirements import Situation, functions_named
from holdfast.provocations.tracing import calls_of_one_handling, first_handlings, follow
from holdfast.stack.generate import Submission
from holdfast.stack.patterns import CqrsPattern
from holdfast.targets.base import Rule

WIDTH = 4
"""Commands of the sweep that are under way at once."""


def _trace(bench: Bench, functions: dict[str, str], *, boundaries: bool) -> list[FaultPoint]:
    """Follow one undisturbed command and list its fault points.

    Args:
        bench: the provocation's.
        functions: component names by physical name.
        boundaries: whether the beginning and the end of an invocation are fault points beside its calls.
    """

    def handled(submission: Submission) -> None:
        def unhandled() -> list[str]:
            done = first_handlings(bench.interceptor.invocations(key=submission.key))
            return [component for function, component in functions.items() if function not in done]

        if bench.await_effects([submission]):
            raise Inconclusive("an undisturbed command did not take effect, so there is no trace to break")
        left = bench.until("the traced command to be handled", unhandled, lambda none: not none, bench.patience_seconds)
        if left.value:
            raise Inconclusive(
                f"an undisturbed command was never handled by {', '.join(left.value)}: nothing to crash there"
            )
        if not boundaries:  # where no invocation is seen to end, its message is seen to go
            queues = bench.configuration.worked_off(bench.pattern.store)
            bench.until(
                "the traced command to leave its queues",
                lambda: queue_depth(bench.stack.target, queues),
                lambda depth: not depth,
                bench.patience_seconds,
            )

    _, trace = follow(bench, functions, "traced", handled)
    points = calls_of_one_handling(trace, functions)
    edges = [(component, "", "", 1) for component in functions.values()] if boundaries else []
    return [
        FaultPoint(function=component, service=service, operation=operation, nth=nth, when=when)
        for component, service, operation, nth in (*edges, *points)
        for when in ("before", "after")
    ]


def kill_at(point: FaultPoint, function: str, key: str) -> Rule:
    """One crash at a fault point, for one key.

    Args:
        point: where.
        function: physical name of the function.
        key: for which command.
    """
    return Rule(
        id="",
        action="kill",
        point="call" if point.operation else "invocation",
        when="before" if point.when == "before" else "after",
        function=function,
        key=key,
        service=point.service,
        operation=point.operation,
        nth=point.nth,
        times=1,
    )


def _crash_everywhere(bench: Bench, *, at_calls: bool = False) -> None:
    components = _functions(bench.situation)
    functions = {bench.function_name(component): component for component in components}
    names = {component: function for function, component in functions.items()}
    traced = _trace(bench, functions, boundaries=not at_calls)
    # A client that gives up after a crash leaves half-done work behind that a patient one would complete.
    abandoned = [point for point in traced if point.function in bench.pattern.ingest]
    points = [*traced, *abandoned]
    submissions = bench.draw(len(points))
    faults: list[tuple[str, Rule]] = []
    for submission, point in zip(submissions, points, strict=True):
        bench.point(submission.key, point)
        faults.append((point.function, kill_at(point, names[point.function], submission.key)))
    patient, given_up = submissions[: len(traced)], submissions[len(traced) :]
    with bench.aimed(faults) as aim:
        if at_calls:
            _one_by_one(bench, patient, given_up)
        else:
            side_by_side(lambda one: submit_until_acknowledged(bench, one, "crashed"), patient, WIDTH)
            bench.submit_all(given_up, role="crashed and given up", width=WIDTH)
        acknowledged = bench.acknowledged(submissions)
        bench.await_effects(acknowledged, deadline_seconds=bench.bounds.in_progress_expiry_seconds)
        if isinstance(bench.pattern, CqrsPattern):
            # the event is there before the projectors have been given it, and they are to be crashed too
            await_projected(bench, one_of_each(bench.pattern, acknowledged))
        hits = {submission.key: aim.hits(submission.key) for submission in submissions}
    reached = [point for submission, point in zip(submissions, points, strict=True) if hits[submission.key]]
    bench.figure("fault_points", len(set(points)))
    bench.figure("fault_points_reached", len(set(reached)))
    for submission, point in zip(submissions, points, strict=True):
        if hits[submission.key] == 0:
            bench.undecided(f"fault point not reached: {point} ({submission.key})")


def _one_by_one(bench: Bench, patient: Sequence[Submission], given_up: Sequence[Submission]) -> None:
    """Each command alone, to its effect: a crash takes along whatever is in the same batch."""
    for submission in (*patient, *given_up):
        if submission in patient:
            submit_until_acknowledged(bench, submission, "crashed")
        else:
            bench.submit(submission, "crashed and given up")
        bench.await_effects(bench.acknowledged([submission]), deadline_seconds=bench.bounds.in_progress_expiry_seconds)


def _functions(situation: Situation) -> list[str]:
    return [*situation.pattern.ingest, *situation.pattern.workers]


def _boundaries(situation: Situation) -> int:
    """The traced command, one for each boundary of an invocation, and those of clients that give up."""
    return 1 + 2 * len(_functions(situation)) + 2 * len(situation.pattern.ingest)


CRASH_SWEEP = Provocation(
    name="crash-sweep",
    provoke=_crash_everywhere,
    requires=(functions_named,),
    aims=(
        Aimed(action="kill before and after", at=_functions),
        Aimed(action="kill at each", at=_functions, point="call"),
    ),
    commands=_boundaries,
    at_calls=AtCalls(
        provoke=partial(_crash_everywhere, at_calls=True),
        aims=(Aimed(action="kill before and after each", at=_functions, point="call"),),
        commands=lambda _: 1,
        alone=True,
    ),
)
