"""Rebuilding a read model from its log (CQ-5), and snapshots under load and crash (CQ-9)."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.errors import Inconclusive
from holdfast.history.model import Operation, Outcome
from holdfast.provocations.bench import Bench, side_by_side
from holdfast.provocations.cqrs_runs import (
    OBSERVER,
    await_projected,
    cqrs_of,
    fold_of,
    look_at_log,
    look_at_view,
    on_one_aggregate,
    submit_in_order,
)
from holdfast.provocations.crashes import kill_at
from holdfast.provocations.model import Aimed, FaultPoint, Provocation
from holdfast.provocations.requirements import INVOCATION_FAULTS, Situation, unmet
from holdfast.provocations.tracing import ANY_FUNCTION, Trace, calls_of_one_handling, first_handlings
from holdfast.stack.generate import Submission
from holdfast.stack.logs import Hook
from holdfast.targets.base import Rule

AGGREGATES = 3
COMMANDS = 4
BUSY_AGGREGATES = 2
BUSY_COMMANDS = 8
LOAD_ROLE, HOOK_ROLE = "load", "hook"
MOST_POINTS = 16


def rebuild_named(situation: Situation) -> str:
    """There must be a hook that rebuilds the view."""
    if getattr(situation.pattern, "rebuild", None) is not None:
        return ""
    return "the descriptor names no rebuild (rebuild = { command, view }); waive CQ-5 where there is none"


def snapshot_named(situation: Situation) -> str:
    """There must be a hook that takes a snapshot."""
    if getattr(situation.pattern, "snapshot", None) is not None:
        return ""
    return "the descriptor names no snapshot (snapshot = { command, view }); waive CQ-9 where there is none"


def _crash_aimed(situation: Situation) -> str:
    """Somebody must be able to kill the function that takes a snapshot."""
    missing = unmet((INVOCATION_FAULTS,), situation)
    return f"no snapshot can be torn by a crash: {missing[0]}" if missing else ""


def _rebuild(bench: Bench) -> None:
    pattern = cqrs_of(bench)
    assert pattern.rebuild is not None
    streams = [on_one_aggregate(bench, COMMANDS) for _ in range(AGGREGATES)]
    side_by_side(lambda stream: submit_in_order(bench, stream), streams, AGGREGATES)
    firsts = [stream[0] for stream in streams]
    if pattern.removal is not None:
        removed = bench.other(pattern.removal.command, firsts[-1], counted=True)
        bench.submit(removed, "removed", command=pattern.removal.command)
    await_projected(bench, firsts)
    sent = _sent(bench, pattern.rebuild, firsts)
    fold = fold_of(bench)

    def unequal() -> list[Submission]:
        left = []
        for first, reader in zip(firsts, sent, strict=True):
            log = look_at_log(bench, first)
            rebuilt = look_at_view(bench, reader, view=pattern.rebuild.view if pattern.rebuild is not None else "")
            if rebuilt.state != fold([event.data for event in log.events]):
                left.append(first)
        return left

    bench.until("the rebuilt view", unequal, lambda left: not left, bench.bounds.effect_seconds)


def _sent(bench: Bench, hook: Hook, firsts: Sequence[Submission]) -> list[Submission]:
    """Send a hook's command, once for each aggregate where it names one; what to read each aggregate's view with."""
    pattern = cqrs_of(bench)
    if pattern.aggregate in bench.stack.descriptor.commands[hook.command].fields:
        readers = [bench.other(hook.command, first) for first in firsts]
        operations = [bench.submit(reader, HOOK_ROLE, command=hook.command) for reader in readers]
    else:
        one = bench.other(hook.command, firsts[0])
        operations = [bench.submit(one, HOOK_ROLE, command=hook.command)]
        name = pattern.aggregate
        readers = [
            Submission(one.key, one.value, {**first.fields, **one.fields, name: first.fields[name]}) for first in firsts
        ]
    for operation in operations:
        _tell(bench, hook, operation)
    return readers


def _tell(bench: Bench, hook: Hook, operation: Operation) -> None:
    if operation.outcome is Outcome.FAIL:
        bench.undecided(f"the command {hook.command} was refused: {operation.status} {operation.answer}")
    elif operation.outcome is Outcome.UNKNOWN:
        bench.note(f"the command {hook.command} was not acknowledged: {operation.status}")


def _snapshots(bench: Bench) -> None:
    pattern = cqrs_of(bench)
    hook = pattern.snapshot
    assert hook is not None
    side_by_side(
        lambda stream: _snapshot_under_load(bench, hook, stream),
        [on_one_aggregate(bench, BUSY_COMMANDS) for _ in range(BUSY_AGGREGATES)],
        BUSY_AGGREGATES,
    )
    if not _crash_aimed(bench.situation):
        _snapshot_and_crash(bench, hook)


def _snapshot_under_load(bench: Bench, hook: Hook, stream: Sequence[Submission]) -> None:
    """Snapshots and reads of one while its aggregate is written."""
    first = stream[0]
    submit_in_order(bench, stream[:1], LOAD_ROLE)

    def write(_: int) -> None:
        submit_in_order(bench, stream[1:], LOAD_ROLE)

    def snap(_: int) -> None:
        for _ in range(BUSY_COMMANDS):
            reader = bench.other(hook.command, first)
            _tell(bench, hook, bench.submit(reader, HOOK_ROLE, command=hook.command))
            look_at_view(bench, reader, view=hook.view, reader=OBSERVER, role=LOAD_ROLE)

    side_by_side(lambda job: job(0), [write, snap], 2)
    _compare(bench, hook, first)


def _compare(bench: Bench, hook: Hook, first: Submission) -> None:
    """Log, then the state from snapshot and tail, when nothing is written any more."""
    reader = bench.other(hook.command, first)
    look_at_log(bench, first)
    look_at_view(bench, reader, view=hook.view)


def _snapshot_and_crash(bench: Bench, hook: Hook) -> None:
    """A crash before and after each AWS call of a snapshot, of an aggregate of its own each."""
    points = _points(bench, hook)
    names = {component: bench.function_name(component) for component in {point.function for point in points}}
    streams = [on_one_aggregate(bench, COMMANDS) for _ in points]
    faults: list[tuple[str, Rule]] = []
    hooks: list[Submission] = []
    for point, stream in zip(points, streams, strict=True):
        made = bench.other(hook.command, stream[0])
        hooks.append(made)
        bench.point(made.key, point)
        faults.append((point.function, kill_at(point, names[point.function], made.key)))
    with bench.aimed(faults) as aim:

        def crash(item: tuple[list[Submission], Submission]) -> None:
            stream, made = item
            submit_in_order(bench, stream[: COMMANDS - 1])
            bench.submit(made, "crashed", command=hook.command)
            submit_in_order(bench, stream[COMMANDS - 1 :])
            _compare(bench, hook, stream[0])

        side_by_side(crash, list(zip(streams, hooks, strict=True)), 4)
        for made, point in zip(hooks, points, strict=True):
            if not aim.hits(made.key):
                bench.undecided(f"fault point not reached: {point} ({made.key})")


def _points(bench: Bench, hook: Hook) -> list[FaultPoint]:
    """Follow one undisturbed snapshot and list the fault points of the functions that take it."""
    first = on_one_aggregate(bench, 1)[0]
    submit_in_order(bench, [first])
    made = bench.other(hook.command, first)
    known = {bench.function_name(name): name for name in _functions(bench.situation)}
    with bench.watched(ANY_FUNCTION, made.key):
        bench.submit(made, HOOK_ROLE, command=hook.command)
        trace = bench.until(
            "the traced snapshot",
            lambda: Trace.of(bench.interceptor, made.key),
            lambda found: bool(first_handlings(found.invocations)),
            bench.patience_seconds,
        ).value
    handled = [known[function] for function in first_handlings(trace.invocations) if function in known]
    if not handled:
        raise Inconclusive("no function of the descriptor was seen to take a snapshot, so none can be crashed")
    calls = calls_of_one_handling(trace, known)
    boundaries = [(component, "", "", 1) for component in dict.fromkeys(handled)]
    found = [
        FaultPoint(function=component, service=service, operation=operation, nth=nth, when=when)
        for component, service, operation, nth in (*boundaries, *calls)
        for when in ("before", "after")
    ]
    if len(found) > MOST_POINTS:
        bench.note(f"{MOST_POINTS} of {len(found)} fault points of a snapshot are visited")
    return found[:MOST_POINTS]


def _functions(situation: Situation) -> list[str]:
    return [name for name, one in situation.stack.descriptor.components.items() if one.type == "function"]


def _may_snapshot(situation: Situation) -> list[str]:
    """The functions that may take a snapshot; which one does is seen when one is taken."""
    return [name for name in _functions(situation) if name not in situation.pattern.workers]


CQRS_REBUILD = Provocation(
    name="cqrs-rebuild",
    provoke=_rebuild,
    requires=(rebuild_named,),
    commands=lambda _: AGGREGATES * COMMANDS + 1,
)
CQRS_SNAPSHOTS = Provocation(
    name="cqrs-snapshots",
    provoke=_snapshots,
    requires=(snapshot_named,),
    leaves_open=(_crash_aimed,),
    may_aim=(Aimed(action="kill where it takes a snapshot, before and after each", at=_may_snapshot, point="call"),),
    commands=lambda _: 2 * BUSY_AGGREGATES * BUSY_COMMANDS,
)
