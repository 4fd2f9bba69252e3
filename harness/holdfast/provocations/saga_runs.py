"""Starting sagas, and waiting until they have ended, whatever they have come to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.checkers.saga import Fate, left
from holdfast.errors import ResourceError, TargetError
from holdfast.history.model import History, Operation, Outcome
from holdfast.levers.signals import interrupts
from holdfast.provocations.bench import Bench, side_by_side
from holdfast.provocations.saga_places import saga_of
from holdfast.provocations.saga_requirements import answer_tells, executions_kept
from holdfast.stack.generate import Submission
from holdfast.targets.emulator.starvation import Meter

BEYOND_SECONDS = 1.0
"""So much longer than its bound a saga is waited for, so that one that is not over by then is beyond it."""


STAGGER_SECONDS = 1.0
"""So long a started saga keeps its room, so that all of a run do not begin at one moment: on a small machine that would
be a load test of the emulator."""


def start_all(bench: Bench, starts: Sequence[tuple[Submission, str]]) -> None:
    """Start sagas, each with its role, as far as there is room, and not all of them at once."""

    def start(one: tuple[Submission, str]) -> None:
        with bench.room:
            bench.submit(*one)
            interrupts.pause(STAGGER_SECONDS)

    side_by_side(start, starts, 8)


def await_ends(
    bench: Bench,
    submissions: Sequence[Submission],
    *,
    meanwhile: Callable[[], None] = lambda: None,
) -> list[Submission]:
    """Wait until every started saga has ended; returns those that have not within the bound, which are looked at once.

    On a busy machine they are waited for as long again, and looked at once more where they end: what ends while its
    fault is still in place was slow, and what does not was stuck.

    Args:
        bench: the provocation's.
        submissions: those whose every start was refused are not waited for.
        meanwhile: done at every look.
    """
    refused = {key for key, outcomes in _outcomes(bench).items() if outcomes == {Outcome.FAIL}}
    missing = [one for one in submissions if one.key not in refused]
    longest_seconds = bench.bounds.saga_seconds + BEYOND_SECONDS

    def look() -> list[Submission]:
        meanwhile()
        surfaced = _surfaced(bench)
        over = side_by_side(lambda one: one.key in surfaced or ended(bench, one), missing, 4)
        missing[:] = [one for one, done in zip(missing, over, strict=True) if not done]
        return missing

    meter = Meter()
    late = list(bench.until(f"the end of {len(missing)} sagas", look, lambda still: not still, longest_seconds).value)
    for one in late:
        look_at(bench, one)
    if not late or bench.stack.target.kind != "embedded" or not meter.busy():
        return late
    what = f"the end of {len(late)} sagas that a busy machine may have slowed"
    still = list(bench.until(what, look, lambda still: not still, longest_seconds).value)
    for one in late:
        if one not in still:
            look_at(bench, one)
    return still


def _surfaced(bench: Bench) -> set[str]:
    """The keys of sagas that were given up and surfaced, where no execution tells that they have ended."""
    if bench.pattern.dead_letters is None or not executions_kept(bench.situation):
        return set()
    try:
        return {letter.key for letter in bench.ports.dead_letters(bench.pattern.dead_letters)}
    except (ResourceError, TargetError):
        return set()


def _outcomes(bench: Bench) -> dict[str, set[Outcome]]:
    found: dict[str, set[Outcome]] = {}
    for operation in bench.operations():
        found.setdefault(operation.key, set()).add(operation.outcome)
    return found


def ended(bench: Bench, submission: Submission) -> bool:
    """Whether the saga of a key does no more by itself, as far as anybody can tell."""
    saga = saga_of(bench.situation)
    if not executions_kept(bench.situation):
        assert saga.state_machine is not None
        try:
            found = bench.ports.find_executions(saga.state_machine, submission.key)
        except (ResourceError, TargetError):
            return False
        return bool(found) and all(one.ended for one in found)
    if saga.status is not None:
        status = bench.stack.descriptor.statuses[saga.status]
        said = bench.ports.observe_status(saga.status, submission, provocation=bench.name).state
        return said in (*status.done, *status.failed)
    if answer_tells(bench.situation) and Outcome.OK in _outcomes(bench).get(submission.key, ()):
        return True
    return fate(bench, submission) in (Fate.COMMITTED, Fate.COMPENSATED)


def fate(bench: Bench, submission: Submission) -> Fate | None:
    """What a saga has left so far; None where nothing was ever done, or something cannot be read."""
    saga = saga_of(bench.situation)
    seen = tuple(bench.ports.observe(port, submission, provocation=bench.name) for port in saga.of_steps)
    if not any(one.count for one in seen):
        return None
    nobody = Operation(
        id="",
        key=submission.key,
        command="",
        provocation="",
        invoked_seconds=0.0,
        completed_seconds=None,
        outcome=Outcome.UNKNOWN,
    )
    (found,) = left(History((nobody,), seen), saga)
    return found.fate if found.settled else None


def look_at_quantities(bench: Bench) -> None:
    """Record what is conserved, as it is now."""
    for name in bench.stack.descriptor.conserved:
        bench.ports.observe_quantity(name, provocation=bench.name)


def look_at(bench: Bench, submission: Submission) -> None:
    """Record how a saga stands now: its executions, and what it reports."""
    saga = saga_of(bench.situation)
    if not executions_kept(bench.situation):
        assert saga.state_machine is not None
        bench.ports.observe_executions(saga.state_machine, submission, provocation=bench.name)
    if saga.status is not None:
        bench.ports.observe_status(saga.status, submission, provocation=bench.name)
