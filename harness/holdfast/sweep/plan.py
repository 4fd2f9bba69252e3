"""Which faults to put where: singles, then the pairs of which the first fault makes the second's call reachable."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from holdfast.provocations.tracing import Trace
from holdfast.sweep.kinds import ABOUT, LASTING, Kind, Surroundings, inapplicable, untried
from holdfast.sweep.points import Caller, Callers, Point, counted, visited
from holdfast.targets.base import TracedCall


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault at one fault point."""

    point: Point
    kind: Kind

    def __str__(self) -> str:
        return f"{self.point.name}: {ABOUT[self.kind]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The faults of one command, and what its client does about them.

    Attributes:
        faults: in the order in which they are expected; none for a command without a fault.
        patient: whether the client sends the command again until it is answered; else it gives up at once.
    """

    faults: tuple[Fault, ...] = ()
    patient: bool = True

    @property
    def for_good(self) -> bool:
        """Whether one of its faults does not pass."""
        return any(fault.kind in LASTING for fault in self.faults)

    def __str__(self) -> str:
        client = "" if self.patient else "; the client gives up"
        return (" and ".join(map(str, self.faults)) or "no fault at all") + client


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A fault that is not put in place.

    Attributes:
        point: where.
        kind: what.
        why: one sentence.
        applies: whether it applies all the same.
    """

    point: Point
    kind: Kind
    why: str
    applies: bool = False


def chosen(points: Iterable[Point], kinds: Iterable[Kind], expression: str) -> list[tuple[Point, Kind]]:
    """The points and kinds to visit.

    Args:
        points: those of the trace.
        kinds: those wanted.
        expression: words of which every one must be in the name of the point, or be the name of the kind; case and
            order do not matter. Empty for all.
    """
    words = expression.lower().split()
    return [
        (point, kind)
        for point in points
        for kind in kinds
        if all(word == kind.value or word in str(point).lower() for word in words)
    ]


def singles(
    wanted: Iterable[tuple[Point, Kind]], known: Surroundings, synchronous: Collection[str]
) -> tuple[list[Schedule], list[Left]]:
    """One schedule for each fault that applies, and why the others are left out.

    Before the acknowledgement a client that gives up leaves half-done work behind which a patient one would complete,
    so there each fault meets both.

    Args:
        wanted: points and kinds.
        known: what is known of the callers.
        synchronous: the components that work before the command is acknowledged.
    """
    schedules, left = [], []
    for point, kind in wanted:
        why = inapplicable(point, kind, known)
        if why:
            left.append(Left(point=point, kind=kind, why=why))
            continue
        why = untried(point, kind, known)
        if why:
            left.append(Left(point=point, kind=kind, why=why, applies=True))
            continue
        fault = Fault(point, kind)
        schedules.append(Schedule(faults=(fault,)))
        if point.caller.component in synchronous and point.caller.type in ("function", "api", "state_machine"):
            schedules.append(Schedule(faults=(fault,), patient=False))
    return schedules, left


Step = tuple[str, str, str, str, str]
"""One call and its outcome, as its caller saw them: service, operation, state, resource, outcome."""

View = tuple[Step, ...]
"""What a caller had seen before a call, or all that an invocation came to; equal steps after each other told once."""

Seen = tuple[str, View, str, str, str, str]
"""A caller's view, the call that it makes next, and the kind of fault there."""


def views(trace: Trace, callers: Callers) -> list[tuple[Point, View]]:
    """Each call of a trace with what its caller had seen in the same handling before it, and each invocation.

    What begins an invocation, and with what, nobody sees from outside; what it did tells it apart from others.
    """
    counts: Counter[tuple[str, str, str, str]] = Counter()
    histories: dict[tuple[str, str], list[Step]] = {}
    found = []
    for call in sorted(trace.calls, key=lambda one: one.order):
        caller = callers.by_name.get(call.function)
        if caller is None:
            continue
        seen = histories.setdefault((call.function, call.request_id), [])
        kind = (call.function, call.service, call.operation, call.state)
        counts[kind] += 1
        point = Point(caller=caller, service=call.service, operation=call.operation, state=call.state, nth=counts[kind])
        found.append((point, tuple(seen)))
        step = (call.service, call.operation, call.state, call.resource, _outcome(call))
        if not seen or seen[-1] != step:
            seen.append(step)
    handlings: Counter[Caller] = Counter()
    for one in trace.invocations:
        caller = callers.by_name.get(one.function)
        if caller is not None and caller.type == "function":
            handlings[caller] += 1
            did = tuple(histories.get((one.function, one.request_id), ()))
            found.append((Point(caller=caller, nth=handlings[caller]), did))
    return found


def _outcome(call: TracedCall) -> str:
    return "lost" if call.status == 0 else "ok" if call.status < 300 else "failed"


