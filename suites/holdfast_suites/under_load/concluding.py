"""From findings, gaps and fault windows of a load run to the verdict of a clause."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from holdfast.checkers.columnar.result import FINDINGS_KEPT
from holdfast.clause import Holds, conclude
from holdfast.history import FaultWindow
from holdfast.history.columns import FAIL, Mask
from holdfast.under_load import LoadEvidence
from holdfast.verdict import Finding


def share(some: Mask, of: Mask) -> float:
    """Which share of operations some of them are; 0 of none."""
    return float(some.sum() / of.sum()) if of.any() else 0.0


def acknowledged_keys(evidence: LoadEvidence) -> int:
    """How many keys were acknowledged."""
    return len(np.unique(evidence.place[evidence.acknowledged]))


def found(evidence: LoadEvidence, port: str, *titles: str) -> list[Finding]:
    """The findings of these kinds about an effect."""
    return [one for one in evidence.ledger(port).findings if one.title in titles]


def left_over(evidence: LoadEvidence, port: str, *titles: str) -> list[str]:
    """What the ledger could not decide, and findings that were counted and not worked out."""
    result = evidence.ledger(port)
    cut = len(found(evidence, port, *titles)) >= FINDINGS_KEPT
    return [
        *result.undecided,
        *([f"only {FINDINGS_KEPT:,} findings of a kind are worked out one by one"] if cut else []),
    ]


def conclude_on(
    evidence: LoadEvidence,
    findings: Iterable[Finding],
    *,
    holds: str,
    undecided: Sequence[str],
    port: str = "",
    ports: Iterable[str] = (),
    windows: tuple[FaultWindow, ...] | None = None,
    fault: str = "",
) -> Holds:
    """Conclude on a run: violated by any finding; else it needs all that was recorded and seen, and the fault.

    Args:
        evidence: of the run.
        findings: counterexamples.
        holds: the sentence when it holds.
        undecided: what could not be decided.
        port: the effect on which it rests.
        ports: several such.
        windows: the windows that provoke it; None where it needs no fault.
        fault: what they are, for the reason when there are none.
    """
    named = [*([port] if port else []), *ports]
    gaps = [gap for one in named for gap in evidence.absent_or_unseen(one)]
    if not evidence.acknowledged.any():
        gaps.append("no command was acknowledged")
    if windows == ():
        gaps.append(f"the timeline put no such fault on ({fault}), so nothing was provoked")
    return conclude(
        tuple(findings),
        holds=holds,
        bite=windows,
        undecided=tuple(dict.fromkeys([*gaps, *undecided, *evidence.problems])),
        evidence=[
            f"{len(evidence.operations):,} operations on {len(evidence.keys):,} keys:"
            f" {int(evidence.acknowledged.sum()):,} acknowledged,"
            f" {int((evidence.operations.outcome == FAIL).sum()):,} refused",
            *(f"{one}: {evidence.looked[one].how}" for one in named),
        ],
    )
