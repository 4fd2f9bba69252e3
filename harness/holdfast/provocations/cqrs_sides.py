"""Each side dead in turn, and the other side at work meanwhile (CQ-6)."""

from __future__ import annotations

from holdfast.provocations.bench import Bench
from holdfast.provocations.cqrs_runs import (
    await_projected,
    cqrs_of,
    look_at_view,
    on_one_aggregate,
    one_of_each,
    submit_in_order,
)
from holdfast.provocations.model import Provocation, Window

AGGREGATES = 2
COMMANDS = 8
"""Commands that are sent to each aggregate, before and while the read side is dead."""
CALM_ROLE, DEAD_ROLE = "calm", "other side dead"
READS = 10


def _calm(bench: Bench) -> None:
    """Commands and reads with both sides alive: what those under the fault are compared with."""
    streams = [on_one_aggregate(bench, COMMANDS // 2) for _ in range(AGGREGATES)]
    for stream in streams:
        submit_in_order(bench, stream, CALM_ROLE)
    await_projected(bench, [stream[0] for stream in streams])
    _read(bench, CALM_ROLE)


def _read(bench: Bench, role: str) -> None:
    for _ in range(READS):
        for submission in one_of_each(bench.pattern, bench.submissions()):
            look_at_view(bench, submission, view=cqrs_of(bench).reads, reader=role, role=role)


def _read_with_writes_dead(bench: Bench) -> None:
    known = one_of_each(bench.pattern, bench.submissions())
    _read(bench, DEAD_ROLE)
    name = cqrs_of(bench).aggregate
    # what is sent now is refused or goes unanswered; it shows that the write side is dead, and must not stop reads
    for submission in [bench.draw(1, {name: one.fields[name]})[0] for one in known]:
        bench.submit(submission, "refused meanwhile")
    _read(bench, DEAD_ROLE)


def _write_with_reads_dead(bench: Bench) -> None:
    name = cqrs_of(bench).aggregate
    for one in one_of_each(bench.pattern, bench.submissions()):
        submit_in_order(bench, bench.draw(COMMANDS // 2, {name: one.fields[name]}), DEAD_ROLE)


def _converge(bench: Bench, _: object) -> None:
    await_projected(bench, one_of_each(bench.pattern, bench.submissions()))


WRITE_SIDE_DEAD = Provocation(
    name="write-side-dead",
    prepare=_calm,
    provoke=_read_with_writes_dead,
    observe=_converge,
    window=Window.WRITE_SIDE_DEAD,
    commands=lambda _: AGGREGATES * COMMANDS // 2 + AGGREGATES,
)
READ_SIDE_DEAD = Provocation(
    name="read-side-dead",
    prepare=_calm,
    provoke=_write_with_reads_dead,
    observe=_converge,
    window=Window.READ_SIDE_DEAD,
    commands=lambda _: AGGREGATES * COMMANDS,
)