def _seen(point: Point, view: View, kind: Kind) -> Seen:
    return (str(point.caller), view, point.service, point.operation, point.state, kind.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The pairs of one sweep.

    Attributes:
        schedules: those to run, the most telling first.
        reachable: how many pairs there are at calls and invocations that a first fault made reachable.
        pruned: how many of them an earlier run has shown already.
        dropped: how many are left out because of the budget.
    """

    schedules: tuple[Schedule, ...] = ()
    reachable: int = 0
    pruned: int = 0
    dropped: int = 0


def pairs(
    ran: Sequence[tuple[Schedule, Trace]],
    undisturbed: Trace,
    *,
    callers: Callers,
    known: Surroundings,
    kinds: Sequence[Kind],
    surfacing: Collection[tuple[str, str, str]] = (),
    most: int,
    seed: int,
) -> Pairs:
    """The second faults worth trying: where a first fault led the command, with outcomes nobody has seen there.

    These are the calls, and the boundaries of invocations, that an undisturbed command does not pass.

    Pruned as Filibuster's dynamic reduction does (Meiklejohn et al., SoCC 2021): a pair is left out when an earlier
    run, or a pair before it, already showed the caller the same outcomes before the same call with the same fault.
    What a caller saw is what its calls in the same handling came to; that a handling is the second one is no part of
    it, for a caller that keeps nothing in memory cannot tell.

    Args:
        ran: the singles whose fault was hit, with their traces.
        undisturbed: the trace without a fault.
        callers: the callers of the stack.
        known: what is known of them.
        kinds: the kinds of second faults.
        surfacing: the calls that put a request among the dead letters, by service, operation and name of the place:
            where a first fault does not pass and these fail for good too, or the invocation of the function that makes
            them, nothing is promised. A mapping sends its letter once:
            https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html (DestinationDeliveryFailures).
        most: how many to return.
        seed: of the order among equals.
    """
    base = visited(undisturbed, callers).points
    usual = counted(base)
    shown = {
        _seen(point, view, fault.kind)
        for point, view in views(undisturbed, callers)
        for schedule, _ in ran
        for fault in schedule.faults
        if fault.point == point
    }
    telling = {one[:2] for one in surfacing}
    random_order = random.Random(seed)  # noqa: S311 - reproducible, not secret
    candidates = []
    for schedule, trace in ran:
        handing_over = _handing_over(trace, surfacing, callers)
        for point, view in _new(schedule, trace, usual, callers):
            calls = {step[:2] for step in view} if point.invocation else {(point.service, point.operation)}
            last_resort = not calls.isdisjoint(telling) or _kind(point) in handing_over
            for kind in kinds:
                fatal = _UNSENT if point.caller.type == "mapping" else (Kind.FOR_GOOD,)
                hopeless = schedule.for_good and kind in fatal and last_resort
                if not (hopeless or inapplicable(point, kind, known) or untried(point, kind, known)):
                    unknown = (point.caller, point.service, point.operation, point.state) not in usual
                    candidates.append((not unknown, random_order.random(), schedule, Fault(point, kind), view))
    kept: list[tuple[tuple[bool, int], Schedule]] = []
    visits: Counter[tuple[Caller, str, str, str, Kind]] = Counter()
    pruned = 0
    for known_call, _, schedule, second, view in sorted(candidates, key=lambda one: one[:2]):
        told = _seen(second.point, view, second.kind)
        if told in shown:
            pruned += 1
            continue
        shown.add(told)
        visit = (*_kind(second.point), second.kind)
        kept.append(
            ((known_call, visits[visit]), Schedule(faults=(*schedule.faults, second), patient=schedule.patient))
        )
        visits[visit] += 1
    # every kind at every call once, before a call is visited with another past
    kept.sort(key=lambda one: one[0])
    return Pairs(
        schedules=tuple(schedule for _, schedule in kept[:most]),
        reachable=len(candidates),
        pruned=pruned,
        dropped=max(0, len(kept) - most),
    )


_UNSENT = (Kind.REFUSED, Kind.THROTTLED, Kind.FOR_GOOD)
"""Kinds with which a call that is made once is not performed."""


def _handing_over(
    trace: Trace, surfacing: Collection[tuple[str, str, str]], callers: Callers
) -> set[tuple[Caller, str, str, str]]:
    """The calls that have a function put the request among the dead letters; what polls delivers it again instead."""
    telling = {
        call.function
        for call in trace.calls
        for name in call.resource.split(",")
        if (call.service, call.operation, name) in surfacing
    }
    return {
        (caller, call.service, call.operation, call.state)
        for call in trace.calls
        if (call.service, call.operation) == ("lambda", "Invoke") and not telling.isdisjoint(call.resource.split(","))
        if (caller := callers.by_name.get(call.function)) is not None and caller.type != "mapping"
    }


def _new(
    schedule: Schedule, trace: Trace, usual: Mapping[tuple[Caller, str, str, str], int], callers: Callers
) -> Iterator[tuple[Point, View]]:
    """The calls and invocations that an undisturbed command does not pass."""
    broken = {_kind(fault.point) for fault in schedule.faults if fault.kind in LASTING}
    for point, view in views(trace, callers):
        if point.nth > usual.get(_kind(point), 0) and _kind(point) not in broken:
            yield point, view


def _kind(point: Point) -> tuple[Caller, str, str, str]:
    return point.caller, point.service, point.operation, point.state
