"""Runs faults of a sweep as Chaos Toolkit experiments, one at a time, on the stack that is open already.

Each experiment is what its documentation suggests (chaostoolkit.org/reference/concepts): a steady-state hypothesis
before and after, here that an ordinary command is done; a method that injects, sends one command, waits until nothing
more comes of it and looks at what is left; and a rollback. It decides what a cell of the sweep decides. It runs in this
process, so starting an interpreter for each is not counted against it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import chaos_provider

from holdfast.sweep.plan import Schedule
from holdfast.sweep.running import Runner

PROVIDER = "chaos_provider"


def experiment(schedule: Schedule) -> dict[str, Any]:
    """A schedule as a Chaos Toolkit experiment."""
    return {
        "version": "1.0.0",
        "title": str(schedule),
        "description": "One saga meets one fault, and is left done or undone as a whole.",
        "steady-state-hypothesis": {
            "title": "an ordinary saga is done",
            "probes": [_activity("probe", "ordinary_command_done", tolerance=True)],
        },
        "method": [
            _activity("action", "put_fault"),
            _activity("action", "send_command"),
            _activity("probe", "stack_at_rest"),
            _activity("probe", "left_whole"),
        ],
        "rollbacks": [_activity("action", "remove_fault")],
    }


def _activity(kind: str, function: str, **more: Any) -> dict[str, Any]:
    provider = {"type": "python", "module": PROVIDER, "func": function}
    return {"type": kind, "name": function.replace("_", " "), "provider": provider, **more}


def driven(runner: Runner, schedules: Sequence[Schedule]) -> tuple[float, Counter[str]]:
    """Run schedules one experiment at a time.

    Args:
        runner: of the stack.
        schedules: what to run.

    Returns:
        Seconds an experiment, and how many ended how, in Chaos Toolkit's words.
    """
    from chaoslib.experiment import run_experiment

    logging.getLogger("chaostoolkit").setLevel(logging.CRITICAL)
    bench = runner.bench()
    ended: Counter[str] = Counter()
    started = time.monotonic()
    for schedule in schedules:
        (submission,) = bench.draw(1)
        work = chaos_provider.Work(runner=runner, bench=bench, schedule=schedule, submission=submission)
        chaos_provider.work_on(work)
        journal = run_experiment(experiment(schedule))
        ended["deviated" if journal["deviated"] else journal["status"]] += 1
    return (time.monotonic() - started) / len(schedules), ended
