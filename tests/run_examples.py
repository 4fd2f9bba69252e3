"""Run folders with all that reports tell, made of literal and of generated events."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from holdfast.history.events import EventFile
from holdfast.history.model import ErrorClass, FaultWindow, Observation, Operation, Outcome
from holdfast.history.writing import HistoryFile
from holdfast.runs import Run, RunFolder, RunKind, Series, begin
from holdfast.verdict import ClauseVerdict, Family, Finding, StackReport, Verdict

STARTED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
MARKUP = '</script><img src=x onerror="document.title=1">'
"""What a stack may answer; on a page it must be text."""

LOST = Operation(
    id="op-1",
    key="k-7",
    command="place_order",
    provocation="compute-dead",
    role="healthy",
    invoked_seconds=11.0,
    completed_seconds=11.25,
    outcome=Outcome.OK,
    status="202",
)
UNSEEN = Observation(
    port="fulfilled", key="k-7", count=0, started_seconds=20.0, completed_seconds=20.1, provocation="compute-dead"
)
DENIED = FaultWindow(
    lever="role-deny",
    component="worker",
    error_class=ErrorClass.DENIED,
    started_seconds=10.0,
    ended_seconds=14.0,
    proof="lambda:Invoke was denied 3 times",
    hits=3,
    provocation="compute-dead",
)
AIMED = FaultWindow(
    lever="drop-answer",
    component="worker",
    error_class=ErrorClass.LOST_ANSWER,
    started_seconds=16.0,
    ended_seconds=16.4,
    proof="the answer of PutItem was dropped",
    hits=1,
    key="k-9",
)


def run(kind: RunKind = "verify", *, number: int = 0, stack: str = "orders", **changes: Any) -> Run:
    """What was run; the number makes it later by as many minutes."""
    return Run(
        kind=kind,
        stack=stack,
        descriptor="orders.stack.toml",
        patterns=("storage-first",),
        target="embedded",
        seed=7,
        versions={"holdfast": "0.1.0", "python": "3.11.7"},
        command=("holdfast", kind, "orders.stack.toml"),
        started=STARTED + timedelta(minutes=number),
        **changes,
    )


def report(violated: bool = True, **changes: Any) -> StackReport:
    """Verdicts of every kind; without a violation on demand."""
    finding = Finding(
        title="acknowledged and lost",
        sentence=f"k-7 was acknowledged and never took effect {MARKUP}",
        key="k-7",
        witness=(LOST, DENIED, UNSEEN),
    )
    clauses = (
        ClauseVerdict(
            id="SF-1",
            family=Family.PERSISTENCE,
            verdict=Verdict.HOLDS,
            reason="all 8 requests took effect",
            evidence=("role-deny on worker: denied",),
            text="What is acknowledged is there.",
        ),
        ClauseVerdict(
            id="SF-2",
            family=Family.PERSISTENCE,
            verdict=Verdict.VIOLATED if violated else Verdict.HOLDS,
            reason="k-7 was acknowledged and is gone" if violated else "8 of 8 were told",
            evidence=("role-deny on gateway: denied",),
            findings=(finding,) * 7 if violated else (),
            text="Nothing is acknowledged that was not stored.",
        ),
        ClauseVerdict(id="SF-7", family=Family.EVENTUAL, verdict=Verdict.WAIVED, reason="no order promised"),
        ClauseVerdict(id="SF-8", family=Family.RECOVERY, verdict=Verdict.INCONCLUSIVE, reason="no limit declared"),
    )
    values = {
        "stack": "orders",
        "descriptor": "orders.stack.toml",
        "target": "embedded",
        "clauses": clauses,
        "seed": 7,
        "seconds": 24.5,
        "measures": {
            "acknowledgement_p50_seconds": 0.012,
            "acknowledgement_p99_seconds": 0.105,
            "time_to_effect_p99_seconds": 1.25,
            "drain_seconds": 2.5,
            "invocations_per_thousand": 1_100.0,
            "retries_per_thousand": 100.0,
            "requests_per_thousand:sqs:SendMessage": 1_000.0,
        },
    }
    return StackReport(**{**values, **changes})


def coverage(violated: bool = True) -> dict[str, Any]:
    """coverage.json of a small sweep."""
    cells = [
        {"point": "worker dynamodb:PutItem #1", "kind": "refused", "mark": "held", "why": "the effect is there once"},
        {
            "point": "worker dynamodb:PutItem #1",
            "kind": "answer-lost",
            "mark": "violated" if violated else "held",
            "why": "twice",
        },
        {"point": "worker invocation #1", "kind": "refused", "mark": "unreached", "why": "its rule was not hit"},
        {"point": "worker invocation #1", "kind": "answer-lost", "mark": "inapplicable", "why": "it is a read"},
    ]
    found = {
        "smallest": "answer-lost at worker dynamodb:PutItem #1",
        "title": "duplicate effect",
        "sentence": "k-3 took effect 2 times",
        "explanation": ["duplicate effect: k-3 took effect 2 times", "  t=+1.000s  submitted place_order key=k-3"],
        "violated": 3,
        "runs": 3,
        "found_by": [],
        "replay": ".holdfast/orders/replays/storage-first-1.replay.json",
    }
    sweep = {
        "stack": "orders",
        "pattern": "storage-first",
        "target": "embedded",
        "seed": 7,
        "seconds": 9.5,
        "commands": 12,
        "points": ["worker dynamodb:PutItem #1", "worker invocation #1"],
        "counts": {"held": 1 if violated else 2, "violated": int(violated), "unreached": 1, "inapplicable": 1},
        "cells": cells,
        "violations": [found] if violated else [],
        "notes": ["the budget was enough"],
    }
    return {"version": 1, "sweeps": [sweep]}


def plans(violated: bool = True) -> dict[str, Any]:
    """plans.json of few generated sagas."""
    cells = [
        {
            "point": "flight",
            "kind": "fail once",
            "mark": "held",
            "why": "aimed at 2 sagas: 2 done or undone as a whole",
        },
        {"point": "flight", "kind": "fail after", "mark": "unreached", "why": "no plan had it"},
        {
            "point": "compensation of flight",
            "kind": "fail once",
            "mark": "violated" if violated else "held",
            "why": "aimed at 3 sagas: 1 left half done, 2 done or undone as a whole",
        },
    ]
    smallest = "ordinary, fail once at the compensation of flight" if violated else ""
    return {
        "version": 1,
        "patterns": [{"pattern": "saga", "plans": 4, "sagas": 9, "smallest": smallest, "cells": cells}],
    }


def events(count: int = 160) -> list[Operation | Observation | FaultWindow]:
    """Operations of every outcome with their observations, and two faults; the same at every call."""
    drawn = random.Random(3)
    found: list[Operation | Observation | FaultWindow] = [DENIED, AIMED]
    for number in range(count):
        at = number * 24.0 / count
        inside = DENIED.started_seconds <= at <= DENIED.ended_seconds
        latency = drawn.lognormvariate(-4, 0.8) * (20 if inside and number % 3 else 1)
        outcome = Outcome.UNKNOWN if inside and number % 5 == 0 else Outcome.FAIL if number % 29 == 0 else Outcome.OK
        key = f"k-{number}"
        found.append(
            Operation(
                id=f"op-{number}",
                key=key,
                command="place_order",
                provocation="steady",
                invoked_seconds=at,
                completed_seconds=None if outcome is Outcome.UNKNOWN and number % 2 else at + latency,
                outcome=outcome,
                status="202",
            )
        )
        if outcome is not Outcome.FAIL and number != 7:
            seen = at + latency + drawn.uniform(0.1, 0.6)
            found.append(Observation(port="fulfilled", key=key, count=1, started_seconds=seen, completed_seconds=seen))
    return found


def written(folder: Path, *, kind: RunKind = "verify", violated: bool = True, number: int = 0) -> Path:
    """A run's folder with all its files; returns its path."""
    made = begin(folder, run(kind, number=number), clean=str)
    with_history(made, events())
    if kind == "sweep":
        made.coverage(coverage(violated))
    else:
        made.verdicts(report(violated))
        made.plans(plans(violated))
    depth = Series(
        name="queue depth",
        component="orders",
        unit="messages",
        seconds=tuple(float(at) for at in range(24)),
        values=tuple(float(4 * max(0, min(at - 9, 20 - at))) for at in range(24)),
    )
    made.series([depth])
    made.end(24.5)
    return made.path


