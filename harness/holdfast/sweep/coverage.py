"""What a sweep covered: for each fault point and each kind of fault what is known, and why; as data and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast import __version__
from holdfast.stack.patterns import PatternName
from holdfast.sweep.judging import OPEN, Judgement, Mark
from holdfast.sweep.kinds import Kind
from holdfast.sweep.plan import Left, Schedule
from holdfast.sweep.points import Point
from holdfast.verdict.describe import describe
from holdfast.verdict.model import Finding

INTERRUPTED = "the sweep was interrupted"
"""Why a fault was not put in place, or what came of it was not seen."""

VERSION = 1
"""Version of sweep.json; docs/sweep.md says what is in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One fault point and one kind of fault.

    Attributes:
        point: where.
        kind: what.
        mark: what is known.
        why: one sentence.
    """

    point: Point
    kind: Kind
    mark: Mark
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One way to break a promise.

    Attributes:
        schedule: the smallest fault schedule that breaks it.
        judgement: what that showed.
        violated: how many of its runs did.
        runs: how often it was run.
        found_by: the schedules within which it was found.
        fields: the generated fields of the command that was sent.
        file: the replay file; empty where none is written.
    """

    schedule: Schedule
    judgement: Judgement
    violated: int
    runs: int
    found_by: tuple[Schedule, ...] = ()
    fields: Mapping[str, Any]
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRun:
    """What one pair showed."""

    schedule: Schedule
    mark: Mark
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What the sweep of one stack and pattern covered.

    Attributes:
        stack: the stack's name.
        descriptor: path of the descriptor.
        pattern: the pattern.
        target: kind of the target.
        seed: of the generated values and of the order of pairs.
        undisturbed: what a command without a fault showed.
        cells: one for each point and kind.
        pairs: the pairs that were run.
        reachable: how many pairs there are at calls that a first fault made reachable.
        pruned: how many of them an earlier run had shown.
        dropped: how many were left out because of a budget.
        pairs_asked: the most pairs that were asked for.
        violations: the ways to break a promise that were found.
        unexplained: how what is conserved was wrong after commands that were all whole, and nothing says which.
        strangers: callers that take part in the command and are no components, so nothing can be aimed at them.
        commands: how many commands were sent.
        seconds: wall time.
        singles_seconds: wall time of the singles, with the command that is traced before them.
        notes: what else a reader must know, a line each.
        untold: what could not be told of all commands together; empty where everything was.
        aimed: whether faults were aimed at single commands, so that a schedule can be run again.
        interrupted: name of the signal that ended it early; empty for none.
    """

    stack: str
    descriptor: str
    pattern: PatternName
    target: str
    seed: int
    undisturbed: Judgement
    cells: tuple[Cell, ...]
    pairs: tuple[PairRun, ...] = ()
    reachable: int = 0
    pruned: int = 0
    dropped: int = 0
    pairs_asked: int = 0
    violations: tuple[Violation, ...] = ()
    unexplained: tuple[Finding, ...] = ()
    strangers: tuple[str, ...] = ()
    commands: int = 0
    seconds: float = 0.0
    singles_seconds: float = 0.0
    notes: tuple[str, ...] = ()
    untold: str = ""
    aimed: bool = True
    interrupted: str = ""

    @property
    def points(self) -> tuple[Point, ...]:
        """The fault points, in their order."""
        return tuple(dict.fromkeys(cell.point for cell in self.cells))

    @property
    def decided(self) -> bool:
        """Whether every fault that applies, and every pair that was run, was put in place, hit, and seen to its end.

        Pairs that a budget left out are no gap, unless it left out all of those that were asked for.
        """
        marks = [self.undisturbed.mark, *(cell.mark for cell in self.cells), *(pair.mark for pair in self.pairs)]
        if self.pairs_asked and self.dropped and not self.pairs:
            return False
        return not any(mark in OPEN for mark in marks) and not self.strangers and not self.untold

    def count(self, mark: Mark) -> int:
        """How many cells have a mark."""
        return sum(cell.mark is mark for cell in self.cells)


def cells(ran: Iterable[tuple[Schedule, Judgement]], left: Iterable[Left], points: Sequence[Point]) -> tuple[Cell, ...]:
    """One cell for each fault that was or was not put in place; of several runs of one fault the worst counts.

    Args:
        ran: the singles, with what they showed.
        left: the faults that are not put in place.
        points: the points in the order of the table.
    """
    of: dict[tuple[Point, Kind], list[tuple[Schedule, Judgement]]] = {}
    for schedule, judgement in ran:
        (fault,) = schedule.faults
        of.setdefault((fault.point, fault.kind), []).append((schedule, judgement))
    found = [
        Cell(point=one.point, kind=one.kind, mark=Mark.UNREACHED if one.applies else Mark.INAPPLICABLE, why=one.why)
        for one in left
    ]
    for (point, kind), runs in of.items():
        schedule, worst = min(runs, key=lambda run: list(Mark).index(run[1].mark))
        client = "" if schedule.patient else " (the client gives up)"
        found.append(Cell(point=point, kind=kind, mark=worst.mark, why=worst.why + client))
    order = {point: at for at, point in enumerate(points)}
    kinds = list(Kind)
    return tuple(sorted(found, key=lambda cell: (order[cell.point], kinds.index(cell.kind))))


def to_json(coverage: Coverage) -> dict[str, Any]:
    """The document of ``sweep.json``, one pattern of it."""
    marks = Counter(cell.mark.value for cell in coverage.cells)
    return {
        "version": VERSION,
        "holdfast": __version__,
        "stack": coverage.stack,
        "descriptor": coverage.descriptor,
        "pattern": coverage.pattern,
        "target": coverage.target,
        "seed": coverage.seed,
        "seconds": coverage.seconds,
        "singles_seconds": coverage.singles_seconds,
        "commands": coverage.commands,
        "points": [str(point) for point in coverage.points],
        "counts": {mark.value: marks.get(mark.value, 0) for mark in Mark},
        "undisturbed": {"mark": coverage.undisturbed.mark.value, "why": coverage.undisturbed.why},
        "cells": [
            {"point": cell.point.name, "kind": cell.kind.value, "mark": cell.mark.value, "why": cell.why}
            for cell in coverage.cells
        ],
        "pairs": {
            "reachable": coverage.reachable,
            "pruned": coverage.pruned,
            "dropped": coverage.dropped,
            "ran": [
                {"faults": [str(fault) for fault in one.schedule.faults], "mark": one.mark.value, "why": one.why}
                for one in coverage.pairs
            ],
        },
        "violations": [
            {
                "smallest": str(one.schedule),
                "title": one.judgement.findings[0].title,
                "sentence": one.judgement.why,
                "explanation": list(describe(one.judgement.findings[0])),
                "violated": one.violated,
                "runs": one.runs,
                "found_by": [str(schedule) for schedule in one.found_by],
                "replay": one.file,
            }
            for one in coverage.violations
        ],
        "unexplained": [{"title": one.title, "sentence": one.sentence} for one in coverage.unexplained],
        "strangers": list(coverage.strangers),
        "notes": list(coverage.notes),
    }
