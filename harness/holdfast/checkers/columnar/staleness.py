"""How stale are reads? In versions and in milliseconds, as a distribution over all reads.

A read is stale by k versions and t milliseconds when k versions certainly newer than the one it saw had been completed
before it began, the first of them t milliseconds before. Both are what is proven: without positions k is at least
that, and concurrent writes make nobody stale.

Source of k and t: P. Bailis et al., "Probabilistically bounded staleness for practical partial quorums", VLDB 5 (2012).
"""

from __future__ import annotations

import numpy as np

from holdfast.checkers.columnar.result import FINDINGS_KEPT, Result, conclude, plural, quantiles
from holdfast.checkers.columnar.segments import combined, running_maximum, running_minimum_from_the_end
from holdfast.checkers.columnar.versions import Versions, places, versions_of, writes_seen
from holdfast.checkers.columnar.wording import finding_of, key_text, milliseconds, named
from holdfast.history.columns import NEVER_NS, Columns, Integers
from holdfast.verdict.model import Finding

MODEL = "staleness"
NANOSECONDS_PER_MS = 1_000_000
FEWEST_READERS = 2
"""What one reader sees is no distribution of what readers see."""


def check(columns: Columns, *, bound_versions: int | None = None, bound_ms: float | None = None) -> Result:
    """Staleness of reads of registers, against bounds where they are given.

    Rows: ``write`` with its value and, where the system gives one, its position (version); ``read`` with what it
    returned, and the position it saw. Figures: ``stale_reads``, ``versions_p50``, ``versions_p99``, ``versions_max``,
    ``ms_p50``, ``ms_p99``, ``ms_max``.

    Args:
        columns: the history.
        bound_versions: most versions that a read may be behind; None for no bound.
        bound_ms: most milliseconds that a read may be behind; None for no bound.
    """
    versions = versions_of(columns)
    behind, behind_ns = staleness(columns, versions)
    readers = len(np.unique(columns.session[versions.read]))
    undecided = list(versions.undecided())
    figures: dict[str, float] = {
        "reads": float(len(versions.read)),
        "readers": float(readers),
        "stale_reads": float(np.count_nonzero(behind)),
    }
    if readers >= FEWEST_READERS:
        figures |= quantiles("versions", behind)
        figures |= quantiles("ms", behind_ns, divided_by=NANOSECONDS_PER_MS)
    else:
        undecided.append(f"staleness is measured from {plural(readers, 'reader')}, but at least two are needed")
    too_stale = np.zeros(len(behind), np.bool_)
    if bound_versions is not None:
        too_stale |= behind > bound_versions
    if bound_ms is not None:
        too_stale |= behind_ns > bound_ms * NANOSECONDS_PER_MS
    stale = np.flatnonzero(too_stale)
    worst = stale[np.argsort(-behind_ns[stale], kind="stable")][:FINDINGS_KEPT]
    most = (
        f"at most {int(behind.max())} versions and {milliseconds(int(behind_ns.max()))}" if len(behind) else "nothing"
    )
    return conclude(
        MODEL,
        columns,
        [_finding(columns, versions, int(at), int(behind[at]), int(behind_ns[at])) for at in worst],
        holds=f"{plural(len(behind), 'read')} by {plural(readers, 'reader')} were behind by {most}.",
        undecided=undecided,
        figures=figures,
        violations=len(stale),
    )


def staleness(columns: Columns, versions: Versions) -> tuple[Integers, Integers]:
    """For each read of ``versions`` the versions and the nanoseconds it was behind; 0 for one that was fresh."""
    reads = len(versions.read)
    if not len(versions.write) or not reads:
        return np.zeros(reads, np.int64), np.zeros(reads, np.int64)
    began = columns.earliest_ns[versions.read]
    first_done = running_minimum_from_the_end(versions.write_key, versions.done_ns)
    has_newer = versions.newer < versions.end_of_key(versions.read_key)
    newer_done = np.where(has_newer, first_done[np.minimum(versions.newer, len(first_done) - 1)], NEVER_NS)
    is_stale = newer_done < began

    # versions completed before each read began: all of them by number, or up to the highest by position
    order = np.argsort(combined(versions.write_key, versions.done_ns), kind="stable")
    first_of_key = np.searchsorted(versions.write_key, versions.write_key)
    place_in_key = np.arange(len(order)) - first_of_key
    reached = running_maximum(versions.write_key, place_in_key[order]) if versions.positioned else place_in_key
    completed = places(versions.write_key, versions.done_ns[order], versions.read_key, began, side="left") - 1
    key_begins = np.searchsorted(versions.write_key, versions.read_key)
    last = np.where(completed >= key_begins, reached[np.maximum(completed, 0)] + key_begins, key_begins - 1)
    behind = np.where(is_stale, np.maximum(last + 1 - versions.newer, 1), 0)
    return behind, np.where(is_stale, began - newer_done, 0)


def _finding(columns: Columns, versions: Versions, at: int, behind: int, behind_ns: int) -> Finding:
    read = int(versions.read[at])
    begin, end = int(versions.newer[at]), int(versions.end_of_key(versions.read_key[at : at + 1])[0])
    newer = versions.write[begin + int(np.argmin(versions.done_ns[begin:end]))]
    seen = writes_seen(versions, versions.read[at : at + 1])
    return finding_of(
        columns,
        "stale read",
        f"{named(columns, read)} of {key_text(columns, read)} was behind by {plural(behind, 'version')} and"
        f" {milliseconds(behind_ns)}: {named(columns, int(newer))} had been completed before it began.",
        {read, int(newer), *seen.values()},
    )
