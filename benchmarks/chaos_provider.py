"""Actions and probes for Chaos Toolkit: a fault of a sweep is put in place, one command meets it, and is looked at.

Chaos Toolkit finds these functions by name and calls them without state, so what they work on is kept here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from holdfast.provocations.bench import Bench
from holdfast.provocations.saga_plan_runs import half_done
from holdfast.provocations.saga_runs import await_ends
from holdfast.stack.generate import Submission
from holdfast.sweep.kinds import rule_of
from holdfast.sweep.plan import Schedule
from holdfast.sweep.running import Runner


@dataclass(slots=True)
class Work:
    """What the experiment that runs at the moment is about.

    Attributes:
        runner: sends commands and knows the stack.
        bench: observes.
        schedule: the faults.
        submission: the command that meets them.
        rules: the ids of the rules in force.
    """

    runner: Runner
    bench: Bench
    schedule: Schedule
    submission: Submission
    rules: tuple[str, ...] = ()


_works: list[Work] = []


def work_on(work: Work) -> None:
    """Set what the next experiment is about."""
    _works[:] = [work]


def put_fault() -> None:
    """Action: put the faults in place, aimed at the command."""
    (work,) = _works
    for number, fault in enumerate(work.schedule.faults):
        caller = work.runner.callers.physical(fault.point.caller)
        assert caller is not None
        rule = rule_of(fault.point, fault.kind, work.submission.key, caller, work.runner.known)
        work.bench.interceptor.add(replace(rule, id=f"{work.submission.key}-{number}"))
        work.rules = (*work.rules, f"{work.submission.key}-{number}")


def send_command() -> None:
    """Action: send the command until it is answered, as a client of a sweep does."""
    (work,) = _works
    work.runner.sender.send(work.bench, work.schedule, work.submission)


def stack_at_rest() -> bool:
    """Probe: whether the saga has ended, and nothing of it comes later; until then a duplicate cannot be excluded."""
    (work,) = _works
    return not await_ends(work.bench, [work.submission]) and work.runner.silence()


def left_whole() -> bool:
    """Probe: whether the command that met the fault is done as a whole or undone as a whole."""
    (work,) = _works
    return not half_done(work.bench, [work.submission])


def ordinary_command_done() -> bool:
    """Hypothesis: whether a command without a fault comes to its effect."""
    (work,) = _works
    (ordinary,) = work.bench.draw(1)
    work.bench.submit(ordinary)
    return not await_ends(work.bench, [ordinary]) and not half_done(work.bench, [ordinary])


def remove_fault() -> None:
    """Rollback: take the faults away."""
    (work,) = _works
    for rule in work.rules:
        work.bench.interceptor.remove(rule)
