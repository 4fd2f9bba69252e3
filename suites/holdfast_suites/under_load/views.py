"""Event logs and their views under load."""

from __future__ import annotations

from holdfast.checkers import logs, projections
from holdfast.checkers.columnar.result import plural
from holdfast.clause import Holds
from holdfast.ports.folding import folding
from holdfast.stack.patterns import CqrsPattern
from holdfast.under_load import LoadEvidence
from holdfast_suites.under_load.concluding import acknowledged_keys, conclude_on, found, left_over
from holdfast_suites.under_load.struck import struck_on


def converged(evidence: LoadEvidence) -> Holds:
    """CQ-1: at rest the read model of every aggregate is the fold of its log."""
    pattern = evidence.pattern
    assert isinstance(pattern, CqrsPattern)
    fold = folding(pattern, evidence.stack.path)
    views = tuple(dict.fromkeys((pattern.view, pattern.reads)))
    return conclude_on(
        evidence,
        [one for view in views for one in projections.diverged(evidence.streams, fold=fold, view=view)]
        if evidence.quiet
        else [],
        undecided=[*_streams_open(evidence), *projections.unseen(evidence.streams, views=views)],
        holds=f"after {len(evidence.operations):,} commands {len(evidence.streams):,} aggregates show the fold of"
        " their logs",
    )


def in_the_log_once(evidence: LoadEvidence) -> Holds:
    """CQ-2: every accepted command is in the log, once, in a gap-free sequence."""
    port, pattern = evidence.pattern.effect, evidence.pattern
    titles = ("duplicated", "acknowledged and lost", "refused and there")
    places = {*pattern.ingest, *pattern.workers, pattern.store}
    return conclude_on(
        evidence,
        [*found(evidence, port, *titles), *logs.gap_free(evidence.streams), *logs.recorded(evidence.streams)],
        port=port,
        windows=struck_on(evidence, places),
        fault="the write side or the projectors were broken",
        undecided=[*left_over(evidence, port, *titles), *_streams_open(evidence)],
        holds=f"the logs of {len(evidence.streams):,} aggregates hold each of"
        f" {plural(acknowledged_keys(evidence), 'accepted command')} once, without a gap",
    )


def _streams_open(evidence: LoadEvidence) -> list[str]:
    return [
        *([] if evidence.streams else ["no aggregate was read"]),
        *([] if evidence.quiet else ["the stack did not come to rest"]),
        *evidence.missing,
    ]
