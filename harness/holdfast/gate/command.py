"""``holdfast gate``: verify for a pipeline, one exit code per cause."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from holdfast.errors import BaselineError, ExitCode, HoldfastError
from holdfast.gate.annotations import (
    Annotation,
    System,
    annotation,
    code_quality,
    detected,
    log_lines,
    worth_showing,
)
from holdfast.gate.baseline import Baseline, load, written
from holdfast.gate.judging import Outcome, accepting, judge
from holdfast.verify_command import need_stacks, run

BASELINE = Path("holdfast-baseline.toml")
"""Read when it is there and no other is named."""

CODE_QUALITY = Path("gl-code-quality-report.json")
"""Where GitLab's report is written."""

ACCEPTED_DAYS = 30
"""How long --write-baseline accepts what it finds."""

_NO_VERDICT = (ExitCode.USAGE, ExitCode.NOT_HEALED, ExitCode.STOPPED, ExitCode.BUDGET)
"""Ends of a run that outweigh what its clauses say."""


def gate_command(arguments: Sequence[str]) -> int:
    """Verify for a pipeline: inconclusive is red, what is accepted expires: ``holdfast gate NAME.stack.toml``."""
    own, rest = _parser().parse_known_args(list(arguments))
    need_stacks(rest, "gate")
    baseline = _baseline(own.baseline)
    if own.write_baseline is not None and not own.reason:
        raise BaselineError(
            "Nothing is accepted without a reason.",
            cause="--write-baseline is given without --reason",
            remedy='add --reason "why this is accepted for now"',
        )
    ran = run(rest)
    code = ran.exit_code(strict=False)
    if ran.session is None:
        return code
    today = datetime.now(tz=UTC).date()
    outcome = judge(ran.session.reports.values(), baseline, today=today, tolerant=own.inconclusive == "green")
    system = detected(os.environ) if own.annotations == "auto" else System(own.annotations)
    _annotate(outcome, system)
    for line in _told(outcome, ran.interrupted):
        sys.stdout.write(f"{line}\n")
    if own.write_baseline is not None:
        until = own.until or today + timedelta(days=ACCEPTED_DAYS)
        _write(own.write_baseline, baseline, outcome, reason=own.reason, until=until)
    if code > ExitCode.BUDGET or code in _NO_VERDICT:
        return code
    gate = outcome.exit_code
    # an ordinary test that was named beside the stacks and failed is no clause
    return ExitCode.VIOLATED if gate is ExitCode.HELD and ran.session.failed_tests else gate


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="holdfast gate",
        allow_abbrev=False,
        usage="holdfast gate NAME.stack.toml... [options] [options of holdfast verify and pytest]",
        description="Verify for a pipeline. Inconclusive is red; a violated or inconclusive clause passes only while "
        "the baseline accepts it, with a reason and a last day.",
        epilog="exit codes: 0 green, 1 violated or an acceptance has expired, 2 usage, descriptor, target or port, "
        "3 inconclusive, 4 a fault could not be healed, 5 ended by a stop condition, 7 ended by its budget, "
        "130 or 143 interrupted and healed",
    )
    parser.add_argument("--baseline", type=Path, metavar="FILE", help=f"what is accepted (default: {BASELINE})")
    parser.add_argument(
        "--inconclusive", choices=("red", "green"), default="red", help="what an undecided clause is (default: red)"
    )
    parser.add_argument(
        "--annotations",
        choices=("auto", *System),
        default="auto",
        help="how the CI system is told where a clause failed (default: by the variables of its job)",
    )
    parser.add_argument(
        "--write-baseline", type=Path, metavar="FILE", help="accept what closes the gate now, and write it down"
    )
    parser.add_argument("--reason", default="", help="why it is accepted, with --write-baseline")
    parser.add_argument(
        "--until", type=date.fromisoformat, metavar="YYYY-MM-DD", help=f"last day (default: in {ACCEPTED_DAYS} days)"
    )
    return parser


def _baseline(given: Path | None) -> Baseline:
    if given is None and not BASELINE.is_file():
        return Baseline()
    return load(given or BASELINE)


def _annotate(outcome: Outcome, system: System) -> None:
    remarks = [
        annotation(decision, path=os.path.relpath(decision.descriptor), text=_text(decision.descriptor))
        for decision in worth_showing(outcome.decisions)
    ]
    if system is System.GITLAB:
        _code_quality(remarks)
    for line in log_lines(remarks, system):
        sys.stdout.write(f"{line}\n")


def _text(descriptor: str) -> str:
    try:
        return Path(descriptor).read_text(encoding="utf-8")
    except OSError:
        return ""


def _code_quality(remarks: Sequence[Annotation]) -> None:
    try:
        CODE_QUALITY.write_text(code_quality(remarks), encoding="utf-8")
    except OSError as error:
        raise HoldfastError(
            f"{CODE_QUALITY} cannot be written.",
            cause=str(error.strerror or error),
            remedy="run the gate where it may write, or with --annotations none",
        ) from None


def _told(outcome: Outcome, interrupted: str) -> list[str]:
    """What a person reads at the end of the log."""
    lines = [
        f"{decision.stack} {decision.clause.id}: {decision.standing}: {decision.why}"
        for decision in worth_showing(outcome.decisions)
    ]
    lines += [
        f"{entry.stack} {entry.clause}: holds now; its entry can be removed from the baseline"
        for entry in outcome.spent
    ]
    red = sum(decision.red for decision in outcome.decisions)
    state = "open" if outcome.exit_code is ExitCode.HELD and not interrupted else "closed"
    ended = f"; interrupted by {interrupted} before all were decided" if interrupted else ""
    return ["", *lines, f"gate {state}: {red} of {len(outcome.decisions)} clauses are red{ended}"]


def _write(path: Path, baseline: Baseline, outcome: Outcome, *, reason: str, until: date) -> None:
    """Keep what is still needed, and accept what closes the gate now."""
    fresh = accepting(outcome, reason=reason, until=until)
    replaced = {(one.stack, one.clause) for one in (*fresh, *outcome.spent)}
    kept = [one for one in baseline.accept if (one.stack, one.clause) not in replaced]
    try:
        path.write_text(written([*kept, *fresh]), encoding="utf-8")
    except OSError as error:
        raise BaselineError(
            f"The baseline {path} cannot be written.",
            cause=str(error.strerror or error),
            remedy="name a place that may be written",
        ) from None
    sys.stdout.write(f"written: {path}, {len(fresh)} accepted until {until}\n")
