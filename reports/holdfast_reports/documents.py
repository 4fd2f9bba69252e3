"""The files of a run's folder as reports read them: verdict.json (docs/verdict.md) and coverage.json (docs/sweep.md).

What a newer Holdfast adds to them is passed over.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from holdfast.errors import HistoryError
from holdfast.runs import COVERAGE_FILE, PLANS_FILE, VERDICT_FILE
from holdfast.verdict.model import Verdict


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class FindingRead(_Document):
    """One counterexample; `holdfast.verdict.model.Finding` with its witness in words.

    Attributes:
        explanation: title and sentence, then the witness, a line per event in time order.
        span_seconds: from the first event of the witness to the end of its last; None where it has no events.
    """

    title: str
    sentence: str
    key: str = ""
    span_seconds: tuple[float, float] | None = None
    explanation: tuple[str, ...] = ()


class ClauseRead(_Document):
    """One clause's verdict; `holdfast.verdict.model.ClauseVerdict`."""

    id: str
    text: str = ""
    family: str
    verdict: Verdict
    reason: str
    evidence: tuple[str, ...] = ()
    findings: tuple[FindingRead, ...] = ()
    seconds: float = 0.0


class ReportRead(_Document):
    """The verdicts of a stack; `holdfast.verdict.model.StackReport`."""

    stack: str
    target: str
    seed: int
    seconds: float
    complete: bool = True
    measures: dict[str, float] = {}
    clauses: tuple[ClauseRead, ...] = ()

    def count(self, verdict: Verdict) -> int:
        """How many clauses have a verdict."""
        return sum(clause.verdict is verdict for clause in self.clauses)


Mark = Literal["held", "violated", "unreached", "inconclusive", "inapplicable"]


class CellRead(_Document):
    """One fault point and one kind of fault of a sweep."""

    point: str
    kind: str
    mark: Mark
    why: str


class ViolationRead(_Document):
    """One way to break a promise that a sweep found, with the file that runs it again."""

    smallest: str
    title: str
    sentence: str
    explanation: tuple[str, ...] = ()
    violated: int
    runs: int
    found_by: tuple[str, ...] = ()
    replay: str = ""


class PairsRead(_Document):
    """How many pairs of faults there are, and what became of them."""

    reachable: int = 0
    pruned: int = 0
    dropped: int = 0
    ran: tuple[dict[str, object], ...] = ()


class SweepRead(_Document):
    """What the sweep of one pattern covered; `holdfast.sweep.coverage.Coverage`."""

    stack: str
    pattern: str
    target: str
    seed: int
    seconds: float
    commands: int
    points: tuple[str, ...] = ()
    counts: dict[str, int] = {}
    cells: tuple[CellRead, ...] = ()
    pairs: PairsRead = PairsRead()
    violations: tuple[ViolationRead, ...] = ()
    strangers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class PlansRead(_Document):
    """What generated plans of one saga visited; `holdfast.provocations.saga_coverage.PlanCoverage`."""

    pattern: str
    plans: int
    sagas: int
    cells: tuple[CellRead, ...] = ()
    smallest: str = ""


class PlansFileRead(_Document):
    """plans.json: one coverage for each pattern."""

    patterns: tuple[PlansRead, ...] = ()


class CoverageRead(_Document):
    """coverage.json: one sweep for each pattern."""

    sweeps: tuple[SweepRead, ...] = ()


Read = TypeVar("Read", bound=_Document)


def read_report(run: Path) -> ReportRead | None:
    """The verdicts in a run's folder; None where there are none.

    Raises:
        HistoryError: they cannot be read.
    """
    return _read(run / VERDICT_FILE, ReportRead)


def read_sweeps(run: Path) -> tuple[SweepRead, ...]:
    """What a run swept; nothing where it is no sweep.

    Raises:
        HistoryError: its coverage cannot be read.
    """
    found = _read(run / COVERAGE_FILE, CoverageRead)
    return () if found is None else found.sweeps


def read_plans(run: Path) -> tuple[PlansRead, ...]:
    """What the generated plans of a run visited; nothing where none were run.

    Raises:
        HistoryError: it cannot be read.
    """
    found = _read(run / PLANS_FILE, PlansFileRead)
    return () if found is None else found.patterns


def _read(path: Path, document: type[Read]) -> Read | None:
    try:
        return document.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise HistoryError(
            f"{path} cannot be read.",
            cause=" ".join(str(error).split())[:300],
            remedy="it is damaged or of another version: name another run, or run again",
        ) from None
