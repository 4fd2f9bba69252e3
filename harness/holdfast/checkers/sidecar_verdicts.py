"""The same plan gives the same business verdicts, whatever becomes of the sidecar meanwhile (metamorphic).

A command of a plan is known by its place in it. Its business verdict is whether it was accepted or refused, and how
often it took effect at rest. Errors that leave both open are no verdict: the client asks again until there is one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from holdfast.checkers.records import finding, ranked
from holdfast.history.model import History, Observation, Operation, Outcome
from holdfast.verdict.describe import times
from holdfast.verdict.model import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessVerdict:
    """What became of one command of a plan.

    Attributes:
        sequence: its place in the plan.
        key: the key it had in this run of the plan.
        said: ``accepted``, ``refused``, ``both``, or ``nothing``.
        count: how often it took effect at rest; None when that was not seen.
        operations: its submissions.
        read: the observation that shows the count.
    """

    sequence: int
    key: str
    said: str
    count: int | None
    operations: tuple[Operation, ...] = ()
    read: Observation | None = None

    @property
    def decided(self) -> bool:
        """Whether it was answered and seen at rest."""
        return self.said != "nothing" and self.count is not None

    def __str__(self) -> str:
        return f"{self.said}, in effect {times(self.count or 0)}"


def business_verdicts(history: History, *, effect: str) -> dict[int, BusinessVerdict]:
    """The verdict on each command of a plan, by its place.

    Args:
        history: of one run of the plan; operations without a place are left out.
        effect: name of the effect port.
    """
    planned: defaultdict[int, list[Operation]] = defaultdict(list)
    for operation in history.operations:
        if operation.sequence >= 0:
            planned[operation.sequence].append(operation)
    reads = sorted((one for one in history.observations if one.port == effect), key=lambda one: one.started_seconds)
    last = {one.key: one for one in reads}
    verdicts = {}
    for sequence, operations in sorted(planned.items()):
        outcomes = {one.outcome for one in operations}
        said = {
            (True, True): "both",
            (True, False): "accepted",
            (False, True): "refused",
            (False, False): "nothing",
        }[Outcome.OK in outcomes, Outcome.FAIL in outcomes]
        read = last.get(operations[0].key)
        verdicts[sequence] = BusinessVerdict(
            sequence=sequence,
            key=operations[0].key,
            said=said,
            count=read.count if read is not None and read.complete else None,
            operations=tuple(operations),
            read=read,
        )
    return verdicts


def different(healthy: History, faulted: History, *, effect: str, fault: str) -> tuple[Finding, ...]:
    """Each command of a plan has the same business verdict under a fault as without it.

    Args:
        healthy: the plan with nothing wrong.
        faulted: the same plan, begun under a fault and asked again until it is answered.
        effect: name of the effect port.
        fault: what was wrong, e.g. ``while the sidecar was hung``.
    """
    usual = business_verdicts(healthy, effect=effect)
    found = []
    for sequence, verdict in business_verdicts(faulted, effect=effect).items():
        expected = usual.get(sequence)
        if expected is None or not expected.decided or not verdict.decided:
            continue
        if (verdict.said, verdict.count) != (expected.said, expected.count):
            found.append(
                finding(
                    "another business verdict",
                    f"Command {sequence + 1} of the plan was {verdict} when it was sent {fault} (key {verdict.key}),"
                    f" and"
                    f" {expected} with nothing wrong (key {expected.key}).",
                    verdict.key,
                    (*verdict.operations, *(() if verdict.read is None else (verdict.read,))),
                )
            )
    return ranked(found)


def undecided(healthy: History, faulted: History, *, effect: str) -> tuple[str, ...]:
    """Commands of the plan of which one of the two runs left no verdict."""
    usual, under = (business_verdicts(one, effect=effect) for one in (healthy, faulted))
    if not usual or not under:
        return ("the plan was not run to its end",)
    gaps = [
        f"command {sequence + 1} of the plan ({verdict.key}) has no business verdict"
        for verdicts in (usual, under)
        for sequence, verdict in verdicts.items()
        if not verdict.decided
    ]
    return tuple(gaps)
