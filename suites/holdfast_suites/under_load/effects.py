"""Family P and I under load, and the status: each effect there, once, as clients and status were told."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from holdfast.checkers import status
from holdfast.checkers.columnar.result import FINDINGS_KEPT, plural
from holdfast.clause import Holds
from holdfast.history import History, Observation
from holdfast.history.columns import NANOSECONDS
from holdfast.under_load import LoadEvidence
from holdfast_suites.under_load.concluding import acknowledged_keys, conclude_on, found, left_over, share
from holdfast_suites.under_load.struck import Faults, storage_denied


def none_lost(faults: Faults, fault: str) -> Callable[[LoadEvidence], Holds]:
    """A check that every acknowledged request took effect, those that were sent while ``fault`` included.

    Args:
        faults: the windows that provoke the clause.
        fault: what they are, e.g. ``every worker was throttled to zero``.
    """

    def check(evidence: LoadEvidence) -> Holds:
        port, windows = evidence.pattern.effect, faults(evidence)
        inside = evidence.acknowledged & evidence.intended_within(windows)
        return conclude_on(
            evidence,
            found(evidence, port, "acknowledged and lost"),
            port=port,
            windows=windows,
            fault=fault,
            undecided=[
                *left_over(evidence, port, "acknowledged and lost"),
                *([] if inside.any() or not windows else [f"no command was acknowledged while {fault}"]),
            ],
            holds=f"all {plural(acknowledged_keys(evidence), 'acknowledged request')} took effect,"
            f" {int(inside.sum()):,} of them acknowledged while {fault}",
        )

    return check


def exactly_once(faults: Faults, fault: str) -> Callable[[LoadEvidence], Holds]:
    """A check that every acknowledged request took effect once, and none more than once.

    Args:
        faults: the windows that provoke the clause.
        fault: what they are.
    """
    titles = ("duplicated", "acknowledged and lost")

    def check(evidence: LoadEvidence) -> Holds:
        port = evidence.pattern.effect
        return conclude_on(
            evidence,
            found(evidence, port, *titles),
            port=port,
            windows=faults(evidence),
            fault=fault,
            undecided=left_over(evidence, port, *titles),
            holds=f"each of {plural(acknowledged_keys(evidence), 'acknowledged request')} took effect once,"
            f" although {fault}",
        )

    return check


def told_when_storage_refuses(evidence: LoadEvidence) -> Holds:
    """ES-11 and SF-2: no acknowledgement without effect, no effect of what was refused, and clients were told."""
    port, windows = evidence.pattern.effect, storage_denied(evidence)
    titles = ("acknowledged and lost", "refused and there")
    inside, calm = evidence.intended_within(windows) & evidence.sent, evidence.sent & ~evidence.disturbed
    refused, troubled = inside & ~evidence.acknowledged, calm & ~evidence.acknowledged
    told = int(refused.sum())
    # of many thousand commands some fail by chance; what fails as often without the denial was not told of it
    unclear = share(troubled, calm) * 2 > share(refused, inside)
    return conclude_on(
        evidence,
        found(evidence, port, *titles),
        port=port,
        windows=windows,
        fault="storing was refused",
        undecided=[
            *left_over(evidence, port, *titles),
            *([] if told or not windows else ["no client was answered otherwise, so the denial was not felt"]),
            *([f"{int(troubled.sum()):,} commands failed while nothing was denied"] if told and unclear else []),
        ],
        holds=f"{told:,} of {int(inside.sum()):,} clients got an error, and none was acknowledged in vain",
    )


def status_agrees(evidence: LoadEvidence) -> Holds:
    """ES-12: the status of every key is terminal at rest and agrees with its effect."""
    name, port = evidence.pattern.status, evidence.pattern.effect
    assert name is not None
    declared, reported, looked = evidence.stack.descriptor.statuses[name], evidence.reported, evidence.looked[port]
    states = {} if reported is None else reported.state
    acknowledged = np.zeros(len(evidence.keys), np.bool_)
    acknowledged[evidence.place[evidence.acknowledged]] = True
    suspects = [
        place
        for place, state in states.items()
        if looked.observed[place]
        and not (
            (state in declared.done and looked.count[place] > 0)
            or (state in declared.failed and looked.count[place] == 0)
            or (not acknowledged[place] and not state and looked.count[place] == 0)
        )
    ]
    history = evidence.records_of(suspects[:FINDINGS_KEPT], port)
    _, ended_ns = evidence.looked_ns
    said = tuple(
        Observation(
            port=name,
            key=evidence.keys[place],
            count=int(bool(states[place])),
            started_seconds=ended_ns / NANOSECONDS + 0.001,
            completed_seconds=ended_ns / NANOSECONDS + 0.001,
            state=states[place],
            complete=evidence.quiet,
        )
        for place in suspects[:FINDINGS_KEPT]
    )
    findings = status.agrees(
        History(history.operations, (*history.observations, *said), history.windows),
        status=name,
        effect=port,
        done=declared.done,
        failed=declared.failed,
        pending=declared.pending,
    )
    unasked = len(evidence.keys) - len(states)
    return conclude_on(
        evidence,
        findings,
        port=port,
        windows=evidence.windows,
        fault="any fault was in place",
        undecided=[
            *([f"{unasked:,} keys were not asked for: {reported.reason if reported else ''}"] if unasked else []),
            *([f"the status of {len(suspects):,} keys is open"] if suspects and not findings else []),
        ],
        holds=f"the status of {plural(acknowledged_keys(evidence), 'acknowledged request')} is terminal and agrees with"
        " its effect",
    )
