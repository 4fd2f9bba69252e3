"""``holdfast lint``: SG-14 on definition files alone, printed as a linter does."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from holdfast.definition import (
    Analysis,
    Definition,
    Finding,
    analyse,
    derive_steps,
    embedded,
    possible_pivots,
    read_definitions,
)
from holdfast.errors import DefinitionError, ExitCode
from holdfast.verdict.model import Verdict

_EPILOG = """\
It needs no AWS account and sends nothing. Steps, and what undoes them, are derived from names, actions and catchers,
and shown; what cannot be derived is said so and is never a violation. Machines that start each other are judged
together when their files are named together.

exit codes: 0 nothing violated, 1 violated, 2 usage or a file that is no definition, 3 inconclusive, with --strict
"""


def lint_command(arguments: Sequence[str]) -> int:
    """Judge state machines by their definitions alone: ``holdfast lint FILE.asl.json``."""
    parser = argparse.ArgumentParser(
        prog="holdfast lint",
        description="Say of every failure of every task which steps it leaves uncompensated, and what else of SG-14 a "
        "definition breaks. FILE is in the Amazon States Language (JSON or YAML), or a CloudFormation or SAM template.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--express", action="store_true", default=None, help="they are Express workflows")
    kind.add_argument("--standard", dest="express", action="store_false", help="they are Standard workflows (default)")
    parser.add_argument(
        "--exits", action="store_true", help="print every way a task can fail, and what runs from there"
    )
    parser.add_argument(
        "--pivot",
        metavar="TASK",
        help="the task after whose success the saga only goes forward, in each machine that has it",
    )
    parser.add_argument("--strict", action="store_true", help="exit 3 when something is inconclusive")
    own = parser.parse_args(list(arguments))
    read, broken = _read(own.files, express=own.express)
    definitions = embedded(read)
    asked: str | None = own.pivot
    pivots = [asked if asked is not None and asked in possible_pivots(one) else None for one in definitions]
    if asked is not None and definitions and asked not in pivots:
        _complain(_no_pivot(asked, definitions))
        return ExitCode.USAGE
    analyses = []
    for definition, pivot in zip(definitions, pivots, strict=True):
        analyses.append(analyse(definition, derive_steps(definition, pivot=pivot)))
        _write("\n".join(described(analyses[-1], exits=own.exits)) + "\n")
    verdicts = {analysis.verdict for analysis in analyses}
    if broken:
        return ExitCode.USAGE
    if Verdict.VIOLATED in verdicts:
        return ExitCode.VIOLATED
    return ExitCode.INCONCLUSIVE if own.strict and Verdict.INCONCLUSIVE in verdicts else ExitCode.HELD


def _read(files: Iterable[Path], *, express: bool | None) -> tuple[list[Definition], bool]:
    """All definitions that can be read; of the others, an error each."""
    definitions: list[Definition] = []
    broken = False
    for file in dict.fromkeys(files):
        try:
            definitions += read_definitions(file, express=express)
        except DefinitionError as error:
            _complain(error)
            broken = True
    return definitions, broken


def _no_pivot(pivot: str, definitions: Iterable[Definition]) -> DefinitionError:
    can_be = {one.name: possible_pivots(one) for one in definitions}
    listed = "; ".join(f"{', '.join(tasks)} of {name}" for name, tasks in can_be.items() if tasks)
    return DefinitionError(
        f"--pivot {pivot}: no machine has a task of that name that can be the pivot.",
        cause="the name is misspelt, or that of a state that is no Task, undoes a step, or runs after a failure only",
        remedy=f"name one of {listed}" if listed else "leave the option out; no task can be the pivot",
    )


def _complain(error: DefinitionError) -> None:
    sys.stdout.flush()
    sys.stderr.write(_printable(f"holdfast lint: {error}\n", sys.stderr.encoding))


def described(analysis: Analysis, *, exits: bool = False) -> list[str]:
    """The lines that tell of an analysis: findings first, then the steps they rest on.

    Args:
        analysis: of one machine.
        exits: whether to list every failure exit.
    """
    definition = analysis.definition
    lines = [line for finding in analysis.findings for line in _finding(finding)]
    if exits:
        lines += _exits(analysis)
    lines += _steps(analysis)
    counts = [
        f"{sum(finding.verdict is verdict for finding in analysis.findings)} {verdict}"
        for verdict in (Verdict.VIOLATED, Verdict.INCONCLUSIVE)
    ]
    if not analysis.steps.steps:
        counts.append("no step is known")
    lines.append(f"{definition.file}: {definition.name}: SG-14 {analysis.verdict} ({', '.join(counts)})")
    return lines


def _finding(finding: Finding) -> list[str]:
    unsure = "" if finding.verdict is Verdict.VIOLATED else f" ({finding.verdict})"
    return [
        f"{finding.file}:{finding.line}: SG-14 {finding.kind}{unsure}: {finding.sentence}",
        f"  remedy: {finding.remedy}",
    ]


def _exits(analysis: Analysis) -> list[str]:
    lines = [f"{analysis.definition.file}: ways to fail"]
    for each in analysis.exits:
        to = each.route.target or "the execution fails"
        lines.append(
            f"  {each.file}:{each.line}: {each.state}: {', '.join(each.errors)} -> {to};"
            f" in effect: {_set(each.in_effect)}; undone from there: {_set(each.must_run)}"
        )
    return lines


def _steps(analysis: Analysis) -> list[str]:
    steps, file = analysis.steps, analysis.definition.file
    if not steps.steps:
        return [
            f"{file}: no step with a compensation was derived from the names, actions and catchers; list the steps in"
            " a descriptor ([[patterns.saga.steps]]) and verify SG-14"
        ]
    how = "derived, please confirm" if steps.derived else "declared"
    lines = [f"{file}: steps ({how}); pivot: {steps.pivot or ('not known' if steps.derived else 'none')}"]
    width = max(len(step.name) for step in steps.steps)
    for step in steps.steps:
        undone = ", ".join(step.compensations) or "nothing"
        sure = "" if step.certain else " (not sure)"
        why = f"  [{'; '.join(step.evidence)}]" if step.evidence else ""
        lines.append(f"  {step.name:<{width}}  undone by {undone}{sure}{why}")
    if steps.read_only:
        lines.append(f"  taken to have no effect: {', '.join(sorted(steps.read_only))}")
    lines += [f"  not decided: {each.state}, {each.reason}" for each in steps.undecided]
    return lines


def _set(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _write(text: str) -> None:
    sys.stdout.write(_printable(text, sys.stdout.encoding))


def _printable(text: str, encoding: str | None) -> str:
    """Text that a stream can take: names in a definition may hold what its encoding does not have."""
    encoding = encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
