"""Sagas under load: all or nothing, over every saga of the run."""

from __future__ import annotations

import numpy as np

from holdfast.checkers import conservation
from holdfast.checkers import saga as sagas
from holdfast.checkers.columnar.result import FINDINGS_KEPT
from holdfast.clause import Holds
from holdfast.history import History
from holdfast.ports.quantity import quantity_port
from holdfast.stack.patterns import SagaPattern
from holdfast.under_load import LoadEvidence
from holdfast.verdict import Finding
from holdfast_suites.under_load.concluding import conclude_on


def all_or_nothing(evidence: LoadEvidence) -> Holds:
    """SG-1: every saga of the run is committed or compensated."""
    found, committed, compensated, ports = _sagas(evidence)
    return conclude_on(
        evidence,
        found,
        ports=ports,
        undecided=[
            *(["no saga was committed"] if not committed else []),
            *(["no saga was compensated"] if not compensated else []),
        ],
        holds=f"of {len(evidence.keys):,} sagas under load {committed:,} committed and {compensated:,} compensated",
    )


def conserved(evidence: LoadEvidence) -> Holds:
    """SG-9: quantities are conserved, and sagas on shared resources end all or nothing."""
    found, committed, compensated, ports = _sagas(evidence)
    history = History(observations=evidence.quantities)
    findings = list(found)
    gaps: list[str] = []
    for name, quantity in evidence.stack.descriptor.conserved.items():
        where = quantity_port(name)
        findings += conservation.conserved(history, port=where, total=quantity.total, minimum=quantity.minimum)
        gaps += conservation.undecided(history, port=where)
    return conclude_on(
        evidence,
        findings,
        ports=ports,
        undecided=[*gaps, *(["no saga was committed"] if not committed else [])],
        holds=f"{', '.join(evidence.stack.descriptor.conserved)} conserved by {committed:,} committed and"
        f" {compensated:,} compensated sagas",
    )


def _sagas(evidence: LoadEvidence) -> tuple[tuple[Finding, ...], int, int, list[str]]:
    """Findings, how many committed and how many compensated, and the ports that tell it."""
    saga = evidence.pattern
    assert isinstance(saga, SagaPattern)
    ports = list(dict.fromkeys(p for step in saga.steps for p in (step.effect, step.undone) if p is not None))
    nets = np.stack(
        [
            evidence.looked[step.effect].count - (0 if step.undone is None else evidence.looked[step.undone].count)
            for step in saga.steps
        ]
    )
    seen = np.logical_and.reduce([evidence.looked[port].observed for port in ports])
    begun = np.logical_or.reduce([evidence.looked[step.effect].count > 0 for step in saga.steps])
    begun[evidence.place[evidence.acknowledged]] = True  # what is left of it may be nothing at all
    committed, undone = seen & (nets == 1).all(axis=0), seen & (nets == 0).all(axis=0)
    suspects = np.flatnonzero(seen & ~committed & ~undone)
    history = evidence.records_of(suspects[:FINDINGS_KEPT].tolist(), *ports)
    found = sagas.all_or_nothing(history, saga)
    return found, int(committed.sum()), int((undone & begun).sum()), ports
