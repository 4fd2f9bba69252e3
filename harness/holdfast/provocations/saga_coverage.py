"""What generated plans have visited: for each step, or compensation, and each kind of fault what came of its sagas."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from holdfast.provocations.saga_plans import Plan, PlannedFault, PlanRun

Came = Literal["held", "violated", "inconclusive", "unreached"]

VERSION = 1
"""Version of plans.json; docs/reports.md says what is in it."""

_WORST: tuple[Came, ...] = ("violated", "held", "inconclusive", "unreached")
"""One saga that kept its promise under a fault has visited it, whatever others missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCell:
    """One place and one kind of fault.

    Attributes:
        point: the step, or its compensation, in words.
        kind: what was done to it.
        mark: what came of the sagas that met it.
        why: one sentence.
    """

    point: str
    kind: str
    mark: Came
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCoverage:
    """What the generated plans of one run visited.

    Attributes:
        plans: how many different plans were run, smaller ones within a violating one included.
        sagas: how many sagas those were.
        cells: one for each fault that could have been drawn, in the order of the steps.
        smallest: the smallest plan that broke a promise, in words; empty where none did.
    """

    plans: int
    sagas: int
    cells: tuple[PlanCell, ...]
    smallest: str = ""


def covered(
    ran: Iterable[tuple[Plan, PlanRun]],
    possible: Sequence[PlannedFault],
    *,
    smallest: Plan | None = None,
    told: str = "",
) -> PlanCoverage:
    """Lay out what plans have visited.

    A saga that was left half done tells against those of its faults that the smallest plan consists of, or against
    all of them where it has none of these.

    Args:
        ran: every run of every plan.
        possible: the faults that could have been drawn.
        smallest: the smallest plan that broke a promise; None where none did.
        told: that plan in words.
    """
    runs = list(ran)
    guilty = {fault for saga in smallest.sagas for fault in saga.faults} if smallest is not None else set()
    came: dict[PlannedFault, list[Came]] = defaultdict(list)
    for plan, run in runs:
        half = {finding.key for finding in run.findings}
        for saga, key in zip(plan.sagas, run.keys, strict=True):
            for fault in saga.faults:
                accused = not guilty.intersection(saga.faults) or fault in guilty
                if key in half and accused:
                    came[fault].append("violated")
                elif (key, fault) in run.unhit:
                    came[fault].append("unreached")
                elif key in half or key in run.late:
                    came[fault].append("inconclusive")
                else:
                    came[fault].append("held")
    return PlanCoverage(
        plans=len({plan for plan, _ in runs}),
        sagas=sum(len(plan.sagas) for plan, _ in runs),
        cells=tuple(_cell(fault, came.get(fault, ())) for fault in dict.fromkeys((*possible, *came))),
        smallest=told,
    )


def _cell(fault: PlannedFault, came: Sequence[Came]) -> PlanCell:
    mark: Came = min(came, key=_WORST.index) if came else "unreached"
    return PlanCell(
        point=f"compensation of {fault.step}" if fault.undo else fault.step, kind=fault.kind, mark=mark, why=_why(came)
    )


def _why(came: Sequence[Came]) -> str:
    if not came:
        return "no plan had it"
    words: Mapping[Came, str] = {
        "violated": "left half done",
        "held": "done or undone as a whole",
        "inconclusive": "not told: late, or another of its faults broke it",
        "unreached": "not hit",
    }
    counts = ", ".join(f"{came.count(mark)} {words[mark]}" for mark in _WORST if mark in came)
    return f"aimed at {len(came)} saga{'s' if len(came) > 1 else ''}: {counts}"


def to_json(coverages: Mapping[str, PlanCoverage]) -> dict[str, Any]:
    """The document of ``plans.json``.

    Args:
        coverages: by name of the pattern.
    """
    return {"version": VERSION, "patterns": [{"pattern": name, **asdict(one)} for name, one in coverages.items()]}
