"""Does a set keep what was added? Per element: stable, lost or never read, and how long until every read saw it.

Reads are ranked by when they began. L is the length of the run of consecutive ranks that saw an element and that ends
at the last read: the element is *stable* when L >= 1. It is *lost* when it was acknowledged and is absent from a read
that began after the acknowledgement and from every later one; an absent read that overlaps the acknowledgement proves
nothing. One that no read saw and that is not lost was *never read*. What is in a read and was never added, or was
refused, or appears twice in it, is wrong at once. Cost: O(p log p) in pairs p of a read and an element in it.

After Jepsen's set-full checker, which does not detect duplicates.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from holdfast.checkers.columnar.elements import elements_of, label_of
from holdfast.checkers.columnar.result import FINDINGS_KEPT, Result, conclude, plural, quantiles
from holdfast.checkers.columnar.segments import combined, dense, is_first
from holdfast.checkers.columnar.staleness import NANOSECONDS_PER_MS
from holdfast.checkers.columnar.wording import finding_of, named
from holdfast.history.columns import FAIL, NEVER_NS, OK, Columns, Integers
from holdfast.verdict.describe import shorten
from holdfast.verdict.model import Finding

MODEL = "set"


def check(columns: Columns, *, fresh: bool = False) -> Result:
    """Whether a set loses, invents or doubles elements.

    Rows: ``add`` with the element, ``read`` with the list of all elements. Figures: ``stable``, ``lost``,
    ``never_read``, ``stale`` (stable, but absent from a read after the acknowledgement), ``visible_ms_p50``, ``_p99``,
    ``_max``: from the acknowledgement to the beginning of the last read without a stable element.

    Args:
        columns: the history of one set.
        fresh: whether a stale element is a violation too, as it is where reads are promised to be linearizable.
    """
    judged = _Judged(columns)
    findings = list(judged.findings(fresh=fresh))
    figures = judged.figures()
    undecided = judged.undecided()
    return conclude(
        MODEL,
        columns,
        findings,
        holds=f"{plural(int(figures['stable']), 'element')} of {plural(len(judged.added), 'added one')} were stable,"
        " none was lost, invented or doubled.",
        undecided=undecided,
        figures=figures,
        violations=judged.violations(fresh=fresh),
    )


class _Judged:
    """What a history says about each element."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        reads = np.flatnonzero(columns.is_kind("read") & (columns.outcome == OK))
        self.reads = reads[np.argsort(columns.earliest_ns[reads], kind="stable")]
        self.elements = elements_of(columns, self.reads)
        adds = np.flatnonzero(columns.is_kind("add"))
        self._rank()
        self._adds(adds)
        self._classify()

    def _rank(self) -> None:
        """Pairs of an element and the rank of a read that saw it, each once; doubles apart."""
        elements, columns = self.elements, self.columns
        rank_of = np.full(len(columns), -1, np.int64)
        rank_of[self.reads] = np.arange(len(self.reads))
        rank = rank_of[elements.row]
        order = np.argsort(combined(dense(elements.element)[0], rank))
        element, rank = elements.element[order], rank[order]
        again = np.zeros(len(order), np.bool_)
        again[1:] = (element[1:] == element[:-1]) & (rank[1:] == rank[:-1])
        self.double_element, self.double_read = element[again], self.reads[rank[again]]
        self.seen_element, self.seen_rank = element[~again], rank[~again]

    def _adds(self, adds: Integers) -> None:
        """One add per element: the first that was acknowledged, else one of unknown outcome, else a refused one."""
        columns = self.columns
        value, latest = self.elements.value[adds], columns.latest_ns[adds]
        order = np.lexsort((latest, columns.outcome[adds] == FAIL, columns.outcome[adds] != OK, value))
        chosen = adds[order][is_first(value[order])] if len(adds) else adds
        self.added = chosen[columns.outcome[chosen] != FAIL]
        self.refused = chosen[columns.outcome[chosen] == FAIL]
        self.first_attempt_ns = np.empty(0, np.int64)
        if len(adds):
            began = np.lexsort((columns.earliest_ns[adds], value))
            firsts = began[is_first(value[began])]
            attempted, attempt_ns = value[firsts], columns.earliest_ns[adds][firsts]
            self.first_attempt_ns = attempt_ns[np.searchsorted(attempted, self.elements.value[self.added])]

    def _classify(self) -> None:
        columns, value = self.columns, self.elements.value
        added = self.added
        count = len(self.reads)
        wanted = value[added]  # sorted, each once
        at = np.searchsorted(wanted, self.seen_element)
        inside = np.minimum(at, max(len(wanted) - 1, 0))
        known = (wanted[inside] == self.seen_element) if len(wanted) else np.zeros(len(at), np.bool_)
        element, rank = inside[known], self.seen_rank[known]
        self.strange = np.flatnonzero(~known)[is_first(self.seen_element[~known])] if len(at) else at

        self.last_seen = np.full(len(added), -1, np.int64)
        self.last_seen[element] = rank
        self.first_end_ns = np.full(len(added), NEVER_NS, np.int64)
        np.minimum.at(self.first_end_ns, element, columns.latest_ns[self.reads[rank]])
        # within the final run, rank and place in the list of ranks go up together
        places = np.arange(len(rank))
        step = rank - places
        last_step = np.zeros(len(added), np.int64)
        last_step[element] = step
        run = np.bincount(element, weights=(step == last_step[element]), minlength=len(added)).astype(np.int64)
        run[self.last_seen != count - 1] = 0
        self.stable = (run >= 1) & (count > 0)
        acknowledged = columns.outcome[added] == OK
        # one of unknown outcome counts as there from the end of the first read that saw it
        self.there_ns = np.where(acknowledged, columns.latest_ns[added], self.first_end_ns)
        last_began = columns.earliest_ns[self.reads[-1]] if count else -NEVER_NS
        self.lost = ~self.stable & (self.there_ns < last_began)
        self.never_read = ~self.stable & ~self.lost
        # the last read without the element is the one before the final run
        last_without = np.where(self.stable, count - 1 - run, -1)
        began = columns.earliest_ns[self.reads[np.maximum(last_without, 0)]] if count else last_without
        self.behind_ns = np.where(self.stable & (last_without >= 0) & (began > self.there_ns), began - self.there_ns, 0)
        self.last_without = last_without
        self.stale = self.stable & (self.behind_ns > 0)
        # seen by a read that had ended before anybody tried to add it
        self.early = self.first_end_ns < self.first_attempt_ns

    def violations(self, *, fresh: bool) -> int:
        """How many elements, or doubles of them, are wrong."""
        lasting = np.count_nonzero(self.lost) + len(self.strange) if self.columns.complete else 0
        refused = 0 if self.columns.complete else len(self._refused_strange())
        stale = np.count_nonzero(self.stale) if fresh else 0
        return int(lasting + refused + len(self.double_element) + np.count_nonzero(self.early) + stale)

    def figures(self) -> dict[str, float]:
        """Counts and visibility."""
        return {
            "added": float(len(self.added)),
            "stable": float(np.count_nonzero(self.stable)),
            "lost": float(np.count_nonzero(self.lost)),
            "never_read": float(np.count_nonzero(self.never_read)),
            "stale": float(np.count_nonzero(self.stale)),
            "reads": float(len(self.reads)),
            **quantiles("visible_ms", self.behind_ns[self.stable], divided_by=NANOSECONDS_PER_MS),
        }

    def undecided(self) -> list[str]:
        """What the history cannot decide."""
        reasons = []
        if not len(self.reads):
            reasons.append("nobody read the set")
        unread = self.never_read & (self.columns.outcome[self.added] == OK)
        if unread.any() and len(self.reads):
            reasons.append(
                f"no read that began after the acknowledgement of {plural(int(np.count_nonzero(unread)), 'element')}"
                " could have seen them"
            )
        return reasons

    def findings(self, *, fresh: bool) -> Iterator[Finding]:
        """What is wrong, each with its witness."""
        columns = self.columns
        for at in self.strange[:FINDINGS_KEPT].tolist() if columns.complete else self._refused_strange():
            yield self._strange(at)
        for element, read in list(zip(self.double_element.tolist(), self.double_read.tolist(), strict=True))[
            :FINDINGS_KEPT
        ]:
            yield finding_of(
                columns,
                "doubled element",
                f"{named(columns, read)} returned {self._label(element)} more than once.",
                {read},
            )
        for at in np.flatnonzero(self.early)[:FINDINGS_KEPT].tolist():
            add = int(self.added[at])
            seen = self._reads_with(self.elements.value[add])
            read = min(seen, key=lambda row: int(columns.latest_ns[row]))
            yield finding_of(
                columns,
                "seen before it was added",
                f"{named(columns, read)} returned {self._label(int(self.elements.value[add]))} and ended before"
                f" {named(columns, add)} began.",
                {add, read},
            )
        if columns.complete:
            for at in np.flatnonzero(self.lost)[:FINDINGS_KEPT].tolist():
                yield self._lost(at)
        if fresh:
            for at in np.flatnonzero(self.stale)[:FINDINGS_KEPT].tolist():
                add, read = int(self.added[at]), int(self.reads[self.last_without[at]])
                yield finding_of(
                    columns,
                    "stale read",
                    f"{named(columns, read)} began after {named(columns, add)} was acknowledged and did not return"
                    f" {self._label(int(self.elements.value[add]))}.",
                    {add, read},
                )

    def _lost(self, at: int) -> Finding:
        columns, add = self.columns, int(self.added[at])
        last = int(self.reads[-1])
        witness = {add, last}
        acknowledged = columns.outcome[add] == OK
        seen = ""
        if self.last_seen[at] >= 0:
            saw = int(self.reads[self.last_seen[at]])
            witness.add(saw)
            seen = f", though {named(columns, saw)} had returned it"
        after = "was acknowledged" if acknowledged else "had been seen"
        return finding_of(
            columns,
            "acknowledged and lost" if acknowledged else "seen and lost",
            f"{self._label(int(self.elements.value[add]))} of {named(columns, add)} is absent from"
            f" {named(columns, last)}, the last one, which began after it {after}{seen}.",
            witness,
        )

    def _strange(self, at: int) -> Finding:
        columns, element = self.columns, int(self.seen_element[at])
        read = int(self.reads[self.seen_rank[at]])
        refused = self.refused[self.elements.value[self.refused] == element]
        if len(refused):
            return finding_of(
                columns,
                "refused and there",
                f"{named(columns, read)} returned {self._label(element)}, but {named(columns, int(refused[0]))} was"
                " refused.",
                {read, int(refused[0])},
            )
        return finding_of(
            columns,
            "never added",
            f"{named(columns, read)} returned {self._label(element)}, which nobody added.",
            {read},
        )

    def _refused_strange(self) -> list[int]:
        """Strange elements that are known to have been refused: they are wrong whatever is missing."""
        refused = np.isin(self.seen_element[self.strange], self.elements.value[self.refused])
        return [int(at) for at in self.strange[refused]]

    def _reads_with(self, element: int) -> list[int]:
        return [int(row) for row in self.reads[self.seen_rank[self.seen_element == element]]]

    def _label(self, element: int) -> str:
        return shorten(str(label_of(self.columns, self.elements, element)))
