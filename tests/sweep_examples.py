"""Literal traces, points and cases for the tests of the sweep."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from histories import ok
from holdfast.history.model import DeadLetterSeen, Observation, Operation
from holdfast.provocations.tracing import Trace
from holdfast.sweep.coverage import Cell, Coverage, PairRun, Violation
from holdfast.sweep.judging import Case, Judgement, Mark
from holdfast.sweep.kinds import Kind, Surroundings
from holdfast.sweep.plan import Fault, Schedule
from holdfast.sweep.points import Caller, Callers, Point
from holdfast.targets.base import TracedCall, TracedInvocation
from holdfast.verdict.model import Finding

WORKER = Caller(component="worker")
QUEUE = Caller(component="worker", type="mapping", source="queue")
STREAM = Caller(component="relay", type="mapping", source="outbox")
MACHINE = Caller(component="saga", type="state_machine")
API = Caller(component="api", type="api")
CALLERS = Callers({"f-worker": WORKER, "uuid-1": QUEUE, "m-saga": MACHINE, "api-1": API, "uuid-2": STREAM})
KNOWN = Surroundings(
    timeout_seconds={"worker": 1.0, "slow": 60.0},
    visibility_seconds={QUEUE: 6.0},
    state_seconds={("saga", "Charge"): 5.0},
)
PUT = Point(caller=WORKER, service="dynamodb", operation="PutItem")
GET = Point(caller=WORKER, service="dynamodb", operation="GetItem")
HANDLER = Point(caller=WORKER)
INVOKE = Point(caller=QUEUE, service="lambda", operation="Invoke")
CHARGE = Point(caller=MACHINE, service="lambda", operation="Invoke", state="Charge")


def single(point: Point, kind: Kind, *, patient: bool = True) -> Schedule:
    """A schedule of one fault."""
    return Schedule(faults=(Fault(point, kind),), patient=patient)


def trace(*calls: str, handlings: tuple[str, ...] = ()) -> Trace:
    """A trace from lines ``FUNCTION/REQUEST[/STATE] SERVICE:OPERATION STATUS``, in their order.

    Args:
        calls: the lines.
        handlings: invocations without calls, ``FUNCTION/REQUEST``.
    """
    made: list[TracedCall] = []
    seen: dict[tuple[str, str], int] = {}
    for order, line in enumerate(calls, start=1):
        who, what, status = line.split()
        function, request, *state = who.split("/")
        service, operation = what.split(":")
        at = seen[function, request] = seen.get((function, request), 0) + 1
        made.append(
            TracedCall(
                function=function,
                request_id=request,
                index=at,
                service=service,
                operation=operation,
                status=int(status),
                order=order,
                state="".join(state),
            )
        )
    handled = dict.fromkeys([*seen, *((function, request) for function, request in (h.split("/") for h in handlings))])
    return Trace(tuple(invocation(function, request) for function, request in handled), tuple(made))


def invocation(function: str, request: str, *, failed: bool = False) -> TracedInvocation:
    """An invocation that has ended."""
    return TracedInvocation(
        function=function, request_id=request, started_seconds=1.0, ended_seconds=2.0, failed=failed, event="{}"
    )


def look(port: str, count: int, *, state: str = "", complete: bool = True, orders: tuple[str, ...] = ()) -> Observation:
    """The last look at a port."""
    return Observation(
        port=port,
        key="k",
        count=count,
        started_seconds=90.0,
        completed_seconds=90.1,
        state=state,
        complete=complete,
        orders=orders,
    )


def case(
    *looks: Observation,
    operations: tuple[Operation, ...] = (ok("k"),),
    schedule: Schedule | None = None,
    letters: int = 0,
    **more: object,
) -> Case:
    """A case of key ``k``."""
    given = Case(
        key="k",
        schedule=schedule or single(PUT, Kind.REFUSED),
        operations=operations,
        observations={one.port: one for one in looks},
        dead_letters=(DeadLetterSeen(key="k", original=None, body="{}", port="dlq"),) * letters,
        deliveries=3,
    )
    return replace(given, **more)  # type: ignore[arg-type]


HELD = Judgement(mark=Mark.HELD, why="acknowledged; entered: 1")
BROKEN = Judgement(
    mark=Mark.VIOLATED,
    why="entered of k is there 2 times",
    findings=(Finding(title="repeated effect", sentence="entered of k is there 2 times", key="k"),),
)
AGAIN = replace(PUT, nth=2)
PAIR = Schedule(faults=(Fault(GET, Kind.REFUSED), Fault(AGAIN, Kind.KILLED_AFTER)))


def coverage(descriptor: Path, *, violations: tuple[Violation, ...] = ()) -> Coverage:
    """A small coverage."""
    return Coverage(
        stack="orders",
        descriptor=str(descriptor),
        pattern="storage-first",
        target="embedded",
        seed=7,
        undisturbed=HELD,
        cells=(
            Cell(point=PUT, kind=Kind.KILLED_AFTER, mark=Mark.VIOLATED, why=BROKEN.why),
            Cell(point=INVOKE, kind=Kind.DELAYED, mark=Mark.UNREACHED, why="it was not passed"),
        ),
        pairs=(PairRun(schedule=PAIR, mark=Mark.VIOLATED, why=BROKEN.why),),
        reachable=9,
        pruned=8,
        violations=violations,
        commands=5,
        seconds=1.5,
    )


def violation(schedule: Schedule) -> Violation:
    """A violation of a schedule."""
    return Violation(
        schedule=schedule,
        judgement=BROKEN,
        violated=3,
        runs=3,
        found_by=(PAIR,),
        fields={"amount": "1.00", "note": "a-secret-of-mine"},
    )
