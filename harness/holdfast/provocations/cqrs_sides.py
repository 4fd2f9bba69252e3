"""Each side dead, or its store slow, in turn, and the other side at work meanwhile (CQ-6)."""

from __future__ import annotations

from functools import partial

from holdfast.provocations.bench import Bench, side_by_side
from holdfast.provocations.cqrs_load import READERS, reading
from holdfast.provocations.cqrs_runs import (
    await_projected,
    cqrs_of,
    look_at_view,
    on_one_aggregate,
    one_of_each,
    submit_in_order,
)
from holdfast.provocations.model import Provocation, Window
from holdfast.stack.generate import Submission

AGGREGATES = 2
COMMANDS = 8
"""Commands that are sent to each aggregate, before and while the read side is dead."""
CALM_ROLE, FAULT_ROLE = "calm", "other side at fault"
READS = 10


def _calm(bench: Bench) -> None:
    """Commands and reads with both sides alive: what those under the fault are compared with."""
    streams = [on_one_aggregate(bench, COMMANDS // 2) for _ in range(AGGREGATES)]
    for stream in streams:
        submit_in_order(bench, stream, CALM_ROLE)
    await_projected(bench, [stream[0] for stream in streams])
    _read(bench, _known(bench), CALM_ROLE)


def _known(bench: Bench) -> list[Submission]:
    return one_of_each(bench.pattern, bench.submissions())


def _read(bench: Bench, of: list[Submission], role: str, times: int = READS) -> None:
    for _ in range(times):
        for submission in of:
            look_at_view(bench, submission, view=cqrs_of(bench).reads, reader=role, role=role)


def _more(bench: Bench, known: list[Submission], count: int) -> list[list[Submission]]:
    """So many further commands on each aggregate."""
    name = cqrs_of(bench).aggregate
    return [bench.draw(count, {name: one.fields[name]}) for one in known]


def _read_with_writes_dead(bench: Bench) -> None:
    known = _known(bench)
    _read(bench, known, FAULT_ROLE)
    # what is sent now is refused or goes unanswered; it shows that the write side is dead, and must not stop reads
    for stream in _more(bench, known, 1):
        bench.submit(stream[0], "refused meanwhile")
    _read(bench, known, FAULT_ROLE)


def _read_with_writes_slow(bench: Bench) -> None:
    """Commands on aggregates of their own: those that are read must not change."""
    known = _known(bench)
    slow = [on_one_aggregate(bench, 1) for _ in range(AGGREGATES)]
    work = [partial(submit_in_order, bench, stream, "slow meanwhile") for stream in slow]
    side_by_side(lambda job: job(), [*work, partial(_read, bench, known, FAULT_ROLE)], len(work) + 1)


def _write_with_reads_dead(bench: Bench) -> None:
    for stream in _more(bench, _known(bench), COMMANDS // 2):
        submit_in_order(bench, stream, FAULT_ROLE)


def _write_with_reads_slow(bench: Bench) -> None:
    """A read of each aggregate beside the commands shows that the store is slow."""
    slow = partial(_read, bench, _known(bench), "slow meanwhile", times=1)
    side_by_side(lambda job: job(), [partial(_write_with_reads_dead, bench), slow], 2)


def _converge(bench: Bench) -> None:
    """Two readers see how long it takes; several polls of the log alone would tell it by the half second."""
    known = _known(bench)
    with reading(bench, known, READERS):
        await_projected(bench, known)


def _converged(bench: Bench, _: object) -> None:
    await_projected(bench, _known(bench))


WRITE_SIDE_DEAD = Provocation(
    name="write-side-dead",
    prepare=_calm,
    provoke=_read_with_writes_dead,
    observe=_converged,
    window=Window.WRITE_SIDE_DEAD,
    commands=lambda _: AGGREGATES * (COMMANDS // 2 + 1),
)
WRITE_STORE_SLOW = Provocation(
    name="write-store-slow",
    prepare=_calm,
    provoke=_read_with_writes_slow,
    observe=_converged,
    window=Window.WRITE_STORE_SLOW,
    commands=lambda _: AGGREGATES * (COMMANDS // 2 + 1),
)
READ_SIDE_DEAD = Provocation(
    name="read-side-dead",
    prepare=_calm,
    provoke=_write_with_reads_dead,
    healed=_converge,
    window=Window.READ_SIDE_DEAD,
    commands=lambda _: AGGREGATES * COMMANDS,
)
READ_STORE_SLOW = Provocation(
    name="read-store-slow",
    prepare=_calm,
    provoke=_write_with_reads_slow,
    healed=_converge,
    window=Window.READ_STORE_SLOW,
    commands=lambda _: AGGREGATES * COMMANDS,
)
