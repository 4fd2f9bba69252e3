"""Is the isolation of transactions what it is said to be? Cycles of the dependency graph, the shortest in words.

| anomaly | what it is |
|---|---|
| G0 | a cycle of overwrites |
| G1a | a read of a value whose transaction was aborted; a compensated saga counts as aborted |
| G1b | a read of a value that its own transaction replaced |
| G1c | a cycle of overwrites and reads |
| G-single | a cycle with exactly one read of something that another replaced (read skew) |
| G2 | a cycle with several of them (write skew) |
| lost update | two transactions read one version of a register, and each replaced it |

With real time, ``-realtime`` marks a cycle that only exists because one transaction ended before another began.
A level proscribes the anomalies of Adya: read-uncommitted G0; read-committed G1 too; snapshot-isolation G-single and
lost updates too; serializable G2 too; strict-serializable also those of real time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Literal

from holdfast.checkers.columnar.graph import components, shortest_cycle
from holdfast.checkers.columnar.result import Result, conclude, plural
from holdfast.checkers.columnar.transactions import (
    APPEND,
    READ,
    Edges,
    Transaction,
    Versions,
    dependencies,
    transactions_of,
    versions_of,
)
from holdfast.checkers.columnar.wording import finding_of
from holdfast.history.columns import FAIL, OK, Columns
from holdfast.verdict.model import Finding

MODEL = "isolation"
Level = Literal["read-uncommitted", "read-committed", "snapshot-isolation", "serializable", "strict-serializable"]
LEVELS: tuple[Level, ...] = (
    "read-uncommitted",
    "read-committed",
    "snapshot-isolation",
    "serializable",
    "strict-serializable",
)
_CYCLES = (("G0", 0, {"ww"}, {"ww"}), ("G1c", 1, {"wr"}, {"ww", "wr"}), ("G-single", 2, {"rw"}, {"ww", "wr"}))
_ANY = {"ww", "wr", "rw"}


def check(columns: Columns, *, level: Level = "serializable") -> Result:
    """Whether transactions show an anomaly that their isolation level forbids.

    Rows: ``txn`` with a list of steps; of one that failed, or whose outcome is unknown, only writes count.

    Args:
        columns: the history.
        level: the isolation level that is promised.

    Raises:
        HistoryError: a row is no list of steps.
    """
    transactions = transactions_of(columns)
    depth = LEVELS.index(level)
    edges = dependencies(columns, transactions, real_time=level == "strict-serializable")
    findings = list(_direct(columns, transactions, depth))
    if depth >= LEVELS.index("snapshot-isolation"):
        findings += _lost_updates(columns, transactions)
    undecided: list[str] = []
    if not columns.complete:
        stray = [one for one in findings if one.title == "never written"]
        if stray:
            undecided.append(f"{plural(len(stray), 'value')} may have been written in what is missing")
            findings = [one for one in findings if one.title != "never written"]
    twice = sum(1 for writers in versions_of(transactions).writers.values() if len(writers) > 1)
    if twice:
        undecided.append(f"{plural(twice, 'value')} were written more than once, so nobody can tell whose was read")
    findings += _cycles(columns, edges, depth)
    kinds = Counter(finding.title for finding in findings)
    return conclude(
        MODEL,
        columns,
        findings,
        holds=f"{plural(len(transactions), 'transaction')} show no anomaly that {level} forbids.",
        undecided=undecided,
        figures={
            "transactions": float(len(transactions)),
            "dependencies": float(sum(len(successors) for successors in edges.values())),
            **{title: float(count) for title, count in kinds.items()},
        },
    )


def _cycles(columns: Columns, edges: Edges, depth: int) -> Iterator[Finding]:
    """For each component of the graph its simplest anomaly, as the shortest cycle of that kind."""
    for component in components(edges):
        found = _simplest(edges, component, depth)
        if found is None:
            continue
        title, cycle = found
        steps = [_words(edges[one][other], title) for one, other in zip(cycle, [*cycle[1:], cycle[0]], strict=True)]
        named = ", ".join(f"#{row + 1}" for row in cycle)
        yield finding_of(
            columns,
            title,
            f"{named} would each have to come before the next and the last before the first: {'; '.join(steps)}.",
            cycle,
        )


def _simplest(edges: Edges, component: Sequence[int], depth: int) -> tuple[str, list[int]] | None:
    for suffix, extra in (("", set()), ("-realtime", {"rt"})):
        if extra and depth < 4:
            break
        for name, least, first, others in _CYCLES:
            if depth < least:
                continue
            cycle = shortest_cycle(edges, component, first=_any_of(first), others=_any_of(others | extra))
            if cycle is not None:
                return name + suffix, cycle
        if depth >= 3:
            cycle = shortest_cycle(edges, component, first=_any_of({"rw"}), others=_any_of(_ANY | extra))
            if cycle is not None:
                return "G2" + suffix, cycle
    return None


class _any_of:  # noqa: N801 - used like a function
    """Whether an edge is of one of some kinds."""

    def __init__(self, wanted: set[str]) -> None:
        self._wanted = wanted

    def __call__(self, kinds: Collection[str]) -> bool:
        return not self._wanted.isdisjoint(kinds)


def _words(kinds: dict[str, str], title: str) -> str:
    order = ("rw", "wr", "ww", "rt") if title.startswith("G2") else ("ww", "wr", "rw", "rt")
    return next(kinds[kind] for kind in order if kind in kinds)


def _direct(columns: Columns, transactions: Sequence[Transaction], depth: int) -> Iterator[Finding]:
    """Anomalies that one read shows by itself."""
    versions = versions_of(transactions)
    for one in transactions:
        if one.outcome != OK:
            continue
        yield from _internal(columns, one)
        for step in one.steps:
            if step.kind != READ or step.value is None:
                continue
            elements = step.value if isinstance(step.value, tuple) else (step.value,)
            if len(set(elements)) < len(elements):
                again = next(element for element, count in Counter(elements).items() if count > 1)
                yield finding_of(
                    columns, "duplicate", f"#{one.row + 1} read {again!r} more than once in {step.key}.", {one.row}
                )
            if isinstance(step.value, tuple):
                longest = versions.lists.get(step.key, ())
                if elements != longest[: len(elements)]:
                    yield _other_order(columns, transactions, one, step.key, elements)
            if depth < 1:
                continue
            for element in elements:
                writers = versions.writers.get((step.key, element), [])
                if not writers:
                    yield finding_of(
                        columns,
                        "never written",
                        f"#{one.row + 1} read {element!r} of {step.key}, which nobody wrote.",
                        {one.row},
                    )
                elif all(writer.outcome == FAIL for writer in writers):
                    yield finding_of(
                        columns,
                        "G1a",
                        f"#{one.row + 1} read {element!r} of {step.key}, but #{writers[0].row + 1}, which wrote it, was"
                        " aborted.",
                        {one.row, writers[0].row},
                    )
            yield from _intermediate(columns, versions, one, step.key, elements)


def _lost_updates(columns: Columns, transactions: Sequence[Transaction]) -> Iterator[Finding]:
    """Two transactions that read the same version of a register and each replaced it."""
    versions = versions_of(transactions)
    for (key, before), afters in versions.follows.items():
        known = [versions.writer(key, after) for after in afters]
        writers = sorted({one.row for one in known if one is not None and one.outcome == OK})
        if len(writers) > 1:
            base = versions.writer(key, before)
            yield finding_of(
                columns,
                "lost update",
                f"#{writers[0] + 1} and #{writers[1] + 1} both read {before!r} of {key} and replaced it, so one of the"
                " updates is lost.",
                {*writers[:2], *([] if base is None else [base.row])},
            )


def _intermediate(
    columns: Columns, versions: Versions, reader: Transaction, key: object, elements: Sequence[object]
) -> Iterator[Finding]:
    if not elements:
        return
    writer = versions.writer(key, elements[-1])
    if writer is None or writer.row == reader.row:
        return
    written = [step.value for step in writer.writes() if step.key == key]
    if written[-1] != elements[-1]:
        yield finding_of(
            columns,
            "G1b",
            f"#{reader.row + 1} read {elements[-1]!r} of {key}, which #{writer.row + 1} itself replaced by"
            f" {written[-1]!r}.",
            {reader.row, writer.row},
        )


def _other_order(
    columns: Columns, transactions: Sequence[Transaction], one: Transaction, key: object, elements: Sequence[object]
) -> Finding:
    """Two reads of a list of which neither is the beginning of the other."""
    other = next(
        other
        for other in transactions
        if other.outcome == OK
        and any(
            step.kind == READ
            and step.key == key
            and isinstance(step.value, tuple)
            and step.value[: len(elements)] != elements
            and elements[: len(step.value)] != step.value
            for step in other.steps
        )
    )
    return finding_of(
        columns,
        "incompatible order",
        f"#{one.row + 1} and #{other.row + 1} read {key} in orders of which neither continues the other.",
        {one.row, other.row},
    )


def _internal(columns: Columns, one: Transaction) -> Iterator[Finding]:
    """A transaction that does not see what it has itself read or written."""
    known: dict[object, object] = {}
    appended: dict[object, tuple[object, ...]] = {}
    for step in one.steps:
        if step.kind == APPEND:
            appended[step.key] = (*appended.get(step.key, ()), step.value)
            if step.key in known:
                before = known[step.key]
                known[step.key] = (*(before if isinstance(before, tuple) else ()), step.value)
        elif step.kind == READ:
            mine = appended.get(step.key, ())
            is_list = isinstance(step.value, tuple) or bool(mine)
            seen = (step.value if isinstance(step.value, tuple) else ()) if is_list else step.value
            wrong = step.key in known and known[step.key] != seen
            if mine and isinstance(seen, tuple) and seen[len(seen) - len(mine) :] != mine:
                wrong = True
            if wrong:
                yield finding_of(
                    columns,
                    "internal",
                    f"#{one.row + 1} read {seen!r} of {step.key}, which contradicts its own steps before.",
                    {one.row},
                )
            known[step.key] = seen
        else:
            known[step.key] = step.value
