"""What provocations of event logs and read models share: aggregates, reads of both, and the wait for convergence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from holdfast.checkers.logs import as_registers
from holdfast.checkers.projections import Stream, streams
from holdfast.history.columns import Columns
from holdfast.history.logs import LogRead, ViewRead
from holdfast.history.model import Operation
from holdfast.ports.folding import Folding, folding
from holdfast.ports.text import text_of
from holdfast.provocations.bench import Bench, side_by_side
from holdfast.provocations.model import Evidence
from holdfast.provocations.requirements import Situation
from holdfast.stack.base import Json
from holdfast.stack.generate import Submission
from holdfast.stack.patterns import CqrsPattern, Pattern

OBSERVER = "observer"
"""Reads that wait for something; sessions of their own nobody promised anything to."""
POISON_ROLE = "poison"


def cqrs_of(of: Situation | Bench) -> CqrsPattern:
    """The pattern, where it is this one."""
    assert isinstance(of.pattern, CqrsPattern)
    return of.pattern


def fold_of(of: Situation | Bench) -> Folding:
    """From the events of an aggregate to its state."""
    return folding(cqrs_of(of), of.stack.path)


def aggregate_of(pattern: Pattern, submission: Submission) -> str:
    """The aggregate that a submission names, as text."""
    assert isinstance(pattern, CqrsPattern)
    return text_of(submission.fields[pattern.aggregate])


def aggregates_of(pattern: Pattern, submissions: Iterable[Submission]) -> Mapping[str, str]:
    """The aggregate of each submission, by key."""
    return {one.key: aggregate_of(pattern, one) for one in submissions}


def streams_of(pattern: Pattern, evidence: Evidence, without: Iterable[str] = ()) -> tuple[Stream, ...]:
    """What is known of each aggregate of a provocation, without those about which nothing may be said.

    Args:
        pattern: the pattern.
        evidence: what the provocation left.
        without: keys of commands whose aggregates are left out as well.
    """
    aggregates = aggregates_of(pattern, evidence.submissions.values())
    hopeless = {aggregates[key] for key in (*evidence.open_keys, *without) if key in aggregates}
    every = streams(evidence.history, aggregates, evidence.logs, evidence.views)
    return tuple(stream for stream in every if stream.aggregate not in hopeless)


def read_history(situation: Situation, evidence: Evidence) -> Columns:
    """Commands as writes and what clients read as reads, with the fault windows: for the checkers of columns."""
    found = streams_of(situation.pattern, evidence)
    columns = as_registers(found, fold=fold_of(situation), view=cqrs_of(situation).reads)
    return replace(columns, windows=evidence.windows)


def on_one_aggregate(bench: Bench, count: int, overrides: Mapping[str, Json] | None = None) -> list[Submission]:
    """So many submissions on one aggregate that is new, as far as the command's field draws new ones."""
    first = bench.draw(1, dict(overrides or {}))
    name = cqrs_of(bench).aggregate
    rest = bench.draw(count - 1, {**(overrides or {}), name: first[0].fields[name]}) if count > 1 else []
    return [*first, *rest]


def submit_in_order(bench: Bench, submissions: Sequence[Submission], role: str = "healthy") -> list[Operation]:
    """Send commands one after another, each when the one before it has been answered."""
    done = []
    for submission in submissions:
        with bench.room:
            done.append(bench.submit(submission, role))
    return done


def look_at_log(bench: Bench, submission: Submission) -> LogRead:
    """Read the whole log of a submission's aggregate, and keep the read."""
    pattern = cqrs_of(bench)
    return bench.keep_log(bench.ports.read_log(pattern.log, aggregate_of(pattern, submission), submission))


def look_at_view(
    bench: Bench, submission: Submission, *, view: str = "", reader: str = OBSERVER, role: str = "", seen: int = 0
) -> ViewRead:
    """Read what a view shows of a submission's aggregate, and keep the read; the read store's own by default."""
    pattern = cqrs_of(bench)
    name = view or pattern.view
    aggregate = aggregate_of(pattern, submission)
    return bench.keep_view(
        bench.ports.read_view(name, pattern, aggregate, submission, reader=reader, role=role, seen=seen)
    )


def await_projected(
    bench: Bench,
    submissions: Sequence[Submission],
    *,
    views: Sequence[str] = (),
    deadline_seconds: float | None = None,
) -> list[Submission]:
    """Wait until the views of each aggregate show the fold of its log; returns one of each that do not by the deadline.

    Args:
        bench: where.
        submissions: one for each aggregate.
        views: which; the read store itself, and what clients read, when empty.
        deadline_seconds: how long; `Bench.patience_seconds` when None.
    """
    pattern, fold = cqrs_of(bench), fold_of(bench)
    names = tuple(dict.fromkeys(views or (pattern.view, pattern.reads)))
    behind = list(submissions)

    def projected(submission: Submission) -> bool:
        log = look_at_log(bench, submission)
        reads = [look_at_view(bench, submission, view=name) for name in names]
        if not log.complete or not all(read.complete for read in reads):
            return False
        expected = fold([event.data for event in log.events])
        return all(read.state == expected for read in reads)

    def look() -> list[Submission]:
        done = side_by_side(projected, behind, 4)
        behind[:] = [one for one, shown in zip(behind, done, strict=True) if not shown]
        return behind

    deadline = bench.patience_seconds if deadline_seconds is None else deadline_seconds
    return bench.until(f"{len(behind)} aggregates to be projected", look, lambda left: not left, deadline).value


def one_of_each(pattern: Pattern, submissions: Iterable[Submission]) -> list[Submission]:
    """One submission for each aggregate, the first."""
    found: dict[str, Submission] = {}
    for submission in submissions:
        found.setdefault(aggregate_of(pattern, submission), submission)
    return list(found.values())


def look_at_aggregates(benches: Sequence[Bench], *, quiet: bool) -> None:
    """Read the log and the views of every aggregate once more, when everything has come to rest.

    What is not what it must be is looked at again until it is, or the declared staleness has passed: a view may be
    written by what nobody sees at work. Aggregates with an event that cannot be projected are read once.
    """

    def look(bench: Bench) -> None:
        poisoned = {one.key for one in bench.operations() if one.role == POISON_ROLE}
        pattern = cqrs_of(bench)
        mine = one_of_each(pattern, bench.submissions())
        hopeless = {aggregate_of(pattern, one) for one in bench.submissions() if one.key in poisoned}
        await_projected(
            bench,
            [one for one in mine if aggregate_of(pattern, one) not in hopeless],
            deadline_seconds=bench.bounds.staleness_seconds if quiet else 0.0,
        )
        await_projected(bench, [one for one in mine if aggregate_of(pattern, one) in hopeless], deadline_seconds=0.0)
        if not quiet:
            for view in dict.fromkeys((pattern.view, pattern.reads)):
                for one in mine:
                    read = look_at_view(bench, one, view=view)
                    bench.keep_view(replace(read, complete=False, reason="the stack was not quiet"))

    side_by_side(look, benches, 4)