def with_history(made: RunFolder, told: list[Operation | Observation | FaultWindow]) -> None:
    """Write events into a run's folder."""
    file = EventFile(made.history / "run.jsonl", recorder="run", clean=str, origin_unix_ns=0)
    file.add_all(told)
    file.close()


def load_run(folder: Path, operations: int) -> Path:
    """A load run's folder with so many operations over ten minutes, every hundredth slow, and one fault."""
    made = begin(folder, run("load"), clean=str)
    drawn = random.Random(5)
    columns = ("kind", "key", "value", "invoked_ns", "completed_ns", "outcome", "session", "position", "intended_ns")
    file = HistoryFile(
        made.history / "worker-1.jsonl", recorder="worker-1", origin_unix_ns=0, lines_per_flush=10_000, columns=columns
    )
    step_ns = 600_000_000_000 // operations
    for number in range(operations):
        intended_ns = number * step_ns
        sent_ns = intended_ns + 50_000
        done_ns = sent_ns + int(drawn.expovariate(1 / 8e6)) + (400_000_000 if number % 100 == 0 else 0)
        outcome = "unknown" if number % 1_000 == 0 else "ok"
        file.add_row(("submit", number, number, sent_ns, done_ns, outcome, None, None, intended_ns))
    file.window(
        FaultWindow(
            lever="table-throttle",
            component="ledger",
            error_class=ErrorClass.THROTTLE,
            started_seconds=200.0,
            ended_seconds=260.0,
            proof="throttled 17 times",
        )
    )
    file.close()
    made.verdicts(report(violated=False))
    made.end(600.0)
    return made.path
